#!/usr/bin/env python3
"""Images per second of curvseg and of PyTorch on the same U-Net, in one run.

Both sides live as long as the comparison and are sampled in turn, A B C A B C ..., so that a busy
minute of the machine hits them alike. Every configuration of PyTorch is measured; the one with the
better median is the peer. The ratio is taken round by round: its median, least and largest.

Example, on all processors and then on one, by processor time:
  compare_training.py --program build/perf/perf/training_speed
  OMP_NUM_THREADS=1 compare_training.py --program build/perf/perf/training_speed --measure cpu
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).with_name("pytorch_training.py")
LAYOUTS = {"step": ["contiguous", "channels_last"], "gradient": ["contiguous", "channels_last"],
           "inference": ["contiguous", "channels_last", "frozen"]}
SHAPE = ("width", "depth", "channels", "classes", "batch", "size", "steps")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="curvseg's training_speed")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--work", nargs="+", choices=LAYOUTS, default=list(LAYOUTS),
                        help="what to compare (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each side (default: 9)")
    parser.add_argument("--measure", choices=("wall", "cpu"), default="wall",
                        help="clock time, or processor time where others use the machine")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    parser.add_argument("--depth", type=int, default=3, help="number of poolings")
    parser.add_argument("--channels", type=int, default=1, help="channels of the images")
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")
    parser.add_argument("--steps", type=int, default=3, help="steps a sample")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    return parser.parse_args()


class Side:
    """A process that takes one sample for each line it is sent."""

    def __init__(self, command):
        # Threads that spin while they wait would take the processor from the other side, and ones
        # that sleep at once wake up late, so they spin for a while. Left to itself, PyTorch takes
        # half of the processors where two of them share a core.
        environment = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000",
                       "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), **os.environ}
        self._process = subprocess.Popen(command, text=True, env=environment,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.about = self._read()
        self.samples = []

    def sample(self, work=""):
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        self.samples.append(self._read())

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, measure, work=None):
        key = "seconds" if measure == "wall" else "cpu_seconds"
        return [sample[key] for sample in self.samples if work is None or sample["work"] == work]

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args[0]} ended without an answer")
        return json.loads(line)


def commands(arguments, work):
    shared = ["--on-demand", "--work", work, "--optimizer", arguments.optimizer]
    for name in SHAPE:
        shared += [f"--{name}", str(getattr(arguments, name))]
    peers = [[arguments.python, str(PEER), *shared, "--layout", layout] for layout in LAYOUTS[work]]
    return [[arguments.program, *shared], *peers]


def measure(arguments, work):
    """The sides, curvseg first, each with all its samples."""
    sides = [Side(command) for command in commands(arguments, work)]
    counts = {side.about["parameters"] for side in sides}
    if len(counts) != 1:
        sys.exit(f"these are different networks, of {sorted(counts)} parameters")
    for _ in range(arguments.rounds):
        for side in sides:
            side.sample()
    for side in sides:
        side.close()
    return sides


def ratios(ours, peer):
    """How many times faster ours is: (median, least, largest) over the rounds."""
    each = [p / o for o, p in zip(ours, peer)]
    return statistics.median(each), min(each), max(each)


def row(arguments, work, sides):
    """One line of the table, and what the file of samples keeps."""
    seconds = [side.seconds(arguments.measure) for side in sides]
    medians = [statistics.median(values) for values in seconds]
    best = min(range(1, len(sides)), key=medians.__getitem__)
    middle, low, high = ratios(seconds[0], seconds[best])
    rates = [f"{arguments.batch / median:.1f}" for median in medians] + ["-"] * (4 - len(medians))
    memory = [side.about["memory_bytes"] / 2**20 for side in (sides[0], sides[best])]
    line = (f"| {work} | " + " | ".join(rates) + f" | {middle:.2f} [{low:.2f}, {high:.2f}]"
            f" | {memory[0]:.0f} / {memory[1]:.0f} |")
    return line, {"work": work, "ratio": middle, "ratio_min": low, "ratio_max": high,
                  "sides": [{**side.about, "samples": side.samples} for side in sides]}


def main():
    arguments = parse_arguments()
    rows = []
    for work in arguments.work:
        sides = measure(arguments, work)
        if not rows:
            about = sides[0].about
            print(f"U-Net of width {arguments.width} and depth {arguments.depth}, "
                  f"{about['parameters']} parameters, batch {arguments.batch} of {arguments.size}x"
                  f"{arguments.size}x{arguments.channels}, {arguments.optimizer}; {about['name']} "
                  f"and {sides[1].about['name'].split(',')[0]}, {about['threads']} threads, "
                  f"{arguments.measure} time\n")
            print("| images/s | curvseg | contiguous | channels_last | frozen"
                  " | curvseg / best PyTorch | MiB at most, ours / theirs |")
            print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        line, record = row(arguments, work, sides)
        print(line, flush=True)
        rows.append(record)
    if arguments.json:
        settings = {key: str(value) for key, value in vars(arguments).items()}
        arguments.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
