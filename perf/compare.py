#!/usr/bin/env python3
"""Tells whether curvseg became slower between two files of perf/run.py.

  python3 perf/compare.py OLD.json NEW.json

A row of times has changed where its median moved by at least --effect (5 %) and the samples say so:
the rank-sum test of Mann and Whitney on both sets of samples, corrected by Holm for the number of
rows, so that noise alone gives a false alarm in less than one of twenty comparisons (--alpha 0.05).
Memory has no noise: --effect alone decides. Counts must not grow. "Gains" must not fall.

Times of two runs also differ by what the machine did meanwhile, which no test can know: --relative
takes each sample in ratio to the peak that was measured beside it, or else to the best peer.

Exit status: 0 nothing became worse; 1 something did, or a row of OLD is missing in NEW; 2 a file is
no such file, or has too few samples to tell.
"""

import argparse
import statistics
import sys
from pathlib import Path

from comparison import noise, results

SAME_MACHINE = ("processor", "threads", "clock", "instruction_set")


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--effect", type=float, default=0.05,
                        help="the least change that counts (default: 0.05)")
    parser.add_argument("--alpha", type=float, default=0.05,
                        help="the probability of any false alarm (default: 0.05)")
    parser.add_argument("--relative", action="store_true",
                        help="times in ratio to what was measured beside them")
    parser.add_argument("--other-machine", action="store_true",
                        help="compare results of different machines all the same")
    return parser.parse_args(argv)


def samples(row, relative):
    """What is compared: less is better."""
    mine = row["sides"][results.OURS]
    if row["kind"] == "gain":
        return [1.0 / max(value, 1e-300) for value in mine]
    if not relative or row["kind"] != "time":
        return mine
    if "peak" in row:
        return [m * peak for m, peak in zip(mine, row["peak"])]
    peer = results.best_peer(row)
    if peer is None:
        return mine
    return [m / t for m, t in zip(mine, row["sides"][peer]) if t is not None]


def change_of(old, new):
    """The relative growth of the median."""
    before, after = statistics.median(old), statistics.median(new)
    if before == 0.0:
        return 0.0 if after == 0.0 else float("inf")
    return after / before - 1.0


class Comparison:
    """Of the rows that both files have: `changes` by name, `worse` and `better` the names."""

    def __init__(self, old, new, options):
        new_rows = {row["name"]: row for row in new["rows"]}
        self.missing = [row["name"] for row in old["rows"] if row["name"] not in new_rows]
        pairs = [(row, new_rows[row["name"]]) for row in old["rows"] if row["name"] in new_rows]
        self.changes, self.worse, self.better = {}, [], []
        timed = []
        for before, after in pairs:
            same_work(before, after)
            a, b = samples(before, options.relative), samples(after, options.relative)
            self.changes[before["name"]] = change_of(a, b)
            if before["kind"] in ("time", "gain"):
                timed.append((before["name"], a, b))
            else:
                self._judge(before["name"], 0.0 if before["kind"] == "count" else options.effect)
        for name, a, b in timed:
            enough_samples(name, a, b, options.alpha / len(timed))
        adjusted = noise.holm([noise.rank_sum_p(a, b) for _, a, b in timed])
        for (name, _, _), p in zip(timed, adjusted):
            if p < options.alpha:
                self._judge(name, options.effect)

    def _judge(self, name, effect):
        change = self.changes[name]
        if change > 0.0 and change >= effect:
            self.worse.append(name)
        elif change < 0.0 and 1.0 / max(1.0 + change, 1e-300) - 1.0 >= effect:
            self.better.append(name)


def same_work(before, after):
    for key in ("kind", "flops", "bytes"):
        one, other = before.get(key), after.get(key)
        same = one == other
        if isinstance(one, float) and isinstance(other, float):
            same = abs(one - other) <= 1e-2 * one  # some follow from a rate and a time
        if not same:
            raise ValueError(f"row {before['name']}: \"{key}\" was {one} and is {other}, that is "
                             "other work")


def enough_samples(name, a, b, alpha):
    """\\throws ValueError for a row on which even a large change could not be told from noise."""
    if noise.least_p(len(a), len(b)) < alpha:
        return
    need = next(n for n in range(1, 1000) if noise.least_p(n, n) < alpha)
    raise ValueError(f"row {name}: {len(a)} and {len(b)} samples cannot tell a change from noise "
                     f"among so many rows, it takes {need} of each")


def same_machine(old, new):
    for key in SAME_MACHINE:
        before, after = old["machine"].get(key), new["machine"].get(key)
        if before != after:
            raise ValueError(f"measured on another machine, {key} is {after} and was {before} "
                             "(--other-machine)")


def report(comparison):
    for title, names in (("worse", comparison.worse), ("better", comparison.better)):
        for name in sorted(names, key=comparison.changes.__getitem__, reverse=title == "worse"):
            print(f"{title}: {name}: {100.0 * comparison.changes[name]:+.1f} %")
    for name in comparison.missing:
        print(f"missing: {name}")
    same = len(comparison.changes) - len(comparison.worse) - len(comparison.better)
    print(f"{len(comparison.worse)} worse, {len(comparison.better)} better, "
          f"{len(comparison.missing)} missing, {same} the same within the noise")


def main(argv=None):
    options = parse_arguments(argv)
    try:
        old, new = results.load(options.old), results.load(options.new)
        try:
            if not options.other_machine:
                same_machine(old, new)
            comparison = Comparison(old, new, options)
        except ValueError as error:
            raise results.BadResults(f"{options.new}: {error}") from error
    except results.BadResults as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    report(comparison)
    return 1 if comparison.worse or comparison.missing else 0


if __name__ == "__main__":
    sys.exit(main())
