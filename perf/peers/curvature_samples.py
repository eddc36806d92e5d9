"""What the peers that measure products with curvature share: the network's options, and samples of
WORK, one for each line read."""

import json
import sys
import time

WORK = ("gradient", "ggnvp warm", "ggnvp cold", "hvp warm", "hvp cold")


def add_shape_options(parser):
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    parser.add_argument("--depth", type=int, default=3, help="number of poolings")
    parser.add_argument("--channels", type=int, default=1, help="channels of the images")
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="images of the batch")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")


def able(run, errors):
    """The names of WORK that `run` can do; where it raises one of `errors`, it says why not."""
    names = []
    for work in WORK:
        try:
            for _ in range(2):  # compilers, allocators and caches of primitives get ready
                run(work)
            names.append(work)
        except errors as error:
            print(f"{work}: {str(error).splitlines()[0]}", file=sys.stderr)
    return names


def answer(run, about):
    """Prints `about`, and for each line read, a name of WORK, how long `run` takes for it."""
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        work = line.strip()
        wall, cpu = time.perf_counter(), time.process_time()
        run(work)
        print(json.dumps({"work": work, "seconds": time.perf_counter() - wall,
                          "cpu_seconds": time.process_time() - cpu}), flush=True)
