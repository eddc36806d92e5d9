"""Rows of whole networks: training step, gradient, inference, curvature products, steps of
second-order optimisers, memory, allocations; curvseg's beside PyTorch's, JAX's and dlib's."""

import statistics
from pathlib import Path

from comparison import bars
from comparison.sides import NotHere, Rounds, Side

PEERS = Path(__file__).resolve().parents[1] / "peers"
WORKS = ("step", "gradient", "inference")
CURVATURE = ("gradient", "ggnvp warm", "ggnvp cold", "hvp warm", "hvp cold")
LOW_MEMORY = "low-memory hvp warm"  # no peer has one


class Network:
    """A U-Net of the zoo and its batch."""

    def __init__(self, width, depth, channels, classes, batch, size):
        self.options = {"width": width, "depth": depth, "channels": channels, "classes": classes,
                        "batch": batch, "size": size}
        self.name = f"unet_width{width}_depth{depth}/{batch}x{size}x{size}x{channels}"

    def arguments(self, **more):
        return [text for key, value in {**self.options, **more}.items()
                for text in (f"--{key}", str(value))]


SMALL = Network(2, 1, 1, 2, 1, 16)  # to try this out
NARROW = Network(16, 3, 1, 2, 8, 96)
NARROWEST = Network(8, 3, 1, 2, 8, 64)  # of perf/time_to_accuracy: dense algebra weighs most
WIDER = Network(32, 3, 1, 2, 8, 96)
WIDE = Network(64, 4, 3, 21, 1, 256)
# What --optimizer of training_speed takes, the steps in which each refreshes everything once, and
# those before them that do not count.
SECOND_ORDER = {"hessian-free": ("hessian-free", 1, 2), "auto, FOOF": ("auto", 20, 10),
                "auto, FOOF while SOAP watches": ("auto-watched", 20, 10),
                "auto, SOAP": ("auto-second-phase", 20, 30)}


def start(not_here, sides):
    """{name: Side} of those that answer, from (name or None, command, threads): a side without a
    name is called what it calls itself. They get ready together."""
    started, ready = [], {}
    for name, command, threads in sides:
        try:
            started.append((name, Side(command, threads)))
        except NotHere as error:
            not_here.append(str(error))
    for name, side in started:
        try:
            label = name or label_of(side.about)
            side.about  # named or not, it has to answer
            ready[label] = side
        except NotHere as error:
            not_here.append(f"{name}: {error}" if name else str(error))
            side.close()
    return ready


def label_of(about):
    return ", ".join(about[key] for key in ("name", "layout", "method") if key in about)


def require_ours(sides, name="curvseg"):
    if name not in sides:
        raise NotHere(f"{name} does not run")
    counts = {side.about["parameters"] for side in sides.values() if "parameters" in side.about}
    if len(counts) != 1:
        raise NotHere(f"these are different networks, of {sorted(counts)} parameters")


def sampled(samples, sides, row):
    """The row with the samples of those sides that are left."""
    row["sides"] = {name: samples[name] for name in sides if samples.get(name)}
    return bars.with_bar(row)


