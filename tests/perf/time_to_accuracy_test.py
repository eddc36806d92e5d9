"""What perf/time_to_accuracy computes from its trainings, and that its command works.

  CURVSEG_COMMAND=build/perf/host/curvseg time_to_accuracy_test.py
"""

import contextlib
import csv
import io
import json
import math
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parents[2] / "perf" / "time_to_accuracy"
sys.path.insert(0, str(FOLDER))

import analysis  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import time_to_accuracy  # noqa: E402
from plan import Method, Plan, Run  # noqa: E402
from training import events, seconds_a_step  # noqa: E402

SETTING = Plan(FOLDER / "self_check.json").settings()[0]
LOW, HIGH = 0.5, 0.7


def trained(method, scores, seconds_a_step=0.1, seed=1, ending="finished"):
    """A training evaluated every ten steps, on which a gradient takes 0.1 s."""
    evaluations = [(10 * i, 10 * i * seconds_a_step, iou) for i, iou in enumerate(scores, 1)]
    return analysis.Trained(Run(SETTING, method, seed), ending, 0.1, 80, evaluations, seconds_a_step,
                            {"gradient_seconds": [0.1, 0.1], "load": [[0.0]] * 2, "program": "x"})


def group(method, *seeds, **options):
    return analysis.Group(method, [trained(method, scores, seed=i, **options)
                                   for i, scores in enumerate(seeds, 1)])


class Crossings(unittest.TestCase):
    """When a training reached a level."""

    def test_the_first_evaluation_at_or_above_the_level_counts(self):
        each = trained(Method("soap"), [0.4, 0.5, 0.3, 0.8], 0.2)
        at = analysis.crossing(each, LOW)
        self.assertEqual(at.step, 20)
        self.assertAlmostEqual(at.seconds, 4.0)
        self.assertAlmostEqual(at.gradients, 40.0)
        self.assertAlmostEqual(at.epochs, 20 * SETTING.batch / 80)
        self.assertEqual(analysis.crossing(each, HIGH).step, 40)
        self.assertIs(analysis.crossing(each, 0.9), analysis.NEVER)

    def test_a_method_has_reached_what_most_seeds_have(self):
        some = group(Method("soap"), [0.6, 0.8], [0.4, 0.6], [0.4, 0.4])
        self.assertEqual(some.spread(LOW, "step"), (20, 10, math.inf))
        self.assertEqual(some.spread(HIGH, "step"), (math.inf, 20, math.inf))
        self.assertEqual((some.reached(LOW), some.reached(HIGH)), (2, 1))

    def test_seconds_a_step_of_lines_that_leave_out_steps(self):
        lines = [{"step": step, "training_seconds": seconds}
                 for step, seconds in ((1, 1.0), (2, 3.0), (12, 8.0))]
        self.assertEqual(seconds_a_step(lines), [2.0, 0.5])


class Finalists(unittest.TestCase):
    """What is chosen of a grid."""

    def setUp(self):
        self.early = Method("adam", 0.1, "constant")
        self.late = Method("adam", 0.01, "constant")
        self.best = Method("adam", 0.001, "cosine")
        self.broken = Method("adam", 1.0, "constant")
        self.groups = [group(self.early, [0.5, 0.6, 0.6, 0.6]),
                       group(self.late, [0.4, 0.6, 0.7, 0.6]),
                       group(self.best, [0.1, 0.4, 0.6, 0.9]),
                       group(self.broken, [0.9], ending="failed")]

    def test_the_fastest_to_each_level_and_the_best_of_all(self):
        self.assertEqual(analysis.finalists(self.groups, (LOW, HIGH)),
                         [self.early, self.late, self.best])

    def test_each_once_and_none_for_a_level_that_none_reaches(self):
        self.assertEqual(analysis.finalists(self.groups[:1], (LOW, HIGH, 0.99)), [self.early])
        self.assertEqual(analysis.finalists([], (LOW,)), [])

    def test_the_edge_of_the_grid_is_seen(self):
        grid = {"lr": [0.001, 0.01, 0.1]}
        self.assertEqual(analysis.on_the_edge([self.early, self.late, self.best], grid),
                         [self.early, self.best])


