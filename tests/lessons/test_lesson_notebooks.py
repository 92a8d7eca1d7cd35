"""The learner's notebooks: without an answer, harmless while empty, and right once the solutions are filled in."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from labkit import experiments, lessons
from labkit.spec import from_state, state_text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks" / "lessons"
STATE = re.compile(r"^    (\d\d(?: \S+)*)$|`(\d\d \w+=[^`]*)`", re.MULTILINE)


@pytest.fixture(params=list(lessons.LESSONS))
def number(request: pytest.FixtureRequest) -> str:
    return request.param


def path_of(number: str) -> Path:
    return FOLDER / f"{experiments.get(number).notebook}_exercises.ipynb"


def read(number: str) -> nbformat.NotebookNode:
    return nbformat.read(path_of(number), as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def printed(cells: list[str]) -> list[str]:
    """Run in this process, from top to bottom, as a kernel would."""
    names: dict[str, object] = {}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for source in cells:
            exec(compile(source, "cell", "exec"), names)
    return out.getvalue().splitlines()


def solved(number: str) -> dict[str, str]:
    """The solution's source for each name, its imports in front."""
    source = (FOLDER / "solutions" / f"{number}.py").read_text()
    body = ast.parse(source).body
    imports = "\n".join(
        ast.get_source_segment(source, one) for one in body if isinstance(one, (ast.Import, ast.ImportFrom))
    )
    found = {}
    for one in body:
        name = one.name if isinstance(one, ast.FunctionDef) else getattr(getattr(one, "targets", [None])[0], "id", "")
        if name:
            found[name] = f"{imports}\n\n\n{ast.get_source_segment(source, one)}"
    return found


def filled(notebook: nbformat.NotebookNode, number: str) -> nbformat.NotebookNode:
    """The notebook with the solution in place of each learner's lines."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "..." in cell.source:
            call = cell.source.splitlines()[-1]
            short = re.fullmatch(r'check\("\d\d\.(\w+)", (\w+)\)', call)
            assert short is not None
            assert short[1] == short[2]
            cell.source = f"{solved(number)[short[1]]}\n\n\n{call}"
    return notebook


def test_every_notebook_has_a_lesson_with_solutions() -> None:
    assert sorted(FOLDER.glob("*.ipynb")) == sorted(path_of(key) for key in experiments.names())
    assert sorted(path.stem for path in (FOLDER / "solutions").glob("*")) == list(experiments.names())


def test_it_is_valid_and_holds_no_output(number: str) -> None:
    notebook = read(number)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_its_exercises_are_the_lessons_in_order_with_their_tasks(number: str) -> None:
    notebook, exercises = read(number), lessons.lesson(number)
    called = [re.findall(r'check\("([^"]*)"', source) for source in code(notebook)]
    assert [name for names in called for name in names] == list(exercises)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for exercise in exercises.values():
        assert exercise.task in prose


def test_each_learners_cell_is_a_frame_around_one_empty_line(number: str) -> None:
    """No answer: a signature and `...`, or a name and `...`."""
    exercises = lessons.lesson(number)
    frames = [ast.parse(source).body for source in code(read(number)) if "check(" in source]
    assert len(frames) == len(exercises)
    for (frame, call), (name, exercise) in zip(frames, exercises.items(), strict=True):
        assert isinstance(call, ast.Expr)
        if exercise.takes:
            assert tuple(argument.arg for argument in frame.args.args) == exercise.takes
            (frame,) = frame.body
            assert isinstance(frame, ast.Return)
        assert ast.unparse(frame.value) == "...", name


def test_empty_it_runs_and_says_so(number: str) -> None:
    said = printed(code(read(number)))
    assert len(said) == len(lessons.lesson(number))
    assert all(line.startswith("nothing filled in yet. ") for line in said)


def test_with_the_solutions_it_runs_from_top_to_bottom(number: str) -> None:
    said = printed(code(filled(read(number), number)))
    assert len(said) == len(lessons.lesson(number))
    assert all(line.startswith("right. ") for line in said), said


def test_a_wrong_solution_would_be_noticed() -> None:
    cells = code(filled(read("00"), "00"))
    assert "ddof=1" in cells[2]
    cells[2] = cells[2].replace("ddof=1", "ddof=0")
    assert [line.split()[0] for line in printed(cells)] == ["right.", "not", "right."]


def test_in_a_kernel_too() -> None:
    notebook = filled(read("00"), "00")
    notebook.cells.append(read("00").cells[-2])  # the last exercise once more, empty
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": ROOT}}
    ).execute()
    said = [output.text for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [text.split()[0] for text in said] == ["right."] * 3 + ["nothing"]


@pytest.mark.parametrize(
    "path", [*sorted(FOLDER.glob("*.ipynb")), ROOT / "docs" / "teaching.md"], ids=lambda path: path.name
)
def test_every_state_that_is_handed_out_can_be_restored(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    lines = [first or second for first, second in STATE.findall(text)]
    assert lines
    for line in lines:
        key = line[:2]
        kind = experiments.get(key).spec
        assert state_text(key, from_state(line, key, kind)) == line