class Networks:
    """One after the other; what is missing is told in `not_here`."""

    def __init__(self, build, pythons, clock, rounds, not_here):
        self._programs = build / "perf"
        self._pythons = pythons
        self._clock = clock
        self._rounds = rounds
        self._not_here = not_here

    def training(self, network, work, steps):
        """Times of one work, the memory it takes, and its allocations."""
        arguments = network.arguments(work=work, steps=steps)
        sides = start(self._not_here, [
            ("curvseg", [self._programs / "training_speed", "--on-demand", *arguments], None),
            ("peaks", [self._programs / "machine_peaks", "--on-demand", self._clock.option], None),
            *self._pytorch(network, work, arguments), *self._dlib(network, work, steps)])
        peaks = sides.pop("peaks")
        try:
            require_ours(sides)
            rows = self._training_rows(f"{work}/{network.name}", sides, peaks, steps)
        finally:
            for side in (*sides.values(), peaks):
                side.close()
        return rows

    def _training_rows(self, where, sides, peaks, steps):
        allocations, flops = [], []

        def ours():
            answer = sides["curvseg"].ask()
            allocations.append(answer["allocations"] / steps)
            return answer[self._clock.key]

        peers = {name: lambda side=side: side.ask()[self._clock.key] for name, side in sides.items()
                 if name != "curvseg"}
        rounds = Rounds({"curvseg": ours}, peers)
        gone = rounds.run(self._rounds, lambda: flops.append(peaks.ask()["flops"]))
        self._not_here += [f"{name}: {reason}" for name, reason in gone.items()]
        row = {"name": f"network/{where}", "kind": "time", "peak": flops,
               "flops": sides["curvseg"].about["flops"]}
        memory = {name: [side.about["memory_bytes"]] for name, side in sides.items()
                  if name in rounds.samples and "compiled" not in name}
        return [sampled(rounds.samples, sides, row),
                bars.with_bar({"name": f"memory/{where}", "kind": "bytes", "sides": memory}),
                bars.with_bar({"name": f"allocations/{where}", "kind": "count",
                               "sides": {"curvseg": allocations}})]

    def _pytorch(self, network, work, arguments):
        """Every configuration; of the wide network the eager ones, it takes long to compile."""
        layouts = ["contiguous", "channels_last"]
        ways = [(layout, []) for layout in [*layouts, *(["frozen"] if work == "inference" else [])]]
        if network is not WIDE:
            ways += [(layout, ["--compile"]) for layout in layouts]
        return [(None, [python, PEERS / "pytorch_training.py", "--on-demand", *arguments,
                        "--layout", layout, *more], None)
                for python, has in self._pythons.items() for layout, more in ways
                if "torch" in has and (not more or "compile" in has)]

    def _dlib(self, network, work, steps):
        """Its network is fixed when it is compiled, as NARROW."""
        program = self._programs / "dlib_training"
        if work != "step" or network is not NARROW:
            return []
        if not program.exists():
            self._not_here.append("dlib_training: was not built: no dlib (Debian: libdlib-dev)")
            return []
        return [(None, [program, "--on-demand", "--steps", str(steps)], None)]

    def curvature(self, network):
        """Products and the gradient beside them."""
        arguments = network.arguments()
        sides = start(self._not_here, [
            ("curvseg", [self._programs / "curvature_cost", "--on-demand", *arguments], None),
            *[(None, [python, PEERS / "pytorch_curvature.py", *arguments, "--layout", layout,
                      "--method", method], None)
              for python, has in self._pythons.items() if "torch" in has
              for layout in ("contiguous", "channels_last") for method in ("reverse", "forward")],
            *[(None, [python, PEERS / "jax_curvature.py", *arguments], None)
              for python, has in self._pythons.items() if "jax" in has]])
        rows = []
        try:
            require_ours(sides)
            rows += [self._curvature_row(work, sides, network) for work in (*CURVATURE, LOW_MEMORY)]
            for work, planned in sides["curvseg"].about["planned_bytes"].items():
                rows.append({"name": f"memory/planned for {work}/{network.name}", "kind": "bytes",
                             "sides": {"curvseg": [planned]}})
        finally:
            for side in sides.values():
                side.close()
        return rows

    def _curvature_row(self, work, sides, network):
        """A product, beside our own gradient that its cost is counted in, and the peers'."""
        able = {name: side for name, side in sides.items()
                if name == "curvseg" or work in side.about.get("work", CURVATURE)}
        calls = {name: lambda side=side: side.ask(work)[self._clock.key]
                 for name, side in able.items()}
        ours = {"curvseg": calls.pop("curvseg")}
        if work != "gradient":
            able[bars.GRADIENT] = sides["curvseg"]
            ours[bars.GRADIENT] = lambda: sides["curvseg"].ask("gradient")[self._clock.key]
        rounds = Rounds(ours, calls)
        gone = rounds.run(self._rounds)
        self._not_here += [f"{name}: {reason}" for name, reason in gone.items()]
        return sampled(rounds.samples, able,
                       {"name": f"curvature/{work}/{network.name}", "kind": "time"})

    def second_order(self, network, names=tuple(SECOND_ORDER)):
        """One step of each, a mean over the period in which they refresh what they keep, and the
        gradient beside it that its cost is counted in."""
        rows = []
        for name in names:
            optimizer, steps, skip = SECOND_ORDER[name]
            program = [self._programs / "training_speed", "--on-demand"]
            step, gradient = sides = [
                Side([*program, *network.arguments(work="step", optimizer=optimizer, steps=1,
                                                   skip=skip)]),
                Side([*program, *network.arguments(work="gradient", steps=1)])]
            try:
                rows += self._second_order_rows(f"{name}/{network.name}", step, gradient, steps)
            finally:
                for side in sides:
                    side.close()
        return rows

    def _second_order_rows(self, where, step, gradient, steps):
        samples, allocations = {"curvseg": [], bars.GRADIENT: []}, []
        for _ in range(self._rounds):
            # By turns step by step: what else the machine does lasts longer than one of them.
            turns = [(step.ask(), gradient.ask()) for _ in range(steps)]
            for name, answers in zip(samples, zip(*turns)):
                samples[name].append(statistics.mean(each[self._clock.key] for each in answers))
            allocations.append(statistics.mean(each["allocations"] for each, _ in turns))
        return [bars.with_bar({"name": f"second order/{where}", "kind": "time",
                               "sides": samples}),
                bars.with_bar({"name": f"memory/{where}", "kind": "bytes",
                               "sides": {"curvseg": [step.about["memory_bytes"]]}}),
                bars.with_bar({"name": f"allocations/{where}", "kind": "count",
                               "sides": {"curvseg": allocations}})]

    def scaling(self, network, cores):
        """What a second core, or as many as there are, gains a training step."""
        step = [self._programs / "training_speed", "--on-demand",
                *network.arguments(work="step", steps=2)]
        peaks = [self._programs / "machine_peaks", "--on-demand"]
        sides = [Side(command, threads) for command in (step, peaks) for threads in (1, cores)]
        gains = {"curvseg": [], "FMA loop": [], "triad": []}
        try:
            for _ in range(self._rounds):
                one, all_of_them, peaks_one, peaks_all = (side.ask() for side in sides)
                gains["curvseg"].append(one["seconds"] / all_of_them["seconds"])
                gains["FMA loop"].append(peaks_all["flops"] / peaks_one["flops"])
                gains["triad"].append(peaks_all["bytes"] / peaks_one["bytes"])
        finally:
            for side in sides:
                side.close()
        return [bars.with_bar({"name": f"scaling/step, 1 to {cores} cores/{network.name}",
                               "kind": "gain", "sides": gains})]
