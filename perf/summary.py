#!/usr/bin/env python3
"""Prints a file of results by kind of shape, as docs/performance.md has it: medians (least to most).

  python3 perf/summary.py perf/results/two_cores.json
"""

import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from comparison import bars, results

DIRECTIONS = ("forward", "data", "weights")
WIDE = "3×3, 32 channels and more"
NARROW = "3×3, 16 channels"
FIRST = "3×3, 1 or 3 channels in"
POINTS = "1×1"
DENSE = "1×1, dense layers"
TRANSPOSED = "2×2 transposed"
OTHERS = "strided, dilated, odd"
BANDWIDTH = ("pool", "resize", "loss", "update", "vector", "transpose", "patches")


def kind_of(shape):
    """The row of the table that a convolution belongs to."""
    match = re.fullmatch(r"\d+x(\d+x\d+)_(\d+)to(\d+)_(\dx\d)", shape)
    if shape.startswith("transposed_"):
        return TRANSPOSED
    if not match or match[4] not in ("1x1", "3x3"):
        return OTHERS
    size, least = match[1], min(int(match[2]), int(match[3]))
    if match[4] == "1x1":
        return DENSE if size == "1x1" else POINTS
    if least <= 3:
        return FIRST
    return WIDE if least >= 32 else NARROW if least == 16 else OTHERS


def spread(values, digits):
    middle, low, high = (f"{value:.{digits}f}" for value in
                         (statistics.median(values), min(values), max(values)))
    return middle, f"{low} to {high}"


def met(rows):
    return f"{sum(not bars.shortfalls(row) for row in rows)} of {len(rows)}"


def convolutions(rows):
    groups = defaultdict(lambda: defaultdict(list))
    for row in rows:
        section, direction, *shape = row["name"].split("/")
        if section == "conv2d" and results.best_peer(row):
            groups[kind_of(shape[0])][direction].append(row)
    lines = ["| | forward | data gradient | weight gradient | meet the bar |",
             "| --- | --- | --- | --- | ---: |"]
    for kind in (WIDE, NARROW, FIRST, POINTS, DENSE, TRANSPOSED, OTHERS):
        if kind in groups:
            cells = [cell(groups[kind][direction]) for direction in DIRECTIONS]
            every = [row for direction in DIRECTIONS for row in groups[kind][direction]]
            lines.append(f"| {kind} | {' | '.join(cells)} | {met(every)} |")
    return lines


def cell(rows):
    if not rows:
        return ""
    percent, percents = spread([results.percent_of_peak(row) for row in rows], 0)
    ratio, ratios = spread([results.ratio(row, results.best_peer(row))[0] for row in rows], 2)
    return f"{percent} % ({percents}), {ratio} ({ratios})"


def bandwidth(rows):
    groups = defaultdict(list)
    for row in rows:
        section, *name = row["name"].split("/")
        if section in BANDWIDTH and results.percent_of_peak(row) is not None:
            groups[f"{section}: {name[0]}"].append(row)
    lines = ["| kernel | % of the triad | meet the bar |", "| --- | --- | ---: |"]
    for name, group in groups.items():
        percent, percents = spread([results.percent_of_peak(row) for row in group], 0)
        asked = met(group) if group[0].get("bar") else ""
        lines.append(f"| {name} | {percent} ({percents}) | {asked} |")
    return lines


def peaks(rows):
    """Between what nine in ten of the peaks beside the samples are."""
    lines = []
    for work, name, unit in (("bytes", "triads", "GB/s"), ("flops", "multiply-adds", "GFLOP/s")):
        values = [peak / 1e9 for row in rows if row.get(work) and row["kind"] == "time"
                  for peak in row.get("peak", [])]
        if len(values) > 1:
            cuts = statistics.quantiles(values, n=20)
            lines.append(f"nine in ten {name} between {cuts[0]:.0f} and {cuts[-1]:.0f} {unit}")
    return lines


def main(argv):
    if len(argv) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        rows = results.load(Path(argv[0]))["rows"]
    except results.BadResults as error:
        print(f"summary.py: {error}", file=sys.stderr)
        return 2
    asked = [row for row in rows if row.get("bar")]
    print("\n".join([f"{met(asked)} rows with a bar meet it", *peaks(rows), "",
                     *convolutions(rows), "", *bandwidth(rows)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
