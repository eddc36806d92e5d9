"""Folders of images with masks, and random crops of them, as curvseg reads and draws them.

A set is a folder with train/ and val/, each with images/ and masks/: pairs of equal file stems, the
stored value of a mask's pixel being the class.
"""

from pathlib import Path

import numpy as np
from PIL import Image

IGNORED = -1


def read_image(path, channels):
    """[C,H,W] float32 in 0..1."""
    image = Image.open(path)
    image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(image, np.float32) / 255.0
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1))


def read_mask(path, ignore_index):
    """[H,W] int64, classes or IGNORED. Palettes are not expanded: the index is the class."""
    mask = np.asarray(Image.open(path)).astype(np.int64)
    if mask.ndim != 2:
        raise ValueError(f"{path}: a mask has one channel, this one has {mask.shape[2]}")
    return np.where(mask == ignore_index, IGNORED, mask)


def read_split(folder, channels, ignore_index):
    """All (image, mask) of a split, in the order of their stems."""
    images = sorted((Path(folder) / "images").iterdir(), key=lambda path: path.stem)
    if not images:
        raise ValueError(f"{folder}/images holds no file")
    return [(read_image(path, channels),
             read_mask(Path(folder) / "masks" / f"{path.stem}.png", ignore_index))
            for path in images]


def image_channels(folder):
    """1 when all images of a split are grey, else 3."""
    modes = {Image.open(path).mode for path in (Path(folder) / "images").iterdir()}
    return 1 if modes <= {"L", "1"} else 3


def count_classes(*splits):
    """The largest class of any mask, plus one."""
    return 1 + max(int(mask.max()) for split in splits for _, mask in split)


def normalisation(split):
    """Mean and standard deviation of each channel over all pixels, [C,1,1]."""
    pixels = sum(image[0].size for image, _ in split)
    total = sum(image.sum((1, 2), np.float64) for image, _ in split)
    mean = (total / pixels).reshape(-1, 1, 1)
    squares = sum(((image - mean) ** 2).sum((1, 2)) for image, _ in split)
    deviation = np.sqrt(squares / pixels).reshape(-1, 1, 1)
    deviation[deviation == 0.0] = 1.0
    return mean.astype(np.float32), deviation.astype(np.float32)


def normalise(split, mean, deviation):
    return [((image - mean) / deviation, mask) for image, mask in split]


class Crops:
    """An endless sequence of batches: every image once in random order, then again, each time at
    another place. Where an image is smaller than the crop, zeros (the mean) and IGNORED fill up."""

    def __init__(self, split, size, batch, flips, seed):
        self._split = split
        self._size = size
        self._batch = batch
        self._flips = flips
        self._random = np.random.default_rng(seed)
        self._order = []

    def __iter__(self):
        return self

    def __next__(self):
        crops = [self._crop() for _ in range(self._batch)]
        return np.stack([image for image, _ in crops]), np.stack([mask for _, mask in crops])

    def _crop(self):
        if not self._order:
            self._order = list(self._random.permutation(len(self._split)))
        image, mask = pad(*self._split[self._order.pop()], self._size, self._random)
        top = self._random.integers(mask.shape[0] - self._size + 1)
        left = self._random.integers(mask.shape[1] - self._size + 1)
        rows = slice(top, top + self._size)
        columns = slice(left, left + self._size)
        image, mask = image[:, rows, columns], mask[rows, columns]
        for name, axis in (("flip", -1), ("vflip", -2)):
            if name in self._flips and self._random.random() < 0.5:
                image, mask = np.flip(image, axis), np.flip(mask, axis)
        return image, mask


def pad(image, mask, size, random):
    """Image and mask at a random place in a canvas of at least size x size."""
    missing = [max(0, size - extent) for extent in mask.shape]
    if not any(missing):
        return image, mask
    before = [int(random.integers(m + 1)) for m in missing]
    widths = [(b, m - b) for b, m in zip(before, missing)]
    return (np.pad(image, [(0, 0), *widths]),
            np.pad(mask, widths, constant_values=IGNORED))
