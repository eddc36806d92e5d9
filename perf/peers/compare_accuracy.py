#!/usr/bin/env python3
"""Does curvseg reach the accuracy that PyTorch reaches with the same training?

For every seed both train the same U-Net on the same folder of images: the same distributions of
initial values, normalisation, random crops and flips, Adam with a cosine schedule, batch and number
of steps. Both are evaluated after the last step on the whole images of val/. The random numbers
differ, so what is compared is the median over the seeds.

The exit status is 1 when curvseg's median is more than --tolerance below PyTorch's.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import folder_data
from pytorch_unet import UNet, parameter_count


def add_training_options(parser, steps, width):
    """What both sides are told."""
    parser.add_argument("--data", required=True, type=Path,
                        help="folder with train/ and val/, each with images/ and masks/")
    parser.add_argument("--curvseg", default="curvseg", help="the command (default: from PATH)")
    parser.add_argument("--steps", type=int, default=steps,
                        help=f"training steps (default: {steps})")
    parser.add_argument("--width", type=int, default=width,
                        help=f"channels of the first level (default: {width})")
    parser.add_argument("--depth", type=int, default=3, help="number of poolings (default: 3)")
    parser.add_argument("--crop", type=int, default=128,
                        help="height and width of the crops (default: 128)")
    parser.add_argument("--batch", type=int, default=8, help="crops a step (default: 8)")
    parser.add_argument("--lr", type=float, default=1e-3,
                        help="Adam's first learning rate (default: 1e-3)")
    parser.add_argument("--augment", default="flip",
                        help="flip, vflip, both with a comma, or none (default: flip)")
    parser.add_argument("--ignore-index", type=int, default=255,
                        help="value of a mask that belongs to no class (default: 255)")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_options(parser, steps=300, width=16)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1..N (default: 3)")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of mIoU (default: 0.02)")
    parser.add_argument("--only", choices=("pytorch", "curvseg"), help="run one side alone")
    parser.add_argument("--keep", type=Path,
                        help="leave curvseg's run folders here, as seed-1, seed-2, ...")
    return parser.parse_args()


# ---- PyTorch -------------------------------------------------------------------------------------


class Data:
    """Both splits in memory, normalised by the training split."""

    def __init__(self, arguments):
        folders = [arguments.data / name for name in ("train", "val")]
        self.channels = folder_data.image_channels(folders[0])
        splits = [folder_data.read_split(folder, self.channels, arguments.ignore_index)
                  for folder in folders]
        self.classes = folder_data.count_classes(*splits)
        statistics_of_train = folder_data.normalisation(splits[0])
        self.train, self.val = (folder_data.normalise(split, *statistics_of_train)
                                for split in splits)


def train_pytorch(arguments, model, crops):
    """Trains the model; returns the loss before each step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1.0 + math.cos(math.pi * step / arguments.steps)))
    dtype = next(model.parameters()).dtype
    losses = []
    for _, (images, labels) in zip(range(arguments.steps), crops):
        optimizer.zero_grad(set_to_none=True)
        logits = model(torch.from_numpy(images).to(dtype))
        loss = functional.cross_entropy(logits, torch.from_numpy(labels),
                                        ignore_index=folder_data.IGNORED)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def confusion(model, split, classes):
    """Counts [truth, prediction] over the labelled pixels of whole images."""
    counts = np.zeros(classes * classes, np.int64)
    with torch.inference_mode():
        for image, mask in split:
            prediction = model(torch.from_numpy(image[None])).argmax(1)[0].numpy()
            labelled = mask != folder_data.IGNORED
            pairs = mask[labelled] * classes + prediction[labelled]
            counts += np.bincount(pairs, minlength=classes * classes)
    return counts.reshape(classes, classes)


def mean_iou(counts):
    """Over the classes that occur in truth or prediction."""
    hits = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hits
    return float((hits[union > 0] / union[union > 0]).mean())


