"""A person watches embeddings being trained, in notebook 04's panel in a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect
from test_panel_in_browser import write_with

pytestmark = pytest.mark.browser

SMALL = {
    "data": "power-law:rows=400,examples=600", "epsilon": "8,plain", "method": "adafest", "selection_fraction": "0.5",
    "threshold": "1", "map_norm": "l2", "vocabulary": "0", "order": "year", "batch_size": 64, "epochs": 3.0, "dim": 2,
    "hidden": 4, "evaluations": 4, "seeds": 1, "learning_rate": 2.0, "clip_norm": 0.1,
}  # fmt: skip


def test_a_person_watches_embeddings_being_trained(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=True)
    lab.open(page, write_with(lab.root, "04_sparse_embeddings.ipynb", **SMALL))
    lab.run_all(page)
    panel = Panel(page)
    panel.says("Ready. Press Run.")

    panel.type("epsilon", "8, nothing")
    expect(page.locator(".labkit-field-epsilon .labkit-error")).to_contain_text("or `clipped` or `plain`")
    expect(panel.button("run")).to_be_disabled()
    panel.type("epsilon", "8, plain")
    panel.button("run").click()
    panel.wait_for_points(1)
    expect(panel.spent).to_contain_text(re.compile(r"epsilon [\d.]+ of 8 spent after \d+ of \d+ steps"))
    shoot("1-running")
    panel.says("Finished: 3 of 3 replicates", seconds=60)
    assert panel.points() == 3 * 4  # trainings, looks: every row once
    expect(panel.spent).to_contain_text("a model of epsilon 8")
    expect(panel.verdict).to_contain_text("adafest")
    expect(panel.verdict).to_contain_text("dpsgd")
    shoot("2-finished", whole=True)
