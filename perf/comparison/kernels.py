"""Rows of single operations: convolutions beside oneDNN, on a GPU beside cuDNN, and the other
kernels beside the triad."""

import json
import subprocess
import tempfile
from pathlib import Path

from comparison import bars
from comparison.sides import NotHere, environment

# The programs of perf/peers/onednn_conv2d.cpp, and what the versions of oneDNN are called here.
ONEDNN = ("onednn_conv2d", "onednn_conv2d_openmp", "onednn_conv2d_sycl")
FAMILIES = ("pool", "resize", "loss", "update", "vector", "pointwise", "transpose", "patches",
            "metrics", "random", "dense")
REPETITIONS = 3  # in each round


def run_program(command, more=None):
    """Standard output. \\throws NotHere with the reason."""
    try:
        done = subprocess.run([str(part) for part in command], env=environment(**(more or {})),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotHere(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotHere(f"{Path(command[0]).name}: {lines[-1] if lines else done.returncode}")
    return done.stdout


def opencl_of(program):
    """oneDNN's threads by SYCL want Intel's OpenCL runtime, which PyPI puts beside it."""
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for line in libraries.splitlines():
        if "libdnnl" in line and "=>" in line:
            runtime = Path(line.split()[2]).parent / "libintelocl.so"
            if runtime.exists():
                return {"OCL_ICD_FILENAMES": str(runtime)}
    return {}


def convolutions(build, clock, pairs, only, not_here):
    """Rows of all convolutions; curvseg has as many samples beside each version of oneDNN."""
    rows, order = {}, []
    for name in ONEDNN:
        program = build / "perf" / name
        try:
            if not program.exists():
                raise NotHere("was not built: no such oneDNN (perf/peers/install.sh)")
            text = run_program([program, "--json", clock.option, f"--pairs={pairs}",
                                f"--only={only}"],
                               opencl_of(program))
        except NotHere as error:
            not_here.append(f"{name}: {error}")
            continue
        about, *lines = map(json.loads, text.splitlines())
        for line in lines:
            if line["name"] not in rows:
                order.append(line["name"])
            add_convolution(rows.setdefault(line["name"], new_row(line)), line, about["peer"])
    return [bars.with_bar(rows[name]) for name in order]


def gpu_convolutions(build, pairs, only, not_here):
    """Rows of all convolutions on the first GPU, beside cuDNN; there is no peak."""
    program = build / "perf" / "cudnn_conv2d"
    try:
        if not program.exists():
            raise NotHere("was not built: no nvcc, or no cuDNN")
        text = run_program([program, "--json", f"--pairs={pairs}", f"--only={only}"])
    except NotHere as error:
        not_here.append(f"cudnn_conv2d: {error}")
        return []
    about, *lines = map(json.loads, text.splitlines())
    return [{"name": f"gpu/{line['name']}", "kind": "time", "flops": line["flops"],
             "sides": {side_name(side, about["peer"]): seconds
                       for side, seconds in line["sides"].items()}} for line in lines]


def side_name(side, peer):
    return side if side == "curvseg" else f"{peer} {side}"


def new_row(line):
    return {"name": f"conv2d/{line['name']}", "kind": "time", "flops": line["flops"],
            "sides": {"curvseg": []}, "peak": []}


def add_convolution(row, line, peer):
    """Appends the rounds beside one version of oneDNN; the others have no part in them."""
    before, count = len(row["peak"]), len(line["peak"])
    row["peak"] += line["peak"]
    for side, seconds in line["sides"].items():
        values = row["sides"].setdefault(side_name(side, peer), [None] * before)
        values += seconds
    for values in row["sides"].values():
        values += [None] * (before + count - len(values))


def families(build, clock, rounds, only, not_here, quick=False):
    """Rows of the Google Benchmark programs, each run in every round."""
    rows = {}
    beside_onednn = any((build / "perf" / name).exists() for name in ONEDNN)
    names = FAMILIES if beside_onednn else ("conv2d", *FAMILIES)
    for _ in range(rounds):
        for family in names:
            try:
                entries = benchmark(build / "perf" / f"benchmark_{family}", clock, only, quick)
            except NotHere as error:
                if str(error) not in not_here:
                    not_here.append(str(error))
                continue
            for entry in entries:
                add_entry(rows, family, entry)
    return [bars.with_bar(row) for row in rows.values()]


def benchmark(program, clock, only, quick):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        run_program([program, clock.option, f"--benchmark_out={out.name}",
                     "--benchmark_out_format=json", f"--benchmark_filter={only or '.'}",
                     f"--benchmark_repetitions={1 if quick else REPETITIONS}",
                     "--benchmark_report_aggregates_only=false",
                     f"--benchmark_min_time={0.001 if quick else 0.03}"])
        text = Path(out.name).read_text()
    if not text.strip():
        return []  # nothing passes the filter
    results = json.loads(text)
    return [entry for entry in results["benchmarks"] if entry["run_type"] == "iteration"]


def add_entry(rows, family, entry):
    """One repetition; its peak follows from the percentage that was measured beside it."""
    if entry.get("error_occurred"):
        raise NotHere(f"{entry['name']}: {entry['error_message']}")
    name = f"{family}/{entry['name'].removesuffix('/manual_time')}"
    seconds = entry["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[
        entry["time_unit"]]
    counter = "GFLOP/s" if "GFLOP/s" in entry else "GB/s"
    rate = 1e9 * entry[counter]
    row = rows.setdefault(name, {"name": name, "kind": "time",
                                 "flops" if counter == "GFLOP/s" else "bytes":
                                     float(f"{rate * seconds:.4g}"),
                                 "sides": {"curvseg": []}, "peak": []})
    row["sides"]["curvseg"].append(seconds)
    row["peak"].append(100.0 * rate / entry["%peak"])
