from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import BadInput, LabError
from labkit.runs import location

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    monkeypatch.delenv("LABKIT_NOTEBOOKS", raising=False)


def test_the_store_as_given_then_the_variable_then_the_checkout(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert location.store_path() == TOP / "store"
    monkeypatch.setenv("LABKIT_STORE", str(tmp_path / "variable"))
    assert location.store_path() == tmp_path / "variable"
    assert location.store_path("given") == tmp_path / "given"
    assert location.store_path("~/given") == Path.home() / "given"


def test_installed_elsewhere(monkeypatch, tmp_path):
    (tmp_path / "site-packages" / "labkit").mkdir(parents=True)
    monkeypatch.setattr("labkit.__file__", str(tmp_path / "site-packages" / "labkit" / "__init__.py"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert location.checkout() is None
    assert location.store_path().name == "store"
    assert not location.store_path().is_relative_to(TOP)
    with pytest.raises(LabError, match="set LABKIT_NOTEBOOKS"):
        location.notebooks_path()


def test_the_notebooks(monkeypatch, tmp_path):
    assert location.notebooks_path() == TOP / "notebooks"
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path))
    assert location.notebooks_path() == tmp_path
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="LABKIT_NOTEBOOKS"):
        location.notebooks_path()
