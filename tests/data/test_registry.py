from __future__ import annotations

import subprocess
import sys

import pytest

from labkit.data import load, names
from labkit.errors import BadInput


def test_every_name_loads_and_is_offered():
    assert names() == ("fashion_mnist", "mnist_5k", "digits")
    for name in names():
        assert load(name).public


@pytest.mark.parametrize("name", ["", "mnist", "missing.npz", "/nowhere", __file__, "FASHION_MNIST"])
def test_an_unknown_name_is_told_what_there_is(name):
    with pytest.raises(BadInput, match="fashion_mnist, mnist_5k, digits, hub:NAME, or the path") as caught:
        load(name)
    assert caught.value.value == name


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    with pytest.raises(BadInput, match="two classes"):
        load("~/pictures")


def test_importing_the_room_loads_no_torch():
    loaded = "import sys, labkit.data; print([m for m in ('torch', 'scipy', 'sklearn', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
