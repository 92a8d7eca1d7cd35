from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.errors import StoreError
from labkit.runs import files


def test_tensors_come_back_bit_for_bit(tmp_path):
    tensors = {
        "float": torch.tensor([0.1, float("nan"), -0.0]),
        "double": torch.tensor(1 / 3, dtype=torch.float64),
        "half": torch.ones(2, 3, dtype=torch.bfloat16),
        "generator": torch.Generator().manual_seed(3).get_state(),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
    }
    name, digest = files.write_tensors(tmp_path / "new", "chunk", "arm/0", tensors)
    back = files.read_tensors(tmp_path / "new" / name, digest)
    assert set(back) == set(tensors)
    for key, tensor in tensors.items():
        assert back[key].dtype == tensor.dtype
        assert back[key].shape == tensor.shape
        assert back[key].flatten().view(torch.uint8).equal(tensor.flatten().view(torch.uint8))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_views_of_one_tensor_are_kept_apart(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    name, digest = files.write_tensors(tmp_path, "chunk", "k", {"row": base[1], "column": base[:, 2], "turned": base.T})
    back = files.read_tensors(tmp_path / name, digest)
    assert back["column"].tolist() == [2, 6, 10]
    assert back["turned"].equal(base.T)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(key=st.text(max_size=300))
def test_any_key_makes_a_file_name(tmp_path, key):
    name, _ = files.write_tensors(tmp_path, "chunk", key, {})
    assert (tmp_path / name).parent == tmp_path
    assert len(name) < 100


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_a_changed_file_is_refused(tmp_path, change):
    name, digest = files.write_tensors(tmp_path, "chunk", "k", {"x": torch.ones(3)})
    (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    with pytest.raises(StoreError, match="altered or is truncated"):
        files.read_tensors(tmp_path / name, digest)


def test_a_full_disk_is_a_store_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*unused):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        files.write_tensors(tmp_path, "chunk", "k", {"x": torch.ones(3)})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")

    def interrupted(*unused):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_remove_folder_keeps_what_is_not_empty(tmp_path):
    (tmp_path / "files" / "run" / "0-cpu").mkdir(parents=True)
    (tmp_path / "files" / "run" / "1-cpu").mkdir()
    (tmp_path / "files" / "run" / "0-cpu" / "x").touch()
    files.remove_folder(tmp_path / "files" / "run" / "0-cpu", above=tmp_path / "files")
    assert [path.name for path in (tmp_path / "files" / "run").iterdir()] == ["1-cpu"]
    files.remove_folder(tmp_path / "files" / "run" / "1-cpu", above=tmp_path / "files")
    assert list((tmp_path / "files").iterdir()) == []
