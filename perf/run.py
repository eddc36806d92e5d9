#!/usr/bin/env python3
"""Measures curvseg and its peers in one run, and writes perf/results/NAME.json and NAME.md.

  python3 perf/run.py --build build/perf --out perf/results

Sides alternate within each part, so that whatever else the machine does hits all of them. A peer
that is not here is a line "not here: ...", in the table too. Each part is kept as it is done, in
OUT/NAME.parts: the same command goes on where it was stopped, and removes the folder at the end.
With --parts it stays, so that others can follow.
perf/README.md says what is measured how, docs/performance.md what came out.
"""

import argparse
import datetime
import json
import os
import shutil
import sys
import time
from pathlib import Path

from comparison import command, kernels, machine, results, table
from comparison.networks import NARROW, NARROWEST, SMALL, WIDE, WIDER, Networks
from comparison.sides import Clock, NotHere

SOURCE = Path(__file__).resolve().parents[1]
DEFAULT_PYTHONS = ("/usr/bin/python3", SOURCE / "build" / "peers" / "bin" / "python")


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/perf"))
    parser.add_argument("--out", type=Path, default=Path("perf/results"))
    parser.add_argument("--name", default="host", help="of the files (default: host)")
    parser.add_argument("--python", action="append", type=Path,
                        help="an interpreter that has PyTorch or JAX; may be given several times "
                             "(default: /usr/bin/python3 and build/peers/bin/python)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: processor time of one thread, where others use the machine; "
                             "leaves out what is about cores and waiting (default: wall)")
    parser.add_argument("--eager", action="store_true",
                        help="leave out torch.compile, which takes minutes")
    parser.add_argument("--rounds", type=int, default=9, help="samples of a side (default: 9)")
    parser.add_argument("--parts", nargs="+", help="only these, by name; see --list")
    parser.add_argument("--list", action="store_true", help="print the names of the parts")
    parser.add_argument("--only", default="", help="operations with this in their name")
    parser.add_argument("--quick", action="store_true",
                        help="one round of a few small things, to see that everything works")
    return parser.parse_args(argv)


class Run:
    """What to measure: a list of parts, each a function that returns rows."""

    def __init__(self, options, pythons, clock, cores):
        self._options = options
        self._pythons = pythons
        self._clock = clock
        self._cores = cores
        self.not_here = []

    def parts(self):
        o = self._options
        quick, rounds = o.quick, 1 if o.quick else o.rounds
        networks = Networks(o.build, self._pythons, self._clock, rounds, self.not_here)
        narrow = SMALL if quick else NARROW
        only = o.only or ("8x12x12" if quick else "")
        few = o.only or ("8x24x24x64|/481792/" if quick else "")
        some = max(1, rounds // kernels.REPETITIONS)
        parts = {
            "convolutions": lambda: kernels.convolutions(o.build, self._clock, rounds, only,
                                                         self.not_here),
            "kernels": lambda: kernels.families(o.build, self._clock, some, few, self.not_here,
                                                quick)}
        if self._clock.name == "wall":
            parts["gpu convolutions"] = lambda: kernels.gpu_convolutions(o.build, rounds, only,
                                                                         self.not_here)
        for work in ("step", "gradient", "inference"):
            parts[work] = lambda work=work: networks.training(narrow, work, 2)
        if not quick:
            parts["wide step"] = lambda: networks.training(WIDE, "step", 1)
        parts["curvature"] = lambda: networks.curvature(narrow)
        parts["second order"] = lambda: [
            row for network in dict.fromkeys((narrow, SMALL if quick else NARROWEST))
            for row in networks.second_order(network)]
        if not quick:
            parts["wide second order"] = lambda: networks.second_order(
                WIDER, ("auto, FOOF", "auto, SOAP"))
        if self._cores > 1:
            parts["scaling"] = lambda: networks.scaling(narrow, self._cores)
        if self._clock.name == "wall":
            parts["start-up"] = lambda: command.start_up(o.build, rounds)
        return parts

    def part(self, name, measure, folder, key):
        """Rows of a part, from its file where an earlier run of the same programs left one."""
        file = folder / f"{name}.json"
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["key"] == key:
                print(f"{name}: as measured before", flush=True)
                self.not_here += kept["not_here"]
                return kept["rows"]
        before, start = len(self.not_here), time.monotonic()
        try:
            rows = measure()
        except NotHere as error:
            rows = []
            self.not_here.append(f"{name}: {error}")
        lines = self.not_here[before:]
        for line in lines:
            print(f"not here: {line}", flush=True)
        print(f"{name}: {len(rows)} rows in {time.monotonic() - start:.0f} s", flush=True)
        if rows:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"key": key, "not_here": lines, "rows": rows}))
        return rows


def key_of(options, part):
    """Parts are of the same programs and settings, or they are measured again."""
    prefix = {"convolutions": "onednn_", "gpu convolutions": "cudnn_",
              "kernels": "benchmark_"}.get(part)
    programs = [path for folder in ("perf", "host") for path in (options.build / folder).glob("*")
                if path.is_file() and os.access(path, os.X_OK)
                and (path.name.startswith(prefix) if prefix else
                     not path.name.startswith(("onednn_", "cudnn_", "benchmark_")))]
    return json.dumps([[str(path), path.stat().st_mtime_ns] for path in sorted(programs)]
                      + [options.rounds, options.only, options.quick, options.clock,
                         options.eager])


def main(argv=None):
    options = parse_arguments(argv)
    early = []
    pythons, versions = ({}, {}) if options.list else machine.interpreters(
        [path for path in options.python or DEFAULT_PYTHONS], early)
    if options.eager:
        pythons = {path: has - {"compile"} for path, has in pythons.items()}
        early.append("torch.compile: left out by --eager")
    clock = Clock(options.clock)
    try:
        about = machine.describe(options.build, clock) if not options.list else {"cores": 2}
    except NotHere as error:
        print(f"run.py: {error}; cmake --workflow --preset perf builds it", file=sys.stderr)
        return 1
    run = Run(options, pythons, clock, about["cores"])
    parts = run.parts()
    if options.list:
        print("\n".join(parts))
        return 0
    unknown = set(options.parts or ()) - set(parts)
    if unknown:
        print(f"run.py: there is no part {sorted(unknown)[0]}", file=sys.stderr)
        return 2
    for line in early:
        print(f"not here: {line}", flush=True)
    run.not_here += early
    folder = options.out / f"{options.name}.parts"
    rows, loads = [], [machine.load()]
    for name, measure in parts.items():
        if options.parts and name not in options.parts:
            continue
        rows += run.part(name, measure, folder, key_of(options, name))
        loads.append(machine.load())
    if not rows:
        print("run.py: nothing could be measured", file=sys.stderr)
        return 1
    measured = {"format": results.FORMAT, "name": options.name,
                "date": datetime.date.today().isoformat(),
                "revision": machine.revision(SOURCE), "rounds": options.rounds,
                "machine": {**about, "load": [loads[0], loads[len(loads) // 2], loads[-1]]},
                "versions": versions, "not_here": list(dict.fromkeys(run.not_here)), "rows": rows}
    write(measured, options.out)
    if not options.parts:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def write(measured, out):
    results.save(measured, out / f"{measured['name']}.json")
    (out / f"{measured['name']}.md").write_text(table.document(measured))
    print(f"{out / measured['name']}.json and .md written")


if __name__ == "__main__":
    sys.exit(main())
