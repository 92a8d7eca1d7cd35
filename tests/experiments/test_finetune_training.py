"""What fine-tunes of notebook 05 reach and what is told of them; none of their numbers depends on another."""

from __future__ import annotations

import pytest
import torch
from small_finetune import (
    MANY,
    SERIES,
    N,
    composed,
    images,
    jobs,
    lab,
    patched,
    points,
    results,
    told,
)

from labkit.charts.frontier_ledger import all_runs
from labkit.experiments.finetune import training
from labkit.experiments.finetune.plans import plan_of
from labkit.experiments.finetune.spec import METHODS
from labkit.privacy import shared, spent
from labkit.privacy.events import dp_sgd
from labkit.privacy.selection import selection_event
from labkit.runs.events import Progress


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


@pytest.fixture(scope="module")
def many():
    """Every method at every epsilon, run together."""
    some = jobs(**MANY)
    return some, told(some)


def test_the_same_jobs_give_the_same_numbers(many):
    some, events = many
    again = told(some)
    assert results(again) == results(events)
    assert [points(again, name) for name in SERIES] == [points(events, name) for name in SERIES]


def test_numbers_do_not_depend_on_who_is_trained_beside(many):
    """One job alone, bit for bit what it is among all the others; and among some of them."""
    some, events = many
    found, curves = results(events), points(events, "curve")
    assert len(found) == len(some) == 3 * len(METHODS) + 7 + 4
    for place, job in enumerate(some):
        alone = told([job])
        assert results(alone) == {0: found[place]}
        assert [row for _, row in points(alone, "curve")] == [row for at, row in curves if at == place]
    few = [job for job in some if job.point.method[0] in ("sparta", "random")][::-1]
    for place, values in results(told(few)).items():
        assert values == found[some.index(few[place])]


def test_numbers_do_not_depend_on_how_many_are_trained_at_once(many, monkeypatch):
    some, events = many
    monkeypatch.setitem(training.MOST, "cpu", 1)
    assert results(told(some)) == results(events)


@pytest.mark.parametrize("method", ["sparta", "lora"])
def test_seeds_do_not_depend_on_each_other(method):
    both = results(told(jobs(method=method, seeds=2)))
    second = results(told(jobs(method=method, seed=1)))
    assert [both[place] for place in (1, 3)] == [second[0], second[1]]
    assert both[0]["test_loss"] != both[1]["test_loss"]


@pytest.mark.parametrize(
    ("method", "moving"),
    [
        ("head", 70),  # 6 x 10 and 10
        ("head_norm", 70 + 6),  # scale and shift of three filters
        ("bias", 70 + 3 + 6),
        ("lora", 70 + 2 * (3 * 3 + 3) + 2 * (27 + 6)),  # A and B beside the convolution and the layer of six
        ("all", 70 + 6 + 27 + 6 * 27 + 6),
        ("random", 70 + 6 + 6 + 2 * 9 + 3 * 27),  # ceil(0.4 * 3) filters, ceil(0.4 * 6) nodes
        ("magnitude", 70 + 6 + 6 + 2 * 9 + 3 * 27),
        ("sparta", 70 + 6 + 6 + 2 * 9 + 3 * 27),
        ("search", 70 + 6 + 6 + 2 * 9 + 3 * 27),
    ],
)
def test_how_much_moves_by_hand(many, method, moving):
    some, events = many
    for place, values in results(events).items():
        if values["arm"] == method and some[place].point.scope == ("layer",):
            assert (values["moving"], values["weights"]) == (moving, 70 + 6 + 27 + 162 + 6)
            sized = method in ("random", "magnitude", "sparta", "search")
            assert ("rows_chosen" in values) == sized
            if sized:
                assert values["rows_chosen"] == 5
                assert values["frozen_share"] == pytest.approx(1 - (18 + 81) / 189)
                assert (values.get("chance_overlap") is not None) == (method in ("sparta", "search"))
            if method in ("sparta", "search"):
                assert values["chance_overlap"] == pytest.approx((4 / 3 + 9 / 6) / 5)


def test_rows_of_all_layers_together(many):
    some, events = many
    found = [v for place, v in results(events).items() if some[place].point.scope == ("global",)]
    assert {values["arm"] for values in found} == set(METHODS) - {"all", "head", "head_norm", "bias", "lora"}
    assert all(0.6 <= values["frozen_share"] < 0.75 for values in found)  # at most ceil(0.4 * 189) = 76 move
    assert all(v["chance_overlap"] == v["rows_chosen"] / 9 for v in found if "chance_overlap" in v)


