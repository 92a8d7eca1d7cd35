"""What arrays from outside must satisfy before anything trains on them."""

from __future__ import annotations

import numpy as np

from labkit.data.dataset import Dataset
from labkit.errors import BadInput

MINIMUM = 100  # examples: below it the test part has fewer than 15
LARGEST = 2**32  # bytes of the images as float32
MEAN, STD = 0.5, 0.25  # of uint8 images whose owner declares no constants


def refuse_larger(source: str, pixels: int) -> None:
    """Refuse images before they are read into memory.

    Args:
        source: the `data` parameter as it was given.
        pixels: how many numbers all images hold together.
    """
    if 4 * pixels > LARGEST:
        size = f"{4 * pixels / 2**30:.1f} GiB as float32"
        raise BadInput("data", source, f"images of at most {LARGEST / 2**30:.0f} GiB as float32; these take {size}")


def checked(
    source: str,
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    classes: tuple[str, ...] | None = None,
    *,
    licence: str,
    public: bool,
    mean: float | None = None,
    std: float | None = None,
) -> Dataset:
    """A Dataset from arrays that nobody vouches for.

    Args:
        source: the `data` parameter as it was given, for error messages.
        name: the data set's short name.
        x: [n, d], [n, height, width] or [n, height, width, channels]; whole numbers 0 to 255, or finite floats, which
            are taken as they are unless `mean` and `std` say otherwise. Only the type decides which, never the values.
        y: whole numbers [n]. With `classes`, each is the place of a class; without, 0 to k - 1 must all be in use.
        classes: the names of the classes.
        licence, public, mean, std: as in `Dataset`.

    Raises:
        BadInput: what is wrong with `data` and what would have been accepted.
    """

    def require(condition: bool | np.bool_, allowed: str) -> None:
        if not condition:
            raise BadInput("data", source, allowed)

    shapes = "images x of shape [n, d], [n, height, width] or [n, height, width, channels] with 1 or 3 channels"
    require(x.ndim in (2, 3) or (x.ndim == 4 and x.shape[3] in (1, 3)), f"{shapes}; x has {list(x.shape)}")
    require(0 not in x.shape[1:], f"{shapes}, none of them 0; x has {list(x.shape)}")
    require(y.shape == x.shape[:1], f"one label for each image: y of shape [{len(x)}], not {list(y.shape)}")
    require(len(x) >= MINIMUM, f"at least {MINIMUM} examples; there are {len(x)}")
    refuse_larger(source, x.size)

    whole = np.issubdtype(x.dtype, np.integer)
    require(whole or np.issubdtype(x.dtype, np.floating), f"images of whole numbers or floats, not {x.dtype}")
    if whole:
        require(x.min() >= 0 and x.max() <= 255, f"whole numbers from 0 to 255; there are {x.min()} to {x.max()}")
    else:
        require(np.isfinite(x).all(), "finite numbers; there is a NaN or an infinity")
        require(np.abs(x).max() <= np.finfo(np.float32).max, "numbers that float32 can hold")

    require(np.issubdtype(y.dtype, np.integer), f"labels y of whole numbers, not {y.dtype}")
    used = np.unique(y)
    require(len(used) >= 2, f"at least two classes; every label is {used[0]}")
    if classes is None:
        classes = tuple(str(place) for place in range(len(used)))
        require((used == np.arange(len(used))).all(), f"labels 0 to k - 1, each in use; there are {_few(used)}")
    last = len(classes) - 1
    require(used[0] >= 0 and used[-1] <= last, f"labels 0 to {last}, the classes named; there are {_few(used)}")

    mean = (MEAN if whole else 0.0) if mean is None else mean
    std = (STD if whole else 1.0) if std is None else std
    require(np.isfinite(mean), f"a finite mean, not {mean}")
    require(np.isfinite(std) and std > 0, f"a finite std above 0, not {std}")
    images = _channels_first(x).astype(np.uint8 if whole else np.float32)
    return Dataset(name, images, y.astype(np.int64), classes, licence, public, mean, std)


def _channels_first(x: np.ndarray) -> np.ndarray:
    if x.ndim == 2:
        return x[:, None, None, :]
    if x.ndim == 3:
        return x[:, None]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _few(labels: np.ndarray) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return shown if len(labels) <= 5 else f"{shown}, ... {labels[-1]}"
