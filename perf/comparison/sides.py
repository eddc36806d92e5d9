"""Programs that are measured in turn: each lives as long as the comparison and takes one sample for
each line it is sent."""

import json
import os
import subprocess
import tempfile
import threading

PATIENCE = 900  # seconds without an answer; compiling a network takes minutes on a busy machine


class Clock:
    """What is measured: "wall", on all cores, what people wait for; or "cpu", the processor time of
    one thread on one core, which tells more where others use the machine."""

    def __init__(self, name):
        self.name = name
        self.key = "seconds" if name == "wall" else "cpu_seconds"
        self.option = f"--clock={name}"
        if name == "cpu":  # every side inherits it, whatever its threads are made by
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class NotHere(Exception):
    """A side cannot run; the message says why, in one line."""


def environment(threads=None, **more):
    """Threads that spin while they wait would take the processor from the other side, and threads
    that sleep at once take longer to wake than a small kernel runs: those of libgomp, which is
    ours, PyTorch's and oneDNN's with OpenMP, spin for a while (some 50 to 100 µs). Left to itself
    PyTorch takes half of the processors where two of them share a core."""
    return {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000", **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(threads or len(os.sched_getaffinity(0))), **more}


class Side:
    """A process that answers each line with a JSON object, after one about itself."""

    def __init__(self, command, threads=None):
        self._command = [str(part) for part in command]
        self._errors = tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(
                self._command, text=True, env=environment(threads), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=self._errors)
        except OSError as error:
            self._errors.close()
            raise NotHere(f"{self._command[0]}: {error.strerror}") from error
        self._about = None

    @property
    def about(self):
        """What it says about itself, once it is ready. Sides that were started together get ready
        together."""
        if self._about is None:
            self._about = self._read()
        return self._about

    def ask(self, line=""):
        self.about  # the first answer is not to this
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self):
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _read(self):
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise NotHere(f"{' '.join(self._command[:2])}: {self._reason(line)}") from error

    def _reason(self, line):
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        lines = [each.strip() for each in self._errors if each.strip()]
        return (line.strip() or (lines[-1] if lines else "ended without an answer"))[:200]


class Rounds:
    """Samples of several sides, taken in turn.

    A side that is far behind the best of its kind after two rounds rests for the others: it could
    not become the best peer, and its time is better spent on those that could."""

    HOPELESS = 1.5

    def __init__(self, ours, peers):
        self.ours, self.peers = ours, peers  # {name: callable that returns seconds}
        self.samples = {name: [] for name in (*ours, *peers)}

    def run(self, rounds, after_round=lambda: None):
        """\\throws NotHere when a side of ours ends. A peer that ends is left out; the names and
        reasons are returned."""
        gone = {}
        for i in range(rounds):
            resting = self._resting() if i >= 2 else set()
            for name, sample in (*self.ours.items(), *self.peers.items()):
                if name in gone:
                    continue
                if name in resting:
                    self.samples[name].append(None)
                    continue
                try:
                    self.samples[name].append(sample())
                except NotHere as error:
                    if name in self.ours:
                        raise
                    gone[name] = str(error)
                    del self.samples[name]
            after_round()
        return gone

    def _resting(self):
        least = {name: min(filter(None, self.samples[name])) for name in self.peers
                 if name in self.samples}
        best = {}
        for name, value in least.items():
            best[kind(name)] = min(value, best.get(kind(name), value))
        return {name for name, value in least.items()
                if value > self.HOPELESS * best[kind(name)]}


def kind(name):
    """"PyTorch" of "PyTorch 2.15.0 contiguous": peers of other makers are judged by themselves."""
    return name.split()[0]