def test_what_is_stored_of_costs(many):
    some, events = many
    for place, values in results(events).items():
        point, plan = some[place].point, plan_of(some[place].point, N)
        chooses = point.method[0].startswith("sparta") or point.method[0] == "search"
        assert (values["steps"], values["selection_steps"]) == ((8, 4) if chooses else (4, 0))
        assert values["noise_multiplier"] == plan.noise_multiplier
        assert ("epsilon_spent" in values) == plan.private == ("delta" in values) == ("executions" in values)
        assert ("noise_multiplier_without" in values) == (chooses and plan.private)
        assert ("clip_norm" in values) == (point.epsilon != ("plain",))
        if plan.private:
            assert values["epsilon_spent"] == plan.epsilon
            assert values["executions"] == 1
        assert values["said"] == "the head is replaced by a new one for 10 classes"
        assert (values["model"], values["test_images"], values["learning_rate"]) == ("svhn-cnn", 50, 0.5)
    assert composed(plan_of(some[0].point, N)) <= 8.01


def test_the_curve_and_the_gauge(many):
    some, events = many
    found = points(events, "curve")
    for place, job in enumerate(some):
        own = [row for at, row in found if at == place]
        assert [row["step"] for row in own] == ([4] if job.point.warmup[0] else [2, 4])
        assert {row["steps"] for row in own} == {4}  # without those that score rows, which no look follows
        assert own[-1]["selection_accuracy"] == results(events)[place]["selection_accuracy"]
        (epsilon,) = job.point.epsilon
        assert {row["epsilon_word"] for row in own} == {epsilon if isinstance(epsilon, str) else f"{epsilon:g}"}
    spent_rows = points(events, "spent")
    assert {some[place].point.method[0] for place, _ in spent_rows} == {"random"}
    assert {row["target"] for _, row in spent_rows} == {8.0, 2.0}
    whole = [row for place, row in spent_rows if row["step"] == 4]
    assert all(0.98 * row["target"] < row["epsilon_spent"] <= row["target"] for row in whole)


def test_a_look_before_the_end_of_a_warm_up_is_passed_over():
    some = jobs(method="sparta", warmup="0.75", evaluations=4)  # three steps of four
    found = points(told(some), "curve")
    assert [row["step"] for place, row in found if some[place].point.method == ("sparta",)] == [4]
    assert [row["step"] for place, row in found if some[place].point.method == ("random",)] == [1, 2, 3, 4]


class Ledger:
    """A view of the ledger alone."""

    def __init__(self, rows: list[dict]) -> None:
        self.rows = rows

    def series(self, name: str) -> list[dict]:
        return self.rows


def test_all_that_was_run_together_by_hand():
    """Trainings of a seed are one event, and so are scorings; seeds and private choices are further ones."""
    some = jobs(method="all,sparta,sparta_norm,search", seeds=2)
    rows = [row for _, row in points(told(some), "ledger")]
    sigma = {job.point.method[0]: plan_of(job.point, N).noise_multiplier for job in some}
    training_events = [
        dp_sgd(24 / N, shared([sigma[m] for m in ("all", "random", "sparta", "sparta_norm", "search")]), 4)
    ]
    scoring = [dp_sgd(24 / N, shared([sigma[m] for m in ("sparta", "sparta_norm", "search")]), 4)]
    wanted = spent([*training_events, *scoring] * 2 + [selection_event(0.8)] * 2, 1e-5).epsilon
    found = all_runs(Ledger(rows))
    assert found["epsilon"] == pytest.approx(wanted)
    assert found["draws"] == 4
    assert sum(row["what"] == "chosen" for row in rows) == 2
    assert not points(told(jobs(epsilon="plain,clipped", method="search")), "ledger")


def test_frozen_stages_are_passed_once():
    """Images stop in front of the first stage that moves, and stop there once."""
    bench = lab(jobs(method="sparta"))
    assert bench.first == 1
    features = bench.features(4, "train")
    assert features.shape == (N, 27)
    assert bench.features(4, "train") is features
    with torch.no_grad():
        assert torch.equal(features, bench.network.stages[:4](bench.parts["train"].x))
    assert torch.equal(bench.features(0, "test"), bench.parts["test"].x)
    pixels = images().pixels(images().test)
    assert torch.allclose(bench.parts["test"].x, (pixels - 0.3) / 0.4, atol=1e-6)


def test_progress_ends_where_it_was_expected():
    events = [event for _, event in told(jobs(method="sparta,search", warmup="0,0.5")) if isinstance(event, Progress)]
    shares = [event.done / event.total for event in events]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert events[-1].total == 4 + 3 * 8


def test_progress_is_told_in_words():
    events = told(jobs(method="random,sparta", epsilon="8,plain", warmup="0,0.5", seeds=2))
    kinds = {event.what.partition(": step ")[0] for _, event in events if isinstance(event, Progress)}
    assert {"random, 4 fine-tunes at once", "sparta, seed 1: scores of rows", "sparta, seed 0: warm-up"} <= kinds
    assert not any("{" in what for what in kinds)
