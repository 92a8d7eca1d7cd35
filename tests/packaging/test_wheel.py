from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = (".py", ".js", ".css", ".gz", ".xz", ".txt", ".json", ".safetensors")
VENDORED = ("fashion-mnist", "flights13", "mnist-5k", "movies", "svhn-cnn")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """The names in a wheel built from a copy: in the tree itself, an older build would be swept in."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("labkit", "widgets"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "built", "."]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (built,) = (tree / "built").glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_every_source_file_is_inside(wheel):
    ours = [
        path.relative_to(ROOT).as_posix()
        for folder in ("labkit", "widgets")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES or path.name == "py.typed"
    ]
    vendored = ("t10k-images-idx3-ubyte.gz", "flights13.xz", "mnist-5k.xz", "svhn-cnn.safetensors")
    assert {f"labkit/data/files/{name}" for name in vendored} <= set(ours)
    assert set(ours) <= set(wheel)


def test_nothing_else_is(wheel):
    assert {name.split("/")[0] for name in wheel} == {"labkit", "widgets", "labkit-0.1.0.dist-info"}


def test_every_licence_is_inside(wheel):
    licences = [name for name in wheel if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in licences} == {"LICENSE", *(f"LICENSE-{data}.txt" for data in VENDORED)}
