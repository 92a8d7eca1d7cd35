"""Every chart of sparse embeddings as a picture, from a store of any size."""

from __future__ import annotations

import pytest
from made_up_embeddings import MadeUp, made_up, result
from test_embeddings_charts import text

from labkit import charts

NAMES = (
    "reduction", "noninferior", "auc_table", "embeddings_verdicts", "map_norms", "fractions", "survivors", "stream",
    "vocabulary", "leaks", "ledger",
)  # fmt: skip


@pytest.fixture(scope="module")
def views() -> dict[str, MadeUp]:
    full = made_up(seeds=2, epsilon=(1.0, 3.0, 8.0, "clipped", "plain"), vocabulary=(1000, 0), order=("year", "months"))
    return {"full": full, "one seed": made_up(seeds=1, epsilon=(3.0,)), "empty": MadeUp()}


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
    """The baseline alone, one without noise alone, a method without its partner, a method that nothing survives."""
    own = {"threshold": 3.0, "selection_fraction": 0.1}
    for rows in (
        [result(3.0, 0, "dpsgd", 0.7)],
        [result("plain", 0, "dpsgd", 0.8)],
        [result(3.0, 0, "adafest", 0.7, survivors=100.0, **own)],
        [result(3.0, 0, "dpsgd", 0.7), result(3.0, 0, "adafest", 0.5, survivors=0.0, **own)],
        [result(3.0, 0, "dpsgd", 0.7), result(3.0, 0, "lazydp", 0.7, survivors=100.0)],
    ):
        chart = getattr(charts, name)(MadeUp(rows, finished=False))
        assert chart.to_dict()["config"]
        assert charts.still(chart, 0.3).size[0] <= 720
