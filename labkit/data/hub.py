"""Image data sets of the Hugging Face Hub: fetched once on request, read from the copy ever after."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from labkit.data import npz
from labkit.data.checks import checked
from labkit.data.dataset import Dataset
from labkit.errors import BadInput

NAME = re.compile(r"hub:([A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)")


def copy_path(name: str, folder: str = "hub") -> Path:
    """Where the copy of `hub:NAME` lies, whether it is there or not.

    Args:
        folder: of the cache; another one for each kind of data.

    Raises:
        BadInput: NAME cannot be a data set's name.
    """
    import platformdirs

    matched = NAME.fullmatch(name)
    if matched is None:
        raise BadInput("data", name, "hub:NAME or hub:OWNER/NAME, as the Hub spells it")
    return platformdirs.user_cache_path("labkit") / folder / f"{matched[1].replace('/', '--')}.npz"


def load(name: str) -> Dataset:
    """Read the copy of `hub:NAME`; this never downloads.

    Raises:
        BadInput: it has not been fetched, or its copy cannot be used.
    """
    path = copy_path(name)
    if not path.is_file():
        raise BadInput("data", name, f"a data set fetched before; `labkit fetch {name}` downloads this one")
    return npz.load(path, source=name, name=name.removeprefix("hub:"), licence="as the Hub's page says", public=True)


def fetch(name: str) -> Path:
    """Download the train split of `hub:NAME` and keep its images and labels as one .npz file.

    The first column of type Image and the first of type ClassLabel are taken. Code of the data set is never run.

    Returns:
        where the copy lies.

    Raises:
        BadInput: the extra [hub] is not installed, the Hub does not answer, it has no such data set, or the data set is
            no labelled images of one size.
    """
    path, wanted = copy_path(name), name.removeprefix("hub:")
    if Path(wanted).exists():  # the package would read that instead, and private files would count as public
        raise BadInput("data", name, f"a folder without a file or folder called {wanted}: change directory")
    try:
        import datasets
    except ImportError as error:
        raise BadInput("data", name, "with the extra [hub] installed: pip install 'labkit[hub]'") from error
    try:
        table = datasets.load_dataset(wanted, split="train")
    except (OSError, ValueError, RuntimeError) as error:  # offline, unknown, private, or only to be had by running code
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput("data", name, f"a data set that the Hub gives out now; it answered: {reason[0]}") from error
    image = _column(table, datasets.Image)
    label = _column(table, datasets.ClassLabel)
    if image is None or label is None:
        raise BadInput("data", name, f"an image column and a label column; there are {', '.join(table.features)}")
    pictures = [
        np.asarray(picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")) for picture in table[image]
    ]
    if len({picture.shape for picture in pictures}) > 1:
        raise BadInput("data", name, "images of one size and one colour mode")
    x, y, classes = np.stack(pictures), np.asarray(table[label]), tuple(table.features[label].names)
    checked(name, name, x, y, classes, licence="", public=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npz")
    np.savez_compressed(unfinished, x=x, y=y, classes=np.array(classes))
    unfinished.replace(path)
    return path


def _column(table: object, kind: type) -> str | None:
    return next((column for column, feature in table.features.items() if isinstance(feature, kind)), None)
