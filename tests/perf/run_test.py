"""What perf/run.py makes of its samples, and that what is missing is told.

  CURVSEG_BUILD=build/perf run_test.py     also measures a few small things with real programs
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "perf"))

import roofline  # noqa: E402
import run  # noqa: E402
import summary  # noqa: E402
from comparison import bars, kernels, networks, results, sides, table  # noqa: E402

BUILD = os.environ.get("CURVSEG_BUILD")
WALL = sides.Clock("wall")
ECHO = """import json, sys
print(json.dumps({"name": "%s", "parameters": %d}), flush=True)
for line in sys.stdin:
    print(json.dumps({"seconds": %s, "line": line.strip()}), flush=True)
"""


def speaker(name="a", parameters=1, seconds="1.0"):
    return [sys.executable, "-c", ECHO % (name, parameters, seconds)]


class Sides(unittest.TestCase):
    """Processes that answer."""

    def test_an_answer_a_line(self):
        side = sides.Side(speaker())
        self.assertEqual([side.ask("x")["line"], side.ask("y")["line"]], ["x", "y"])
        self.assertEqual(side.about["name"], "a")
        side.close()

    def test_one_that_cannot_run_says_why(self):
        not_here = []
        ready = networks.start(not_here, [
            ("curvseg", speaker("curvseg"), None),
            (None, [sys.executable, "-c", "import sys; sys.exit('no such network')"], None),
            (None, ["/nowhere/program"], None), (None, speaker("b"), None)])
        self.assertEqual(list(ready), ["curvseg", "b"])
        self.assertEqual(len(not_here), 2)
        self.assertIn("/nowhere/program: No such file", not_here[0])
        self.assertIn("no such network", not_here[1])
        for side in ready.values():
            side.close()

    def test_a_step_and_a_gradient_take_turns_over_a_period(self):
        asked = []

        class Fake:
            about = {"memory_bytes": 7}

            def __init__(self, name, seconds):
                self.name, self.seconds = name, iter(seconds)

            def ask(self):
                asked.append(self.name)
                return {"seconds": next(self.seconds), "allocations": 3 * (len(asked) == 1)}

        of = networks.Networks(Path(), [], WALL, 2, [])
        time, memory, allocations = of._second_order_rows(
            "auto, SOAP/unet", Fake("step", [1, 2, 6, 4, 4, 4]), Fake("grad", [1, 1, 1, 2, 2, 5]),
            3)
        self.assertEqual(asked, ["step", "grad"] * 6)
        self.assertEqual(time["sides"], {"curvseg": [3, 4], "gradient": [1, 3]})
        self.assertEqual(time["bar"], {"gradients": 1.15})
        self.assertEqual(memory["sides"], {"curvseg": [7]})
        self.assertEqual(allocations["sides"], {"curvseg": [1, 0]})

    def test_other_networks_are_refused(self):
        ready = networks.start([], [("curvseg", speaker("curvseg"), None),
                                    (None, speaker("b", 2), None)])
        with self.assertRaisesRegex(sides.NotHere, r"different networks, of \[1, 2\] parameters"):
            networks.require_ours(ready)
        with self.assertRaisesRegex(sides.NotHere, "curvseg does not run"):
            networks.require_ours({"b": ready["b"]})
        for side in ready.values():
            side.close()


class InTurn(unittest.TestCase):
    """Rounds of samples."""

    def test_sides_alternate_and_hopeless_ones_rest(self):
        calls = []

        def side(name, seconds):
            return lambda: calls.append(name) or seconds

        rounds = sides.Rounds({"curvseg": side("curvseg", 9.0)},
                              {"A 1": side("A 1", 1.0), "A 2": side("A 2", 2.0),
                               "B": side("B", 50.0)})
        self.assertEqual(rounds.run(3), {})
        self.assertEqual(calls, ["curvseg", "A 1", "A 2", "B"] * 2 + ["curvseg", "A 1", "B"])
        self.assertEqual(rounds.samples["A 2"], [2.0, 2.0, None])

    def test_a_peer_that_ends_is_left_out(self):
        def ends():
            raise sides.NotHere("no memory")

        rounds = sides.Rounds({"curvseg": lambda: 1.0}, {"A": ends, "B": lambda: 2.0})
        self.assertEqual(rounds.run(2), {"A": "no memory"})
        self.assertEqual(rounds.samples, {"curvseg": [1.0] * 2, "B": [2.0] * 2})
        with self.assertRaises(sides.NotHere):
            sides.Rounds({"curvseg": ends}, {}).run(1)


class Kernels(unittest.TestCase):
    """Rows of single operations."""

    def test_versions_of_onednn_are_sides_of_one_row(self):
        line = {"name": "forward/8x96x96_16to16_3x3", "flops": 8.0, "peak": [1.0, 2.0],
                "sides": {"curvseg": [1.0, 2.0], "nhwc": [3.0, 4.0], "any": [5.0, 6.0]}}
        row = kernels.new_row(line)
        kernels.add_convolution(row, line, "oneDNN 2")
        kernels.add_convolution(row, line, "oneDNN 3")
        results.check_row(row)
        self.assertEqual(row["sides"]["curvseg"], [1.0, 2.0, 1.0, 2.0])
        self.assertEqual(row["sides"]["oneDNN 2 nhwc"], [3.0, 4.0, None, None])
        self.assertEqual(row["sides"]["oneDNN 3 any"], [None, None, 5.0, 6.0])
        self.assertEqual(row["peak"], [1.0, 2.0, 1.0, 2.0])

    def test_convolutions_of_a_gpu_have_no_peak(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "perf" / "cudnn_conv2d"
            program.parent.mkdir()
            line = {"name": "forward/8x96x96_16to16_3x3", "flops": 8.0, "peak": [],
                    "sides": {"curvseg": [1.0, 2.0], "nhwc": [3.0, 4.0], "nchw": [5.0, 6.0]}}
            program.write_text(f"#!/bin/sh\necho '{json.dumps({'peer': 'cuDNN 9'})}'\n"
                               f"echo '{json.dumps(line)}'\n")
            program.chmod(0o755)
            row, = kernels.gpu_convolutions(Path(folder), 2, "", [])
        results.check_row(row)
        self.assertEqual(row["sides"]["cuDNN 9 nchw"], [5.0, 6.0])
        self.assertIsNone(results.percent_of_peak(row))
        self.assertIn("2.50 [2.00, 3.00]", table.table([row]))

    def test_a_repetition_of_google_benchmark(self):
        rows = {}
        for _ in range(2):
            kernels.add_entry(rows, "pool", {
                "name": "max_forward/8x96x96x16_2x2/manual_time", "real_time": 2.0,
                "time_unit": "ms", "GB/s": 10.0, "%peak": 50.0})
        row = rows["pool/max_forward/8x96x96x16_2x2"]
        results.check_row(row)
        self.assertEqual(row["sides"]["curvseg"], [0.002, 0.002])
        self.assertEqual((row["bytes"], results.percent_of_peak(row)), (2e7, 50.0))

    def test_a_program_that_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            not_here = []
            self.assertEqual(kernels.convolutions(Path(folder), WALL, 1, "", not_here), [])
            self.assertEqual(kernels.families(Path(folder), WALL, 2, "", not_here), [])
            self.assertEqual(kernels.gpu_convolutions(Path(folder), 1, "", not_here), [])
        self.assertEqual(len(not_here), 3 + 1 + len(kernels.FAMILIES) + 1)


class Summary(unittest.TestCase):
    """Rows by kind."""

    def test_kinds_of_convolutions(self):
        for shape, kind in (("8x48x48_32to32_3x3", summary.WIDE),
                            ("8x96x96_32to16_3x3", summary.NARROW),
                            ("1x512x512_3to64_3x3", summary.FIRST),
                            ("8x96x96_16to2_1x1", summary.POINTS),
                            ("64x1x1_512to10_1x1", summary.DENSE),
                            ("transposed_8x96x96_32to16_2x2", summary.TRANSPOSED),
                            ("8x96x96_32to64_3x3_stride2", summary.OTHERS),
                            ("8x45x60_12to37_3x3", summary.OTHERS),
                            ("3x59x43_29to33_5x3", summary.OTHERS)):
            self.assertEqual(summary.kind_of(shape), kind, shape)

    def test_medians_over_the_shapes(self):
        rows = [bars.with_bar({"name": f"conv2d/forward/8x{size}x{size}_32to32_3x3", "kind": "time",
                               "flops": 9.0, "peak": [10.0], "sides": {"curvseg": [1.0],
                                                                       "oneDNN 3 any": [ratio]}})
                for size, ratio in ((8, 0.5), (16, 2.0), (32, 3.0))]
        self.assertIn("| 3×3, 32 channels and more | 90 % (90 to 90), 2.00 (0.50 to 3.00) |  |  | "
                      "2 of 3 |", summary.convolutions(rows))


class Bars(unittest.TestCase):
    """What is asked of a row."""

    def test_of_convolutions(self):
        strict = {"percent": 85.0, "ratios": {"oneDNN": 0.95}}
        self.assertEqual(bars.bar_of("conv2d/forward/8x48x48_32to64_3x3"), strict)
        for other in ("8x48x48_16to64_3x3", "8x48x48_64to64_1x1", "8x48x48_64to64_3x3_dilated2",
                      "transposed_8x48x48_64to32_2x2"):
            self.assertEqual(bars.bar_of(f"conv2d/forward/{other}"), {"ratios": {"oneDNN": 1.0}})

    def test_the_others(self):
        self.assertEqual(bars.bar_of("pool/max_forward/x"), {"percent": 80.0})
        self.assertIsNone(bars.bar_of("loss/mean_squared_error/x"))
        self.assertIsNone(bars.bar_of("curvature/hvp cold/x"))

    def test_shortfalls(self):
        row = bars.with_bar({"name": "curvature/hvp warm/x", "kind": "time",
                             "sides": {"curvseg": [1.0], "PyTorch 1": [3.9], "PyTorch 2": [5.0],
                                       "JAX 1": [3.1], "gradient": [0.5]}})
        self.assertEqual(bars.shortfalls(row), ["3.90 of 4 × PyTorch"])
        del row["sides"]["JAX 1"]
        row["sides"]["PyTorch 1"] = [4.1]
        self.assertEqual(bars.shortfalls(row), ["no JAX here"])
        row["sides"] |= {"JAX 1": [3.1], "gradient": [0.4]}
        self.assertEqual(bars.shortfalls(row), ["2.50 gradients"])
        self.assertEqual(table.ratios(row), "3.10 [3.10, 3.10], 4.10 [4.10, 4.10] PyTorch, "
                         "2.50 [2.50, 2.50] gradients")
        alone = bars.with_bar({"name": "curvature/low-memory hvp warm/x", "kind": "time",
                               "sides": {"curvseg": [2.5], "gradient": [1.0]}})
        self.assertEqual(bars.shortfalls(alone), [])
        self.assertEqual(table.ratios(alone), "2.50 [2.50, 2.50] gradients")
        slow = bars.with_bar({"name": "update/adam", "kind": "time", "bytes": 75.0,
                              "sides": {"curvseg": [1.0]}, "peak": [100.0]})
        self.assertEqual(bars.shortfalls(slow), ["75 % of 80 %"])
        leak = bars.with_bar({"name": "allocations/x", "kind": "count", "sides": {"curvseg": [2]}})
        self.assertEqual(bars.shortfalls(leak), ["more than 0"])
        cores = bars.with_bar({"name": "scaling/x", "kind": "gain",
                               "sides": {"curvseg": [1.8], "FMA loop": [2.0], "triad": [1.2]}})
        self.assertEqual(bars.shortfalls(cores), ["0.90 of 0.95 × FMA loop"])
        step = bars.with_bar({"name": "second order/auto, SOAP/x", "kind": "time",
                              "sides": {"curvseg": [1.2, 2.4], "gradient": [1.0, 2.0]}})
        self.assertEqual(bars.shortfalls(step), ["1.20 gradients"])
        self.assertEqual(bars.words(step["bar"]), "≤ 1.15 gradients")
        self.assertEqual(table.ratios(step), "1.20 [1.20, 1.20] gradients")
        step["sides"]["curvseg"] = [1.1, 2.2]
        self.assertEqual(bars.shortfalls(step), [])

    def test_the_table_says_so(self):
        row = bars.with_bar({"name": "conv2d/forward/8x48x48_64to64_1x1", "kind": "time",
                             "flops": 1e9, "peak": [2e11] * 4,
                             "sides": {"curvseg": [0.01] * 4, "oneDNN 2 nhwc": [0.02] * 4,
                                       "oneDNN 3 any": [0.005, 0.005, None, None]}})
        self.assertEqual(table.line(row),
                         "| forward/8x48x48_64to64_1x1 | 10 ms ±0 % | 100.0 GFLOP/s | 50 "
                         "| oneDNN 3 any | 5 ms | 0.50 [0.50, 0.50] | 1 × oneDNN "
                         "| 0.50 of 1 × oneDNN |")


class Roofline(unittest.TestCase):
    """The picture."""

    def test_bytes_that_must_move(self):
        self.assertEqual(roofline.least_bytes("2x5x6_3to4_3x3"),
                         4 * (60 * 3 + 60 * 4 + 9 * 3 * 4))
        self.assertEqual(roofline.least_bytes("2x5x6_3to4_3x3_stride2"),
                         4 * (60 * 3 + 2 * 3 * 3 * 4 + 9 * 3 * 4))
        # Named by its output of 6x8 pixels; it reads 3x4 of 7 channels.
        self.assertEqual(roofline.least_bytes("transposed_2x6x8_7to5_2x2"),
                         4 * (2 * 48 * 5 + 2 * 12 * 7 + 4 * 7 * 5))

    def test_families(self):
        rows = [{"name": f"pool/{i}", "kind": "time", "bytes": 50.0, "peak": [100.0],
                 "sides": {"curvseg": [seconds]}} for i, seconds in enumerate((1.0, 0.625))]
        measured = {"rows": rows, "machine": {"fma_flops": 7.0}}
        self.assertEqual(roofline.bandwidths(measured), {"pool": [50.0, 80.0]})
        self.assertEqual(roofline.peaks(measured), (7.0, 100.0))


class Parts(unittest.TestCase):
    """A run that goes on where it was stopped."""

    def test_a_part_that_is_done_is_not_done_again(self):
        row = {"name": "x", "kind": "count", "sides": {"curvseg": [0]}}
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
            folder, calls = Path(name), []

            def measure(one):
                calls.append(1)
                one.not_here.append("a peer: none")
                return [row]

            for key, count in (("a", 1), ("a", 1), ("b", 2)):
                one = run.Run(run.parse_arguments([]), {}, WALL, 2)
                self.assertEqual(one.part("p", lambda one=one: measure(one), folder, key), [row])
                self.assertEqual(len(calls), count)
                self.assertEqual(one.not_here, ["a peer: none"])


@unittest.skipIf(BUILD is None, "CURVSEG_BUILD names no build")
class Quick(unittest.TestCase):
    """The whole command, with one round of a few small things and one interpreter."""

    def test_it_writes_both_files(self):
        with tempfile.TemporaryDirectory() as name:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                status = run.main(["--build", BUILD, "--out", name, "--name", "quick", "--quick",
                                   "--python", "/usr/bin/python3"])
            self.assertEqual(status, 0, out.getvalue())
            measured = results.load(Path(name) / "quick.json")
            text = (Path(name) / "quick.md").read_text()
            self.assertFalse((Path(name) / "quick.parts").exists())
        sections = {row["name"].split("/")[0] for row in measured["rows"]}
        for section in ("conv2d", "pool", "update", "network", "curvature", "second order",
                        "memory", "allocations", "start-up"):
            self.assertIn(section, sections, out.getvalue())
        for row in measured["rows"]:
            self.assertIn(f"| {row['name'].split('/', 1)[1]} |", text)
        json.dumps(measured, allow_nan=False)


if __name__ == "__main__":
    unittest.main()
