#!/usr/bin/env python3
"""How long JAX takes for a gradient of the U-Net of curvseg's model zoo, and for products of
vectors with the Hessian (hvp) and the Gauss-Newton matrix (ggnvp) of its loss, on random images;
everything jitted.

Speaks as pytorch_curvature.py does: a JSON object about the work, and one for each line it reads.
Warm: what jax.linearize and jax.vjp keep at these parameters is there already. Cold: it is not.
"""

import argparse
import math
import os
import sys

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from curvature_samples import able, add_shape_options, answer

NHWC = ("NHWC", "HWIO", "NHWC")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_options(parser)
    return parser.parse_args()


def conv(layer, x):
    w, b = layer
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC) + b


def up(layer, x):
    """A 2x2 transposed convolution of stride 2: each input pixel becomes four."""
    w, b = layer  # [2, 2, C, K]
    n, h, width, _ = x.shape
    y = jnp.einsum("nhwc,rsck->nhrwsk", x, w)
    return y.reshape(n, 2 * h, 2 * width, -1) + b


def two_convs(layers, x):
    return jax.nn.relu(conv(layers[1], jax.nn.relu(conv(layers[0], x))))


def max_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def make_parameters(arguments, random):
    """zoo::unet(channels, classes, {width, depth}), as pytorch_unet.py has it."""
    def filters(r, c, k, deviation):
        w = deviation * random.standard_normal((r, r, c, k))
        return jnp.asarray(w, jnp.float32), jnp.zeros(k, jnp.float32)

    def block(c, k):
        return [filters(3, c, k, math.sqrt(2 / (9 * c))), filters(3, k, k, math.sqrt(2 / (9 * k)))]

    widths = [arguments.width << level for level in range(arguments.depth)]
    bottom = arguments.width << arguments.depth
    inputs = [arguments.channels, *widths]
    return {"encoders": [block(c, k) for c, k in zip(inputs, widths)],
            "bottleneck": block(inputs[-1], bottom),
            "ups": [filters(2, 2 * k, k, math.sqrt(1 / (2 * k))) for k in reversed(widths)],
            "decoders": [block(2 * k, k) for k in reversed(widths)],
            "head": filters(1, arguments.width, arguments.classes,
                            math.sqrt(2 / (arguments.width + arguments.classes)))}


def unet(theta, x):
    """Logits [N,H,W,classes]; height and width are multiples of 2^depth."""
    skips = []
    for encoder in theta["encoders"]:
        x = two_convs(encoder, x)
        skips.append(x)
        x = max_pool(x)
    x = two_convs(theta["bottleneck"], x)
    for layer, decoder in zip(theta["ups"], theta["decoders"]):
        x = two_convs(decoder, jnp.concatenate([skips.pop(), up(layer, x)], -1))
    return conv(theta["head"], x)


def cross_entropy(logits, labels):
    chosen = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - chosen).mean()


class Products:
    """A batch and a direction, and functions of the parameters."""

    def __init__(self, arguments):
        random = np.random.default_rng(1)
        size = (arguments.batch, arguments.size, arguments.size)
        images = jnp.asarray(random.standard_normal((*size, arguments.channels)), jnp.float32)
        labels = jnp.asarray(random.integers(arguments.classes, size=size), jnp.int32)
        self.theta = make_parameters(arguments, random)
        self.v = make_parameters(arguments, random)

        def logits(theta):
            return unet(theta, images)

        def gradient(theta):
            return jax.grad(lambda t: cross_entropy(logits(t), labels))(theta)

        def loss_hessian(y, u):
            p = jax.nn.softmax(y, -1)
            return (p * u - p * (p * u).sum(-1, keepdims=True)) / labels.size

        def linearise_ggnvp(theta):
            """Logits, and the products J v and J' u as functions that jit can pass on."""
            y, forward = jax.linearize(logits, theta)
            return y, forward, jax.vjp(logits, theta)[1]

        def ggnvp(kept, v):
            y, forward, backward = kept
            return backward(loss_hessian(y, forward(v)))[0]

        self._gradient = jax.jit(gradient)
        self._linearise = {"ggnvp": jax.jit(linearise_ggnvp),
                           "hvp": jax.jit(lambda theta: jax.linearize(gradient, theta)[1])}
        self._warm = {"ggnvp": jax.jit(ggnvp), "hvp": jax.jit(lambda kept, v: kept(v))}
        # One function from theta to product may be fused where two may not.
        self._cold = {
            "ggnvp": jax.jit(lambda theta, v: ggnvp(linearise_ggnvp(theta), v)),
            "hvp": jax.jit(lambda theta, v: jax.jvp(gradient, (theta,), (v,))[1])}
        self._kept = {name: jax.block_until_ready(make(self.theta))
                      for name, make in self._linearise.items()}

    def run(self, work):
        if work == "gradient":
            result = self._gradient(self.theta)
        else:
            product, temperature = work.split()
            result = (self._warm[product](self._kept[product], self.v) if temperature == "warm"
                      else self._cold[product](self.theta, self.v))
        return jax.block_until_ready(result)


def main():
    arguments = parse_arguments()
    if arguments.size % (1 << arguments.depth):
        sys.exit(f"--size {arguments.size}: must be a multiple of {1 << arguments.depth}")
    products = Products(arguments)
    count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(products.theta))
    answer(products.run, {"name": f"JAX {jax.__version__}",
                          "work": able(products.run, (TypeError, NotImplementedError)),
                          "parameters": count, "threads": len(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
