#!/usr/bin/env python3
"""Draws the roofline of a file of perf/run.py: convolutions under the roof of multiply-adds and
bandwidth, and how much of the bandwidth the kernels reach that memory bounds.

  /usr/bin/python3 perf/roofline.py perf/results/host.json docs/images/roofline.png
"""

import argparse
import re
import statistics
import sys
from pathlib import Path

from comparison import results

CASE = re.compile(r"(?P<transposed>transposed_)?(?P<n>\d+)x(?P<h>\d+)x(?P<w>\d+)_(?P<c>\d+)to"
                  r"(?P<k>\d+)_(?P<r>\d+)x(?P<s>\d+)(_stride(?P<stride>\d+))?")
FAMILIES = ("pool", "resize", "loss", "update", "vector", "pointwise")
COLORS = {"forward": "tab:blue", "data": "tab:orange", "weights": "tab:green"}


def least_bytes(case):
    """Of a convolution: what it reads and writes, each once."""
    at = CASE.match(case)
    n, h, w, c, k, r, s = (int(at[name]) for name in ("n", "h", "w", "c", "k", "r", "s"))
    stride = 2 if at["transposed"] else int(at["stride"] or 1)
    if at["transposed"]:  # named by what the layer reads and writes: c wide, and k at the result
        c, k = k, c
    pixels, outputs = n * h * w, n * -(-h // stride) * -(-w // stride)
    return 4 * (pixels * c + outputs * k + r * s * c * k)


def convolutions(measured):
    """(direction, operations a byte, operations a second) of each."""
    for row in measured["rows"]:
        if row["name"].startswith("conv2d/"):
            _, direction, case = row["name"].split("/")
            yield direction, row["flops"] / least_bytes(case), results.rate(row)


def bandwidths(measured):
    """{family: percent of the triad, sorted}"""
    found = {family: [] for family in FAMILIES}
    for row in measured["rows"]:
        family = row["name"].split("/")[0]
        if family in found and row.get("bytes"):
            found[family].append(results.percent_of_peak(row))
    return {family: sorted(values) for family, values in found.items() if values}


def peaks(measured):
    """Medians of the operations and bytes a second that were measured beside the rows."""
    flops = [value for row in measured["rows"] if row["name"].startswith("conv2d/")
             for value in row["peak"]]
    bytes_ = [value for row in measured["rows"] if row["name"].split("/")[0] in FAMILIES
              and row.get("bytes") for value in row["peak"]]
    return (statistics.median(flops or [measured["machine"]["fma_flops"]]),
            statistics.median(bytes_ or [measured["machine"]["triad_bytes"]]))


def draw(measured, path):
    import matplotlib  # pylint: disable=import-outside-toplevel
    matplotlib.use("Agg")
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    figure, (roof, bars) = pyplot.subplots(1, 2, figsize=(10, 4), width_ratios=(3, 2))
    flops, bandwidth = peaks(measured)
    intensity = [2.0 ** (i / 4) for i in range(-8, 37)]
    roof.loglog(intensity, [min(flops, i * bandwidth) / 1e9 for i in intensity], "k-", lw=1)
    for direction, color in COLORS.items():
        points = [(x, y / 1e9) for d, x, y in convolutions(measured) if d == direction]
        if points:
            roof.loglog(*zip(*points), "o", ms=4, color=color, label=direction)
    roof.set_xlabel("operations a byte that must move at least")
    roof.set_ylabel("GFLOP/s")
    roof.set_title(f"Convolutions; roof {flops / 1e9:.0f} GFLOP/s and {bandwidth / 1e9:.0f} GB/s",
                   fontsize=10)
    roof.legend(fontsize=8)
    roof.grid(which="both", alpha=0.2)
    found = bandwidths(measured)
    for i, values in enumerate(found.values()):
        bars.plot([i] * len(values), values, "_", color="tab:purple", ms=14)
    bars.axhline(80, color="k", lw=0.8, ls=":")
    bars.set_xticks(range(len(found)), list(found), rotation=30, fontsize=8)
    bars.set_ylim(bottom=0)
    bars.set_title("Kernels that memory bounds, % of the triad", fontsize=10)
    bars.grid(axis="y", alpha=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(argv)
    try:
        measured = results.load(options.results)
    except results.BadResults as error:
        print(f"roofline.py: {error}", file=sys.stderr)
        return 2
    draw(measured, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
