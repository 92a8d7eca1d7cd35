"""Private choices keep their losers to themselves, secret keys stay secret, and landscapes know their noise."""

from __future__ import annotations

import secrets
from itertools import chain

import pytest
import torch
from dp_accounting import ComposedDpEvent, GaussianDpEvent
from dp_accounting.dp_event import RepeatAndSelectDpEvent
from small_frontier import DENSE_SIZE, batch, chunks, jobs, points, results, told

from labkit.experiments.frontier import choosing, training
from labkit.experiments.frontier.arms import SELECTION_SHARE, Arm, Network
from labkit.experiments.frontier.choosing import BOUND, cells, choose_masks
from labkit.experiments.frontier.pictures import length, noise_length
from labkit.experiments.frontier.spec import search_space
from labkit.landscape import random_plane
from labkit.privacy import spent
from labkit.privacy.events import dp_sgd
from labkit.privacy.repeats import LOGARITHMIC
from labkit.privacy.selection import selection_event, utilities
from labkit.runs.events import Artifact, Chunk, Point, Progress, Result
from labkit.streams import stream

NODES = {"space": "nodes", "sparsity": "0.5", "learning_rate": "0.7"}
KEPT = {"selection_accuracy", "curve", "test_accuracy", "test_loss", "recall", "clipped", "dropped"}


def returned(steps):
    """What a generator returns, its events left out."""
    found = []

    def inner():
        found.append((yield from steps))

    list(inner())
    return found[0]


def test_choosing_and_training_cost_the_epsilon_together():
    plans = batch(**NODES).plans
    plan, sigma = plans.chosen, plans.chosen.noise_multiplier
    trained = dp_sgd(plan.sample_rate, sigma, plan.steps)
    joint = spent([trained, selection_event(SELECTION_SHARE * 2)], plan.delta).epsilon
    assert 1.99 < joint <= 2
    assert plan.epsilon == pytest.approx(joint)
    assert spent(trained, plan.delta).epsilon < 1.99  # the choice takes its share
    assert sigma > plans.training.noise_multiplier
    law = RepeatAndSelectDpEvent(
        ComposedDpEvent([plans.repeats.base.event(), GaussianDpEvent(plans.repeats.score_noise)]), 1.5, LOGARITHMIC
    )
    assert 1.99 < spent(law, plan.delta).epsilon <= 2


def test_candidates_are_scored_by_their_clipped_losses_before_training(monkeypatch):
    asked: list[tuple] = []

    def spy(scores, epsilon, bound, generator):
        asked.append((scores, epsilon, bound))
        return int(scores.argmax())

    monkeypatch.setattr(choosing, "choose", spy)
    some = batch(**NODES)
    chosen = returned(choose_masks(some))
    assert [len(scores) for scores, _, _ in asked] == [2, 3, 5] * 2
    assert {(epsilon, bound) for _, epsilon, bound in asked} == {(SELECTION_SHARE * 2, BOUND)}
    for cell, (_, _, (scores, _, _)) in zip(cells(some), (asked[:3], asked[3:]), strict=True):
        found = search_space(some.dense, "nodes", 0.5, cell.seed).candidates(some.parent(cell.seed), range(5))
        logits, y = found.arch.logits(found.params, some.data.train.x), some.data.train.y
        losses = torch.logsumexp(logits, -1) - logits[:, torch.arange(len(y)), y]
        assert torch.allclose(scores, utilities(losses, BOUND), rtol=1e-6)
        assert chosen[cell, 5] == int(scores.argmax())
        assert chosen[cell, 2] == int(scores[:2].argmax())


def test_the_chosen_mask_is_the_one_that_trains(monkeypatch):
    monkeypatch.setattr(choosing, "choose", lambda scores, *rest: len(scores) - 1)
    trained: list[Network] = []
    made = training.trainer_of
    monkeypatch.setattr(training, "trainer_of", lambda *given: (trained.extend(given[-1]), made(*given))[1])
    told(jobs(**NODES))
    assert {(n.arm.name, n.candidate) for n in trained if n.arm.kind == "chosen"} == {
        ("chosen-2", 1), ("chosen-3", 2), ("chosen-5", 4)
    }  # fmt: skip


def test_of_repeats_the_winner_alone_is_kept_and_not_how_many_there_were(monkeypatch):
    monkeypatch.setattr(choosing, "draw_repeats", lambda *law: 7)
    trained: list[Network] = []
    made = training.trainer_of
    monkeypatch.setattr(training, "trainer_of", lambda *given: (trained.extend(given[-1]), made(*given))[1])
    some = jobs(**NODES)
    events = told(some)
    repeats = [network for network in trained if network.arm.kind == "repeats"]
    assert len(repeats) == 2 * 7  # two seeds
    assert len({network.draw for network in repeats}) == 7  # each with draws and a mask of its own
    assert {network.candidate for network in repeats} == set(range(7))
    (table,) = chunks(events).values()
    rows = results(events, some)
    assert set(table) == KEPT
    assert {len(column) for column in table.values()} == {len(rows)}
    for series in ("curve", "ledger"):
        assert not any("repeats" in row.get("arm", "") for _, row in points(events, series))
    assert not any("networks" in row for _, row in points(events, "ledger") if row["what"] == "repeats")
    assert {type(event) for _, event in events} == {Chunk, Point, Progress, Result}


