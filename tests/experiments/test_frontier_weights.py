"""Notebook 02's trained weights: in a plain `torch.nn.Sequential` they are the networks of the stored results."""

from __future__ import annotations

import pytest
import torch
from small_frontier import EXPERIMENT, chunks, digits, resources, spec
from weights_of import export, place, replicates, run_card, said

from labkit.experiments.frontier.run import run
from labkit.runs import Store, Worker
from labkit.runs.events import Artifact, Chunk
from labkit.runs.experiment import Job

KEPT = {"keep_weights": True, "learning_rate": 0.5, "seeds": 1, "noise_source": "os"}
ARMS = ("dense", "random", "small", "chosen-2", "chosen-3", "chosen-5", "repeats")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("os")) as store:
        for _ in Worker(EXPERIMENT, spec(**KEPT), store, load=lambda asked, where: digits()).run():
            pass
        yield store


@pytest.fixture(scope="module")
def taken(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taken")
    for row in replicates(store):
        assert export(store, row, folder) == 0
    return folder


def test_the_cards_code_loads_the_networks_of_the_stored_results(store, taken):
    data, seen = digits(), set()
    for row in replicates(store):
        (space,), (sparsity,) = row["spec"]["space"], row["spec"]["sparsity"]
        for arm, result in row["results"].items():
            if arm == "simulated":
                assert not place(taken, row, arm).exists()
                continue
            logits = run_card(place(taken, row, arm), pixels=data.pixels(data.test))["logits"].detach()
            loss = float(torch.nn.functional.cross_entropy(logits, data.test.y))
            assert float((logits.argmax(1) == data.test.y).double().mean()) == pytest.approx(result["test_accuracy"])
            assert loss == pytest.approx(result["test_loss"], rel=1e-4)
            seen.add((space, sparsity, arm))
    assert {arm for *_, arm in seen} == set(ARMS)
    assert ("weights", 0.5, "random") in seen


def test_the_card_says_what_the_result_says(store, taken):
    (row,) = replicates(store, space=["nodes"], sparsity=[0.5])
    for arm in ARMS:
        result, facts = row["results"][arm], said(place(taken, row, arm), "Guarantee")
        assert float(facts["epsilon"]) == result["epsilon_spent"]
        assert float(facts["noise multiplier"]) == result["noise_multiplier"]
        assert facts["accountant"] == result["accountant"]
        assert int(facts["protected records"]) == len(digits().train)
    text = {arm: (place(taken, row, arm) / "README.md").read_text() for arm in ARMS}
    assert "one choice among 3 masks, by the exponential mechanism at epsilon 0.2" in text["chosen-3"]
    assert "one is released by its noised score" in text["repeats"]
    assert "exponential" not in text["dense"]


def test_what_was_tuned_on_the_same_images_has_no_guarantee():
    result = {"dense": {"epsilon_spent": 2.0, "noise_multiplier": 1.0, "sample_rate": 0.1}}
    shapes = {"0.weight": (10, 64), "0.bias": (10,)}
    for changes in ({"learning_rate": "tuned"}, {"learning_rate": "shared"}, {"clip_norm": "tuned"}):
        (point, *_) = spec(**(KEPT | changes)).points()
        assert EXPERIMENT.released("dense", point, None, result, shapes).spoilt.startswith("its learning rate or clip")
    assert not EXPERIMENT.released("dense", spec(**KEPT).points()[0], None, result, shapes).spoilt


def weights(events: list) -> dict:
    return {
        (where, event.key, name): tensor.tolist()
        for where, event in events
        if isinstance(event, Artifact)
        for name, tensor in event.tensors.items()
    }


def test_a_run_stopped_behind_its_training_ends_with_its_weights_and_with_no_other_numbers():
    asked = spec(**(KEPT | {"noise_source": "seeded", "space": "nodes", "sparsity": "0.5"}))
    jobs = [Job(point, 0) for point in asked.points()]
    whole = list(run(jobs, resources()))
    (stop,) = [n for n, (_, event) in enumerate(whole) if isinstance(event, Chunk) and event.key.startswith("learned")]
    again = list(run(jobs, resources(chunks=chunks(whole[: stop + 1]))))
    assert weights(again) == weights(whole) != {}
    plain = list(run([Job(jobs[0].point.changed(keep_weights=False), 0)], resources()))
    assert weights(plain) == {}
    kinds = [[event for _, event in events if not isinstance(event, Artifact | Chunk)] for events in (plain, whole)]
    assert [e for e in kinds[0] if hasattr(e, "arm")] == [e for e in kinds[1] if hasattr(e, "arm")]
