"""The user's own pictures: a folder with one sub-folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labkit.data.checks import checked, refuse_larger
from labkit.data.dataset import Dataset
from labkit.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def load(path: Path, *, source: str = "") -> Dataset:
    """Read every picture; the class is its sub-folder's name, in alphabetical order.

    Args:
        path: the folder. Files whose names begin with a dot are left alone.
        source: the `data` parameter as it was given, for error messages; the path by default.

    Raises:
        BadInput: no or one sub-folder, a file that is no picture, pictures of different sizes, too few of them.
    """
    from PIL import Image, UnidentifiedImageError

    source = source or str(path)
    classes = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(classes) < 2:
        raise BadInput("data", source, f"at least two classes, a sub-folder for each; there are {len(classes)}")
    found = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((path / name).iterdir())
        if file.name[0] != "."
    ]
    pictures, size, grey = [], None, True
    for file, _ in found:
        shown = f"{file.parent.name}/{file.name}"
        if file.suffix.lower() not in SUFFIXES:
            raise BadInput("data", source, f"pictures alone ({', '.join(SUFFIXES)}); {shown} is none")
        try:
            with Image.open(file) as picture:
                size = size or picture.size
                if picture.size != size:
                    raise BadInput("data", source, f"pictures of one size; {shown} is {picture.size}, others {size}")
                if picture.mode not in GREY + COLOUR:
                    raise BadInput("data", source, f"pictures of 8 bits a channel; {shown} has mode {picture.mode}")
                if not pictures:
                    refuse_larger(source, 3 * size[0] * size[1] * len(found))
                grey = grey and picture.mode in GREY
                pictures.append(np.asarray(picture.convert("RGB")))
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise BadInput("data", source, f"pictures that can be read; {shown} cannot: {error}") from error
    x = np.stack(pictures) if pictures else np.empty((0, 1, 1, 3), np.uint8)
    y = np.array([label for _, label in found], dtype=np.int64)
    # A grey picture holds the same number in all three channels.
    x = x[..., :1] if grey else x
    return checked(source, path.resolve().name, x, y, classes, licence="the user's own", public=False)
