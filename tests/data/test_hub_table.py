from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from labkit.data import hub_table
from labkit.data.hashing import hashed, wide_hash
from labkit.data.table import check_ids, private_vocabulary
from labkit.data.tables import load_table
from labkit.errors import BadInput


def rows(n: int = 120) -> list[dict]:
    return [{"label": i % 2, "I1": i if i % 5 else None, "C1": f"{i % 9:08x}" if i % 4 else None} for i in range(n)]


@pytest.fixture
def the_hub(monkeypatch, tmp_path):
    """An empty cache, and a Hub that streams what is put in `.rows`; `.told` is what a fetch told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    module = ModuleType("datasets")
    module.rows, module.error, module.asked, module.told = rows(), None, [], []

    def load_dataset(name: str, split: str, streaming: bool) -> object:
        module.asked.append((name, split, streaming))
        if module.error:
            raise module.error
        return iter(module.rows)

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def test_fetched_once_then_read_without_the_hub(the_hub, monkeypatch):
    path = hub_table.fetch("hub:own/clicks", the_hub.told.append)
    assert hub_table.fetch("hub:own/clicks", the_hub.told.append) == path
    assert the_hub.asked == [("own/clicks", "train", True)]
    monkeypatch.setitem(sys.modules, "datasets", None)  # not installed any more
    table = load_table("hub:own/clicks")
    assert (table.name, table.columns, len(table), table.public) == ("own/clicks", ("I1", "C1"), 120, True)
    assert table.ids[0].tolist() == [wide_hash("I1", "0"), wide_hash("C1", "")]  # both are missing
    assert table.ids[7].tolist() == [wide_hash("I1", str(6 + 3)), wide_hash("C1", "00000007")]  # log(7)^2 is 3.8
    assert table.labels[:2].tolist() == [0, 1]
    assert private_vocabulary(table)
    check_ids(hashed(table, 100))
    assert the_hub.told == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_long_table_is_cut_and_that_is_said(the_hub, monkeypatch):
    monkeypatch.setattr(hub_table, "MOST", 110)
    hub_table.fetch("hub:own/clicks", the_hub.told.append)
    assert the_hub.told == ["kept the first 110 rows of own/clicks"]
    assert len(load_table("hub:own/clicks")) == 110


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (rows(99), "at least 100 rows; there are 99"),
        ([{"late": row["label"], "C1": row["C1"]} for row in rows()], "label or click.*; there are late, C1"),
        ([{"label": row["label"]} for row in rows()], "columns beside label"),
        ([row | {"label": 1} for row in rows()], "labels of both kinds; every label is 1"),
        ([row | {"label": i} for i, row in enumerate(rows())], "labels 0 and 1 in label; there is 99"),
        ([row | {"I1": 0.5} for row in rows()], "whole numbers in column I1"),
    ],
)
def test_tables_of_another_form_leave_nothing(the_hub, changed, line):
    the_hub.rows = changed
    with pytest.raises(BadInput, match=line) as caught:
        hub_table.fetch("hub:own/clicks", the_hub.told.append)
    assert "\n" not in str(caught.value)
    assert not hub_table.copy_path("hub:own/clicks").parent.exists()


def test_not_fetched_says_how(the_hub):
    with pytest.raises(BadInput, match="`labkit fetch hub:own/clicks --as table`"):
        load_table("hub:own/clicks")
    assert the_hub.asked == []


def test_a_broken_copy_is_named(the_hub):
    path = hub_table.fetch("hub:own/clicks", the_hub.told.append)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match=r"delete own--clicks\.npz"):
        load_table("hub:own/clicks")
    np.savez(path, ids=np.zeros((3, 1)))
    with pytest.raises(BadInput, match=r"delete own--clicks\.npz"):
        load_table("hub:own/clicks")


def test_a_local_folder_never_passes_for_a_published_table(the_hub, tmp_path):
    (tmp_path / "own" / "clicks").mkdir(parents=True)
    with pytest.raises(BadInput, match="called own/clicks"):
        hub_table.fetch("hub:own/clicks", the_hub.told.append)
    assert the_hub.asked == []


def test_the_hub_says_no_or_is_not_installed(the_hub, monkeypatch):
    the_hub.error = ConnectionError("no route\nto host")
    with pytest.raises(BadInput, match=r"answered: no route$") as caught:
        hub_table.fetch("hub:own/clicks", the_hub.told.append)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match=r"labkit\[hub\]"):
        hub_table.fetch("hub:own/clicks", the_hub.told.append)


@pytest.mark.parametrize("name", ["hub:", "hub:../x", "hub:a/b/c", "hub:a/.."])
def test_a_name_that_could_leave_the_cache_is_refused(the_hub, name):
    for call in (load_table, lambda name: hub_table.fetch(name, the_hub.told.append)):
        with pytest.raises(BadInput, match="hub:OWNER/NAME"):
            call(name)
    assert the_hub.asked == []
