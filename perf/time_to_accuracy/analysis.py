"""From the lines of a training to when it reached which score, and from many trainings to medians
and to the best of a grid."""

import math
import statistics
from dataclasses import dataclass, field, replace

from training import WARM_UP, events, seconds_a_step


@dataclass
class Trained:
    """One training, as it went."""
    run: object  # plan.Run
    ending: str
    gradient: float  # seconds of one
    crops_an_epoch: int
    evaluations: list  # of (step, seconds, mIoU)
    step_seconds: float  # the median
    about: dict = field(default_factory=dict)  # run.json
    test: object = None  # the evaluation of the test split

    def best(self):
        return max((iou for _, _, iou in self.evaluations), default=math.nan)

    def last(self):
        return self.evaluations[-1][2] if self.evaluations else math.nan

    def drift(self):
        """How far the seconds of a gradient before and after it are apart, as a ratio."""
        before, after = self.about["gradient_seconds"]
        return max(before, after) / min(before, after)


class Clock:
    """What the steps of a setting's methods cost, measured by Trainings.clock()."""

    def __init__(self, measured):
        self.about = measured
        self.gradient = statistics.median(measured["gradients"])

    def knows(self, method):
        return method.label() in self.about["seconds"]

    def seconds(self, method, step):
        """Of training up to a step, the median over rounds. Beyond the last step that was timed the
        last third of the steps counts for the later ones."""
        return statistics.median(at(lines, step)
                                 for lines in self.about["seconds"][method.label()])

    def step_seconds(self, method):
        """(median, least, largest) over rounds of the mean step."""
        return median_and_range([lines[-1][1] / lines[-1][0]
                                 for lines in self.about["seconds"][method.label()]])

    def phase(self, method, first, last):
        """(median, least, largest) over rounds of the mean step of those steps, in gradients of the
        same round: steps of sgd, which did as many, where it was timed; None where these were not.
        """
        rounds = self.about["seconds"][method.label()]
        if any(lines[-1][0] < last for lines in rounds):
            return None
        return median_and_range([mean_step(lines, first, last) / self._gradient_of(i)
                                 for i, lines in enumerate(rounds)])

    def _gradient_of(self, i):
        sgd = [rounds[i] for label, rounds in self.about["seconds"].items()
               if label.split()[0] == "sgd"]
        return min((mean_step(lines, WARM_UP, lines[-1][0]) for lines in sgd),
                   default=self.about["gradients"][i])


def mean_step(lines, first, last):
    """Seconds of one of the steps behind `first` up to `last`."""
    return (at(lines, last) - at(lines, first)) / (last - first)


def at(lines, step):
    """Seconds up to a step from [(step, seconds)], which may leave out steps."""
    before = (0, 0.0)
    for here in lines:
        if step <= here[0]:
            return between(before, here, step)
        before = here
    late = (0, 0.0) if len(lines) < 3 else lines[len(lines) * 2 // 3 - 1]
    return between(late, lines[-1], step)


def between(a, b, step):
    """On the line through two (step, seconds)."""
    return a[1] + (step - a[0]) * (b[1] - a[1]) / (b[0] - a[0])


def retimed(trained, clock):
    """The same training in the time that a clock gives its steps; as it is where it gives none."""
    if clock is None or not clock.knows(trained.run.method):
        return trained
    method = trained.run.method
    evaluations = [(step, clock.seconds(method, step), iou)
                   for step, _, iou in trained.evaluations]
    return replace(trained, gradient=clock.gradient, evaluations=evaluations,
                   step_seconds=clock.step_seconds(method)[0])


@dataclass(frozen=True)
class Crossing:
    """The first evaluation at or above a level."""
    step: float
    seconds: float
    gradients: float  # seconds in those of a gradient
    epochs: float


NEVER = Crossing(math.inf, math.inf, math.inf, math.inf)


def read(run, folder, about, test):
    """A training from its folder and the contents of its run.json and test.json."""
    steps = events(folder / "metrics.jsonl", "step")
    evaluations = [(line["step"], line["training_seconds"], line["mean_iou"])
                   for line in events(folder / "metrics.jsonl", "evaluation")
                   if line["split"] == "val"]
    times = seconds_a_step(steps)
    return Trained(run, about["ending"], statistics.mean(about["gradient_seconds"]),
                   about["crops_an_epoch"], evaluations,
                   statistics.median(times) if times else math.nan, about, test)


def crossing(trained, level):
    """When it reached a level, or NEVER."""
    for step, seconds, iou in trained.evaluations:
        if iou >= level:
            return Crossing(step, seconds, seconds / trained.gradient,
                            step * trained.run.setting.batch / trained.crops_an_epoch)
    return NEVER


def median_and_range(values):
    """(median, least, largest). Infinite where not enough reached it."""
    return statistics.median(values), min(values), max(values)


@dataclass
class Group:
    """A method on a setting, all seeds."""
    method: object  # plan.Method
    trained: list

    def crossings(self, level):
        return [crossing(each, level) for each in self.trained]

    def reached(self, level):
        return sum(each is not NEVER for each in self.crossings(level))

    def spread(self, level, what):
        """(median, least, largest) of a field of Crossing."""
        return median_and_range([getattr(each, what) for each in self.crossings(level)])


def finalists(groups, levels):
    """The methods of a grid that deserve more seeds: for each level the one that reaches it in the
    fewest steps, and the one with the best score of all. A training that failed is out. The median
    over the seeds of the grid decides; steps and not seconds, since steps have no noise."""
    sound = [group for group in groups
             if all(each.ending == "finished" for each in group.trained)]
    chosen = []
    for level in levels:
        able = [group for group in sound if group.spread(level, "step")[0] < math.inf]
        if able:
            chosen.append(min(able, key=lambda group: group.spread(level, "step")[0]))
    if sound:
        chosen.append(max(sound, key=lambda group: statistics.median(
            each.best() for each in group.trained)))
    unique = []
    for group in chosen:
        if group.method not in [each.method for each in unique]:
            unique.append(group)
    return [group.method for group in unique]


def on_the_edge(methods, grid):
    """Of chosen methods, those whose learning rate is the least or largest of the grid: there may
    be a better one outside."""
    rates = sorted(grid["lr"])
    return [method for method in methods if len(rates) > 1 and method.lr in (rates[0], rates[-1])]


def best_first_order(groups, level):
    """The tuned method with the least median of seconds, or None when none gets there."""
    able = [group for group in groups
            if group.method.is_tuned() and group.spread(level, "seconds")[0] < math.inf]
    return min(able, key=lambda group: group.spread(level, "seconds")[0], default=None)


def first_order_seconds(groups):
    """Of the tuned method that is at its end first, the median over seeds: a level that none
    reaches takes them longer. Infinite where none was trained."""
    ends = [statistics.median(each.evaluations[-1][1] for each in group.trained)
            for group in groups
            if group.method.is_tuned() and all(each.evaluations for each in group.trained)]
    return min(ends, default=math.inf)
