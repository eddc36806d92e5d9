"""perf/peers/jax_curvature.py multiplies by what it says. Run with an interpreter that has JAX, as
build/peers/bin/python of perf/peers/install.sh."""

import sys
import types
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "perf" / "peers"))

try:
    import jax
    import jax_curvature
except ImportError:
    jax = None

SHAPE = types.SimpleNamespace(width=2, depth=1, channels=1, classes=3, batch=2, size=6)


def flat(tree):
    return jax.numpy.concatenate([leaf.ravel() for leaf in jax.tree_util.tree_leaves(tree)])


@unittest.skipIf(jax is None, "JAX is not here (perf/peers/install.sh)")
class Products(unittest.TestCase):
    """Of a small U-Net."""

    @classmethod
    def setUpClass(cls):
        cls.products = jax_curvature.Products(SHAPE)
        cls.v = flat(cls.products.v)

    def test_warm_is_cold(self):
        for product in ("ggnvp", "hvp"):
            warm, cold = (flat(self.products.run(f"{product} {way}")) for way in ("warm", "cold"))
            self.assertLess(abs(warm - cold).max(), 1e-5 * abs(cold).max())

    def test_gauss_newton_is_positive_and_not_the_hessian(self):
        ggnvp, hvp = (float(self.v @ flat(self.products.run(f"{product} cold")))
                      for product in ("ggnvp", "hvp"))
        self.assertGreater(ggnvp, 0.0)
        self.assertGreater(abs(ggnvp - hvp), 1e-3 * ggnvp)

    def test_hvp_differentiates_the_gradient(self):
        # By reverse mode twice; the peer goes forward over reverse.
        gradient = self.products._gradient  # pylint: disable=protected-access
        reverse = flat(jax.grad(lambda t: flat(gradient(t)) @ self.v)(self.products.theta))
        hvp = flat(self.products.run("hvp cold"))
        self.assertLess(abs(hvp - reverse).max(), 1e-4 * abs(hvp).max())

    def test_the_network_is_that_of_the_zoo(self):
        # Both sides of a comparison must have as many parameters; zoo::unet(1, 3) has these.
        self.assertEqual(self.v.size, sum((1 * 2 * 9 + 2, 2 * 2 * 9 + 2, 2 * 4 * 9 + 4,
                                           4 * 4 * 9 + 4, 4 * 2 * 4 + 2, 4 * 2 * 9 + 2,
                                           2 * 2 * 9 + 2, 2 * 3 + 3)))


if __name__ == "__main__":
    unittest.main()
