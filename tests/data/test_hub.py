from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType

import pytest
from PIL import Image as Pictures

from labkit.data import hub, load, split
from labkit.errors import BadInput


class Image:
    pass


@dataclass
class ClassLabel:
    names: list[str] = field(default_factory=lambda: ["cat", "dog"])


class Table:
    """The few members of `datasets.Dataset` that fetching uses."""

    def __init__(self, columns: dict, features: dict) -> None:
        self.columns, self.features = columns, features

    def __getitem__(self, column: str) -> list:
        return self.columns[column]


def pictures(n: int = 100, size: tuple[int, int] = (4, 3)) -> list:
    return [Pictures.new("L", size, i) for i in range(n)]


TABLE = Table(
    {"id": [""] * 100, "image": pictures(), "label": [i % 2 for i in range(100)]},
    {"id": str, "image": Image(), "label": ClassLabel()},
)


@pytest.fixture
def the_hub(monkeypatch, tmp_path):
    """An empty cache, and a hub that answers with what is put in `.answer`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = ModuleType("datasets")
    module.Image, module.ClassLabel, module.answer, module.asked = Image, ClassLabel, TABLE, []

    def load_dataset(name: str, split: str) -> Table:
        module.asked.append((name, split))
        if isinstance(module.answer, Exception):
            raise module.answer
        return module.answer

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def test_fetched_once_then_read_without_the_hub(the_hub, monkeypatch):
    path = hub.fetch("hub:owner/pets")
    assert path.name == "owner--pets.npz"
    assert the_hub.asked == [("owner/pets", "train")]
    monkeypatch.setitem(sys.modules, "datasets", None)  # not installed any more
    pets = load("hub:owner/pets")
    assert pets.images.shape == (100, 1, 3, 4)
    assert pets.images[7, 0, 0, 0] == 7
    assert pets.labels.tolist() == [0, 1] * 50
    assert pets.classes == ("cat", "dog")
    assert pets.public
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_colours_under_other_column_names(the_hub):
    # uoft-cs/cifar10 calls them img and label; uoft-cs/cifar100 has two labels, of which the first, finer one is meant
    colours = [Pictures.new("RGB", (32, 32), (i, 2 * i, 255 - i)) for i in range(100)]
    columns = {"img": colours, "fine_label": [i % 4 for i in range(100)], "coarse_label": [i % 2 for i in range(100)]}
    features = {
        "img": Image(),
        "fine_label": ClassLabel(["airplane", "ship", "cat", "dog"]),
        "coarse_label": ClassLabel(),
    }
    the_hub.answer = Table(columns, features)
    hub.fetch("hub:uoft-cs/cifar100")
    found = load("hub:uoft-cs/cifar100")
    assert found.images.shape == (100, 3, 32, 32)
    assert found.images[7, :, 5, 5].tolist() == [7, 14, 248]
    assert (found.classes[2], found.labels[:5].tolist()) == ("cat", [0, 1, 2, 3, 0])
    parts = split(found, split_seed=0)
    seen = parts.pixels(parts.train)
    assert (seen * 255 - (seen * 255).round()).abs().max() < 1e-3


def test_not_fetched_says_how(the_hub):
    with pytest.raises(BadInput, match="labkit fetch hub:pets"):
        load("hub:pets")
    assert the_hub.asked == []


def test_a_local_folder_never_passes_for_a_published_data_set(the_hub, monkeypatch, tmp_path):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="called pets"):
        hub.fetch("hub:pets")
    assert the_hub.asked == []


def test_the_extra_is_missing(the_hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match=r"labkit\[hub\]"):
        hub.fetch("hub:pets")


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), FileNotFoundError("unknown"), ValueError("")])
def test_the_hub_says_no(the_hub, error):
    the_hub.answer = error
    with pytest.raises(BadInput, match=r"hub:pets.*answered") as caught:
        hub.fetch("hub:pets")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["hub:", "hub:../pets", "hub:/pets", "hub:a/b/c", "hub:pets ", "hub:a/.."])
def test_a_name_that_could_leave_the_cache_is_refused(the_hub, name):
    for call in (load, hub.fetch):
        with pytest.raises(BadInput, match="hub:OWNER/NAME"):
            call(name)
    assert the_hub.asked == []


def test_tables_that_are_no_labelled_images(the_hub):
    the_hub.answer = Table({"text": ["a"]}, {"text": str})
    with pytest.raises(BadInput, match="an image column and a label column; there are text"):
        hub.fetch("hub:pets")
    mixed = pictures(99) + pictures(1, size=(5, 5))
    the_hub.answer = Table(TABLE.columns | {"image": mixed}, TABLE.features)
    with pytest.raises(BadInput, match="one size"):
        hub.fetch("hub:pets")
    the_hub.answer = Table({"image": pictures(10), "label": [0, 1] * 5}, TABLE.features)
    with pytest.raises(BadInput, match="at least 100"):
        hub.fetch("hub:pets")
    assert not hub.copy_path("hub:pets").exists()
