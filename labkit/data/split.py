"""One way to split: shuffled by its own seed into train, selection and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.data.dataset import Dataset
from labkit.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, device

TRAIN, SELECTION = 0.70, 0.15  # of all examples; the rest is the test part
ROUNDING = 1e-4  # of a pixel: scaling in float32 and back loses less


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Args:
        x: float32 [n, channels, height, width], scaled by the data set's fixed constants.
        y: int64 [n], class indices.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def flat(self) -> Tensor:
        """The images as vectors, [n, channels * height * width]; a view."""
        return self.x.flatten(1)

    def to(self, where: device | str) -> Part:
        """The same part on another device."""
        return Part(self.x.to(where), self.y.to(where))


@dataclass(frozen=True)
class Split:
    """A data set in three parts that share no example.

    Args:
        name: the data set's name.
        fingerprint: the fingerprint of the data set before the split.
        train: what networks are trained on; the only part that a privacy guarantee covers.
        selection: what candidates, settings and thresholds are chosen on.
        test: what is reported; never selects anything.
        classes: the names of the classes.
        public: whether the data are published.
        mean, std: the constants that scaled the images.
    """

    name: str
    fingerprint: str
    train: Part
    selection: Part
    test: Part
    classes: tuple[str, ...]
    public: bool = False
    mean: float = 0.0
    std: float = 1.0

    def pixels(self, part: Part) -> Tensor:
        """A part's images with pixels from 0 to 1, float32 of the shape of `part.x`: what a public model's own
        constants are made for.

        Raises:
            BadInput: images of floats that were never pixels from 0 to 1.
        """
        images = part.x * self.std + self.mean
        low, high = (float(images.min()), float(images.max())) if len(part) else (0.0, 1.0)
        if low < -ROUNDING or high > 1 + ROUNDING:
            allowed = f"images of whole numbers from 0 to 255, or floats from 0 to 1; there are {low:.4g} to {high:.4g}"
            raise BadInput("data", self.name, allowed)
        return images.clamp_(0, 1)


def split(dataset: Dataset, split_seed: int, key: bytes = b"") -> Split:
    """Shuffle and cut: 70 % train, 15 % selection, 15 % test (7,000, 1,500 and 1,500 images of Fashion-MNIST).

    Args:
        dataset: what to split.
        split_seed: the seed of the shuffle; it depends on nothing else.
        key: the store's key, for the fingerprint of data that are not public.
    """
    import torch

    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(split_seed))
    x, y = torch.from_numpy(dataset.scaled()), torch.from_numpy(dataset.labels)
    train, selection = round(TRAIN * len(dataset)), round(SELECTION * len(dataset))
    sizes = (train, selection, len(dataset) - train - selection)
    parts = (Part(x[chosen], y[chosen]) for chosen in order.split(sizes))
    constants = {"mean": dataset.mean, "std": dataset.std}
    return Split(dataset.name, dataset.fingerprint(key), *parts, dataset.classes, dataset.public, **constants)
