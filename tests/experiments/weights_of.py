"""Trained weights taken out of a store by the command line, and what a card says, read back from it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.cli import main
from labkit.runs import Store
from labkit.runs.reader import key_of

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
CELL = re.compile(r"^\| (.+?) \| (.+?) \|$", re.MULTILINE)


def export(store: Store, row: Mapping[str, Any], folder: Path, *options: str) -> int:
    """The exit code of `labkit export --weights` for one replicate of a store."""
    called = f"{row['seed']}-{row['device_kind']}"
    asked = ["--replicate", called, "-o", str(folder), "--store", str(store.path)]
    return main(["export", row["name"], "--weights", *asked, *options])


def place(folder: Path, row: Mapping[str, Any], what: str) -> Path:
    """Where the weights of one replicate lie."""
    return folder / row["name"] / f"{row['seed']}-{row['device_kind']}" / what


def run_card(folder: Path, **given: Any) -> dict[str, Any]:
    """The names that the card's own code leaves behind, run in its folder."""
    (code,) = CODE.findall((folder / "README.md").read_text(encoding="utf-8"))
    names, before = dict(given), Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(code, "README.md", "exec"), names)
    finally:
        os.chdir(before)
    return names


def said(folder: Path, title: str) -> dict[str, str]:
    """The cells of the tables below a title of the card, by what stands before them."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return dict(CELL.findall(section))


def replicates(store: Store, **wanted: Any) -> list[dict[str, Any]]:
    """The replicates whose Spec holds these values, with the values of their only result."""
    found = []
    for row in store.replicates():
        if all(row["spec"][name] == value for name, value in wanted.items()):
            results = [r for r in store.results(row["name"]) if r["seed"] == row["seed"]]
            found.append(row | {"key": key_of(row), "results": {r["arm"]: r for r in results}})
    return found