class Clocks(unittest.TestCase):
    """Seconds that were measured apart from the scores."""

    def setUp(self):
        steady = [(step, 0.5 * step) for step in range(1, 31)]
        slow_then_fast = [(step, 2.0 * min(step, 10) + 0.1 * max(0, step - 10))
                          for step in range(1, 31)]
        self.clock = analysis.Clock({"seconds": {"soap": [steady, steady, slow_then_fast],
                                                 "auto": [slow_then_fast]},
                                     "gradients": [0.2, 0.1, 0.3]})

    def test_the_median_round_counts(self):
        self.assertAlmostEqual(self.clock.seconds(Method("soap"), 7), 3.5)
        self.assertAlmostEqual(self.clock.step_seconds(Method("soap"))[2], (20.0 + 2.0) / 30)

    def test_steps_that_were_not_timed_cost_what_the_last_ones_did(self):
        self.assertAlmostEqual(self.clock.seconds(Method("auto"), 30), 22.0)
        self.assertAlmostEqual(self.clock.seconds(Method("auto"), 130), 22.0 + 10.0)

    def test_steps_that_have_no_line_lie_between_those_that_have(self):
        lines = [(10, 5.0), (20, 7.0), (30, 9.0)]
        self.assertEqual([analysis.at(lines, step) for step in (5, 10, 15, 30, 40)],
                         [2.5, 5.0, 6.0, 9.0, 11.0])
        self.assertEqual(analysis.at([(1, 2.0)], 3), 6.0)

    def test_a_phase_is_in_gradients_of_its_round(self):
        self.assertEqual([round(cost, 6) for cost in self.clock.phase(Method("soap"), 10, 20)],
                         [2.5, round(0.1 / 0.3, 6), 5.0])
        self.assertIsNone(self.clock.phase(Method("soap"), 10, 31))
        # Where sgd was timed, its steps are the gradients: 0.25 s each.
        self.clock.about["seconds"]["sgd 0.1 constant"] = 3 * [[(step, 0.25 * step)
                                                                for step in range(1, 31)]]
        self.assertEqual([round(cost, 6) for cost in self.clock.phase(Method("soap"), 10, 20)],
                         [2.0, 0.4, 2.0])

    def test_a_training_takes_them_over_and_keeps_its_scores(self):
        each = trained(Method("soap"), [0.4, 0.6], 9.0)
        retimed = analysis.retimed(each, self.clock)
        at = analysis.crossing(retimed, LOW)
        self.assertEqual((at.step, at.seconds), (20, 10.0))
        self.assertAlmostEqual(at.gradients, 10.0 / 0.2)
        other = trained(Method("muon"), [0.4, 0.6], 9.0)
        self.assertIs(analysis.retimed(other, self.clock), other)
        self.assertIs(analysis.retimed(other, None), other)


class Claims(unittest.TestCase):
    """What the report says of `auto`."""

    def lines(self, auto_seconds, soap_seconds=9.0):
        groups = [group(Method("adam", 0.1, "constant"), [0.4, 0.4, 0.6]),
                  group(Method("auto"), [0.4, 0.6], seconds_a_step=auto_seconds),
                  group(Method("soap"), [0.6], seconds_a_step=soap_seconds)]
        return [line for line in report.claim_lines(groups, (LOW,)) if line.startswith("- ")]

    def test_three_times_as_fast(self):
        self.assertTrue(self.lines(0.05)[0].endswith("**yes**"), self.lines(0.05))
        self.assertTrue(self.lines(0.051)[0].endswith("**no**"), self.lines(0.051))

    def test_a_level_that_no_tuned_method_reaches(self):
        def line(auto_seconds):
            groups = [group(Method("adam", 0.1, "constant"), [0.4, 0.4, 0.4]),
                      group(Method("sgd", 0.1, "constant"), [0.4, 0.4], seconds_a_step=9.0),
                      group(Method("auto"), [0.6], seconds_a_step=auto_seconds)]
            return report.claim_lines(groups, (LOW,))[2]

        self.assertIn("3.00 times as fast as the tuned first-order methods at least", line(0.1))
        self.assertTrue(line(0.1).endswith("**yes**"), line(0.1))
        self.assertTrue(line(0.11).endswith("**not shown**"), line(0.11))

    def test_nothing_to_compare_with(self):
        lines = report.claim_lines([group(Method("auto"), [0.6])], (LOW,))
        self.assertTrue(lines[2].endswith("was trained: **not shown**"), lines)

    def test_never_behind_its_rivals(self):
        self.assertIn("behind soap: **no**", self.lines(0.05, 0.09)[0])

    def test_a_level_that_auto_does_not_reach(self):
        groups = [group(Method("auto"), [0.4])]
        self.assertIn("does not get there: **no**", "\n".join(report.claim_lines(groups, (LOW,))))

    def test_tables_stand_the_absence_of_everything(self):
        nothing = group(Method("auto"), [])
        self.assertEqual(len(report.level_table([nothing], LOW)), 3)
        self.assertEqual(len(report.score_table([nothing])), 3)


class Plans(unittest.TestCase):
    """The file of the plan and its changes."""

    def setUp(self):
        self.plan = Plan(FOLDER / "plan.json")

    def test_every_set_has_rising_levels_and_every_grid_an_interior(self):
        for setting in self.plan.settings():
            self.assertGreaterEqual(len(setting.levels), 3)
            self.assertEqual(sorted(set(setting.levels)), list(setting.levels))
        for name in ("sgd", "adam"):
            self.assertGreaterEqual(len(self.plan.grid[name]["lr"]), 5)
            self.assertEqual(len(self.plan.grid_methods(name)), 2 * len(self.plan.grid[name]["lr"]))

    def test_options_change_it(self):
        self.plan.choose_optimizers(["adam", "soap", "brand-new"])
        self.plan.set_grid(["adam=0.1,0.2"])
        self.plan.override(steps=30, every=None)
        self.assertEqual([method.label() for method in self.plan.default_methods()],
                         ["soap", "brand-new"])
        self.assertEqual(list(self.plan.grid), ["adam"])
        self.assertEqual([m.label() for m in self.plan.grid_methods("adam")],
                         ["adam 0.1 constant", "adam 0.1 cosine", "adam 0.2 constant",
                          "adam 0.2 cosine"])
        self.assertEqual({(s.steps, s.every) for s in self.plan.settings()}, {(30, 10)})

    def test_another_training_has_another_folder(self):
        before = {Run(s, m, seed).folder() for s in self.plan.settings()
                  for m in self.plan.grid_methods("adam") for seed in (1, 2)}
        self.plan.override(steps=30)
        after = {Run(s, m, seed).folder() for s in self.plan.settings()
                 for m in self.plan.grid_methods("adam") for seed in (1, 2)}
        self.assertEqual(len(before), len(self.plan.settings()) * 10 * 2)
        self.assertFalse(before & after)