def run_pytorch(arguments, data, seed):
    """Validation mIoU and seconds of training."""
    start = time.perf_counter()
    torch.manual_seed(seed)
    model = UNet(data.channels, data.classes, arguments.width, arguments.depth)
    train_pytorch(arguments, model,
                  folder_data.Crops(data.train, arguments.crop, arguments.batch,
                                    arguments.augment.split(","), seed))
    seconds = time.perf_counter() - start
    return mean_iou(confusion(model, data.val, data.classes)), seconds


# ---- curvseg -------------------------------------------------------------------------------------


def run_command(arguments, seed, out, **changes):
    """Trains with `curvseg train`; returns the lines of its metrics.jsonl as text."""
    a = argparse.Namespace(**{**vars(arguments), **changes})
    command = [a.curvseg, "train", "--data", str(a.data), "--seed", str(seed),
               "--model", f"unet(width={a.width}, depth={a.depth})",
               "--optimizer", "adam", "--lr", str(a.lr), "--schedule", "cosine",
               "--steps", str(a.steps), "--batch", str(a.batch), "--crop", str(a.crop),
               "--augment", a.augment, "--ignore-index", str(a.ignore_index),
               # One epoch: no partial batch, no evaluation before the end.
               "--samples-per-epoch", str(arguments.steps * a.batch), "--eval-every", "0",
               "--out", str(out), "--json", "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run_curvseg(arguments, seed):
    """Validation mIoU and seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        out = (arguments.keep or Path(folder)) / f"seed-{seed}"
        lines = run_command(arguments, seed, out)
    return last_mean_iou(lines), training_seconds(lines)


def events(lines, name):
    """The lines of metrics.jsonl about one event."""
    values = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return [value for value in values if value.get("event") == name]


def last_mean_iou(lines):
    """The mIoU of the last evaluation on val/ in the lines of metrics.jsonl."""
    values = [value for value in events(lines, "evaluation") if value["split"] == "val"]
    if not values:
        raise ValueError("curvseg train printed no evaluation on val")
    return values[-1]["mean_iou"]


def training_seconds(lines):
    """From the start to the last step, without reading the images and without evaluation."""
    return events(lines, "step")[-1]["seconds"]


# ---- both ----------------------------------------------------------------------------------------


def run_all(arguments):
    """{name: [(mIoU, seconds), one a seed]}, the sides in turn."""
    results = {name: [] for name in ("pytorch", "curvseg") if arguments.only in (None, name)}
    data = Data(arguments) if "pytorch" in results else None
    if data:
        model = UNet(data.channels, data.classes, arguments.width, arguments.depth)
        print(f"{len(data.train)} images to train on, {len(data.val)} to validate, "
              f"{data.channels} channels, {data.classes} classes, "
              f"{parameter_count(model)} parameters", flush=True)
    for seed in range(1, arguments.seeds + 1):
        for name, values in results.items():
            if name == "pytorch":
                values.append(run_pytorch(arguments, data, seed))
            else:
                values.append(run_curvseg(arguments, seed))
            print(f"seed {seed}, {name}: mIoU {values[-1][0]:.4f}, {values[-1][1]:.1f} s", flush=True)
    return results


def print_table(results):
    seeds = len(next(iter(results.values())))
    print("\n| | " + " | ".join(f"seed {seed}" for seed in range(1, seeds + 1)) +
          " | median mIoU | median s |")
    print("| --- |" + " ---: |" * (seeds + 2))
    for name, values in results.items():
        cells = [f"{iou:.4f}" for iou, _ in values]
        print(f"| {name} | " + " | ".join(cells) +
              f" | {statistics.median(iou for iou, _ in values):.4f}"
              f" | {statistics.median(seconds for _, seconds in values):.1f} |")


def main():
    arguments = parse_arguments()
    results = run_all(arguments)
    print_table(results)
    if len(results) < 2:
        return 0
    ours, theirs = (statistics.median(iou for iou, _ in results[name])
                    for name in ("curvseg", "pytorch"))
    enough = ours >= theirs - arguments.tolerance
    print(f"\ncurvseg - PyTorch: {ours - theirs:+.4f}, "
          f"{'within' if enough else 'NOT within'} {arguments.tolerance}")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
