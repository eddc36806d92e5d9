#!/usr/bin/env python3
"""How soon each optimiser of curvseg reaches given scores on real images.

The same U-Net is trained from the same initial weights on the same crops (the seed decides both)
  1. with SGD and Adam over a grid of learning rates, constant and with cosine decay;
  2. with the best of the grid, and with every other optimiser as it comes, for several seeds;
and the images of test/ are evaluated once, at the end, by the best parameters of 2. Levels of
validation mIoU, grids, networks and lengths stand in plan.json.

Scores depend on seeds alone and not on what else the machine does; seconds do, which is what
--clock is for. Trainings run one at a time and are kept in --out, where the same command finds them
again: stopped, it goes on where it was. There it leaves report.md, levels.csv, report.json, and
plots where Python has matplotlib. A training ends early when it has taken --limit times as long as
one gradient for each of its steps would take.

Example:
  time_to_accuracy.py --curvseg build/perf/host/curvseg --sets isbi vnc --sizes small
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

import analysis
import plots
import report
from plan import Plan, Run
from training import Command, Data, Trainings

HERE = Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curvseg", default="curvseg", help="the command (default: from PATH)")
    parser.add_argument("--data", type=Path, default=default_data(),
                        help="folder of the data sets (default: CURVSEG_DATA, else ../shared/data "
                             "beside the repository)")
    parser.add_argument("--out", type=Path, default=Path("runs/time-to-accuracy"),
                        help="where trainings and report are kept (default: %(default)s)")
    parser.add_argument("--device", default="host", help="as of curvseg train (default: host)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="OMP_NUM_THREADS (default: all processors)")
    parser.add_argument("--plan", type=Path, default=HERE / "plan.json",
                        help="file of the plan (default: the one beside this script)")
    parser.add_argument("--self-check", action="store_true",
                        help="another plan, of seconds on generated images: does the command work?")
    group = parser.add_argument_group("changes of the plan")
    group.add_argument("--sets", nargs="+", metavar="NAME", help="data sets")
    group.add_argument("--sizes", nargs="+", metavar="NAME", help="networks")
    group.add_argument("--optimizers", nargs="+", metavar="NAME",
                       help="those with a grid are tuned, others run at their defaults")
    group.add_argument("--grid", nargs="+", metavar="NAME=LR,LR", default=[],
                       help="learning rates of an optimiser, such as adam=1e-3,3e-3")
    group.add_argument("--steps", type=int, help="of each training")
    group.add_argument("--every", type=int, help="steps between evaluations")
    group.add_argument("--seeds", type=int, help="of the finalists, 1..N")
    group.add_argument("--grid-seeds", type=int, help="of the grid, 1..N")
    group.add_argument("--limit", type=float, help="see above")
    group = parser.add_argument_group("parts")
    group.add_argument("--dry-run", action="store_true", help="say what would be trained, and end")
    group.add_argument("--report-only", action="store_true",
                       help="train nothing: report on what there is")
    group.add_argument("--clock", action="store_true",
                       help="time the steps of finalists and defaults anew, side by side and "
                            "without evaluations, on a machine that has nothing else to do; from "
                            "then on those seconds count and not the trainings' own")
    group.add_argument("--no-test", action="store_true", help="do not look at test/")
    arguments = parser.parse_args()
    if arguments.self_check:
        arguments.plan = HERE / "self_check.json"
    return arguments


def default_data():
    return Path(os.environ.get("CURVSEG_DATA") or HERE.parents[2] / "shared" / "data")


def make_plan(arguments):
    plan = Plan(arguments.plan)
    if arguments.optimizers:
        plan.choose_optimizers(arguments.optimizers)
    plan.set_grid(arguments.grid)
    plan.override(steps=arguments.steps, every=arguments.every)
    for name in ("seeds", "grid_seeds", "limit"):
        value = getattr(arguments, name)
        setattr(plan, name, getattr(plan, name) if value is None else value)
    for name, chosen in (("set_names", arguments.sets), ("size_names", arguments.sizes)):
        unknown = set(chosen or []) - set(getattr(plan, name))
        if unknown:
            sys.exit(f"the plan has no {' or '.join(sorted(unknown))}, it has "
                     f"{', '.join(getattr(plan, name))}")
        setattr(plan, name, chosen or getattr(plan, name))
    return plan


def leave_out(arguments, plan, command, data):
    """Takes from the plan what cannot be run; says what and why."""
    left_out = []
    for name in [*plan.at_defaults, *plan.grid]:
        if not command.knows(name):
            if arguments.optimizers and name in arguments.optimizers:
                sys.exit(f"this curvseg has no optimiser {name}")
            left_out.append(f"{name}, which this curvseg does not have")
            plan.at_defaults.pop(name, None)
            plan.grid.pop(name, None)
    for setting in plan.settings():
        folder = data.missing(setting)
        if folder and setting.set_name in plan.set_names:
            if arguments.sets:
                sys.exit(f"{folder} is not there; --data or CURVSEG_DATA tells where the sets are")
            left_out.append(f"{setting.set_name}, there is no {folder}")
            plan.set_names.remove(setting.set_name)
    for line in left_out:
        print(f"left out: {line}", flush=True)
    return left_out


class Session:
    """The trainings of a plan and what is known of them."""

    def __init__(self, plan, trainings, trains, clocks):
        self._plan = plan
        self._trainings = trainings
        self._trains = trains
        self._clocks = clocks

    def make(self, runs, what):
        """Trains what is not there yet."""
        runs = [run for run in runs if not self._trainings.is_done(run)] if self._trains else []
        for i, run in enumerate(runs, 1):
            self._trainings.make(run)
            trained = self._read(run)
            print(f"{run.setting.set_name}, {run.setting.size}, {what} {i}/{len(runs)}: "
                  f"{run.method.label()}, seed {run.seed}: best mIoU {trained.best():.4f}, "
                  f"{1e3 * trained.step_seconds:.0f} ms a step, gradient "
                  f"{1e3 * trained.gradient:.0f} ms, {trained.ending}", flush=True)

    def group(self, setting, method, seeds):
        """Those seeds of a method that are there, or None."""
        runs = [Run(setting, method, seed) for seed in range(1, seeds + 1)]
        trained = [self._read(run) for run in runs if self._trainings.about(run)]
        return analysis.Group(method, trained) if trained else None

    def groups(self, setting, methods, seeds):
        found = [self.group(setting, method, seeds) for method in methods]
        return [group for group in found if group]

    def grid(self, setting):
        """{optimiser: (its grid, its groups)}"""
        seeds = self._plan.grid_seeds
        for optimizer in self._plan.grid:
            self.make([Run(setting, method, seed) for seed in range(1, seeds + 1)
                       for method in self._plan.grid_methods(optimizer)], "grid")
        return {optimizer: (grid, self.groups(setting, self._plan.grid_methods(optimizer), seeds))
                for optimizer, grid in self._plan.grid.items()}

    def result(self, setting):
        """Grid and finalists of a setting, trained. Seed by seed, so that a change of the machine
        hits all methods."""
        grid = self.grid(setting)
        methods = [method for _, groups in grid.values()
                   for method in analysis.finalists(groups, setting.levels)]
        methods += self._plan.default_methods()
        self.make([Run(setting, method, seed) for seed in range(1, self._plan.seeds + 1)
                   for method in methods], "finalist")
        if self._clocks:
            print(f"{setting.set_name}, {setting.size}: timing {len(methods)} methods", flush=True)
            self._trainings.clock(setting, methods, **self._plan.clock)
        return {"setting": setting, "grid": grid, "clock": self._clock(setting),
                "finalists": self.groups(setting, methods, self._plan.seeds)}

    def test(self, results):
        """The test split, once, for all that is in the report."""
        for result in results:
            for group in result["finalists"]:
                for each in group.trained:
                    if self._trains and math.isfinite(each.best()):
                        self._trainings.test(each.run)
                group.trained = [self._read(each.run) for each in group.trained]

    def _clock(self, setting):
        path = self._trainings.clock_path(setting)
        return analysis.Clock(json.loads(path.read_text())) if path.is_file() else None

    def _read(self, run):
        folder = self._trainings.folder(run)
        test = folder / "test.json"
        trained = analysis.read(run, folder, self._trainings.about(run),
                                json.loads(test.read_text()) if test.is_file() else None)
        return analysis.retimed(trained, self._clock(run.setting))


def print_plan(plan):
    for setting in plan.settings():
        grid = sum(len(plan.grid_methods(name)) for name in plan.grid) * plan.grid_seeds
        print(f"{setting.title()}, levels {', '.join(map(str, setting.levels))}")
        print(f"  {grid} trainings of the grid of {', '.join(plan.grid) or 'nothing'}; {plan.seeds} "
              f"seeds of each finalist and of {', '.join(plan.at_defaults) or 'nothing'}")


def write_report(out, results, about):
    pictures = plots.write(out, results)
    (out / "report.md").write_text(report.markdown(results, about, pictures))
    report.write_csv(out / "levels.csv", results)
    report.write_json(out / "report.json", results, about)
    print(f"{out / 'report.md'}" + ("" if pictures else ", without plots: there is no matplotlib"))


def main():
    arguments = parse_arguments()
    plan = make_plan(arguments)
    command = Command(arguments.curvseg, arguments.device, arguments.threads)
    data = Data(arguments.data, arguments.out / "data")
    about = {**command.about(), "left_out": leave_out(arguments, plan, command, data)}
    if arguments.dry_run:
        print_plan(plan)
        return
    if arguments.report_only and arguments.clock:
        sys.exit("--report-only trains nothing, --clock times trainings: give one of them")
    arguments.out.mkdir(parents=True, exist_ok=True)
    trains = not arguments.report_only
    session = Session(plan, Trainings(command, data, arguments.out, plan.limit), trains,
                      arguments.clock and trains)
    results = [session.result(setting) for setting in plan.settings()]
    if not arguments.no_test:
        session.test(results)
    write_report(arguments.out, results, about)


if __name__ == "__main__":
    main()
