"""What came out, as Markdown for people, as CSV and JSON for programs."""

import csv
import dataclasses
import json
import math
import statistics

from analysis import (best_first_order, crossing, first_order_seconds, median_and_range,
                      on_the_edge)

CLAIM = 3.0  # how many times sooner `auto` is to be there than the best tuned first-order method
RIVALS = ("soap", "muon")  # behind which it must not be


def number(value, digits):
    return "–" if not math.isfinite(value) else f"{value:.{digits}f}"


def spread(values, digits):
    """Median, least and largest; a dash is a training that did not get there."""
    middle, low, high = values
    return f"{number(middle, digits)} [{number(low, digits)}, {number(high, digits)}]"


def significant(values):
    """Decimals with which a median has three figures."""
    middle = values[0] if math.isfinite(values[0]) else values[1]
    if not math.isfinite(middle) or middle <= 0.0:
        return 0
    return max(0, 2 - math.floor(math.log10(middle)))


# ---- Markdown ------------------------------------------------------------------------------------


def level_table(groups, level):
    """A row a method, the fastest first."""
    tuned = best_first_order(groups, level)
    lines = ["| method | reached | seconds | times as fast as the best tuned | gradients"
             " | steps | epochs |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for group in sorted(groups, key=lambda each: each.spread(level, "seconds")):
        seconds = group.spread(level, "seconds")
        faster = (tuned.spread(level, "seconds")[0] / seconds[0]
                  if tuned and math.isfinite(seconds[0]) else math.nan)
        cells = [group.method.label(), f"{group.reached(level)}/{len(group.trained)}",
                 spread(seconds, significant(seconds)), number(faster, 2)]
        cells += [spread(group.spread(level, what), 0) for what in ("gradients", "step")]
        epochs = group.spread(level, "epochs")
        cells.append(spread(epochs, significant(epochs)))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def score_table(groups):
    """Where the trainings ended, and the test split."""
    lines = ["| method | best on val | last on val | test, with the best on val | gradients in all"
             " | ended otherwise |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for group in groups:
        tests = [each.test["mean_iou"] for each in group.trained if each.test]
        totals = [each.evaluations[-1][1] / each.gradient for each in group.trained
                  if each.evaluations]
        other = [each.ending for each in group.trained if each.ending != "finished"]
        cells = [group.method.label(),
                 spread(median_and_range([each.best() for each in group.trained]), 3),
                 spread(median_and_range([each.last() for each in group.trained]), 3),
                 spread(median_and_range(tests), 3) if tests else "–",
                 spread(median_and_range(totals), 0) if totals else "–",
                 ", ".join(f"{other.count(each)} {each}" for each in sorted(set(other)))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def noise_table(groups):
    """What tells a quiet run from a noisy one."""
    lines = ["| method | ms a step | ms a gradient beside it | its drift over a training, at most"
             " | load, at most |", "| --- | ---: | ---: | ---: | ---: |"]
    for group in groups:
        steps = median_and_range([1e3 * each.step_seconds for each in group.trained])
        gradients = median_and_range([1e3 * each.gradient for each in group.trained])
        load = max(each.about["load"][i][0] for each in group.trained for i in (0, 1))
        lines.append(f"| {group.method.label()} | {spread(steps, significant(steps))} | "
                     f"{spread(gradients, significant(gradients))} | "
                     f"{max(each.drift() for each in group.trained):.2f} | {load:.1f} |")
    return lines


def clock_table(groups, clock):
    """What the steps cost that were timed side by side."""
    loads = ", ".join(f"{load[0]:.1f}" for load in clock.about["load"])
    gradients = spread(median_and_range([1e3 * each for each in clock.about["gradients"]]), 1)
    lines = [f"Timed in {len(clock.about['gradients'])} rounds at {clock.about['date']}, load {loads}"
             f"; a gradient took {gradients} ms.", "",
             "| method | ms a step, mean of those timed | in gradients |", "| --- | ---: | ---: |"]
    for group in groups:
        steps = tuple(1e3 * each for each in clock.step_seconds(group.method))
        lines.append(f"| {group.method.label()} | {spread(steps, 1)} | "
                     f"{number(steps[0] / (1e3 * clock.gradient), 2)} |")
    return lines


def phase_table(groups, clock):
    """What a step costs in each phase of methods that have some; nothing without."""
    lines = []
    for group in groups:
        for name, first, last in group.method.phases:
            cost = clock.phase(group.method, first, last)
            if cost:
                lines.append(f"| {group.method.label()}, steps {first + 1} to {last}: {name} | "
                             f"{spread(cost, 2)} |")
    return ["", "| a step of | in gradients (steps of sgd) of the same round |", "| --- | ---: |",
            *lines] if lines else []


def grid_table(groups, levels):
    """Every method of the grid: steps to each level, and the best score."""
    heads = " | ".join(f"steps to {level:g}" for level in levels)
    lines = [f"| method | {heads} | best on val | ended otherwise |",
             "| --- |" + " ---: |" * (len(levels) + 1) + " --- |"]
    for group in groups:
        cells = [number(group.spread(level, "step")[0], 0) for level in levels]
        best = statistics.median(each.best() for each in group.trained)
        endings = {each.ending for each in group.trained} - {"finished"}
        lines.append(f"| {group.method.label()} | " + " | ".join(cells) +
                     f" | {number(best, 3)} | {', '.join(sorted(endings))} |")
    return lines


def claim_lines(groups, levels):
    """Whether `auto` keeps what is claimed for it, level by level."""
    auto = next((group for group in groups if group.method.label() == "auto"), None)
    if auto is None:
        return []
    lines = []
    for level in levels:
        ours = auto.spread(level, "seconds")[0]
        tuned = best_first_order(groups, level)
        theirs = tuned.spread(level, "seconds")[0] if tuned else first_order_seconds(groups)
        ahead = [group.method.label() for group in groups if group.method.optimizer in RIVALS
                 and not group.method.is_tuned() and group.spread(level, "seconds")[0] < ours]
        if not math.isfinite(ours):
            lines.append(f"- {level:g}: `auto` does not get there: **no**")
            continue
        if not math.isfinite(theirs):
            lines.append(f"- {level:g}: no tuned first-order method was trained: **not shown**")
            continue
        factor = f"{theirs / ours:.2f} times as fast as " + (
            tuned.method.label() if tuned else
            "the tuned first-order methods at least, none of which gets there in all its steps")
        kept = theirs >= CLAIM * ours and not ahead
        open_ = not kept and not tuned and not ahead
        lines.append(f"- {level:g}: {factor}" + (f", behind {' and '.join(ahead)}" if ahead else "")
                     + f": **{'yes' if kept else 'not shown' if open_ else 'no'}**")
    return [f"`auto` {CLAIM:g} times as fast as the best tuned first-order method, and never behind "
            f"{' or '.join(RIVALS)}:", "", *lines, ""]


def section(result, picture):
    """All about one setting. result: dictionary of setting, finalists and grid."""
    setting, groups = result["setting"], result["finalists"]
    lines = [f"## {setting.title()}", ""]
    if not groups:
        return [*lines, "Nothing was trained.", ""]
    lines += claim_lines(groups, setting.levels)
    if picture:
        lines += [f"![mIoU over seconds]({picture})", ""]
    for level in setting.levels:
        lines += [f"### mIoU {level:g}", "", *level_table(groups, level), ""]
    lines += ["### Scores", "", *score_table(groups), ""]
    clock = result["clock"]
    timed = [group for group in groups if clock and clock.knows(group.method)]
    if timed:
        lines += ["### Seconds", "", *clock_table(timed, clock), *phase_table(timed, clock), ""]
    others = [group for group in groups if group not in timed]
    if others:
        lines += ["### Noise", "", *noise_table(others), ""]
    for optimizer, (grid, members) in result["grid"].items():
        edge = on_the_edge([group.method for group in groups
                            if group.method.optimizer == optimizer and group.method.is_tuned()],
                           grid)
        lines += [f"### Grid of {optimizer}", "", *grid_table(members, setting.levels), ""]
        if edge:
            lines += ["On the edge of the grid: " + ", ".join(each.label() for each in edge) +
                      ". There may be better outside.", ""]
    return lines


def markdown(results, about, pictures):
    """The whole report."""
    programs = sorted({each.about["program"] for result in results
                       for group in result["finalists"] for each in group.trained} |
                      {result["clock"].about["program"] for result in results if result["clock"]})
    lines = ["# Time to accuracy", "",
             "Median [least, largest] over seeds of the first evaluation on val at or above a level "
             "of mIoU. Seconds are of training alone, without evaluations; *gradients* are those "
             "seconds in the time of one gradient on the same shapes, measured before and after each "
             "training, or beside the steps where these were timed by themselves. A dash: not "
             "reached.", "",
             f"{about['date']}, device {about['device']}, load at the start "
             f"{about['load'][0]:.1f}; " +
             ", ".join(f"{name}={value}" for name, value in about["environment"].items()) + ".", "",
             "```", about["info"].strip(), "```", ""]
    if len(programs) > 1:
        lines += [f"**The trainings are of {len(programs)} builds of curvseg:** "
                  f"{', '.join(programs)}.", ""]
    if about["left_out"]:
        lines += ["Not here: " + "; ".join(about["left_out"]) + ".", ""]
    for result in results:
        lines += section(result, pictures.get((result["setting"].size,
                                               result["setting"].set_name)))
    return "\n".join(lines)


# ---- files for programs --------------------------------------------------------------------------

COLUMNS = ("size", "set", "method", "seed", "level", "step", "epochs", "seconds", "gradients",
           "best_val", "last_val", "test", "ending")


def rows(results):
    """One a training and level; None where it was not reached or is not known."""
    def known(value):
        return value if math.isfinite(value) else None

    for result in results:
        for group in result["finalists"]:
            for each in group.trained:
                setting = each.run.setting
                for level in setting.levels:
                    at = crossing(each, level)
                    yield dict(zip(COLUMNS, (
                        setting.size, setting.set_name, group.method.label(), each.run.seed, level,
                        known(at.step), known(at.epochs), known(at.seconds), known(at.gradients),
                        known(each.best()), known(each.last()),
                        each.test["mean_iou"] if each.test else None, each.ending)))


def write_csv(path, results):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows(results))


def write_json(path, results, about):
    trainings = [{"run": dataclasses.asdict(each.run), "about": each.about,
                  "evaluations": each.evaluations, "step_seconds": each.step_seconds,
                  "test": each.test}
                 for result in results for group in result["finalists"] for each in group.trained]
    path.write_text(json.dumps({"about": about, "levels": list(rows(results)),
                                "trainings": trainings}, indent=1) + "\n")
