"""Runs `curvseg train`, one training at a time, and keeps what came out, so that nothing is trained
twice.

A training that ended has run.json beside its metrics.jsonl: how it ended, and what the machine was
doing meanwhile. One that was cut off has none and is run again.
"""

import datetime
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
from pathlib import Path

GRADIENT_STEPS = 24  # of a calibration; the first three count as warm-up
WARM_UP = 3


def events(path, name):
    """The lines of a metrics.jsonl about one event."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def seconds_a_step(steps):
    """Between consecutive lines about steps, which may leave out some."""
    return [(b["training_seconds"] - a["training_seconds"]) / (b["step"] - a["step"])
            for a, b in zip(steps, steps[1:])]


class Command:
    """The curvseg command, in an environment that stays the same."""

    def __init__(self, path, device, threads):
        self.path = str(path)
        self.device = device
        # Threads that spin while they wait would take the processor from those that load images;
        # between two kernels libgomp's stay awake.
        self.environment = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000", **os.environ,
                            "OMP_NUM_THREADS": str(threads)}
        program = subprocess.run(["sh", "-c", 'command -v "$1"', "sh", self.path], text=True,
                                 stdout=subprocess.PIPE, check=False).stdout.strip()
        if not program:
            raise FileNotFoundError(f"{self.path}: there is no such command")
        self.digest = hashlib.sha256(Path(program).read_bytes()).hexdigest()[:16]

    def run(self, *arguments):
        """What it prints; an error of its own ends this program."""
        return subprocess.run([self.path, *arguments], env=self.environment, text=True, check=True,
                              stdout=subprocess.PIPE).stdout

    def train(self, arguments, out, on_line=None):
        """(exit status, messages). on_line sees each line of the metrics; when it returns False
        the training is asked to stop."""
        command = [self.path, "train", *arguments, "--device", self.device, "--out", str(out),
                   "--overwrite", "--save-every", "0", "--pictures", "0", "--json", "--quiet"]
        with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
                command, env=self.environment, text=True, stdout=subprocess.PIPE,
                stderr=errors) as process:
            try:
                stopped = False
                for line in process.stdout:
                    if on_line and not stopped and not on_line(json.loads(line)):
                        process.send_signal(signal.SIGINT)
                        stopped = True
            except BaseException:
                process.kill()
                raise
            status = process.wait()
            errors.seek(0)
            return status, errors.read().strip()

    def about(self):
        """What a report must tell to be understood."""
        return {"curvseg": self.path, "digest": self.digest, "device": self.device,
                "info": self.run("info"),
                "environment": {name: value for name, value in sorted(self.environment.items())
                                if name.startswith(("OMP_", "CURVSEG_", "GOMP_"))},
                "date": now(), "load": os.getloadavg()}

    def knows(self, optimizer):
        """Whether it has the optimiser: tried on next to nothing."""
        with tempfile.TemporaryDirectory() as folder:
            status, message = self.train(
                ["--data", "builtin:cells?size=32&train=1&val=1&test=1", "--optimizer", optimizer,
                 "--model", "unet(width=1, depth=1)", "--crop", "16", "--batch", "1", "--steps",
                 "1"], Path(folder) / "run")
        if status == 0:
            return True
        if status == 2 and f'optimiser "{optimizer}"' in message:
            return False
        raise RuntimeError(f"--optimizer {optimizer}: {message}")


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


class Data:
    """Folders that show a training what it may see: the images of test/ are not among it."""

    def __init__(self, all_sets, links):
        self._all_sets = Path(all_sets)
        self._links = Path(links)

    def missing(self, setting):
        """The folder that a setting needs and that is not there, or None."""
        folder = self.original(setting)
        return None if setting.spec or Path(folder, "train").is_dir() else folder

    def original(self, setting):
        return setting.spec or str(self._all_sets / setting.folder)

    def without_test(self, setting):
        """train/ and val/."""
        if setting.spec:
            return setting.spec
        original, folder = Path(self.original(setting)).resolve(), self._links / setting.folder
        for name in ("train", "val", "classes.txt"):
            if (original / name).exists():
                link(folder / name, original / name)
        return str(folder)

    def for_gradients(self, setting):
        """train/, and one image of val/, since an evaluation is not wanted and cannot be avoided."""
        if setting.spec:
            return setting.spec
        original = Path(self.original(setting)).resolve()
        folder = self._links / f"{setting.folder}-gradients"
        link(folder / "train", original / "train")
        image = min((original / "val" / "images").iterdir())
        mask = next((original / "val" / "masks").glob(f"{image.stem}.*"))
        for path in (image, mask):
            link(folder / path.relative_to(original), path)
        return str(folder)


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(target)


class Trainings:
    """Makes those trainings of a list that are not there yet."""

    def __init__(self, command, data, out, limit):
        self._command = command
        self._data = data
        self._out = Path(out)
        self._limit = limit  # of a training, in the time of as many gradients as it has steps
        self._calibration = None  # (setting, seconds of a gradient, now)

    def folder(self, run):
        return self._out / "runs" / run.folder()

    def about(self, run):
        """The contents of its run.json, or None."""
        path = self.folder(run) / "run.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def is_done(self, run):
        """Whether it ended, or had at least the time that it would have now."""
        about = self.about(run)
        return about is not None and (about["ending"] != "out of time" or
                                      about["limit"] >= self._limit)

    def make(self, run):
        """Trains, unless that was done. \\raises RuntimeError for wrong input."""
        if self.is_done(run):
            return
        before, load = self._gradient_seconds(run.setting), os.getloadavg()
        most = self._limit * run.setting.steps * before["seconds"]
        cut = []

        def on_line(line):
            if line["event"] == "step" and line["training_seconds"] > most:
                cut.append(line["step"])
            return not cut

        folder = self.folder(run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # One that fails early would leave what an earlier one, that was cut off, had written.
        shutil.rmtree(folder, ignore_errors=True)
        started = now()
        status, message = self._command.train(
            run.arguments(self._data.without_test(run.setting)), folder, on_line)
        if status not in (0, 1) and not (status == 130 and cut):
            raise RuntimeError(f"curvseg train {' '.join(run.arguments('DATA'))}: exit status "
                               f"{status}: {message}")
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        ending = {0: "finished", 1: "failed", 130: "out of time"}[status]
        self._calibration = None  # measured anew, behind this training
        after = self._gradient_seconds(run.setting)
        write_json(folder / "run.json", {
            "ending": ending, "message": message, "limit": self._limit,
            "program": self._command.digest,
            "started": started, "ended": now(), "load": [load, os.getloadavg()],
            "gradient_seconds": [before["seconds"], after["seconds"]],
            "crops_an_epoch": before["crops_an_epoch"]})

    def _gradient_seconds(self, setting):
        """Of one gradient on these shapes, now: a step of sgd."""
        if self._calibration is None or self._calibration[0] != setting:
            steps, start = self._bare_training(setting, ["--optimizer", "sgd", "--lr", "0.001"],
                                               GRADIENT_STEPS)
            measured = {"seconds": statistics.median(seconds_a_step(steps)[WARM_UP:]),
                        "crops_an_epoch": start["samples_per_epoch"]}
            self._calibration = setting, measured
        return self._calibration[1]

    def _bare_training(self, setting, method, steps):
        """(its lines about steps, about the start) of one without evaluations on the way."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            status, message = self._command.train(
                [*self._bare_arguments(setting, self._data.for_gradients(setting)), *method,
                 "--steps", str(steps)], out)
            if status:
                raise RuntimeError(f"{setting.set_name}: {message}")
            return (events(out / "metrics.jsonl", "step"),
                    events(out / "metrics.jsonl", "start")[0])

    @staticmethod
    def _bare_arguments(setting, data):
        return ["--data", data, "--ignore-index", str(setting.ignore_index),
                "--model", f"unet(width={setting.width}, depth={setting.depth})",
                "--batch", str(setting.batch), "--crop", str(setting.crop),
                "--augment", setting.augment, "--eval-every", "0"]

    def clock_path(self, setting):
        """Another network or batch, another file."""
        digest = hashlib.sha256(json.dumps(self._bare_arguments(setting, "")).encode())
        return (self._out / "clocks" / setting.size /
                f"{setting.set_name}-{digest.hexdigest()[:8]}.json")

    def clock(self, setting, methods, steps, repeats):
        """Times the steps of all methods and of plain gradients side by side: round by round, so
        that a change of the machine hits all of them."""
        seconds = {method.label(): [] for method in methods}
        gradients, load = [], os.getloadavg()
        for _ in range(repeats):
            for method in methods:
                lines, _ = self._bare_training(
                    setting, ["--optimizer", method.optimizer, *method.tuning()],
                    min(method.clock_steps or steps, setting.steps))
                seconds[method.label()].append([(line["step"], line["training_seconds"])
                                                for line in lines])
            self._calibration = None
            gradients.append(self._gradient_seconds(setting)["seconds"])
        path = self.clock_path(setting)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"seconds": seconds, "gradients": gradients, "date": now(),
                          "load": [load, os.getloadavg()], "program": self._command.digest})

    def test(self, run):
        """The test split with the best parameters of a training, evaluated once."""
        path = self.folder(run) / "test.json"
        if not path.is_file():
            result = json.loads(self._command.run(
                "evaluate", "--checkpoint", str(self.folder(run) / "best.safetensors"), "--data",
                self._data.original(run.setting), "--ignore-index", str(run.setting.ignore_index),
                "--split", "test", "--device", self._command.device, "--json",
                "--quiet"))
            write_json(path, result["splits"]["test"])


def write_json(path, value):
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1) + "\n")
    part.replace(path)
