"""A person watches synthetic queries being written, in notebook 03's panel in a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from lab_driver import Lab, Panel
from playwright.sync_api import Page, expect
from test_panel_in_browser import write_with

pytestmark = pytest.mark.browser

SMALL = {
    "documents": 60, "epsilon": "3,plain", "batch_size": 20, "epochs": 2.0, "prompt_tokens": 24, "query_tokens": 10,
    "queries_per_document": 1, "encoder_width": 16, "encoder_steps": 5, "encoder_batch": 16,
    "direct_steps": 2, "logit_steps": 2,
    "direct_batch": 8, "negatives": 4, "logit_batch": 4, "canaries": 1, "canary_repeats": "1,3", "alternatives": 7,
    "lora_rank": 2, "evaluations": 4,
}  # fmt: skip


def test_a_person_watches_queries_being_written(
    start_lab: Callable[..., Lab], page: Page, shoot: Callable[..., None]
) -> None:
    lab = start_lab(subshells=True)
    lab.open(page, write_with(lab.root, "03_private_queries.ipynb", **SMALL))
    lab.run_all(page)
    panel, table = Panel(page), page.locator(".labkit-live-table")
    panel.says("Ready. Press Run.")
    expect(table).to_be_hidden()

    panel.type("epsilon", "3, nothing")
    expect(page.locator(".labkit-field-epsilon .labkit-error")).to_contain_text("or `clipped` or `plain`")
    expect(panel.button("run")).to_be_disabled()
    panel.type("epsilon", "3, plain")
    panel.button("run").click()
    panel.wait_for_points(1)
    expect(panel.spent).to_contain_text(re.compile(r"epsilon [\d.]+ of 3 spent after \d+ of \d+ steps"))
    expect(table.locator("th")).to_have_text(["Epsilon", "Arm", "Document", "Query"])
    shoot("1-running")
    panel.says("Finished: 2 of 2 replicates", seconds=90)
    assert panel.points() == 2 * 4  # epsilons, looks: every row once
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(8)
    for text in rows.last.locator("td").all_inner_texts():
        assert text.strip()
    expect(panel.spent).to_contain_text("language model of epsilon 3")
    expect(panel.verdict).to_contain_text("synthetic")
    shoot("2-finished", whole=True)
