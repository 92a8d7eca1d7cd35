"""A store on a network file system is said, in one line, by whoever opens it."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import cli, experiments
from labkit.runs.network import NETWORK, network_warning

Mount = namedtuple("Mount", "device mountpoint fstype opts", defaults=("",))
TABLE = [
    Mount("/dev/sda1", "/", "ext4"),
    Mount("server:/home", "/home", "nfs4"),
    Mount("/dev/sdb1", "/home/me/scratch", "xfs"),
    Mount("me@host:", "/mnt/far", "fuse.sshfs"),
    Mount("//server/share", "/mnt/share", "cifs"),
    Mount("host", "/mnt/host", "9p"),
    Mount("tmpfs", "/mnt/over", "nfs"),
    Mount("tmpfs", "/mnt/over", "tmpfs"),
    Mount("tmpfs", "/mnt/under", "tmpfs"),
    Mount("tmpfs", "/mnt/under", "nfs"),
]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/store", ""),
        ("/home/me/store", "nfs4 at /home)"),
        ("/homework/store", ""),
        ("/home/me/scratch/store", ""),
        ("/home/me/scratchy", "nfs4 at /home)"),
        ("/mnt/far", "fuse.sshfs at /mnt/far)"),
        ("/mnt/share/a/b/c", "cifs at /mnt/share)"),
        ("/mnt/host/x", "9p at /mnt/host)"),
        ("/mnt/over/x", ""),
        ("/mnt/under/x", "nfs at /mnt/under)"),
        ("/mnt/far/../../srv", ""),
    ],
)
def test_the_innermost_and_latest_mount_decides(folder, kind):
    said = network_warning(Path(folder), lambda: TABLE)
    assert kind in said
    assert bool(said) == bool(kind)
    assert len(said.splitlines()) <= 1
    assert not said or "--store or $LABKIT_STORE" in said


@given(st.sampled_from(sorted(NETWORK)), st.permutations(range(3)), st.booleans())
def test_neither_the_order_of_the_table_nor_capitals_matter(kind, order, fuse):
    table = [
        Mount("a", "/", "ext4"),
        Mount("b", "/x", f"{'fuse.' if fuse else ''}{kind.upper()}"),
        Mount("c", "/y", "xfs"),
    ]
    table = [table[place] for place in order]
    assert network_warning(Path("/x/store"), lambda: table)
    assert not network_warning(Path("/y/store"), lambda: table)


def test_a_link_to_a_network_disk_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    table = [Mount("d", "/", "ext4"), Mount("s", str((tmp_path / "far").resolve()), "nfs")]
    assert network_warning(tmp_path / "near" / "store", lambda: table)
    assert not network_warning(tmp_path / "other", lambda: table)


def test_without_a_mount_table_nothing_is_said(tmp_path, monkeypatch):
    def refused(**unused):
        raise PermissionError("/proc")

    monkeypatch.setattr(psutil, "disk_partitions", refused)
    assert network_warning(tmp_path) == ""


@pytest.fixture
def far(tmp_path, monkeypatch):
    """A store on NFS, for all that the mount table says."""
    monkeypatch.setitem(experiments.MODULES, "99", "fake_experiment")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Mount("s", str(tmp_path), "nfs")])
    return tmp_path / "store"


def test_sweep_and_run_say_it_once_and_go_on(far, capsys, monkeypatch):
    arguments = ["-p", "steps", "3", "-p", "seeds", "1", "--device", "cpu", "--store", str(far)]
    assert cli.main(["sweep", "99", *arguments]) == 0
    err = capsys.readouterr().err
    assert err.count(f"labkit: warning: the store {far} lies on a network file system (nfs at") == 1
    (far.parent / "notebooks").mkdir()
    (far.parent / "notebooks" / "99_fake.ipynb").touch()
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(far.parent / "notebooks"))
    assert cli.main(["run", "99", *arguments, "--dry-run"]) == 0
    assert capsys.readouterr().err.count("network file system") == 1


def test_doctor_says_it(far, capsys, monkeypatch):
    assert cli.main(["doctor", "--store", str(far)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("store's disk")]
    assert "network file system" in line
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Mount("s", "/", "ext4")])
    assert cli.main(["doctor", "--store", str(far)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("store's disk")]
    assert line.split() == ["store's", "disk", "local"]
