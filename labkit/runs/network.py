"""Whether a store lies on a network file system, where SQLite's locks may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Protocol

import psutil

# Names as mount(8) and getmntent(3) give them, in small letters.
NETWORK = {
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "juicefs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "webdav",
}  # fmt: skip
FUSE = "fuse."


class Mount(Protocol):
    """A row of the mount table, as psutil gives it."""

    mountpoint: str
    fstype: str


def _table() -> Iterable[Mount]:
    try:
        return psutil.disk_partitions(all=True)
    except OSError:  # a system that shows no mount table, as some containers do: nothing is known
        return ()


def network_warning(folder: Path, table: Callable[[], Iterable[Mount]] = _table) -> str:
    """What to fear of a store in this folder, in one line with what to do; empty on a local disk.

    Args:
        folder: of the store; it need not be there yet.
        table: the mounted file systems, a later one over an earlier one.
    """
    place = folder.resolve()
    over = [mount for mount in table() if place.is_relative_to(PurePath(mount.mountpoint))]
    # Of two at the same place the later one hides the other: max() keeps the first of equals.
    nearest = max(reversed(over), key=lambda mount: len(PurePath(mount.mountpoint).parts), default=None)
    kind = nearest.fstype.lower().removeprefix(FUSE) if nearest else ""
    if kind not in NETWORK:
        return ""
    return (
        f"the store {folder} lies on a network file system ({nearest.fstype} at {nearest.mountpoint}), where SQLite's "
        "locks may fail and two machines may spoil it: choose a folder on a local disk with --store or $LABKIT_STORE, "
        "and copy it when nothing runs"
    )
