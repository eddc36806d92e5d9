"""What is asked of which row, and whether it is there."""

import re
import statistics

from comparison import results

# {"percent": of the peak, "ratios": {peer: times as fast, or as small}, "gradients": its cost at
# most, "most": the median}; the first pattern that matches a row's name counts.
GRADIENT = results.GRADIENT  # what a step or a product is measured in
CONVOLUTION_3X3 = re.compile(r"conv2d/\w+/\d+x\d+x\d+_(\d+)to(\d+)_3x3$")
BARS = (
    (r"conv2d/", {"ratios": {"oneDNN": 1.0}}),
    (r"pool/|resize/|loss/cross_entropy|update/|vector/", {"percent": 80.0}),
    (r"network/(step|gradient)/", {"ratios": {"PyTorch": 1.5}}),
    (r"network/inference/", {"ratios": {"PyTorch": 1.3}}),
    (r"curvature/ggnvp warm/", {"ratios": {"PyTorch": 4.0, "JAX": 3.0}, "gradients": 1.5}),
    (r"curvature/hvp warm/", {"ratios": {"PyTorch": 4.0, "JAX": 3.0}, "gradients": 2.2}),
    (r"curvature/low-memory hvp warm/", {"gradients": 2.5}),
    (r"second order/auto, FOOF", {"gradients": 1.5}),
    (r"second order/auto, SOAP/", {"gradients": 1.15}),
    (r"memory/step/", {"ratios": {"PyTorch": 2.0}}),
    (r"scaling/", {"ratios": {"FMA loop": 0.95}}),
    (r"allocations/", {"most": 0.0}),
    (r"start-up/small", {"most": 0.5}),
)


def bar_of(name):
    match = CONVOLUTION_3X3.match(name)
    if match and min(map(int, match.groups())) >= 32:
        return {"percent": 85.0, "ratios": {"oneDNN": 0.95}}
    return next((bar for pattern, bar in BARS if re.match(pattern, name)), None)


def with_bar(row):
    bar = bar_of(row["name"])
    return {**row, "bar": bar} if bar else row


def shortfalls(row):
    """What is below the bar, as texts; a peer that the bar names and that was not here is one."""
    bar = row.get("bar") or {}
    result = []
    if "percent" in bar and results.percent_of_peak(row) < bar["percent"]:
        result.append(f"{results.percent_of_peak(row):.0f} % of {bar['percent']:.0f} %")
    for maker, wanted in bar.get("ratios", {}).items():
        peer = results.best_peer(row, maker)
        if peer is None:
            result.append(f"no {maker} here")
        elif results.ratio(row, peer)[0] < wanted:
            result.append(f"{results.ratio(row, peer)[0]:.2f} of {wanted:g} × {maker}")
    if "gradients" in bar:
        cost = 1.0 / results.ratio(row, GRADIENT)[0]
        if cost > bar["gradients"]:
            result.append(f"{cost:.2f} gradients")
    if "most" in bar and statistics.median(row["sides"][results.OURS]) > bar["most"]:
        result.append(f"more than {bar['most']:g}")
    return result


def words(bar):
    """A bar in a cell of the table."""
    parts = [f"{bar['percent']:.0f} %"] if "percent" in bar else []
    parts += [f"{wanted:g} × {maker}" for maker, wanted in bar.get("ratios", {}).items()]
    if "gradients" in bar:
        parts.append(f"≤ {bar['gradients']:g} gradients")
    if "most" in bar:
        parts.append(f"≤ {bar['most']:g}")
    return ", ".join(parts)
