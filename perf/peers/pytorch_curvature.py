#!/usr/bin/env python3
"""How long PyTorch takes for a gradient of the U-Net of curvseg's model zoo, and for products of
vectors with the Hessian (hvp) and the Gauss-Newton matrix (ggnvp) of its loss, on random images.

Prints one JSON object about the work, and for each line it reads ("gradient", "ggnvp warm",
"ggnvp cold", "hvp warm", "hvp cold") one with its seconds; compare_curvature.py alternates it with
curvseg. Warm: whatever graph can be kept at these parameters is there already, and what it took to
make it is not counted. Cold: it is.

Two ways:
  reverse  hvp differentiates the gradient once more; J v transposes the transposed product, twice
           through the network
  forward  J v, and for hvp the whole gradient, on dual numbers; only ggnvp can keep a graph
"""

import argparse

import torch
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.utils import stateless

from curvature_samples import able, add_shape_options, answer
from pytorch_unet import UNet, parameter_count

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_options(parser)
    parser.add_argument("--layout", choices=LAYOUTS, default="channels_last",
                        help="of the memory (default: channels_last)")
    parser.add_argument("--method", choices=METHODS, default="reverse", help="see above")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    return parser.parse_args()


class Products:
    """A model with a batch and a direction."""

    def __init__(self, model, images, labels, v):
        self.model, self.images, self.labels, self.v = model, images, labels, v
        self.names = [name for name, _ in model.named_parameters()]
        self.theta = list(model.parameters())

    def loss(self, logits):
        return functional.cross_entropy(logits, self.labels)

    def gradient(self):
        return torch.autograd.grad(self.loss(self.model(self.images)), self.theta)

    def loss_hessian(self, logits, u):
        """Of the mean cross-entropy over all pixels: (diag p - p p') u / pixels."""
        p = torch.softmax(logits.detach(), 1)
        return (p * u - p * (p * u).sum(1, keepdim=True)) / self.labels.numel()

    # A warm product is a cold one but for what linearise_...() keeps.

    def ggnvp(self, kept):
        logits, jv = self.tangent(kept)
        return torch.autograd.grad(logits, self.theta, self.loss_hessian(logits, jv),
                                   retain_graph=True)


class Reverse(Products):
    """Reverse mode alone."""

    def linearise_ggnvp(self):
        logits = self.model(self.images)
        u = torch.zeros_like(logits, requires_grad=True)
        return logits, u, torch.autograd.grad(logits, self.theta, u, create_graph=True)

    def tangent(self, kept):
        logits, u, transposed = kept
        return logits, torch.autograd.grad(transposed, u, self.v, retain_graph=True)[0]

    def linearise_hvp(self):
        loss = self.loss(self.model(self.images))
        return torch.autograd.grad(loss, self.theta, create_graph=True)

    def hvp(self, grad):
        return torch.autograd.grad(grad, self.theta, self.v, retain_graph=True)


class Forward(Products):
    """Dual numbers."""

    def dual_logits(self, theta):
        duals = {name: forward_ad.make_dual(value, tangent)
                 for name, value, tangent in zip(self.names, theta, self.v)}
        return stateless.functional_call(self.model, duals, self.images)

    def linearise_ggnvp(self):
        return self.model(self.images)

    def tangent(self, logits):
        with torch.no_grad(), forward_ad.dual_level():
            return logits, forward_ad.unpack_dual(self.dual_logits(self.theta)).tangent

    def linearise_hvp(self):
        return None

    def hvp(self, _):
        with forward_ad.dual_level():
            # PyTorch 1.13 has no dual numbers for the gradient of its cross-entropy: by hand, then.
            logits = self.dual_logits(self.theta)
            truth = functional.one_hot(self.labels, logits.shape[1]).permute(0, 3, 1, 2)
            difference = (torch.softmax(logits, 1) - truth) / self.labels.numel()
            grad = torch.autograd.grad(logits, self.theta, difference)
            return [forward_ad.unpack_dual(each).tangent for each in grad]


METHODS = {"reverse": Reverse, "forward": Forward}


def make_products(arguments):
    torch.manual_seed(1)
    layout = LAYOUTS[arguments.layout]
    model = UNet(arguments.channels, arguments.classes, arguments.width, arguments.depth)
    model = model.to(memory_format=layout)
    size = (arguments.batch, arguments.channels, arguments.size, arguments.size)
    images = torch.randn(size).to(memory_format=layout)
    labels = torch.randint(arguments.classes, (size[0], size[2], size[3]))
    v = [torch.randn_like(parameter) for parameter in model.parameters()]
    return METHODS[arguments.method](model, images, labels, v)


class Runner:
    """Does what a name of WORK says."""

    def __init__(self, products):
        self._products = products
        self._kept = {name: getattr(products, f"linearise_{name}")() for name in ("ggnvp", "hvp")}

    def run(self, work):
        if work == "gradient":
            return self._products.gradient()
        product, temperature = work.split()
        kept = (self._kept[product] if temperature == "warm"
                else getattr(self._products, f"linearise_{product}")())
        return getattr(self._products, product)(kept)


def main():
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    products = make_products(arguments)
    runner = Runner(products)
    answer(runner.run, {"name": f"PyTorch {torch.__version__}", "layout": arguments.layout,
                        "method": arguments.method,
                        "work": able(runner.run, (RuntimeError, NotImplementedError)),
                        "parameters": parameter_count(products.model),
                        "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
