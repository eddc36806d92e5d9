"""perf/compare.py tells a change from noise, and does not pass over what is missing."""

import contextlib
import copy
import io
import json
import random
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "perf"))

import compare  # noqa: E402
from comparison import noise, results  # noqa: E402

ROWS, ROUNDS = 120, 9


def noisy(seconds, generator):
    """Samples of a machine that others use: some ten per cent more or less, some far more."""
    return [seconds * generator.lognormvariate(0.0, 0.08) * generator.choice([1.0] * 9 + [1.5])
            for _ in range(ROUNDS)]


def measured(seed, factor=None):
    """Results of one run; `factor` by row makes some slower."""
    generator = random.Random(seed)
    rows = []
    for i in range(ROWS):
        seconds = 1e-3 * (1 + i) * (factor or {}).get(i, 1.0)
        rows.append({"name": f"row {i}", "kind": "time", "flops": 1e9,
                     "sides": {"curvseg": noisy(seconds, generator),
                               "peer": noisy(2e-3 * (1 + i), generator)},
                     "peak": [1e11] * ROUNDS})
    rows.append({"name": "memory", "kind": "bytes", "sides": {"curvseg": [1000]}})
    rows.append({"name": "allocations", "kind": "count", "sides": {"curvseg": [0]}})
    return {"format": 1, "name": "x", "machine": {"processor": "p", "threads": 2,
                                                  "instruction_set": "v3"},
            "versions": {}, "not_here": [], "rows": rows}


