"""mIoU against seconds, and against gradients, as PNG and SVG; nothing without matplotlib."""

import statistics

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    pyplot = None

STYLES = ("-", "--", ":", "-.")
AXES = {"seconds": "seconds of training", "gradients": "time of training, in gradients"}


def curve(group, unit):
    """[(time, median, least, largest mIoU)] at the evaluations that all seeds have."""
    points = []
    for at in zip(*(each.evaluations for each in group.trained)):
        times = [seconds if unit == "seconds" else seconds / each.gradient
                 for (_, seconds, _), each in zip(at, group.trained)]
        scores = [iou for _, _, iou in at]
        points.append((statistics.median(times), statistics.median(scores), min(scores),
                       max(scores)))
    return points


def draw(axes, result, unit):
    """A line a method, its colour that of the optimiser, and a band over the seeds."""
    colours, count = {}, {}
    for group in result["finalists"]:
        points = curve(group, unit)
        if not points:
            continue
        optimizer = group.method.optimizer
        colour = colours.setdefault(optimizer, f"C{len(colours) % 10}")
        count[optimizer] = count.get(optimizer, -1) + 1
        times, middle, low, high = zip(*points)
        axes.plot(times, middle, STYLES[count[optimizer] % len(STYLES)], color=colour,
                  label=group.method.label(), linewidth=1.4)
        axes.fill_between(times, low, high, color=colour, alpha=0.12, linewidth=0)
    for level in result["setting"].levels:
        axes.axhline(level, color="0.6", linewidth=0.6)
    axes.set_ylim(bottom=0.6 * min(result["setting"].levels))  # what is far from any is cut off
    axes.set_xlabel(AXES[unit])
    axes.set_ylabel("mIoU on val, median and range over seeds")


def write(folder, results):
    """{(size, set): name of the picture}, empty without matplotlib."""
    if pyplot is None:
        return {}
    names = {}
    for result in results:
        setting = result["setting"]
        if not any(each.evaluations for group in result["finalists"] for each in group.trained):
            continue
        figure, panels = pyplot.subplots(1, len(AXES), figsize=(15, 5), sharey=True)
        for axes, unit in zip(panels, AXES):
            draw(axes, result, unit)
        panels[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
        figure.suptitle(setting.title())
        figure.tight_layout()
        name = f"{setting.size}-{setting.set_name}"
        for kind in ("png", "svg"):
            figure.savefig(folder / f"{name}.{kind}", dpi=120)
        pyplot.close(figure)
        names[setting.size, setting.set_name] = f"{name}.png"
    return names
