#!/usr/bin/env python3
"""What products with the Hessian (hvp) and the Gauss-Newton matrix (ggnvp) cost in curvseg and in
PyTorch, each in ratio to its own gradient and one beside the other, on the same U-Net, in one run.

Warm products find the network linearised at these parameters, cold ones linearise it first: warm is
compared with warm and cold with cold. All sides live as long as the comparison and are sampled in
turn, so that a busy minute of the machine hits them alike. PyTorch is measured in both layouts and
both ways that it knows (pytorch_curvature.py); for each row the one with the better median is the
peer. Ratios are taken round by round: their median, least and largest.

Example, on all processors and then on one, by processor time:
  compare_curvature.py --program build/perf/perf/curvature_cost
  OMP_NUM_THREADS=1 compare_curvature.py --program build/perf/perf/curvature_cost --measure cpu
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from compare_training import Side, ratios
from curvature_samples import WORK, add_shape_options

PEER = Path(__file__).with_name("pytorch_curvature.py")
LAYOUTS = ("contiguous", "channels_last")
METHODS = ("reverse", "forward")
SHAPE = ("width", "depth", "channels", "classes", "batch", "size")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="curvseg's curvature_cost")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each side (default: 9)")
    parser.add_argument("--measure", choices=("wall", "cpu"), default="wall",
                        help="clock time, or processor time where others use the machine")
    add_shape_options(parser)
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    return parser.parse_args()


def start_sides(arguments):
    """curvseg and every configuration of PyTorch, in this order."""
    shape = [text for name in SHAPE for text in (f"--{name}", str(getattr(arguments, name)))]
    ours = Side([arguments.program, "--on-demand", *shape])
    peers = [Side([arguments.python, str(PEER), *shape, "--layout", layout, "--method", method])
             for layout in LAYOUTS for method in METHODS]
    counts = {side.about["parameters"] for side in (ours, *peers)}
    if len(counts) != 1:
        sys.exit(f"these are different networks, of {sorted(counts)} parameters")
    return ours, peers


def measure(arguments, ours, peers):
    """Takes all samples."""
    for _ in range(arguments.rounds):
        for work in WORK:
            for side in (ours, *peers):
                if work in side.about.get("work", WORK):
                    side.sample(work)
    for side in (ours, *peers):
        side.close()


def best_peer(times, work):
    """The number of the configuration with the least median, of {work: seconds} each."""
    able = [i for i, each in enumerate(times) if each[work]]
    return min(able, key=lambda i: statistics.median(times[i][work]))


def compare(ours, peers):
    """A record a row, from {work: seconds} of curvseg and of each configuration of PyTorch. What
    a product costs in gradients is in ratio to the side's best gradient."""
    gradient = peers[best_peer(peers, "gradient")]["gradient"]
    records = []
    for work in WORK:
        best = best_peer(peers, work)
        theirs = peers[best][work]
        records.append({"work": work, "peer": best,
                        "seconds": [statistics.median(ours[work]), statistics.median(theirs)],
                        "in_gradients": [ratios(ours["gradient"], ours[work]),
                                         ratios(gradient, theirs)],
                        "faster": ratios(ours[work], theirs)})
    return records


def spread(values):
    return "{:.2f} [{:.2f}, {:.2f}]".format(*values)


def print_table(arguments, ours, peers, records):
    threads = sorted({side.about["threads"] for side in (ours, *peers)})
    print(f"U-Net of width {arguments.width} and depth {arguments.depth}, "
          f"{ours.about['parameters']} parameters, batch {arguments.batch} of {arguments.size}x"
          f"{arguments.size}x{arguments.channels}; {ours.about['name']} and "
          f"{peers[0].about['name']}, threads: {' or '.join(map(str, threads))}, "
          f"{arguments.measure} time\n")
    print("| | curvseg, ms | PyTorch, ms | best PyTorch | curvseg, in its gradients"
          " | PyTorch, in its gradients | PyTorch / curvseg |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    for record in records:
        about = peers[record["peer"]].about
        way = about["layout"]
        if record["work"] != "gradient":
            way += f", {about['method']} mode"
        times = " | ".join(f"{1e3 * seconds:.1f}" for seconds in record["seconds"])
        costs = " | ".join(spread(each) for each in record["in_gradients"])
        print(f"| {record['work']} | {times} | {way} | {costs} | {spread(record['faster'])} |")


def main():
    arguments = parse_arguments()
    ours, peers = start_sides(arguments)
    measure(arguments, ours, peers)
    times = [{work: side.seconds(arguments.measure, work) for work in WORK}
             for side in (ours, *peers)]
    records = compare(times[0], times[1:])
    print_table(arguments, ours, peers, records)
    if arguments.json:
        settings = {key: str(value) for key, value in vars(arguments).items()}
        sides = [{**side.about, "samples": side.samples} for side in (ours, *peers)]
        arguments.json.write_text(
            json.dumps({"settings": settings, "rows": records, "sides": sides}, indent=1) + "\n")


if __name__ == "__main__":
    main()
