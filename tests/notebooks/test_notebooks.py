"""The notebooks as they lie in git: one shape, no outputs, parameters that are the Spec's."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from labkit import experiments
from tools.parameters import cells, source
from widgets.controls import Controls

FOLDER = Path(__file__).parents[2] / "notebooks"
NUMBERS = ("00", "01", "02", "03", "04", "05")
NAMES = ("00_tour", "01_random_search")


@pytest.fixture(params=NUMBERS)
def number(request) -> str:
    return request.param


@pytest.fixture
def experiment(number):
    return experiments.get(number)


@pytest.fixture
def notebook(experiment) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{experiment.notebook}.ipynb", as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[ast.Module]:
    return [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_belongs_to_an_experiment():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(
        experiments.get(key).notebook for key in experiments.names()
    )
    assert set(NAMES) <= {experiments.get(key).notebook for key in experiments.names()}


def test_it_is_valid_and_names_a_kernel_that_everybody_has(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_holds_no_output(notebook):
    assert "widgets" not in notebook.metadata
    assert "papermill" not in notebook.metadata
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}


def test_the_parameters_are_the_specs_fields_and_all_are_none(notebook, experiment):
    (cell,) = cells(notebook)
    named = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.AnnAssign)
        named[statement.target.id] = statement.value.value
    assert list(named) == list(experiment.spec.model_fields)
    assert set(named.values()) == {None}
    assert cell.source == source(experiment.spec), "run `make parameters`"


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_parameter_has_a_place_in_the_panel(experiment, preset):
    spec = experiment.spec.of(preset=preset, device="cpu")
    fields = Controls(spec, hidden=("store",)).fields
    assert fields.keys() == experiment.spec.controls().keys() - {"store"}


def test_it_has_one_panel_and_ends_in_claims(notebook):
    calls = [
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for tree in code(notebook)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]
    assert calls.count("LivePanel") == 1
    assert calls.count("claims") == 1
    assert calls[-1] == "claims"


def test_every_figure_is_one_of_the_experiments(notebook, experiment):
    figures = [
        node.args[0].value
        for tree in code(notebook)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "figure"
    ]
    assert figures
    assert set(figures) <= set(experiment.charts)


def test_no_cell_trains_or_defines(notebook):
    for tree in code(notebook):
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.For, ast.While, ast.ClassDef, ast.AsyncFunctionDef))
            assert not isinstance(node, ast.FunctionDef) or node.end_lineno - node.lineno < 5


@pytest.mark.parametrize("heading", ["## What to try next", "## References"])
def test_it_leads_on(notebook, heading):
    assert any(heading in cell.source.splitlines() for cell in notebook.cells if cell.cell_type == "markdown")
