"""What perf/peers computes: scores, crops, ratios, and the network both sides train.

Run with the interpreter that has PyTorch, or without it for the part that needs none.
"""

import importlib
import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "perf" / "peers"))

import compare_curvature  # noqa: E402
import compare_training  # noqa: E402
import folder_data  # noqa: E402

try:
    import torch
except ImportError:
    torch = None


class Crops(unittest.TestCase):
    """Batches of random crops."""

    def setUp(self):
        # The mask is a function of the image, so that a crop of one without the other shows.
        image = np.arange(12 * 15, dtype=np.float32).reshape(1, 12, 15)
        self.split = [(image, image[0].astype(np.int64)), (-image, -image[0].astype(np.int64))]

    def test_image_and_mask_stay_together(self):
        crops = folder_data.Crops(self.split, 7, 4, ["flip", "vflip"], seed=1)
        for _, (images, masks) in zip(range(5), crops):
            self.assertEqual(images.shape, (4, 1, 7, 7))
            np.testing.assert_array_equal(images[:, 0], masks)

    def test_every_image_comes_once_before_any_comes_twice(self):
        crops = folder_data.Crops(self.split, 12, 2, [], seed=1)
        for _, (images, _) in zip(range(5), crops):
            self.assertLess(images[0].sum() * images[1].sum(), 0.0)

    def test_the_seed_decides(self):
        batches = [next(folder_data.Crops(self.split, 7, 4, ["flip"], seed)) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(batches[0][0], batches[1][0])
        self.assertFalse(np.array_equal(batches[0][0], batches[2][0]))

    def test_small_images_are_filled_up(self):
        image, mask = folder_data.pad(*self.split[0], 20, np.random.default_rng(1))
        self.assertEqual(mask.shape, (20, 20))
        self.assertEqual((mask == folder_data.IGNORED).sum(), 20 * 20 - 12 * 15)
        self.assertEqual(image.sum(), self.split[0][0].sum())


class Folder(unittest.TestCase):
    """Images and masks in files."""

    def test_palette_index_is_the_class(self):
        with tempfile.TemporaryDirectory() as name:
            mask = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), "P")
            mask.putpalette([9, 9, 9] * 256)
            mask.save(Path(name) / "mask.png")
            np.testing.assert_array_equal(folder_data.read_mask(Path(name) / "mask.png", 255),
                                          [[0, 1], [2, folder_data.IGNORED]])

    def test_normalisation_is_that_of_all_pixels(self):
        random = np.random.default_rng(1)
        images = [random.random((3, 5, 7)).astype(np.float32) for _ in range(4)]
        mean, deviation = folder_data.normalisation([(image, None) for image in images])
        pixels = np.stack(images).transpose(1, 0, 2, 3).reshape(3, -1)
        np.testing.assert_allclose(mean.ravel(), pixels.mean(1), rtol=1e-5)
        np.testing.assert_allclose(deviation.ravel(), pixels.std(1), rtol=1e-5)


class Ratio(unittest.TestCase):
    """What compare_training.py makes of its samples."""

    def test_twice_the_time_is_twice_as_fast(self):
        self.assertEqual(compare_training.ratios([1.0, 2.0, 1.0], [2.0, 4.0, 4.0]),
                         (2.0, 2.0, 4.0))

    def test_a_side_is_a_process_that_answers_each_line(self):
        # One kind of work, whose samples do not name it, and several.
        answer = "import sys\nprint('{}', flush=True)\n" \
                 "for i, line in enumerate(sys.stdin):\n    print(%s, flush=True)"
        plain = compare_training.Side([sys.executable, "-c", answer % "'{\"seconds\": %d}' % i"])
        named = compare_training.Side(
            [sys.executable, "-c",
             answer % "'{\"seconds\": %d, \"work\": \"%s\"}' % (i, line.strip())"])
        for work in ("a", "b", "a"):
            plain.sample()
            named.sample(work)
        plain.close()
        named.close()
        self.assertEqual(plain.seconds("wall"), [0, 1, 2])
        self.assertEqual(named.seconds("wall", "a"), [0, 2])