def test_the_repeat_with_the_best_noisy_score_wins(monkeypatch):
    monkeypatch.setattr(choosing, "noisy_score", lambda right, noise, generator: right.double())
    some = batch(**NODES)
    learned = {"right": torch.tensor([5.0, 80.0, 3.0, 90.0, 70.0])}
    assert choosing.winner(some, cells(some)[0], "", [0, 1, 2], learned) == 1
    assert choosing.winner(some, cells(some)[0], "", [4, 2], learned) == 4


def test_two_releases_of_repeats_are_two_draws():
    some = batch(**NODES)
    arm = next(arm for arm in some.arms(some.jobs[0]) if arm.kind == "repeats")
    own, shared = (choosing.repeated(some, arm, cells(some)[0], 0.5, suffix) for suffix in ("", "_shared"))
    assert not {network.draw for network in own} & {network.draw for network in shared}
    again = choosing.repeated(some, arm, cells(some)[0], 0.5, "")
    assert own == again


def test_keys_from_the_operating_system_are_other_ones_each_time_and_never_written(monkeypatch):
    given: list[int] = []
    bits = secrets.randbits
    monkeypatch.setattr(secrets, "randbits", lambda k: (given.append(bits(k)), given[-1])[1])
    some = jobs(**NODES, noise_source="os", landscape_size=3)
    one, other = told(some), told(some)
    before, after = results(one, some), results(other, some)
    same = [key for key in before if before[key]["test_loss"] == after[key]["test_loss"]]
    assert same == []
    assert len(given) > 40
    # 63 and 128 bits, whole or in halves, as integers or as bytes
    secret = {part for key in given for part in (key, key >> 64, key & (2**64 - 1)) if part >= 2**32}
    for _, event in chain(one, other):
        for tensor in event.tensors.values() if isinstance(event, Chunk | Artifact) else ():
            assert not secret & {int(number) for number in tensor.flatten().tolist() if abs(number) >= 2**32}
        for value in event.values.values() if isinstance(event, Point | Result) else ():
            assert value not in secret
    seeded = [results(told(some), some) for some in [jobs(**NODES)] * 2]
    assert seeded[0] == seeded[1]


def test_what_is_finished_is_found_again_though_every_key_was_secret(monkeypatch):
    some = jobs(**NODES, noise_source="os")
    events = told(some)
    monkeypatch.setattr(training, "trainer_of", None)  # nobody may train
    again = told(some, chunks=chunks(events))
    assert results(again, some) == results(events, some)
    assert points(again, "ledger") == points(events, "ledger")


def test_the_noise_radius_by_hand():
    some = batch(**NODES)
    plan = some.plans.training
    expected = 0.7 * plan.noise_multiplier * 1.0 * (6 * DENSE_SIZE) ** 0.5 / 30
    assert noise_length(some, Network(Arm("dense", plan), 0, 0.7)) == pytest.approx(expected)
    words = batch(**NODES | {"epsilon": "clipped"})
    assert noise_length(words, Network(Arm("dense", words.plans.training), 0, 0.7)) == 0
    assert length({"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}) == 5


@pytest.mark.parametrize("epsilon", ["2", "plain"])
def test_one_replicate_bears_the_landscape(epsilon):
    some = jobs(**NODES | {"sparsity": "0.5,0", "landscape_size": 3, "epsilon": epsilon})
    drawn = [(place, event) for place, event in told(some) if isinstance(event, Artifact)]
    [(place, landscape)] = drawn
    assert landscape.key == "landscape"
    assert (some[place].seed, some[place].point.sparsity) == (0, (0.0,))
    assert landscape.tensors["loss"].shape == (3, 3)
    assert landscape.tensors["axis"].tolist() == [-1, 0, 1]
    assert torch.isfinite(landscape.tensors["loss"]).all()
    assert (float(landscape.tensors["noise_radius"]) > 0) == (epsilon == "2")
    later = [job for job in some if job.seed == 1]
    assert not [event for _, event in told(later) if isinstance(event, Artifact)]


def test_the_landscape_s_centre_is_the_reported_network(monkeypatch):
    """With a seeded source the network that is drawn is the one that was reported: same loss on the same images."""
    some = batch(**NODES | {"landscape_size": 3})
    params: list = []
    made = training.trainer_of
    monkeypatch.setattr(
        training, "trainer_of", lambda *given: (params.append((given[-1], made(*given))), params[-1][1])[1]
    )
    events = told(list(some.jobs))
    trainer, k = next((t, networks.index(n)) for networks, t in params for n in networks
                      if n.arm.kind == "dense" and n.seed == 0)  # fmt: skip
    own = {name: tensor[k : k + 1] for name, tensor in trainer.params.items()}
    x, y = some.data.train.x[:1000], some.data.train.y[:1000]
    loss = torch.nn.functional.cross_entropy(some.dense.logits(own, x)[0], y)
    [landscape] = [event for _, event in events if isinstance(event, Artifact)]
    assert float(landscape.tensors["loss"][1, 1]) == pytest.approx(float(loss), rel=1e-4)
    expected = noise_length(some, Network(Arm("dense", some.plans.training), 0, 0.7))
    direction = random_plane(own, stream(0, "landscape")).first
    assert float(landscape.tensors["noise_radius"]) == pytest.approx(expected / length(direction), rel=1e-4)
