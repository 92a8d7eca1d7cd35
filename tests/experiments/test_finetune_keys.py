"""Who shares split, head and draws in notebook 05 (all of a seed), and noise (nobody); what a training begins with."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from small_finetune import (
    CONVOLUTIONS,
    MANY,
    MIDDLE,
    batch,
    jobs,
    lab,
    patched,
    recorded,
    told,
)

from labkit.experiments.finetune.spec import METHODS
from labkit.finetune.scores import RowScores
from labkit.population import Params
from labkit.privacy import PrivateTrainer


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


@pytest.fixture
def begun(monkeypatch) -> list[PrivateTrainer]:
    return recorded(monkeypatch)


def test_all_methods_of_a_seed_are_given_the_same_batches(begun):
    told(jobs(**MANY | {"epsilon": "8,plain"}, seeds=2))
    trained = [trainer for trainer in begun if not isinstance(trainer, RowScores)]
    by_key: dict[int, set[tuple]] = {}
    for trainer in trained:
        for member, group in enumerate(trainer.groups.tolist()):
            batches = tuple((step, *batch(trainer, step, member)) for step in range(trainer.first, trainer.last))
            by_key.setdefault(trainer.draw_keys[group], set()).update(batches)
    assert len(by_key) == 2  # seeds
    assert all(len(batches) == 4 for batches in by_key.values())  # one for each step, whatever trained on it
    one, other = by_key.values()
    assert not one & other
    scored = [trainer for trainer in begun if isinstance(trainer, RowScores)]
    assert {trainer.draw_keys[0] for trainer in scored} == set(by_key)
    assert {(trainer.first, trainer.last) for trainer in scored} == {(4, 8)}


def test_no_two_releases_share_noise(begun):
    """The stages of one fine-tune share a key and no step; everything else shares no key."""
    told(jobs(**MANY, seeds=2) + jobs(method="head", epsilon="8", learning_rate=0.3))
    used = [
        (key, step)
        for trainer in begun
        for key, plan in zip(trainer.noise_keys, trainer.plans, strict=True)
        for step in range(trainer.first, trainer.last)
        if plan.private
    ]
    assert len(used) == len(set(used))
    keys = {key for key, _ in used}
    points_of = {(job.point, job.seed) for job in jobs(**MANY, seeds=2) if not isinstance(job.point.epsilon[0], str)}
    assert len(keys) == len(points_of) + 2 * 1  # and head and random at another rate


@pytest.mark.parametrize(
    "changes",
    [{"learning_rate": 0.4}, {"clip_norm": 2.0}, {"epsilon": "2"}, {"delta": 1e-4}, {"layers": 0},
     {"sparsity": "0.5"}],
    ids=str,
)  # fmt: skip
def test_another_release_of_the_same_draws_has_other_noise(begun, changes):
    told(jobs(method="random"))
    told(jobs(method="random", **changes))
    one, other = begun
    assert one.draw_keys == other.draw_keys
    assert one.noise_keys != other.noise_keys
    assert batch(one, 0) == batch(other, 0)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"split_seed": 1}, {"batch_size": 20}], ids=str)
def test_what_is_not_paired_shares_nothing(begun, changes):
    told(jobs(method="random"))
    told(jobs(method="random", **changes))
    one, other = begun
    assert one.draw_keys != other.draw_keys
    assert one.noise_keys != other.noise_keys


def test_other_weights_under_the_same_name_are_another_release(begun, monkeypatch):
    told(jobs(method="random"))
    monkeypatch.setattr("labkit.experiments.finetune.lab.weights", lambda point: "other")
    told(jobs(method="random"))
    assert begun[0].noise_keys != begun[1].noise_keys


def heads(trainer: PrivateTrainer) -> list[Params]:
    return [{name: t[k] for name, t in trainer.params.items() if name.startswith("6.")} for k in range(trainer.count)]


def test_every_method_begins_with_the_same_new_head(monkeypatch):
    begun = []
    made = PrivateTrainer.__init__

    def record(self, *arguments, **named):
        made(self, *arguments, **named)
        if not isinstance(self, RowScores) and not self.first:
            begun.extend({n: t.clone() for n, t in head.items()} for head in heads(self))

    monkeypatch.setattr(PrivateTrainer, "__init__", record)
    told(jobs(method=",".join(METHODS), layers=0))
    assert len(begun) == len(METHODS)
    for one, other in combinations(begun, 2):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert begun[0]["6.weight"].abs().max() <= 6**-0.5
    assert not begun[0]["6.bias"].any()
    bench = lab()
    assert not torch.equal(bench.head(0)["6.weight"], bench.head(1)["6.weight"])


def test_the_rest_begins_as_it_was_published(begun):
    told(jobs(method="all", epsilon="8", layers=0, learning_rate=1e-30))
    network = lab().network.parameters()
    moved = next(trainer for trainer in begun if len(trainer.params) == 7)
    for name, tensor in moved.params.items():
        if not name.startswith("6."):
            assert torch.allclose(tensor[0], network[name], rtol=0, atol=1e-20)


def test_a_warm_up_goes_on_where_it_ended(begun):
    """What it trained is what scores are made at and what the training begins with; it is not scored at the start."""
    told(jobs(method="sparta", epsilon="plain", warmup="0.5", learning_rate=1e-30, layers=0))
    told(jobs(method="sparta", epsilon="plain", warmup="0.5", layers=0))
    still, moved = begun[:3], [t for t in begun[4:] if t.plan.steps == 8][:3]
    for one, other in zip(still, moved, strict=True):
        assert (one.first, one.last) == (other.first, other.last)
    assert [(t.first, t.last) for t in moved] == [(0, 2), (4, 8), (2, 4)]
    warm, scorer, trained = moved
    for name, tensor in warm.params.items():
        assert torch.equal(trained.start[name], tensor)
        assert torch.equal(scorer.arch.base[name], tensor[0])
        assert not torch.equal(tensor, still[0].params[name])
    assert set(warm.params) == {"1.weight", "1.bias", "4.bias", "6.weight", "6.bias"}
    _, still_scorer, _ = still
    assert not torch.equal(scorer.scores()[MIDDLE], still_scorer.scores()[MIDDLE])
    assert set(scorer.scores()) == {CONVOLUTIONS, MIDDLE}
