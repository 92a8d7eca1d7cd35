"""Every chart of the privacy frontier as a picture, from a store of any size."""

from __future__ import annotations

import pytest
from made_up_frontier import FULL, MadeUp, made_up, result
from test_frontier import text

from labkit import charts

NAMES = (
    "frontier", "by_sparsity_at_epsilon", "privacy_map", "tuned_and_shared", "tuning", "per_class", "total_noise",
    "choosing", "audit", "private_landscapes", "frontier_verdicts",
)  # fmt: skip


@pytest.fixture(scope="module")
def views() -> dict[str, MadeUp]:
    few_rows = made_up(seeds=1, epsilon=(1.0, "plain"), sparsity=(0.0, 0.5, 0.8, 0.9), space=("weights",))
    return {"quick": made_up(), "full": made_up(**FULL), "one seed": few_rows, "empty": MadeUp()}


@pytest.mark.parametrize("size", ["quick", "full", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_every_chart_of_every_size_is_a_picture_that_fits_a_notebook(views, name, size) -> None:
    chart = getattr(charts, name)(views[size])
    picture = charts.still(chart, 0.5)
    assert picture.data.startswith(b"\x89PNG")
    assert picture.size[0] <= 720
    assert '"url"' not in text(chart)


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_draws_a_store_that_is_filling_in(name) -> None:
    """First only the dense network of one epsilon, then one word alone, then an arm without its partner."""
    row = result(2.0, 0.0, 0, "dense", 0.8)
    for rows in ([row], [row | {"epsilon": "plain"}], [row | {"arm": "random", "sparsity": 0.9}]):
        chart = getattr(charts, name)(MadeUp(rows, finished=False))
        assert chart.to_dict()["config"]


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_is_drawn_without_an_interval(views, name) -> None:
    assert getattr(charts, name)(views["one seed"]).to_dict()["config"]
