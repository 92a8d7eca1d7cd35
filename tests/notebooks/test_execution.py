"""Every notebook executed headless at preset quick, as `make demo` and a reader's CI do."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from labkit import cli, experiments
from tools import gallery, report
from tools.executed import static

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).parent / "nbval.cfg"


@dataclass(frozen=True)
class Executed:
    """A notebook that was executed, and the store that its runs are in."""

    path: Path
    store: Path
    code: int

    @property
    def notebook(self) -> nbformat.NotebookNode:
        return nbformat.read(self.path, as_version=4)


@pytest.fixture(scope="module", params=["00", "01", "02", "03", "04", "05"])
def executed(request, tmp_path_factory) -> Executed:
    folder = tmp_path_factory.mktemp("executed")
    path = folder / f"{experiments.get(request.param).notebook}.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_STORE", str(folder / "store"))
        code = cli.main(["run", request.param, "-o", str(path)])
    return Executed(path, folder / "store", code)


@dataclass(frozen=True)
class Again:
    """The same notebook executed twice more, both from the store: by nbval, which compares texts, and as a copy."""

    compared: subprocess.CompletedProcess
    copied: subprocess.CompletedProcess
    copy: Path


@pytest.fixture(scope="module")
def again(executed) -> Again:
    copy = executed.path.with_name("again.ipynb")
    command = [sys.executable, "-m", "labkit", "run", executed.path.stem[:2], "-o", str(copy)]
    nbval, copying = started(nbval_of(executed.path), executed), started(command, executed)  # a core for each
    return Again(ended(nbval), ended(copying), copy)


def nbval_of(path: Path) -> list[str]:
    """nbval: execute a notebook once more, and compare each output with the one it holds."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"]
    return [*command, "--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(CONFIG), path.name]


def started(command: list[str], executed: Executed) -> subprocess.Popen:
    environment = os.environ | {"LABKIT_STORE": str(executed.store), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *filter(None, [environment.get("PYTHONPATH")])])
    return subprocess.Popen(
        command, cwd=executed.path.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: subprocess.Popen) -> subprocess.CompletedProcess:
    said, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def outputs(notebook: nbformat.NotebookNode) -> list[dict]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_it_finishes_and_its_claims_hold(executed):
    assert executed.code == 0
    assert [output for output in outputs(executed.notebook) if output.output_type == "error"] == []


def test_nothing_is_said_on_stderr(executed):
    assert [o.text for o in outputs(executed.notebook) if o.get("name") == "stderr"] == []


def test_each_figure_is_a_picture_that_needs_no_script(executed):
    wanted = sum("panel.figure(" in cell.source for cell in executed.notebook.cells)
    drawn = [output for output in outputs(static(executed.notebook)) if "image/png" in output.get("data", {})]
    assert len(drawn) >= wanted + 1  # the panel's own picture too
    assert all(output.metadata["image/png"]["alt"] for output in drawn)


def test_the_report_of_it_loads_nothing(executed):
    page = report.build([executed.path])
    assert page.count("data:image/png;base64,") == len(gallery.pictures(static(executed.notebook)))


def test_the_copy_for_readers_names_no_folder_and_holds_no_widget(executed, tmp_path):
    copy = gallery.keep(executed.path, tmp_path)
    text = copy.read_text()
    assert "widget-view" not in text
    assert "widget-state" not in text
    assert str(executed.path.parent) not in text
    assert copy.stat().st_size < 5_000_000


def test_executed_again_it_says_the_same_from_the_store(again):
    # No cell prints anything but what is in the store: the second time nothing trains, and every text is the same.
    assert again.compared.returncode == 0, again.compared.stdout[-3000:]


def test_executed_again_it_draws_the_same_pictures_from_the_store(executed, again):
    assert again.copied.returncode == 0, again.copied.stdout[-3000:]
    first, second = (
        gallery.pictures(static(nbformat.read(path, as_version=4))) for path in (executed.path, again.copy)
    )
    assert [name for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()


def test_what_it_says_is_compared(executed):
    # The tag that keeps nbval from looking is on no cell that prints: claims and verdicts stand there.
    printing = [c for c in executed.notebook.cells if any(o.get("name") == "stdout" for o in c.get("outputs", []))]
    assert printing
    assert [cell.source for cell in printing if "nbval-ignore-output" in cell.metadata.get("tags", [])] == []


@pytest.mark.parametrize("executed", ["00"], indirect=True)
def test_a_text_that_changed_would_be_noticed(executed):
    changed = executed.notebook
    printed = [output for output in outputs(changed) if output.get("name") == "stdout"]
    printed[-1].text = "something else\n"
    path = executed.path.with_name("changed.ipynb")
    nbformat.write(changed, path)
    assert ended(started(nbval_of(path), executed)).returncode == 1
