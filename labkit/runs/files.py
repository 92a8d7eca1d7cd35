"""Tensors on disk: safetensors files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import StoreError

if TYPE_CHECKING:
    from torch import Tensor

ENDING = ".safetensors"
PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def plain_name(name: str) -> str:
    """The name of a file or folder, when it is nothing more: no way to another folder, nothing hidden.

    Raises:
        StoreError: it is more.
    """
    if not PLAIN.fullmatch(name):
        raise StoreError(f"the store names a file {name!r}, which could lie outside of it, and is not believed")
    return name


def write_tensors(folder: Path, kind: str, key: str, tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """Store tensors under a name made from kind, key and contents.

    Written to a temporary name, flushed to the disk, then renamed: a kill at any moment leaves the old state.

    Returns:
        The file's name inside `folder`, and the sha256 of its bytes.

    Raises:
        StoreError: the disk refused.
    """
    import torch
    from safetensors.torch import save

    # Clones, since safetensors refuses tensors that share memory (two rows of one population).
    data = save({n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    unique = hashlib.sha256(f"{key}\0{digest}".encode()).hexdigest()[:12]
    name = f"{kind}-{re.sub(r'[^A-Za-z0-9_.]+', '_', key)[:60]}-{unique}{ENDING}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, data)
    except OSError as error:
        raise StoreError(f"{folder / name}: {error.strerror}") from error
    return name, digest


def write_atomically(path: Path, data: bytes) -> None:
    """Put data at a path in one step, durable when this returns; who may read a file that is there stays as it was."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    entry = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU.

    Raises:
        StoreError: the file is gone or its bytes are not those that were stored.
    """
    from safetensors.torch import load

    return load(read_bytes(path, sha256))


def read_bytes(path: Path, sha256: str) -> bytes:
    """The bytes of a stored file.

    Raises:
        StoreError: as `read_tensors`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; `labkit rm {path.parent.parent.name}` removes the run") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StoreError(f"{path} was altered or is truncated; `labkit rm {path.parent.parent.name}` removes the run")
    return data


def remove_all_but(folder: Path, kept: Iterable[str]) -> None:
    """Delete what no row of the store names: files of a process that was killed between file and row."""
    kept = set(kept)
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in kept:
                remove(path)


def remove(path: Path) -> None:
    """Delete a file, if it is there.

    Raises:
        StoreError: the disk refused.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def remove_folder(folder: Path, above: Path) -> None:
    """Delete a replicate's folder and, up to `above`, the folders that this leaves empty."""
    remove_all_but(folder, ())
    while folder != above and folder.is_dir() and not any(folder.iterdir()):
        with contextlib.suppress(OSError):  # another process may have put something in meanwhile
            folder.rmdir()
        folder = folder.parent
