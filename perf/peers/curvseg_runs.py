"""What a curvseg training starts from and sees, so that another program can do the same training:
the parameters of its checkpoints, and the crops that it draws (host/data/random.hpp, augment.cpp
and data_loader.cpp, number by number)."""

import json
import struct
from pathlib import Path

import numpy as np

from folder_data import IGNORED

# ---- checkpoints ---------------------------------------------------------------------------------


_DTYPES = {"F32": "<f4", "I32": "<i4"}


def read_checkpoint(path):
    """(metadata, {name: array}) of a safetensors file."""
    data = Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, about in header.items():
        first, last = (8 + length + offset for offset in about["data_offsets"])
        values = np.frombuffer(data[first:last], _DTYPES[about["dtype"]])
        tensors[name] = values.reshape(about["shape"])
    return metadata, tensors


def parameter_names(depth):
    """curvseg's names of the layers of a U-Net: PyTorch's names."""
    names = {"head": "head"}
    for level in range(depth):
        names[f"encoder{level + 1}"] = f"encoders.{level}"
        names[f"decoder{depth - level}"] = f"decoders.{level}"
        names[f"decoder{depth - level}.up"] = f"ups.{level}"
    names["bottleneck"] = "bottleneck"
    return names


def torch_name(name, depth):
    """PyTorch's name of the parameter that curvseg calls `name`."""
    names = parameter_names(depth)
    stem, _, rest = name.rpartition(".")
    while stem not in names:
        stem, _, more = stem.rpartition(".")
        rest = f"{more}.{rest}"
    return f"{names[stem]}.{rest}"


def torch_parameters(tensors, depth):
    """The parameters among the tensors of a checkpoint, as PyTorch names them and lays them out:
    filters [R,S,C,K] become [K,C,R,S]. A transposed convolution is stored as the convolution that
    it is the transpose of, [R,S,K,C], and becomes [C,K,R,S], by the same permutation."""
    return {torch_name(name, depth): np.array(
                value.transpose(3, 2, 0, 1) if value.ndim == 4 else value, order="C")
            for name, value in tensors.items()
            if not name.startswith(("optimizer.", "continued."))}


# ---- random numbers ------------------------------------------------------------------------------

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def mix64(x):
    x = (x + _STEP) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def mix_key(*parts):
    key = 0x243F6A8885A308D3
    for part in parts:
        key = mix64(key ^ mix64(part))
    return key


class Random:
    """host/data/random.hpp"""

    def __init__(self, *parts):
        self._state = mix64(mix_key(*parts))

    def next(self):
        value = mix64(self._state)
        self._state = (self._state + _STEP) & _MASK
        return value

    def below(self, n):
        if n <= 1:
            return 0
        limit = _MASK - (_MASK % n + 1) % n
        value = self.next()
        while value > limit:
            value = self.next()
        return value % n

    def coin(self):
        return self.next() >> 63 != 0

    def shuffle(self, items):
        for i in range(len(items), 1, -1):
            j = self.below(i)
            items[i - 1], items[j] = items[j], items[i - 1]


# ---- crops ---------------------------------------------------------------------------------------

_ORDER, _AUGMENT = 1, 2  # streams of the seed
_TOP, _LEFT, _FLIP, _VFLIP = 1, 2, 3, 4  # streams of a crop


class SameCrops:
    """The batches of the first epoch of `curvseg train`, as folder_data.Crops gives its own.
    There are flips and no scaling or rotation."""

    def __init__(self, split, size, batch, flips, seed):
        self._split = split
        self._size = size
        self._batch = batch
        self._flips = flips
        self._seed = seed
        self._order = []
        self._passes = 0
        self._drawn = 0

    def __iter__(self):
        return self

    def __next__(self):
        crops = [self._crop() for _ in range(self._batch)]
        return np.stack([image for image, _ in crops]), np.stack([mask for _, mask in crops])

    def _crop(self):
        if not self._order:
            self._order = list(range(len(self._split)))
            Random(self._seed, _ORDER, 0, self._passes).shuffle(self._order)
            self._passes += 1
        key = mix_key(self._seed, _AUGMENT, 0, self._drawn)
        self._drawn += 1
        image, mask = self._split[self._order.pop(0)]
        image, mask = place(image, mask, self._size, key)
        for name, stream, axis in (("flip", _FLIP, -1), ("vflip", _VFLIP, -2)):
            if name in self._flips and Random(key, stream).coin():
                image, mask = np.flip(image, axis), np.flip(mask, axis)
        return image, mask


def place(image, mask, size, key):
    """A random crop, or where the image is smaller the image at a random place."""
    to = [slice(0, size), slice(0, size)]
    of = [slice(0, size), slice(0, size)]
    for axis, stream in ((0, _TOP), (1, _LEFT)):
        spare = mask.shape[axis] - size
        start = Random(key, stream).below(abs(spare) + 1)
        if spare >= 0:
            of[axis] = slice(start, start + size)
        else:
            of[axis] = slice(0, mask.shape[axis])
            to[axis] = slice(start, start + mask.shape[axis])
    new_image = np.zeros((image.shape[0], size, size), image.dtype)
    new_mask = np.full((size, size), IGNORED, mask.dtype)
    new_image[:, to[0], to[1]] = image[:, of[0], of[1]]
    new_mask[to[0], to[1]] = mask[of[0], of[1]]
    return new_image, new_mask
