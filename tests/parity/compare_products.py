#!/usr/bin/env python3
"""Loss, gradient, Hessian and Gauss-Newton products of curvseg beside PyTorch's double backward.

  compare_products.py PROGRAM [DEVICE]

PROGRAM (write_products.cpp) writes the checkpoints of a few networks, a batch and a direction v for
each, and its results. Here PyTorch builds the same networks from the
checkpoints and computes the same from the same batch, in double precision.

How far apart they may be is told by PyTorch too, for every element. In float32 a sum of n terms
carries a rounding error of at most some sqrt(n) half-ulps of its size: the errors of its additions
are a random walk. So the computation is repeated with errors of that size drawn at random and added to
what every convolution computes forward, backward, and in the derivatives of both; the root mean
square of what that changes in an element is its sigma. The bound is FACTOR sigma: the largest of
some 10^5 normal numbers is below 5 sigma, and a sigma from DRAWS draws is off by a fifth at times.
ReLU masks and pooling winners that rounding might change are thereby counted.

The exit status is 77 when PROGRAM does not know the device.
"""

import math
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import stateless

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "perf" / "peers"))

import curvseg_runs  # noqa: E402
from pytorch_unet import UNet  # noqa: E402

QUANTITIES = ("loss", "grad", "hvp", "ggnvp")
HALF_ULP = 2.0 ** -24
DRAWS, FACTOR = 24, 6.0
LOOSEST = 1e-3  # the sum of an array's bounds to that of its elements: a term left out is near 1
FEWEST_CASES = 7


class Case:
    """What the program computed, in PyTorch's names and layouts."""

    def __init__(self, path):
        self.name = path.name.split(".")[0]
        self.about, tensors = curvseg_runs.read_checkpoint(path)
        _, checkpoint = curvseg_runs.read_checkpoint(
            path.with_name(f"{self.name}.checkpoint.safetensors"))
        family, _, rest = self.about["model"].partition("(")
        options = dict(pair.split("=") for pair in rest.rstrip(")").split(", "))
        self.depth = int(options["depth"])
        self.transpose = options.get("transpose", "true") == "true"
        self.classes = int(self.about["classes"])
        if family != "unet":
            raise ValueError(f"{path}: no network {family} here")
        self.images = torch.from_numpy(tensors["x"].transpose(0, 3, 1, 2).copy()).double()
        self.labels = torch.from_numpy(tensors["labels"].copy()).long()
        self.theta = self._vector(checkpoint)
        self.v = self._prefixed(tensors, "v")
        self.results = {name: self._prefixed(tensors, name) for name in QUANTITIES[1:]}
        self.results["loss"] = {"loss": torch.tensor(float(tensors["loss"]), dtype=torch.double)}
        self.model = UNet(self.images.shape[1], self.classes, int(options["width"]), self.depth,
                          self.transpose).double()
        expected = {name: tuple(value.shape) for name, value in self.model.named_parameters()}
        for vector in (self.theta, self.v, *(self.results[name] for name in QUANTITIES[1:])):
            if {name: tuple(value.shape) for name, value in vector.items()} != expected:
                raise ValueError(f"{path}: these are not the parameters of {self.about['model']}")

    def loss(self, with_options=True):
        """The loss as a function of the logits."""
        labelled = self.labels >= 0
        if self.about["loss"] == "squared-error":
            truth = functional.one_hot(self.labels.clamp(min=0), self.classes).permute(0, 3, 1, 2)
            weight = labelled[:, None] / (labelled.sum() * self.classes)
            return lambda logits: ((logits - truth) ** 2 * weight).sum()
        options = {}
        if with_options:
            weights = [float(weight) for weight in self.about["class_weights"].split()]
            options = {"weight": torch.tensor(weights, dtype=torch.double) if weights else None,
                       "label_smoothing": float(self.about["label_smoothing"])}
        return lambda logits: functional.cross_entropy(logits, self.labels, ignore_index=-1,
                                                       **options)

    def changed_by_options(self):
        """The quantities that the options of the loss have a part in. Smoothing moves the loss along
        the logits by a linear term, whose curvature is 0."""
        if self.about["class_weights"]:
            return QUANTITIES
        return ("loss", "grad") if float(self.about["label_smoothing"]) > 0.0 else ()

    def _vector(self, tensors):
        return {name: torch.from_numpy(value).double()
                for name, value in curvseg_runs.torch_parameters(tensors, self.depth).items()}

    def _prefixed(self, tensors, prefix):
        return self._vector({name[len(prefix) + 1:]: value for name, value in tensors.items()
                             if name.startswith(f"{prefix}.")})


# ---- PyTorch -------------------------------------------------------------------------------------


def products(case, forward, loss):
    """Loss, gradient, and both products, the network being forward(parameters)."""
    names = list(case.theta)
    theta = [case.theta[name].clone().requires_grad_() for name in names]
    v = [case.v[name] for name in names]
    logits = forward(dict(zip(names, theta)))
    value = loss(logits)
    grad = torch.autograd.grad(value, theta, create_graph=True)
    hvp = torch.autograd.grad(grad, theta, v, retain_graph=True)
    # J v by transposing twice: J'u is linear in u, and J v is the derivative of (J'u)'v by u.
    u = torch.zeros_like(logits, requires_grad=True)
    transposed = torch.autograd.grad(logits, theta, u, create_graph=True)
    jv = torch.autograd.grad(transposed, u, v, retain_graph=True)[0]
    z = logits.detach().requires_grad_()
    hjv = torch.autograd.grad(torch.autograd.grad(loss(z), z, create_graph=True)[0], z, jv)[0]
    ggnvp = torch.autograd.grad(logits, theta, hjv)
    return {"loss": {"loss": value.detach()},
            **{name: {key: each.detach() for key, each in zip(names, vector)}
               for name, vector in (("grad", grad), ("hvp", hvp), ("ggnvp", ggnvp))}}


