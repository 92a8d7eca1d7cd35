"""A person at the panel of a notebook, in a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect

from labkit import experiments

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
FAKE = """
from fake_experiment import EXPERIMENT, FakeSpec
from widgets import LivePanel

panel = LivePanel(FakeSpec.of(steps=80, seeds=2, delay=0.02), experiment=EXPERIMENT)
panel
"""


def write_fake(folder: Path) -> str:
    """A small notebook of the fake experiment; its file name."""
    shutil.copy(TESTS / "fake_experiment.py", folder)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    sources = [FAKE.strip(), "panel.figure('curve')", "panel.claims()"]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, folder / "fake.ipynb")
    return "fake.ipynb"


def write_random_search(folder: Path) -> str:
    """Notebook 01 with parameters that take seconds; its file name."""
    return write_with(folder, "01_random_search.ipynb", seeds=2, budget=16, width=128, landscape_size=3)


def write_frontier(folder: Path) -> str:
    """Notebook 02 with parameters that take seconds; its file name."""
    tiny = {"data": "digits", "width": 16, "steps": 60, "batch_size": 40, "evaluations": 10, "learning_rate": 0.5}
    none = {"audit_runs": 0, "landscape_size": 0, "budget": 4, "repeats": 1}
    return write_with(folder, "02_privacy_frontier.ipynb", epsilon="8", sparsity="0.5", seeds=2, **tiny, **none)


def write_with(folder: Path, name: str, **given: object) -> str:
    """One of the lab's notebooks with some parameters; its file name."""
    notebook = nbformat.read(TESTS.parent / "notebooks" / name, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    experiments.get(name[:2]).spec.of(**given)  # there are such parameters
    parameters.source += "".join(f"\n{field} = {value!r}" for field, value in given.items())
    nbformat.write(notebook, folder / name)
    return name


def drive(lab: Lab, page: Page, notebook: str, shoot: Callable[..., None]) -> tuple[Panel, str]:
    """Run all cells, drag sparsity, run, pause, resume and stop; the panel, and the sparsity that was chosen."""
    lab.open(page, notebook)
    lab.run_all(page)
    panel = Panel(page)

    panel.says("Ready. Press Run.")
    expect(page.locator(".jp-OutputArea-output", has_text="press Run, then run this cell")).to_have_count(1)
    shoot("1-ready")
    panel.drag("sparsity", 0.8)
    expect(panel.entry("sparsity")).to_have_value(re.compile(r"^0\.(7|8)\d?$"))
    chosen = panel.entry("sparsity").input_value()

    panel.mark_drawing()
    panel.button("run").click()
    panel.wait_for_points(5)
    shoot("2-running")
    assert panel.redraws(seconds=2) <= 2 * 10
    page.locator(".jp-CodeCell").last.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")  # the page and the kernel are free for other cells
    assert panel.milliseconds_until("pause", "Paus") < 500
    panel.says("Paused")
    page.wait_for_timeout(500)
    seen = panel.points()
    page.wait_for_timeout(500)
    assert panel.points() == seen
    shoot("3-paused")
    panel.button("resume").click()
    panel.wait_for_points(seen + 1)
    assert panel.same_drawing()
    assert panel.milliseconds_until("stop", "Stop") < 500
    panel.says("Stopped: ")
    expect(panel.rows).to_have_count(1)
    expect(panel.rows.first).to_contain_text("stopped")
    expect(panel.rows.first).to_contain_text(f"sparsity {chosen}")
    shoot("4-stopped")
    return panel, chosen


@pytest.mark.parametrize("write", [write_fake, write_random_search], ids=["fake", "01"])
def test_a_person_finds_the_runs_again_after_a_reload(
    write: Callable[[Path], str], start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=True)
    panel, chosen = drive(lab, page, write(lab.root), shoot)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as command").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert f"-p sparsity {chosen}" in page.evaluate("navigator.clipboard.readText()")
    lab.save(page)
    page.reload()
    lab.wait_for_kernel()
    expect(panel.rows.first).to_contain_text(f"sparsity {chosen}", timeout=30_000)
    panel.wait_for_points(5)  # the page that was opened later is as complete as the first
    shoot("5-reloaded")
    panel.type("sparsity", "0.25")
    panel.rows.first.get_by_role("button", name="Open").click()
    expect(panel.entry("sparsity")).to_have_value(chosen)
    panel.button("run").click()
    panel.says("Finished", seconds=60)
    expect(page.locator("img.labkit-figure").first).to_have_attribute("src", re.compile("^blob:"))
    shoot("6-finished", whole=True)


def test_a_kernel_restart_is_a_stop_that_can_be_resumed(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=False, theme="dark")
    panel, chosen = drive(lab, page, write_fake(lab.root), shoot)
    seen = panel.points()
    panel.button("run").click()
    panel.wait_for_points(seen + 20)
    lab.restart_kernel(page)
    lab.run_all(page)
    expect(panel.rows.first).to_contain_text("stopped")
    panel.rows.first.get_by_role("button", name="Open").click()
    panel.says("Stopped: ")
    expect(panel.entry("sparsity")).to_have_value(chosen)
    panel.button("run").click()
    panel.says("Finished: 2 of 2 replicates")
    assert panel.points() == 2 * 2 * 80  # every row once
    panel.type("sparsity", "1.2")
    expect(page.locator(".labkit-field-sparsity .labkit-error")).to_contain_text("sparsity = '1.2' is not usable")
    expect(panel.button("run")).to_be_disabled()
    shoot("5-bad-input")


def test_a_person_watches_epsilon_being_spent(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=True)
    lab.open(page, write_frontier(lab.root))
    lab.run_all(page)
    panel = Panel(page)
    panel.says("Ready. Press Run.")
    expect(panel.spent).to_be_hidden()
    expect(panel.verdict).to_be_hidden()

    panel.type("epsilon", "nothing")
    expect(page.locator(".labkit-field-epsilon .labkit-error")).to_contain_text("or `clipped` or `plain`")
    expect(panel.button("run")).to_be_disabled()
    panel.drag("epsilon", 0.5)
    expect(panel.entry("epsilon")).to_have_value(re.compile(r"^[\d.]+$"))
    panel.type("epsilon", "2, clipped")
    expect(page.locator(".labkit-field-epsilon .labkit-note")).to_contain_text("2 values, a run each")

    panel.mark_drawing()
    panel.watch_gauge()
    panel.button("run").click()
    panel.wait_for_points(4)
    expect(panel.spent).to_contain_text(re.compile(r"epsilon [\d.]+ of 2 spent after \d+ of 60 steps"))
    shoot("1-running")
    panel.says("Finished: 4 of 4 replicates", seconds=60)
    assert panel.same_drawing()
    assert panel.points() == 2 * 2 * 2 * 10  # epsilons, seeds, arms, looks: every row once
    widths = panel.gauge_widths()
    assert len(set(widths)) >= 2
    assert widths == sorted(widths)
    assert 99 < widths[-1] <= 100
    expect(panel.spent).to_contain_text("of 2 spent after 60 of 60 steps · dense network of epsilon 2 · delta 1e-05")
    expect(panel.spent).to_contain_text("noise seeded: for teaching")
    expect(panel.verdict).to_contain_text("epsilon clipped, sparsity 0.5, space nodes: a random mask against dense: ")
    shoot("2-finished")
