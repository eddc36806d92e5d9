"""Results as a Markdown document."""

import statistics

from comparison import bars, results

TITLES = {
    "conv2d": "Convolutions", "gpu": "Convolutions on a GPU",
    "pool": "Pooling", "resize": "Bilinear resizing", "loss": "Losses", "update": "Updates",
    "vector": "Vectors and conjugate gradients", "pointwise": "Pointwise kernels",
    "transpose": "Transposed copies", "patches": "Patches",
    "metrics": "Metrics", "random": "Random numbers", "dense": "Dense algebra",
    "network": "Networks", "curvature": "Curvature products",
    "second order": "Steps of second-order optimisers",
    "memory": "Memory at most", "allocations": "Allocations after the first steps",
    "scaling": "Cores", "start-up": "Start to the end of the first training step"}
UNITS = {"bytes": (2.0**-20, "MiB"), "count": (1.0, ""), "gain": (1.0, "×")}


def document(measured):
    """All of it."""
    parts = [head(measured), summary(measured["rows"])]
    for section, title in TITLES.items():
        rows = [row for row in measured["rows"] if row["name"].split("/")[0] == section]
        if rows:
            parts.append(f"## {title}\n\n" + table(rows))
    if measured["not_here"]:
        parts.append("## Not here\n\n" + "\n".join(
            f"not here: {line}  " for line in measured["not_here"]))
    return "\n\n".join(parts) + "\n"


def head(measured):
    machine = measured["machine"]
    lines = [f"# {measured['name']}", "",
             f"{machine['processor']}, {cores_of(machine)}, "
             f"{machine['instruction_set']}; curvseg {measured['revision']}; {measured['date']}. "
             f"At the start {machine['fma_flops'] / 1e9:.0f} GFLOP/s of multiply-adds and "
             f"{machine['triad_bytes'] / 1e9:.1f} GB/s of a triad. {noise_of(machine)}", "",
             "Times are medians; ratios are the peer's time (or bytes) over ours, medians of the "
             "rounds [least, most], against the side with the least ratio; % of the "
             "peak that was measured beside each sample. `perf/README.md` tells how.", ""]
    lines += [f"- {name}: {version}" for name, version in measured["versions"].items()]
    return "\n".join(lines)


def cores_of(machine):
    if machine["clock"] == "cpu":
        return "processor time of one thread"
    return f"{machine['cores']} cores, {machine['threads']} threads, time by the clock"


def noise_of(machine):
    """How busy the machine was: without this nobody knows what the numbers are worth."""
    load = machine["load"]
    busy = max(load) > 1.5 * machine["cores"]
    return (f"Load {', '.join(f'{value:.1f}' for value in load)} before, between and after: "
            + ("others used the machine, times and percentages are too high or too low by "
               "unknown factors, ratios less so." if busy else "little else ran."))


def summary(rows):
    asked = [row for row in rows if row.get("bar")]
    met = [row for row in asked if not bars.shortfalls(row)]
    lines = [f"{len(met)} of {len(asked)} rows with a bar meet it:", ""]
    for section, title in TITLES.items():
        mine = [row for row in asked if row["name"].split("/")[0] == section]
        below = [row for row in mine if bars.shortfalls(row)]
        if mine:
            lines.append(f"- {title}: {len(mine) - len(below)} of {len(mine)}")
    return "\n".join(lines)


def table(rows):
    lines = ["| | curvseg | rate | % of peak | best peer | peer | ratio | bar | |",
             "| --- | ---: | ---: | ---: | --- | ---: | ---: | --- | --- |"]
    return "\n".join(lines + [line(row) for row in rows])


def line(row):
    rate, percent, peer = results.rate(row), results.percent_of_peak(row), results.best_peer(row)
    cells = [row["name"].split("/", 1)[1], spread(row, results.OURS),
             f"{rate / 1e9:.1f} {'GFLOP/s' if row.get('flops') else 'GB/s'}" if rate else "",
             f"{percent:.0f}" if percent else "", peer or "",
             spread(row, peer) if peer else "", ratios(row), bars.words(row.get("bar") or {}),
             "; ".join(bars.shortfalls(row)) or ("met" if row.get("bar") else "")]
    return "| " + " | ".join(cells) + " |"


def spread(row, side):
    """The median with how far the middle half of the samples reaches."""
    values = [value for value in row["sides"][side] if value is not None]
    scale, unit = UNITS.get(row["kind"], (1.0, ""))
    middle = statistics.median(values)
    if row["kind"] == "time":
        scale, unit = next((scale, unit) for scale, unit, from_ in
                           ((1.0, "s", 1.0), (1e3, "ms", 1e-3), (1e6, "µs", 0.0))
                           if middle >= from_)
    text = f"{scale * middle:.3g} {unit}".strip()
    if len(values) < 3 or row["kind"] == "count":
        return text
    low, _, high = statistics.quantiles(values, n=4)
    return f"{text} ±{50.0 * (high - low) / middle:.0f} %"


def ratios(row):
    """Against the best peer, and against the best of each maker that the bar names besides."""
    peer = results.best_peer(row)
    if peer is None:
        return ""
    named = [results.best_peer(row, maker)
             for maker in (row.get("bar") or {}).get("ratios", {})]
    texts = []
    gradient = [bars.GRADIENT] if bars.GRADIENT in row["sides"] else []
    for each in dict.fromkeys([peer, *filter(None, named), *gradient]):
        middle, low, high = results.ratio(row, each)
        if each == bars.GRADIENT:  # a cost: the other way round
            texts.append(f"{1.0 / middle:.2f} [{1.0 / high:.2f}, {1.0 / low:.2f}] gradients")
            continue
        by = "" if each == peer else f" {each.split()[0]}"
        texts.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]{by}")
    return ", ".join(texts)