def exact(case, with_options=True):
    return products(case, lambda theta: stateless.functional_call(case.model, theta, case.images),
                    case.loss(with_options))


class Rounded(torch.autograd.Function):
    """x with errors of `ahead` times its root mean square; its gradient with errors of `back`
    times that of the gradient. What is differentiated twice is rounded in all four passes."""

    @staticmethod
    def forward(context, x, ahead, back):
        context.sizes = ahead, back
        return x + ahead * x.square().mean().sqrt() * torch.randn_like(x)

    @staticmethod
    def backward(context, gradient):
        ahead, back = context.sizes
        return Rounded.apply(gradient, back, ahead), None, None


def rounded_convolution(module, x, output_size=None):
    """The forward pass of a convolution, as long sums in float32 would give it."""
    transposed = isinstance(module, nn.ConvTranspose2d)
    taps = math.prod(module.kernel_size) / math.prod(module.stride if transposed else (1, 1))
    x = Rounded.apply(x, 0.0, math.sqrt(taps * module.out_channels) * HALF_ULP)
    pixels = math.sqrt(x.shape[0] * math.prod(x.shape[2:])) * HALF_ULP
    w, b = (Rounded.apply(each, 0.0, pixels) for each in (module.weight, module.bias))
    if transposed:
        more = [to - 2 * extent for to, extent in zip(output_size, x.shape[2:])]
        y = functional.conv_transpose2d(x, w, b, module.stride, output_padding=more)
    else:
        y = functional.conv2d(x, w, b, padding=module.padding)
    return Rounded.apply(y, math.sqrt(taps * module.in_channels + 1) * HALF_ULP, 0.0)


def rounded(case, seed):
    """One draw of what float32 might give."""
    torch.manual_seed(seed)
    model = UNet(case.images.shape[1], case.classes, case.model.encoders[0].conv1.out_channels,
                 case.depth, case.transpose).double()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.forward = types.MethodType(rounded_convolution, module)
    loss, pixels = case.loss(), math.sqrt(case.labels.numel()) * HALF_ULP

    def rounded_loss(logits):
        # Exponential, sum, quotient and difference of the softmax; then the mean over pixels.
        return Rounded.apply(loss(Rounded.apply(logits, 0.0, 4.0 * HALF_ULP)), pixels, 0.0)

    return products(case, lambda theta: stateless.functional_call(model, theta, case.images),
                    rounded_loss)


# ---- both ----------------------------------------------------------------------------------------


def flat(vector):
    """One vector of all parameters, in one order."""
    return torch.cat([vector[name].reshape(-1) for name in sorted(vector)])


def spreads(case, true):
    """{quantity: sigma of each element}"""
    draws = [rounded(case, seed) for seed in range(DRAWS)]
    return {name: torch.stack([flat(draw[name]) - flat(true[name]) for draw in draws])
            .square().mean(0).sqrt() for name in QUANTITIES}


def outside(ours, theirs, bound):
    """How many elements are further apart than the bound; not a number counts."""
    return int((~((ours - theirs).abs() <= bound)).sum())


def compare(case):
    """Prints a row a quantity; returns what is wrong."""
    true = exact(case)
    sigma = spreads(case, true)
    ours = {name: flat(case.results[name]) for name in QUANTITIES}
    theirs = {name: flat(true[name]) for name in QUANTITIES}
    bound = {name: FACTOR * sigma[name] for name in QUANTITIES}
    wrong = []
    for name in QUANTITIES:
        error = (ours[name] - theirs[name]).abs()
        worst = float((error / sigma[name].clamp(min=1e-300)).max())
        size = float(theirs[name].abs().sum())
        print(f"| {case.name} | {name} | {len(error)} | {float(error.sum()) / size:.1e} | "
              f"{float(bound[name].sum()) / size:.1e} | {worst:.1f} |", flush=True)
        count = outside(ours[name], theirs[name], bound[name])
        if count:
            wrong.append(f"{case.name}: {name}: {count} of {len(error)} elements are out of bounds")
        if not float(bound[name].sum()) <= LOOSEST * size:
            wrong.append(f"{case.name}: {name}: the bounds are too wide to prove anything")
    return wrong + controls(case, ours, theirs, bound)


def controls(case, ours, theirs, bound):
    """What must be seen to differ: one product taken for the other, options left out, nothing."""
    wrong = []
    if not outside(ours["hvp"], theirs["ggnvp"], bound["hvp"]):
        wrong.append(f"{case.name}: hvp and ggnvp are told apart by nothing")
    plain = exact(case, with_options=False)
    wrong += [f"{case.name}: {name} does not show the options of the loss"
              for name in case.changed_by_options()
              if not outside(ours[name], flat(plain[name]), bound[name])]
    wrong += [f"{case.name}: most of {name} is 0, which proves little" for name in QUANTITIES
              if not (theirs[name] != 0.0).double().mean() > 0.5]
    return wrong


def main():
    program, device = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "host"
    with tempfile.TemporaryDirectory() as folder:
        status = subprocess.run([program, folder, device], check=False).returncode
        if status:
            return status
        cases = [Case(path) for path in sorted(Path(folder).glob("*.products.safetensors"))]
    print(f"curvseg on {device}, PyTorch {torch.__version__}\n")
    print("| case | quantity | elements | error / size | bound / size | worst, in sigma |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    wrong = [line for case in cases for line in compare(case)]
    if len(cases) < FEWEST_CASES:
        wrong.append(f"{len(cases)} cases, of {FEWEST_CASES}")
    print("\n".join(["", *wrong]) if wrong else "\nall within bounds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
