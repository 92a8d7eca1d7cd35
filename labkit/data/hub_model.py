"""Models of the Hugging Face Hub: the files that a model is made of, and nothing that would have to be run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from labkit.data.copies import answering, new_folder
from labkit.data.models import TOKENIZERS, WEIGHTS, check_folder

FILES = ("*.json", "merges.txt", *TOKENIZERS, WEIGHTS, "README.md", "LICENSE*")


def fetch(folder: Path, name: str, repository: str, check: Callable[[Path, str], None] = check_folder) -> None:
    """Download the model's files into its folder, which is there whole or not at all.

    Weights that would have to be unpickled and the repository's own code are left on the Hub.

    Args:
        folder: where to.
        name: the `model` parameter, for error messages.
        repository: OWNER/NAME.
        check: what refuses a folder of another kind.

    Raises:
        BadInput: the Hub does not answer, has no such model, or the model has no weights in safetensors.
    """
    from huggingface_hub import snapshot_download

    with new_folder(folder) as unfinished:
        with answering("model", name):
            snapshot_download(repository, local_dir=unfinished, allow_patterns=list(FILES))
        shutil.rmtree(unfinished / ".cache", ignore_errors=True)  # the client's notes about the download
        check(unfinished, name)
