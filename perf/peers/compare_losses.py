#!/usr/bin/env python3
"""Is a training step of curvseg that of PyTorch?

Both start from the same parameters and see the same crops in the same order: PyTorch reads
curvseg's checkpoint and repeats its random numbers. What is left is rounding, which training
magnifies from step to step. How much it may be is told by PyTorch itself, which trains in double
precision too.

The exit status is 1 when in the first --judge steps the largest distance of curvseg's losses from
those in double precision is above 1e-5 and above ten times that of PyTorch in single precision; or
when PyTorch, given curvseg's trained parameters, finds another mIoU on val/.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

import compare_accuracy
import curvseg_runs
from pytorch_unet import UNet

FACTOR, SMALLEST = 10.0, 1e-5
SAME_MEAN_IOU = 1e-4  # a few pixels whose two best classes are equal but for rounding


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    compare_accuracy.add_training_options(parser, steps=60, width=8)
    parser.add_argument("--seed", type=int, default=1, help="of curvseg (default: 1)")
    parser.add_argument("--judge", type=int, default=20,
                        help="steps that decide the exit status (default: 20)")
    return parser.parse_args()


def run_curvseg(arguments, folder):
    """The lines of its metrics, and its parameters before and after the training."""
    # A step too small to change any number leaves the first parameters in the checkpoint.
    compare_accuracy.run_command(arguments, arguments.seed, folder / "before", steps=1, lr=1e-30)
    lines = compare_accuracy.run_command(arguments, arguments.seed, folder / "after")
    before, after = (curvseg_runs.read_checkpoint(folder / name / "checkpoint.safetensors")[1]
                     for name in ("before", "after"))
    return lines, before, after


def make_model(arguments, data, tensors):
    """The network with the parameters of a checkpoint."""
    model = UNet(data.channels, data.classes, arguments.width, arguments.depth)
    parameters = curvseg_runs.torch_parameters(tensors, arguments.depth)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    return model


def run_pytorch(arguments, data, tensors, dtype):
    """{step: loss} of a training that starts from the parameters of a checkpoint."""
    crops = curvseg_runs.SameCrops(data.train, arguments.crop, arguments.batch,
                                   arguments.augment.split(","), arguments.seed)
    losses = compare_accuracy.train_pytorch(
        arguments, make_model(arguments, data, tensors).to(dtype), crops)
    return dict(enumerate(losses, 1))


def print_losses(exact, theirs, ours):
    print("\n| step | PyTorch, double | PyTorch - double | curvseg - double |")
    print("| ---: | ---: | ---: | ---: |")
    for step in ours:
        if step <= 10 or step % 10 == 0:
            true = exact[step]
            print(f"| {step} | {true:.6f} | {theirs[step] - true:+.1e} | "
                  f"{ours[step] - true:+.1e} |")


def steps_agree(exact, theirs, ours, judge):
    judged = [step for step in ours if step <= judge]
    a, b = (max(abs(losses[step] - exact[step]) for step in judged) for losses in (theirs, ours))
    agree = b <= max(FACTOR * a, SMALLEST)
    print(f"\nlargest distance from double precision in the first {judged[-1]} steps: "
          f"PyTorch {a:.1e}, curvseg {b:.1e}: {'agree' if agree else 'do NOT agree'}")
    return agree


def evaluations_agree(arguments, data, tensors, ours):
    with torch.no_grad():
        model = make_model(arguments, data, tensors)
        theirs = compare_accuracy.mean_iou(
            compare_accuracy.confusion(model, data.val, data.classes))
    agree = abs(ours - theirs) < SAME_MEAN_IOU
    print(f"mIoU of curvseg's trained parameters on val: by curvseg {ours:.6f}, "
          f"by PyTorch {theirs:.6f}: {'agree' if agree else 'do NOT agree'}")
    return agree


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        lines, before, after = run_curvseg(arguments, Path(folder))
    data = compare_accuracy.Data(arguments)
    ours = {line["step"]: line["loss"] for line in compare_accuracy.events(lines, "step")}
    theirs = run_pytorch(arguments, data, before, torch.float32)
    exact = run_pytorch(arguments, data, before, torch.float64)
    print_losses(exact, theirs, ours)
    same = [steps_agree(exact, theirs, ours, arguments.judge),
            evaluations_agree(arguments, data, after, compare_accuracy.last_mean_iou(lines))]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
