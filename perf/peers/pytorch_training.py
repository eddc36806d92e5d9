#!/usr/bin/env python3
"""How fast PyTorch trains (or runs) the U-Net of curvseg's model zoo on random images.

Prints one JSON object a sample, a sample being --steps steps. With --on-demand it takes one sample
for each line it reads, so that another program can alternate it with a peer (compare_training.py).
"""

import argparse
import json
import resource
import sys
import time

import torch
from torch.nn import functional

from pytorch_unet import UNet, parameter_count

WORK = ("step", "gradient", "inference")
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=WORK, default="step",
                        help="training step, gradient alone, or forward pass alone (default: step)")
    parser.add_argument("--layout", choices=[*LAYOUTS, "frozen"], default="channels_last",
                        help="memory layout; frozen: a traced, frozen graph in oneDNN's own layouts, "
                             "inference only (default: channels_last)")
    parser.add_argument("--compile", action="store_true",
                        help="forward and backward pass by torch.compile (PyTorch 2 and newer)")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--foreach", action="store_true",
                        help="let the optimiser update all parameters in fused lists")
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    parser.add_argument("--depth", type=int, default=3, help="number of poolings")
    parser.add_argument("--channels", type=int, default=1, help="channels of the images")
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument("--steps", type=int, default=5, help="steps a sample")
    parser.add_argument("--samples", type=int, default=5, help="samples, unless --on-demand")
    parser.add_argument("--on-demand", action="store_true",
                        help="one sample for each line on standard input")
    return parser.parse_args()


def make_optimizer(arguments, model):
    options = {"foreach": True} if arguments.foreach else {}
    if arguments.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=1e-3, **options)
    return torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, **options)


def make_inference(arguments, model, images):
    if arguments.layout == "frozen":
        traced = torch.jit.freeze(torch.jit.trace(model.eval(), images))
        model = torch.jit.optimize_for_inference(traced)

    def run():
        with torch.inference_mode():
            model(images)

    return run


def make_work(arguments):
    """Returns the model and a function that does one step of the work."""
    torch.manual_seed(1)
    model = UNet(arguments.channels, arguments.classes, arguments.width, arguments.depth)
    layout = LAYOUTS.get(arguments.layout, torch.contiguous_format)
    model = model.to(memory_format=layout)
    size = (arguments.batch, arguments.channels, arguments.size, arguments.size)
    images = torch.randn(size).to(memory_format=layout)
    labels = torch.randint(arguments.classes, (size[0], size[2], size[3]))
    forward = torch.compile(model) if arguments.compile else model
    if arguments.work == "inference":
        return model, make_inference(arguments, forward, images)
    optimizer = make_optimizer(arguments, model)

    def run():
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(forward(images), labels).backward()
        if arguments.work == "step":
            optimizer.step()

    return model, run


def take_sample(arguments, run):
    """Seconds a step: by the clock, and of all processors together."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(arguments.steps):
        run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": wall / arguments.steps, "cpu_seconds": cpu / arguments.steps,
            "images_per_second": arguments.batch * arguments.steps / wall}


def peak_memory_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    arguments = parse_arguments()
    if arguments.layout == "frozen" and arguments.work != "inference":
        sys.exit("--layout frozen is for --work inference")
    if arguments.compile and arguments.layout == "frozen":
        sys.exit("--layout frozen is a compiler's work already")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    before = peak_memory_bytes()
    model, run = make_work(arguments)
    for _ in range(3):  # allocators and oneDNN's caches fill, the graph is compiled
        run()
    compiled = ", compiled" if arguments.compile else ""
    print(json.dumps({"name": f"PyTorch {torch.__version__}, {arguments.layout}{compiled}",
                      "parameters": parameter_count(model), "threads": torch.get_num_threads(),
                      "memory_bytes": peak_memory_bytes() - before}), flush=True)
    demands = sys.stdin if arguments.on_demand else range(arguments.samples)
    for _ in demands:
        print(json.dumps(take_sample(arguments, run)), flush=True)


if __name__ == "__main__":
    main()
