"""How soon `curvseg` trains: from its start to the end of its first step."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from comparison import bars
from comparison.sides import NotHere, environment


def start_up(build, rounds):
    """The whole process of one training step on built-in images of 96x96 is timed, without
    evaluations, so that the step itself and the writing of its checkpoint are within."""
    program = build / "host" / "curvseg"
    seconds = []
    for _ in range(rounds):
        folder = Path(tempfile.mkdtemp())
        command = [program, "train", "--data", "builtin:cells", "--model",
                   "unet(width=16, depth=3)", "--crop", "96", "--json", "--steps", "1",
                   "--out", folder / "run"]
        try:
            seconds.append(until_first_step(command))
        finally:
            shutil.rmtree(folder)
    return [bars.with_bar({"name": "start-up/curvseg train, to the first step", "kind": "time",
                           "sides": {"curvseg": seconds}})]


def until_first_step(command):
    start = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], env=environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if '"event":"step"' in line.replace(" ", ""):
                elapsed = time.perf_counter() - start
                process.communicate()
                return elapsed
        raise NotHere(f"curvseg train: {process.stderr.read().strip()[-200:]}")
