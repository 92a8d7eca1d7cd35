"""A person at the panel of a notebook, in a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
FAKE = """
from fake_experiment import EXPERIMENT, FakeSpec
from widgets import LivePanel

panel = LivePanel(FakeSpec.of(steps=80, seeds=2, delay=0.02), experiment=EXPERIMENT)
panel
"""


@dataclass(frozen=True)
class Case:
    """A notebook to drive.

    Args:
        name: the notebook's file name.
        write: puts it into a folder.
        figure: a chart that one of its cells shows.
    """

    name: str
    write: Callable[[Path], None]
    figure: str


def write_fake(folder: Path) -> None:
    shutil.copy(TESTS / "fake_experiment.py", folder)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    sources = [FAKE.strip(), "panel.figure('curve')", "panel.claims()"]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, folder / "fake.ipynb")


CASES = {"fake": Case("fake.ipynb", write_fake, "curve")}


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no_subshells"])
def test_a_person_drives_the_panel(
    subshells: bool, start_lab: Callable[..., Lab], page: Page, shoot: Callable[[str], None]
) -> None:
    case = CASES["fake"]
    lab = start_lab(subshells=subshells)
    case.write(lab.root)
    lab.open(page, case.name)
    lab.run_all(page)
    panel = Panel(page)

    panel.says("Ready. Press Run.")
    expect(page.get_by_text("press Run, then run this cell")).to_be_visible()
    shoot("1-ready")
    panel.drag("sparsity", 0.8)
    expect(panel.entry("sparsity")).to_have_value(re.compile(r"0\.(7|8)\d?"))
    chosen = panel.entry("sparsity").input_value()

    panel.mark_drawing()
    panel.button("run").click()
    panel.wait_for_points(5)
    shoot("2-running")
    assert panel.redraws(seconds=2) <= 2 * 10
    page.locator(".jp-CodeCell").last.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")  # the page and the kernel are free for other cells
    assert panel.milliseconds_until("pause", "Paus") < 500
    panel.says("Paused")
    page.wait_for_timeout(500)
    seen = panel.points()
    page.wait_for_timeout(500)
    assert panel.points() == seen
    shoot("3-paused")
    panel.button("resume").click()
    panel.wait_for_points(seen + 5)
    assert panel.same_drawing()
    assert panel.milliseconds_until("stop", "Stop") < 500
    panel.says("Stopped: ")
    expect(panel.rows).to_have_count(1)
    expect(panel.rows.first).to_contain_text("stopped")
    expect(panel.rows.first).to_contain_text(f"sparsity {chosen}")
    shoot("4-stopped")

    lab.save(page)
    page.reload()
    lab.wait_for_kernel()
    expect(panel.rows.first).to_contain_text(f"sparsity {chosen}", timeout=30_000)
    panel.wait_for_points(seen)  # the page that was opened later is as complete as the first
    shoot("5-reloaded")
    panel.type("sparsity", "0.25")
    panel.rows.first.get_by_role("button", name="Open").click()
    expect(panel.entry("sparsity")).to_have_value(chosen)
    panel.button("run").click()
    panel.says("Finished")
    shoot("6-finished")


def test_a_kernel_restart_is_a_stop_that_can_be_resumed(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[[str], None]
) -> None:
    case = CASES["fake"]
    lab = start_lab(theme="dark")
    case.write(lab.root)
    lab.open(page, case.name)
    lab.run_all(page)
    panel = Panel(page)
    panel.button("run").click()
    panel.wait_for_points(20)
    lab.restart_kernel(page)
    lab.run_all(page)
    panel.says("Stopped: 0 of 2 replicates are in the store. Run goes on from there.")
    expect(panel.rows.first).to_contain_text("stopped")
    panel.button("run").click()
    panel.says("Finished: 2 of 2 replicates")
    assert panel.points() == 2 * 2 * 80
    panel.type("sparsity", "1.2")
    expect(panel.page.locator(".labkit-field-sparsity .labkit-error")).to_contain_text("sparsity = '1.2' is not usable")
    expect(panel.button("run")).to_be_disabled()
    shoot("dark")