@unittest.skipUnless(os.environ.get("CURVSEG_COMMAND"), "CURVSEG_COMMAND names no command")
class SelfCheck(unittest.TestCase):
    """The whole, on generated images, in a few steps."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.out = Path(cls.temporary.name)
        cls.output = cls.run_command()

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def run_command(cls, *options, out="."):
        arguments = ["time_to_accuracy.py", "--self-check", "--curvseg",
                     os.environ["CURVSEG_COMMAND"], "--out", str(cls.out / out), *options]
        with mock.patch.object(sys, "argv", arguments), \
                contextlib.redirect_stdout(io.StringIO()) as output:
            time_to_accuracy.main()
        return output.getvalue()

    def folders(self, name="*"):
        return sorted((self.out / "runs" / "tiny" / "cells").glob(f"{name}/seed-*"))

    def test_it_leaves_a_report(self):
        text = (self.out / "report.md").read_text()
        for part in ("### mIoU 0.01", "### Scores", "### Noise", "### Grid of sgd", "2/2", "0/2",
                     "no-such-optimizer"):
            self.assertIn(part, text)
        with open(self.out / "levels.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertTrue(all(0.0 <= float(row["test"]) <= 1.0 for row in rows))
        self.assertEqual({row["level"]: bool(row["step"]) for row in rows},
                         {"0.01": True, "0.99": False})
        document = json.loads((self.out / "report.json").read_text())
        self.assertEqual(len(document["levels"]), len(rows))
        self.assertEqual(len(list(self.out.glob("tiny-cells.*"))), 2 if plots.pyplot else 0)

    def test_all_begin_alike(self):
        first = {}
        for folder in self.folders():
            first.setdefault(folder.name.split("-")[1], set()).add(
                events(folder / "metrics.jsonl", "step")[0]["loss"])
        self.assertEqual({seed: len(losses) for seed, losses in first.items()}, {"1": 1, "2": 1})
        self.assertNotEqual(first["1"], first["2"])

    def test_only_finalists_see_the_test_split(self):
        tested = {folder.parent.name for folder in self.folders() if (folder / "test.json").exists()}
        self.assertEqual({len(self.folders(name)) for name in tested}, {2})
        self.assertEqual({folder.parent.name for folder in self.folders()} - tested,
                         {folder.parent.name for folder in self.folders()
                          if len(self.folders(folder.parent.name)) == 1})

    def test_what_is_there_is_not_trained_again(self):
        self.assertIn("finalist 1/", self.output)
        self.assertNotIn(" 1/", self.run_command())
        (self.folders("adamw")[0] / "run.json").unlink()
        output = self.run_command()
        self.assertEqual(output.count("adamw"), 1)
        self.assertNotIn("grid 1/", output)

    def test_one_that_takes_too_long_is_stopped_and_has_another_chance(self):
        # So many steps that the signal comes before the last.
        few = ("--optimizers", "adamw", "--steps", "1500", "--seeds", "1", "--no-test", "--limit")
        self.assertIn("out of time", self.run_command(*few, "0.001", out="limit"))
        self.assertNotIn("adamw", self.run_command(*few, "0.0005", out="limit"))
        self.assertIn("finished", self.run_command(*few, "1000", out="limit"))

    def test_steps_are_timed_anew_on_demand(self):
        few = ("--optimizers", "adamw", "--seeds", "1", "--no-test")
        self.assertIn("timing 1 method", self.run_command(*few, "--clock", out="clock"))
        text = (self.out / "clock" / "report.md").read_text()
        self.assertIn("### Seconds", text)
        self.assertIn("| adamw, steps 2 to 4: early |", text)
        self.assertNotIn(": late", text)  # beyond what was timed
        measured = json.loads(next((self.out / "clock/clocks/tiny").glob("*.json")).read_text())
        self.assertEqual([len(lines) for lines in measured["seconds"]["adamw"]], [6, 6])
        self.assertNotIn("timing", self.run_command(*few, out="clock"))

    def test_unknown_names_are_refused(self):
        for options in (("--optimizers", "no-such-optimizer"), ("--sets", "no-such-set")):
            with self.assertRaises(SystemExit) as stopped:
                self.run_command(*options, out="refused")
            self.assertIn(options[1], str(stopped.exception.code))


if __name__ == "__main__":
    unittest.main()
