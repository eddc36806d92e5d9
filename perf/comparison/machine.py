"""What was measured on, and with which versions."""

import json
import os
import platform
import subprocess
from pathlib import Path

from comparison.kernels import run_program

PROBE = """
import importlib, json
found = {"python": __import__("platform").python_version()}
for name in ("torch", "jax"):
    try:
        found[name] = importlib.import_module(name).__version__
    except Exception as error:
        found["no " + name] = f"{type(error).__name__}: {error}"[:200]
print(json.dumps(found))
"""


def describe(build, clock):
    """The processor as curvseg sees it, and how many cores there are to use."""
    about, peaks = map(json.loads, run_program(
        [build / "perf" / "machine_peaks", "--samples=1", clock.option]).splitlines())
    return {"processor": processor() or about["processor"],
            "threads": about["threads"], "clock": clock.name, "cores": len(os.sched_getaffinity(0)),
            "instruction_set": about["instruction_set"],
            "last_level_cache": about["last_level_cache"],
            "fma_flops": peaks["flops"], "triad_bytes": peaks["bytes"]}


def processor():
    """A virtual machine may not tell the model; family and number then do."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" not in fields:
        return None
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


def load():
    return os.getloadavg()[0]


def name_of(interpreter):
    """Where it is as seen from here: the folders above differ from one machine to the next."""
    path = Path(interpreter)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path.name


def interpreters(paths, not_here):
    """{path: what it has of "torch", "compile", "jax"}, and the versions by name."""
    pythons, versions = {}, {"system": f"{platform.system()}, {' '.join(platform.libc_ver())}"}
    for path in paths:
        try:
            found = json.loads(subprocess.run([path, "-c", PROBE], capture_output=True, text=True,
                                              check=True).stdout.splitlines()[-1])
        except (OSError, subprocess.CalledProcessError, ValueError, IndexError) as error:
            not_here.append(f"{name_of(path)}: {error}")
            continue
        has = {name for name in ("torch", "jax") if name in found}
        if "torch" in has and int(found["torch"].split(".")[0]) >= 2:
            has.add("compile")
        pythons[path] = has
        versions[name_of(path)] = ", ".join(f"{name} {found[name]}" for name in
                                        ("python", "torch", "jax") if name in found)
        not_here += [f"{name} in {name_of(path)}: {found['no ' + name]}" for name in ("torch", "jax")
                     if f"no {name}" in found]
    return pythons, versions


def revision(source):
    """Of the sources, with a plus where they were changed."""
    command = ["git", "-C", str(source), "describe", "--always", "--dirty=+", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
