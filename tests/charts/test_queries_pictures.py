"""Every chart of private synthetic queries as a picture, from a store of any size."""

from __future__ import annotations

import pytest
from made_up_queries import MadeUp, made_up, result
from test_queries_charts import text

from labkit import charts

NAMES = (
    "retrieval", "retrieval_lay", "retrieval_table", "retrieval_verdicts", "quality", "samples", "exposure", "ledger",
)  # fmt: skip


@pytest.fixture(scope="module")
def views() -> dict[str, MadeUp]:
    full = made_up(seeds=2, epsilon=(1.0, 3.0, 8.0, 16.0, "clipped", "plain"))
    one_seed = made_up(seeds=1, epsilon=(3.0,), split_by=("pair", "document"))
    return {"full": full, "one seed": one_seed, "empty": MadeUp()}


@pytest.mark.parametrize("size", ["full", "one seed", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_every_chart_of_every_size_is_a_picture_that_fits_a_notebook(views, name, size) -> None:
    chart = getattr(charts, name)(views[size])
    picture = charts.still(chart, 0.5)
    assert picture.data.startswith(b"\x89PNG")
    assert picture.size[0] <= 720
    assert '"url"' not in text(chart)


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_draws_a_store_that_is_filling_in(name) -> None:
    """A baseline alone (a legend without an entry would have no place), one word alone, an arm without its partner."""
    cost = {"epsilon_spent": 2.9, "delta": 1e-5, "sample_rate": 0.1, "noise_multiplier": 1.0, "steps": 2}
    for row in (
        result(3.0, 0, "untrained", 0.4),
        result("plain", 0, "synthetic", 0.8),
        result(3.0, 0, "synthetic", 0.7, accountant="PLD", **cost),
        result(3.0, 0, "logit", 0.6),
    ):
        chart = getattr(charts, name)(MadeUp([row], finished=False))
        assert chart.to_dict()["config"]
        if row["arm"] == "untrained":
            assert charts.still(chart, 0.3).size[0] <= 720
