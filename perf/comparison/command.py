"""How soon `curvseg` trains: from its start to the end of its first step."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from comparison import bars
from comparison.sides import NotHere, environment


MODELS = {"small model": "unet(width=8, depth=2)", "default model": "unet(width=16, depth=3)"}


def start_up(build, rounds):
    """From the start of the process to the line of the first training step, which is over then, on
    built-in images of 96x96; models take turns."""
    seconds = {name: [] for name in MODELS}
    for _ in range(rounds):
        for name, model in MODELS.items():
            folder = Path(tempfile.mkdtemp())
            command = [build / "host" / "curvseg", "train", "--data", "builtin:cells", "--model",
                       model, "--crop", "96", "--json", "--steps", "1", "--out", folder / "run"]
            try:
                seconds[name].append(until_first_step(command))
            finally:
                shutil.rmtree(folder)
    return [bars.with_bar({"name": f"start-up/{name}", "kind": "time",
                           "sides": {"curvseg": samples}}) for name, samples in seconds.items()]


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