class Curvature(unittest.TestCase):
    """What compare_curvature.py makes of its samples."""

    def test_each_row_has_its_best_peer(self):
        work = compare_curvature.WORK
        ours = dict(zip(work, ([1.0], [1.5], [2.0], [2.0], [3.0])))
        peers = [dict(zip(work, ([4.0], [20.0], [24.0], [12.0], []))),
                 dict(zip(work, ([5.0], [6.0], [9.0], [14.0], [15.0])))]
        records = compare_curvature.compare(ours, peers)
        self.assertEqual([record["peer"] for record in records], [0, 1, 1, 0, 1])
        self.assertEqual([record["faster"][0] for record in records], [4.0, 4.0, 4.5, 6.0, 5.0])
        self.assertEqual([[each[0] for each in record["in_gradients"]] for record in records],
                         [[1.0, 1.0], [1.5, 1.5], [2.0, 2.25], [2.0, 3.0], [3.0, 3.75]])


@unittest.skipIf(torch is None, "PyTorch is not here (Debian: python3-torch)")
class CurvatureProducts(unittest.TestCase):
    """What pytorch_curvature.py measures is what it says."""

    def setUp(self):
        module = importlib.import_module("pytorch_curvature")
        unet = importlib.import_module("pytorch_unet")
        torch.manual_seed(1)
        model = unet.UNet(1, 3, width=2, depth=1).double()
        self.v = [torch.randn_like(parameter) for parameter in model.parameters()]
        batch = (torch.randn(2, 1, 7, 6).double(), torch.randint(3, (2, 7, 6)))
        self.runners = [module.Runner(kind(model, *batch, self.v))
                        for kind in module.METHODS.values()]

    def test_both_ways_give_the_same(self):
        for work in compare_curvature.WORK:
            for one, other in zip(*(runner.run(work) for runner in self.runners)):
                torch.testing.assert_close(one, other)

    def test_warm_is_cold(self):
        for product in ("ggnvp", "hvp"):
            for runner in self.runners:
                for one, other in zip(runner.run(f"{product} warm"), runner.run(f"{product} cold")):
                    torch.testing.assert_close(one, other)

    def test_gauss_newton_is_positive_and_not_the_hessian(self):
        ggnvp, hvp = (sum((v * each).sum() for v, each in zip(self.v, self.runners[0].run(work)))
                      for work in ("ggnvp cold", "hvp cold"))
        self.assertGreater(ggnvp, 0.0)
        self.assertGreater(abs(ggnvp - hvp), 1e-3 * ggnvp)


@unittest.skipIf(torch is None, "PyTorch is not here (Debian: python3-torch)")
class Accuracy(unittest.TestCase):
    """What needs PyTorch to be imported."""

    def setUp(self):
        self.script = importlib.import_module("compare_accuracy")
        self.unet = importlib.import_module("pytorch_unet")

    def test_mean_iou_leaves_out_absent_classes(self):
        counts = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
        self.assertAlmostEqual(self.script.mean_iou(counts), (6 / 9 + 3 / 6) / 2)

    def test_the_last_evaluation_counts(self):
        lines = [json.dumps(line) for line in (
            {"event": "step", "step": 1, "loss": 1.0},
            {"event": "evaluation", "split": "val", "mean_iou": 0.25},
            {"event": "evaluation", "split": "val", "mean_iou": 0.5},
            {"event": "end", "val": {"mean_iou": 0.75}})]
        self.assertEqual(self.script.last_mean_iou("\n".join(lines)), 0.5)

    def test_the_network_is_that_of_the_zoo(self):
        # compare_training.py refuses to compare when zoo::unet(1, 2) has another number.
        model = self.unet.UNet(1, 2, width=16, depth=3)
        self.assertEqual(self.unet.parameter_count(model), 481762)

    def test_any_size_of_image(self):
        model = self.unet.UNet(3, 5, width=2, depth=3)
        self.assertEqual(model(torch.zeros(1, 3, 45, 61)).shape, (1, 5, 45, 61))
        bilinear = self.unet.UNet(3, 5, width=2, depth=3, transpose=False)
        self.assertEqual(bilinear(torch.zeros(1, 3, 45, 61)).shape, (1, 5, 45, 61))

    def test_fans(self):
        self.assertEqual(self.unet.fans(torch.nn.Conv2d(3, 8, 3)), (27, 72))
        self.assertEqual(self.unet.fans(torch.nn.ConvTranspose2d(8, 4, 2, stride=2)), (8, 16))


if __name__ == "__main__":
    unittest.main()