class Compare(unittest.TestCase):
    """The command."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.old, self.new = (Path(folder.name) / name for name in ("old.json", "new.json"))
        self.old.write_text(json.dumps(measured(1)))

    def compare(self, new, *options):
        """Exit status and what was printed."""
        self.new.write_text(new if isinstance(new, str) else json.dumps(new))
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = compare.main([str(self.old), str(self.new), *options])
        return status, out.getvalue()

    def test_noise_alone_is_no_change(self):
        # One alarm in twenty is what --alpha allows; without Holm's correction nearly all have one.
        quiet = "0 worse, 0 better, 0 missing, 122 the same within the noise\n"
        alarms = [seed for seed in range(2, 22) if self.compare(measured(seed))[1] != quiet]
        self.assertLessEqual(len(alarms), 2)

    def test_a_regression_of_one_row_is_found(self):
        for seed in range(2, 7):
            status, text = self.compare(measured(seed, {17: 1.8}))
            self.assertEqual(status, 1)
            self.assertIn("worse: row 17: ", text)
            self.assertEqual(text.count("worse: "), 1)

    def test_an_improvement_is_no_failure(self):
        status, text = self.compare(measured(2, {17: 0.6}))
        self.assertEqual(status, 0)
        self.assertIn("better: row 17: ", text)

    def test_sure_but_small_is_no_change(self):
        new = measured(1)
        for row in new["rows"][:ROWS]:
            row["sides"]["curvseg"] = [value * 1.03 for value in row["sides"]["curvseg"]]
        self.assertEqual(self.compare(new, "--effect", "0.02")[0], 0)  # lost in this noise
        quiet = measured(1)
        for row in quiet["rows"]:
            first = row["sides"]["curvseg"][0]
            row["sides"]["curvseg"] = [first * (1 + i * 1e-4)
                                       for i in range(len(row["sides"]["curvseg"]))]
        self.old.write_text(json.dumps(quiet))
        for row in quiet["rows"][:ROWS]:
            row["sides"]["curvseg"] = [value * 1.03 for value in row["sides"]["curvseg"]]
        self.assertEqual(self.compare(quiet)[0], 0)
        self.assertEqual(self.compare(quiet, "--effect", "0.02")[0], 1)

    def test_a_missing_row_fails(self):
        new = measured(2)
        del new["rows"][30]
        status, text = self.compare(new)
        self.assertEqual(status, 1)
        self.assertIn("missing: row 30\n", text)

    def test_a_new_row_does_not(self):
        new = measured(2)
        new["rows"].append({**new["rows"][0], "name": "another"})
        self.assertEqual(self.compare(new)[0], 0)

    def test_memory_and_counts_have_no_noise(self):
        for name, value, status in (("memory", 1049, 0), ("memory", 1051, 1), ("memory", 100, 0),
                                    ("allocations", 1, 1)):
            new = measured(2)
            next(row for row in new["rows"] if row["name"] == name)["sides"]["curvseg"] = [value]
            self.assertEqual(self.compare(new)[0], status, (name, value))

    def test_a_machine_half_as_fast_is_seen_by_the_peak(self):
        new = measured(2)
        for row in new["rows"][:ROWS]:
            row["sides"]["curvseg"] = [2.0 * value for value in row["sides"]["curvseg"]]
            row["peak"] = [5e10] * ROUNDS
        self.assertEqual(self.compare(new)[0], 1)
        self.assertEqual(self.compare(new, "--relative")[0], 0)

    def test_without_a_peak_the_peer_tells(self):
        both = [measured(1), measured(2)]
        for one, by in zip(both, (1.0, 2.0)):
            for row in one["rows"][:ROWS]:
                del row["peak"]
                for side, values in row["sides"].items():
                    row["sides"][side] = [by * value for value in values]
        self.old.write_text(json.dumps(both[0]))
        self.assertEqual(self.compare(both[1])[0], 1)
        self.assertEqual(self.compare(both[1], "--relative")[0], 0)

    def test_a_truncated_file(self):
        status, text = self.compare(json.dumps(measured(2))[:1000])
        self.assertEqual(status, 2)
        self.assertEqual(text.count("\n"), 1)
        self.assertIn(f"{self.new}: is no complete JSON", text)

    def test_files_that_are_none(self):
        whole = measured(2)
        short = copy.deepcopy(whole)
        short["rows"][5]["sides"]["peer"].pop()
        bad = copy.deepcopy(whole)
        bad["rows"][5]["sides"]["curvseg"][2] = float("nan")
        absent = copy.deepcopy(whole)
        absent["rows"][5]["sides"]["curvseg"][2] = None
        twice = copy.deepcopy(whole)
        twice["rows"].append(twice["rows"][0])
        other = copy.deepcopy(whole)
        other["rows"][5]["flops"] = 2e9
        elsewhere = copy.deepcopy(whole)
        elsewhere["machine"]["processor"] = "q"
        few = copy.deepcopy(whole)
        few["rows"][5]["sides"] = {"curvseg": [1.0, 2.0]}
        few["rows"][5]["peak"] = [1.0, 1.0]
        for new, words in (({}, "format"), ({**whole, "rows": []}, "no rows"),
                           (short, "row 5: the samples of peer"), (bad, "row 5: the samples"),
                           (absent, "row 5: a sample of curvseg is missing"),
                           (twice, "row 0 comes twice"), (other, "other work"),
                           (elsewhere, "another machine, processor"),
                           (few, "row 5: 9 and 2 samples cannot tell")):
            status, text = self.compare(new)
            self.assertEqual((status, text.count("\n")), (2, 1), text)
            self.assertIn(f"compare.py: {self.new}: ", text)
            self.assertIn(words, text)

    def test_a_file_that_is_not_there(self):
        self.new.unlink(missing_ok=True)
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            self.assertEqual(compare.main([str(self.old), str(self.new)]), 2)
        self.assertEqual(out.getvalue(), f"compare.py: {self.new}: No such file or directory\n")


class Noise(unittest.TestCase):
    """The test behind it, on values from tables."""

    def test_rank_sum(self):
        # U = 0 of 3 and 3: 2 of the 20 ways; U = 1: 4 of them.
        self.assertAlmostEqual(noise.rank_sum_p([1, 2, 3], [4, 5, 6]), 0.1)
        self.assertAlmostEqual(noise.rank_sum_p([1, 2, 4], [3, 5, 6]), 0.2)
        self.assertAlmostEqual(noise.rank_sum_p([4, 5, 6], [1, 2, 3]), 0.1)
        self.assertEqual(noise.rank_sum_p([1, 1], [1, 1]), 1.0)
        self.assertEqual(noise.least_p(3, 3), 0.1)

    def test_ties(self):
        # Ranks 1, 2.5, 2.5, 4: of the six pairs only {1, 2.5} twice are as low as 3.5.
        self.assertAlmostEqual(noise.rank_sum_p([1, 2], [2, 3]), 4 / 6)

    def test_many_samples(self):
        a, b = list(range(30)), [i + 8.5 for i in range(30)]
        p = noise.rank_sum_p(a, b)
        every = noise.ranks([*a, *b])
        counts = noise.sums_of_subsets(every, 30)
        distance = abs(sum(every[:30]) - 30 * 61)
        exact = sum(n for total, n in counts.items() if abs(total - 30 * 61) >= distance)
        exact /= sum(counts.values())
        self.assertAlmostEqual(p, exact, delta=0.3 * exact)

    def test_holm(self):
        self.assertEqual(noise.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])


class Rows(unittest.TestCase):
    """What the table shows of one."""

    def test_the_best_peer_counts_round_by_round(self):
        row = {"name": "x", "kind": "time", "flops": 8.0,
               "sides": {"curvseg": [1.0, 2.0, 4.0, 1.0], "a": [2.0, 2.0, None, None],
                         "b": [None, None, 4.0, 9.0]}, "peak": [8.0, 8.0, 4.0, 16.0]}
        results.check_row(row)
        self.assertEqual(results.best_peer(row), "a")
        self.assertEqual(results.best_peer(row, "b"), "b")
        self.assertIsNone(results.best_peer(row, "c"))
        self.assertEqual(results.ratio(row, "a"), (1.5, 1.0, 2.0))
        self.assertEqual(results.ratio(row, "b"), (5.0, 1.0, 9.0))
        self.assertEqual(results.percent_of_peak(row), 50.0)
        self.assertEqual(results.rate(row), 8.0 / 1.5)


if __name__ == "__main__":
    unittest.main()
