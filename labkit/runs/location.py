"""Where results and notebooks are."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

import labkit
from labkit.errors import BadInput, LabError


def store_path(given: str = "") -> Path:
    """The folder of the store: as given, $LABKIT_STORE, store/ of the checkout, or the user's data folder."""
    chosen = given or os.environ.get("LABKIT_STORE", "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    top = checkout()
    return top / "store" if top else platformdirs.user_data_path("labkit") / "store"


def notebooks_path() -> Path:
    """The folder of the notebooks: $LABKIT_NOTEBOOKS, else notebooks/ of the checkout.

    Raises:
        BadInput: $LABKIT_NOTEBOOKS is no folder.
        LabError: labkit is installed without its notebooks and the variable is not set.
    """
    chosen = os.environ.get("LABKIT_NOTEBOOKS", "")
    if chosen:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise BadInput("LABKIT_NOTEBOOKS", chosen, "a folder that holds the notebooks")
        return folder
    top = checkout()
    if top is None:
        raise LabError("labkit is installed without its notebooks: set LABKIT_NOTEBOOKS to a folder that holds them")
    return top / "notebooks"


def checkout() -> Path | None:
    """The top of the checkout that this package runs from; None where it is installed elsewhere."""
    top = Path(labkit.__file__).resolve().parent.parent
    return top if (top / "notebooks").is_dir() and (top / "pyproject.toml").is_file() else None
