"""What is to be trained: the file of the plan, as the command line changed it, and the list of
configurations that follows from it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """A network on a data set: whatever all methods share."""
    size: str
    set_name: str
    spec: str  # --data; "" when it is a folder below the folder of all sets
    folder: str
    ignore_index: int
    augment: str
    levels: tuple
    width: int
    depth: int
    crop: int
    batch: int
    steps: int
    every: int  # steps between evaluations

    def title(self):
        return (f"{self.set_name}, {self.size}: U-Net of width {self.width} and depth "
                f"{self.depth}, batches of {self.batch} crops of {self.crop}x{self.crop}, "
                f"{self.steps} steps")


@dataclass(frozen=True)
class Method:
    """An optimiser with what it is told."""
    optimizer: str
    lr: float = 0.0  # 0: its own
    schedule: str = ""  # "": the command's own
    every: int = 0  # 0: as the setting has it
    clock_steps: int = 0  # 0: as the plan has it
    phases: tuple = ()  # of (name, first step, last step), whose steps cost differently

    def is_tuned(self):
        return self.lr > 0.0

    def tuning(self):
        """Arguments of `curvseg train` besides its name."""
        return ["--lr", f"{self.lr:g}", "--schedule", self.schedule] if self.is_tuned() else []

    def label(self):
        if not self.is_tuned():
            return self.optimizer
        return f"{self.optimizer} {self.lr:g} {self.schedule}"


@dataclass(frozen=True)
class Run:
    """One training."""
    setting: Setting
    method: Method
    seed: int

    def arguments(self, data):
        """Of `curvseg train`, but for where the results go."""
        s, m = self.setting, self.method
        every = m.every or s.every
        arguments = ["--data", data, "--ignore-index", str(s.ignore_index),
                     "--model", f"unet(width={s.width}, depth={s.depth})",
                     "--optimizer", m.optimizer, "--steps", str(s.steps), "--batch", str(s.batch),
                     "--crop", str(s.crop), "--augment", s.augment, "--seed", str(self.seed),
                     # An epoch is what lies between two evaluations.
                     "--samples-per-epoch", str(every * s.batch), "--eval-every", "1"]
        return arguments + m.tuning()

    def folder(self):
        """Where it is kept: other arguments, another folder."""
        digest = hashlib.sha256(json.dumps(self.arguments("")).encode()).hexdigest()[:8]
        label = self.method.label().replace(" ", "-")
        return Path(self.setting.size) / self.setting.set_name / label / f"seed-{self.seed}-{digest}"


class Plan:
    """All of it."""

    def __init__(self, path):
        self._data = json.loads(Path(path).read_text())
        self.seeds = self._data["seeds"]
        self.grid_seeds = self._data["grid_seeds"]
        self.clock = self._data["clock"]
        self.limit = self._data["limit"]
        self.set_names = list(self._data["sets"])
        self.size_names = list(self._data["sizes"])
        self.grid = self._data["grid"]
        self.at_defaults = self._data["at_defaults"]

    def override(self, **changes):
        """Numbers of the sizes, such as steps, for all of them; None changes nothing."""
        for size in self._data["sizes"].values():
            size.update({name: value for name, value in changes.items() if value is not None})

    def choose_optimizers(self, names):
        """These and no others. One that the plan does not know is run at its defaults."""
        self.grid = {name: self.grid[name] for name in names if name in self.grid}
        self.at_defaults = {name: self.at_defaults.get(name, {}) for name in names
                            if name not in self.grid}

    def set_grid(self, texts):
        """Learning rates from texts such as "adam=1e-3,3e-3"; an optimiser without a grid in the
        plan gets one, with both schedules."""
        for text in texts:
            name, _, values = text.partition("=")
            rates = [float(value) for value in values.split(",")]
            schedules = self.grid.get(name, {}).get("schedule", ["constant", "cosine"])
            self.grid[name] = {"lr": rates, "schedule": schedules}
            self.at_defaults.pop(name, None)

    def settings(self):
        return [self._setting(size, name) for size in self.size_names for name in self.set_names]

    def grid_methods(self, optimizer):
        grid = self.grid[optimizer]
        return [Method(optimizer, lr, schedule)
                for lr in grid["lr"] for schedule in grid["schedule"]]

    def default_methods(self):
        return [Method(name, every=options.get("every", 0),
                       clock_steps=options.get("clock_steps", 0),
                       phases=tuple(tuple(phase) for phase in options.get("phases", [])))
                for name, options in self.at_defaults.items()]

    def _setting(self, size_name, set_name):
        size, data = self._data["sizes"][size_name], self._data["sets"][set_name]
        return Setting(size_name, set_name, data.get("spec", ""), data.get("folder", ""),
                       data.get("ignore_index", 255), data["augment"], tuple(data["levels"]),
                       size.get("widths", {}).get(set_name, size["width"]), size["depth"],
                       size["crop"], size["batch"], size["steps"], size["every"])
