"""Which name reads which data. A new data set is a loader in its own file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labkit.data import digits, fashion_mnist, folder, hub, mnist, npz
from labkit.data.dataset import Dataset
from labkit.errors import BadInput

LOADERS: dict[str, Callable[[], Dataset]] = {
    "fashion_mnist": fashion_mnist.load,
    "mnist_5k": mnist.load,
    "digits": digits.load,
}


def names() -> tuple[str, ...]:
    """The data sets that need neither a path nor a download."""
    return tuple(LOADERS)


def load(name: str) -> Dataset:
    """The data set that the `data` parameter names.

    Args:
        name: one of `names()`, `hub:NAME` (fetched before), or the path of an .npz file or image folder.

    Raises:
        BadInput: there is no such data set, or it cannot be used; nothing is ever downloaded here.
    """
    if name in LOADERS:
        return LOADERS[name]()
    if name.startswith("hub:"):
        return hub.load(name)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return folder.load(path, source=name)
    if path.suffix == ".npz" and path.is_file():
        return npz.load(path, source=name)
    allowed = f"{', '.join(LOADERS)}, hub:NAME, or the path of an .npz file or image folder that exists"
    raise BadInput("data", name, allowed)
