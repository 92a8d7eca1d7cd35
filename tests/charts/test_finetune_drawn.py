"""Every chart of private sparse fine-tuning as a picture, from a store of any size."""

from __future__ import annotations

import pytest
from made_up_finetune import MadeUp, made_up, result
from test_finetune_charts import some, text

from labkit import charts

NAMES = (
    "finetune_ordered", "finetune_epsilons", "finetune_sparsity", "finetune_verdicts", "finetune_sparsity_verdicts",
    "finetune_agreement", "finetune_noise", "finetune_table", "finetune_scopes", "finetune_landscape", "ledger",
)  # fmt: skip


@pytest.fixture(scope="module")
def views() -> dict[str, MadeUp]:
    return {"full": made_up(preset="full", seeds=2), "quick": made_up(seeds=2), "empty": MadeUp()}


@pytest.mark.parametrize("size", ["full", "quick", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_every_chart_of_every_size_is_a_picture_that_fits_a_notebook(views, name, size) -> None:
    chart = getattr(charts, name)(views[size])
    picture = charts.still(chart, 0.5)
    assert picture.data.startswith(b"\x89PNG")
    assert picture.size[0] <= 720
    assert '"url"' not in text(chart)


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_draws_a_store_that_is_filling_in(name) -> None:
    """Random rows alone, one without noise alone, a method without its references, seeds that do not pair."""
    for rows in (
        [result(2.0, 0, "random", 0.8)],
        [result("plain", 0, "random", 0.9)],
        [result(2.0, 0, "sparta", 0.8)],
        [result(2.0, 0, "sparta", 0.8), result(2.0, 1, "random", 0.8)],
        [result(2.0, 0, "sparta", 0.8), result(2.0, 0, "sparta", 0.8, sparsity=0.5)],
    ):
        spec = {"sparsity": "0.8,0.5", "epsilon": "plain" if rows[0]["epsilon"] == "plain" else "2"}
        chart = getattr(charts, name)(some(*rows, **spec))
        assert chart.to_dict()["config"]
        assert charts.still(chart, 0.3).size[0] <= 720
