"""A teacher's state in a real Chromium: copied from one panel, pasted into it again, with controls hidden."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

CELL = """
from fake_experiment import EXPERIMENT, FakeSpec
from widgets import LivePanel

panel = LivePanel(FakeSpec.of(), experiment=EXPERIMENT, state="99 seeds=2 steps=40", hide=("delay", "fail_at"))
panel
"""


def test_a_state_is_copied_and_pasted(start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]) -> None:
    lab = start_lab()
    shutil.copy(Path(__file__).parents[1] / "fake_experiment.py", lab.root)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.root / "lesson.ipynb")
    lab.open(page, "lesson.ipynb")
    lab.run_all(page)
    panel, restore = Panel(page), page.locator(".labkit-restore input")
    panel.says("Ready")
    expect(panel.entry("steps")).to_have_value("40")
    expect(panel.entry("delay")).to_have_count(0)
    expect(page.get_by_text("Fixed for this lesson: delay 0; fail at 0.")).to_be_visible()

    panel.type("steps", "33")
    expect(page.locator(".labkit-state code")).to_have_text("99 seeds=2 steps=33")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy state").click()
    expect(page.locator(".labkit-state").get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "99 seeds=2 steps=33"

    restore.fill("99 steps=0")
    restore.press("Enter")
    expect(page.locator(".labkit-state .labkit-error")).to_contain_text("steps = '0' is not usable")
    shoot("1-refused")
    restore.fill("99 seeds=2 sparsity=0.25,0.75 steps=7")
    restore.press("Enter")
    expect(panel.entry("steps")).to_have_value("7")
    expect(panel.entry("sparsity")).to_have_value("0.25, 0.75")
    expect(restore).to_have_value("")
    panel.button("run").click()
    panel.says("Finished: 4 of 4")
    shoot("2-restored")
