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


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path,
                        help="folder with train/ and val/, each with images/ and masks/")
    parser.add_argument("--curvseg", default="curvseg", help="the command (default: from PATH)")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: 300)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1..N (default: 3)")
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    parser.add_argument("--depth", type=int, default=3, help="number of poolings")
    parser.add_argument("--crop", type=int, default=128, help="height and width of the crops")
    parser.add_argument("--batch", type=int, default=8, help="crops a step")
    parser.add_argument("--lr", type=float, default=1e-3, help="Adam's first learning rate")
    parser.add_argument("--augment", default="flip", help="flip, vflip, both with a comma, or none")
    parser.add_argument("--ignore-index", type=int, default=255,
                        help="value of a mask that belongs to no class (default: 255)")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of mIoU (default: 0.02)")
    parser.add_argument("--only", choices=("pytorch", "curvseg"), help="run one side alone")
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


def train_pytorch(arguments, data, seed):
    """Returns the trained model."""
    torch.manual_seed(seed)
    model = UNet(data.channels, data.classes, arguments.width, arguments.depth)
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1.0 + math.cos(math.pi * step / arguments.steps)))
    crops = folder_data.Crops(data.train, arguments.crop, arguments.batch,
                              arguments.augment.split(","), seed)
    for _, (images, labels) in zip(range(arguments.steps), crops):
        optimizer.zero_grad(set_to_none=True)
        logits = model(torch.from_numpy(images))
        loss = functional.cross_entropy(logits, torch.from_numpy(labels),
                                        ignore_index=folder_data.IGNORED)
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


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
    model = train_pytorch(arguments, data, seed)
    seconds = time.perf_counter() - start
    return mean_iou(confusion(model, data.val, data.classes)), seconds


# ---- curvseg -------------------------------------------------------------------------------------


def curvseg_command(arguments, seed, out):
    return [arguments.curvseg, "train", "--data", str(arguments.data), "--seed", str(seed),
            "--model", f"unet(width={arguments.width}, depth={arguments.depth})",
            "--optimizer", "adam", "--lr", str(arguments.lr), "--schedule", "cosine",
            "--steps", str(arguments.steps), "--batch", str(arguments.batch),
            "--crop", str(arguments.crop), "--augment", arguments.augment,
            # One epoch: no partial batch, no evaluation before the end.
            "--samples-per-epoch", str(arguments.steps * arguments.batch), "--eval-every", "0",
            "--ignore-index", str(arguments.ignore_index), "--out", out, "--pictures", "0",
            "--json", "--quiet"]


def run_curvseg(arguments, seed):
    """Validation mIoU and seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(curvseg_command(arguments, seed, folder + "/run"), check=True,
                              stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
    return last_mean_iou(done.stdout), seconds


def last_mean_iou(lines):
    """The mIoU of the last evaluation on val/ in the lines of metrics.jsonl."""
    values = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    values = [value["mean_iou"] for value in values if "mean_iou" in value]
    if not values:
        raise ValueError("curvseg train printed no evaluation")
    return values[-1]


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
