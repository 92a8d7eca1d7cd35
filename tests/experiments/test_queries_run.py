"""What notebook 03 says and stores: arms, values, series, and the same numbers whoever is run beside."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from small_queries import chunks, jobs, lab, points, results, told

from labkit.experiments.queries import learning, tuning, writing
from labkit.experiments.queries.spec import BASELINES
from labkit.runs.events import Artifact, Chunk, Point, Progress

EPSILONS = "3,clipped,plain,1"
PRIVATE = {"synthetic", "direct", "direct-warm", "logit"}
MEASURES = {
    f"{name}{whose}{end}"
    for name in ("recall", "ndcg", "mrr")
    for whose in ("", "_lay")
    for end in ("", "_low", "_high")
}
FOUND = MEASURES | {"test_queries", "lay_queries"}
WRITTEN = {
    "queries", "empty_queries", "distinct_1", "distinct_2", "bleu", "not_private_copies", "not_private_copies_anywhere",
}  # fmt: skip
TRAINED = {"steps", "sample_rate", "noise_multiplier", "units", "unit", "noise_source", "learning_rate"}
SPENT = {"epsilon_spent", "delta", "accountant", "clip_norm"}


@pytest.fixture(scope="module")
def together():
    some = jobs(epsilon=EPSILONS)
    return some, told(some)


def test_which_arms_stand_where(together):
    some, events = together
    for place, job in enumerate(some):
        there = {arm for at, arm in results(events) if at == place}
        private = job.point.epsilon[0] not in ("clipped", "plain")
        assert there == set(BASELINES) | (PRIVATE if private else {"synthetic"})


def test_what_a_result_says(together):
    some, events = together
    for (place, arm), values in results(events).items():
        assert values.keys() >= FOUND, arm
        assert values["test_queries"] == len(lab().split.test)
        assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
        assert all(0 <= values[name] <= 1 for name in MEASURES)
        for name in ("recall", "ndcg", "mrr"):
            assert values[f"{name}_low"] <= values[name] <= values[f"{name}_high"]
        assert (values.keys() >= WRITTEN) == (arm in ("untuned", "synthetic"))
        assert ("model_sha256" in values) == (arm in ("untuned", "synthetic"))
        assert ("selection_loss" in values) == (arm == "synthetic")
        assert (values.keys() >= TRAINED) == (arm in PRIVATE)
        number = some[place].point.epsilon[0] not in ("clipped", "plain")
        assert (values.keys() >= SPENT) == (arm in PRIVATE and number)


def test_what_was_spent_is_epsilon_and_absent_without_noise(together):
    some, events = together
    for (place, arm), values in results(events).items():
        (epsilon,) = some[place].point.epsilon
        if arm in PRIVATE and not isinstance(epsilon, str):
            assert 0.99 * epsilon < values["epsilon_spent"] <= epsilon
            assert values["noise_multiplier"] > 0
        else:
            assert not {"epsilon_spent", "delta", "accountant"} & values.keys()
            assert values.get("noise_multiplier", 0) == 0
    clipped, plain = (results(events)[place, "synthetic"] for place in (1, 2))
    assert clipped["clip_norm"] == 1
    assert "clip_norm" not in plain
    assert plain["not_private_clipped"] == 0 < clipped["not_private_clipped"]


def test_what_no_epsilon_changes_is_the_same_at_all_of_them(together):
    some, events = together
    rows = results(events)
    for arm in BASELINES:
        assert all(rows[place, arm] == rows[0, arm] for place in range(len(some)))
    losses = [rows[place, "synthetic"]["selection_loss"] for place in range(len(some))]
    assert len(set(losses)) == len(some)


def test_the_encoders_differ_from_the_one_that_nobody_trained(together):
    """Nobody checked once that the adapters moved, and 45 hours of computing were lost."""
    kept = chunks(together[1])
    start = {f"encoder.{name}": weight for name, weight in lab().encoder().params().items()}
    for key, held in kept.items():
        if key.endswith("learned"):
            assert any(not torch.equal(held[name], weight) for name, weight in start.items()), key
    written = [tuple(held["ids"].flatten().tolist()) for key, held in kept.items() if key.endswith("written")]
    assert len(set(written)) == 5  # the untuned model's, and one for each epsilon or word


@pytest.mark.parametrize("place", range(4))
def test_an_epsilon_alone_has_the_numbers_that_it_has_beside_others(together, place):
    some, events = together
    alone = results(told([some[place]]))
    assert alone == {(0, arm): values for (at, arm), values in results(events).items() if at == place}


def test_the_series(together):
    some, events = together
    curve = points(events, "curve")
    assert [(place, row["arm"], row["step"]) for place, row in curve] == [
        (place, name, step)
        for place, name in enumerate(["epsilon 3", "clipped", "plain", "epsilon 1"])
        for step in (1, 3)
    ]
    assert {row["steps"] for _, row in curve} == {3}
    last = {place: row["selection_loss"] for place, row in curve}
    assert all(results(events)[place, "synthetic"]["selection_loss"] == loss for place, loss in last.items())
    gauge = points(events, "spent")
    assert [(place, row["step"], row["target"]) for place, row in gauge] == [(0, 1, 3), (0, 3, 3), (3, 1, 1), (3, 3, 1)]
    assert all(row["epsilon_spent"] <= row["target"] for _, row in gauge)
    assert gauge[0][1]["epsilon_spent"] < gauge[1][1]["epsilon_spent"]
    for place in range(len(some)):
        exposed = [row for at, row in points(events, "exposure") if at == place]
        assert [(row["repeats"], row["cap"]) for row in exposed] == [(1, 3.0), (3, 3.0)]
        assert all(0 <= row["exposure"] <= 3 for row in exposed)


def test_samples_stand_beside_their_documents(together):
    some, events = together
    rows = points(events, "samples")
    kept = chunks(events)
    assert [(at, row["arm"]) for at, row in rows if row["row"] == 0] == [(0, "untuned")] + [
        (place, "synthetic") for place in range(len(some))
    ]
    split = lab().split
    texts = writing.decode(lab().language, kept["untuned, written"]["ids"].long())
    for _, row in rows[: writing.SHOWN]:
        assert split.documents[row["row"]].startswith(row["document"])
        assert row["query"] == texts[row["row"]]  # one query a document


def test_the_ledger_has_a_row_for_each_private_training(together):
    rows = points(together[1], "ledger")
    assert {place for place, _ in rows} == {0, 3}
    assert [row["group"].split(" at ")[0] for place, row in rows if place == 0] == [
        "fine-tuning", "direct", "direct-warm", "logit", "canaries",
    ]  # fmt: skip
    assert len({row["group"] for _, row in rows}) == len(rows)
    assert {(row["what"], row["networks"], row["steps"]) for _, row in rows} == {("training", 1, 3)}
    said = results(together[1])[0, "synthetic"]
    assert all(rows[0][1][name] == said[name] for name in ("noise_multiplier", "sample_rate", "delta", "steps"))


def test_progress_rises_to_its_end(together):
    told_of = [event for _, event in together[1] if isinstance(event, Progress)]
    done = [event.done for event in told_of]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(told_of[-1].total)


def test_the_stored_queries_are_those_that_were_written(together):
    some, events = together
    for place in range(len(some)):
        (held,) = [event.tensors for at, event in events if at == place and isinstance(event, Artifact)]
        texts, documents = bytes(held["text"].numpy()).decode().split("\n"), held["document"]
        name = tuning.called(some[place].point.epsilon[0])
        ids = chunks(events)[f"synthetic at {name}, written"]["ids"].long()
        everything = writing.decode(lab().language, ids)
        assert texts == [text for text in everything if text]
        assert documents.tolist() == [row for row, text in enumerate(everything) if text]
        values = results(events)[place, "synthetic"]
        assert (values["queries"], values["empty_queries"]) == (len(texts), len(everything) - len(texts))


def test_an_empty_query_is_left_out_and_counted():
    some = lab()
    language, ids = some.language, torch.full((40, 8), some.language.tokenizer.eos_token_id)
    ids[3, 0] = language.tokenizer("head").input_ids[0]
    some.resources.chunks["untuned, written"] = {"ids": ids}
    generator = writing.write(some, 0, "untuned")
    with pytest.raises(StopIteration) as ended:
        next(generator)
    written = ended.value.value
    assert (len(written.queries), written.documents.tolist(), written.empty) == (1, [3], 39)


def test_what_is_finished_is_not_done_again_and_nothing_changes(together, monkeypatch):
    some, events = together
    for module, name in ((tuning, "PrivateTuner"), (learning, "train"), (learning, "PrivateDirect"),
                         (learning, "PrivateLogit"), (writing, "sample")):  # fmt: skip
        monkeypatch.setattr(module, name, None)  # nobody may train or write
    again = told(some, chunks=chunks(events))
    assert results(again) == results(events)
    assert chunks(again) == {}
    assert [points(again, series) for series in ("curve", "ledger", "exposure")] == [[], [], []]


def test_rows_come_before_the_chunk_that_silences_them(together):
    """What has a chunk is not said again: killed between it and rows that follow, a run would never say them."""
    own = [event for place, event in together[1] if place == 0 and not isinstance(event, Progress)]
    for one, other in pairwise(own):
        if getattr(one, "series", "") == "ledger":
            assert other.series == "ledger" if isinstance(other, Point) else other.key.endswith((" done", " learned"))
        if isinstance(one, Chunk):
            assert getattr(other, "series", "") != "ledger"


def test_the_selection_split_decides_losses_and_the_test_split_what_is_found(together, monkeypatch):
    some, events = together
    held = lab().split
    other = {"test": held.selection, "selection": held.selection}
    changed = type(held)(**(vars(held) | other))
    monkeypatch.setattr("labkit.experiments.queries.lab.split_pairs", lambda *given: changed)
    swapped = results(told([some[2]]))
    said = results(events)[2, "synthetic"]
    assert swapped[0, "synthetic"]["selection_loss"] == said["selection_loss"]
    assert swapped[0, "synthetic"]["test_queries"] == len(held.selection) != said["test_queries"]
    assert swapped[0, "synthetic"]["recall"] != said["recall"]


def test_another_seed_is_another_run(together):
    """Baselines too: were they of another seed than their replicate's, a paired comparison would pair nothing."""
    (job,) = jobs(epsilon="plain", seed=1, canaries=0)
    one = results(told([job]))
    for arm in ("untrained", "real", "untuned", "synthetic"):
        assert one[0, arm]["ndcg"] != results(together[1])[2, arm]["ndcg"]
