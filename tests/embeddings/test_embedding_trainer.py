"""The trainer against the same training one unit at a time in float64, and what it keeps, counts and refuses."""

from __future__ import annotations

import math

import pytest
import torch
from one_unit import TABLE
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from whole_training import (
    ACTIVE,
    DIM,
    DRAW,
    NOISE,
    RATE,
    STEPS,
    ByHand,
    D,
    N,
    examples,
    made,
    method,
    plan_for,
)

from labkit.embeddings.methods import ADAPTIVE, METHODS
from labkit.embeddings.noise import MAP, PLACES, StepNoise
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.errors import BadInput
from labkit.privacy import Plan
from labkit.privacy.noise import OS

RUNS = [(name, "sgd") for name in METHODS] + [(name, "adagrad") for name in METHODS if name != "lazydp"]


@pytest.mark.parametrize(("name", "optimizer"), RUNS)
@pytest.mark.parametrize(("bag", "of_each"), [(False, 1), (True, 1), (True, 3)])
def test_one_unit_at_a_time_in_float64(name, optimizer, bag, of_each):
    trainer = made(name, bag=bag, of_each=of_each, optimizer=optimizer)
    start = trainer.table.clone()
    oracle = ByHand(trainer, optimizer)
    expected = oracle.train()
    trainer.advance(STEPS)
    trainer.flush()
    assert torch.allclose(trainer.table.double(), expected[TABLE], atol=1e-3)
    assert all(torch.allclose(t.double(), expected[n], atol=1e-3) for n, t in trainer.tower.params.items())
    assert float((trainer.table - start).abs().max()) > 0.05
    if name in ADAPTIVE:
        assert trainer.mechanism.survivors.tolist() == oracle.survivors
        assert 0 < sum(oracle.survivors) < STEPS * len(oracle.active)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("map_clip", [0.6, 3.0])
def test_either_map_one_unit_at_a_time(norm, map_clip):
    settled = method("adafest", map_norm=norm, map_clip=map_clip)
    trainer = made("adafest", bag=True, sigma=0.5, method=settled)
    oracle = ByHand(trainer, "sgd")
    expected = oracle.train()
    trainer.advance(STEPS)
    assert trainer.mechanism.survivors.tolist() == oracle.survivors
    assert torch.allclose(trainer.table.double(), expected[TABLE], atol=1e-3)


def test_batches_are_the_plans():
    trainer = made("dpsgd")
    draws = trainer.plan.sampler([DRAW]).draw(STEPS)
    for step, end in enumerate(draws.ends):
        drawn = draws.rows[draws.ends[step - 1] if step else 0 : end].flatten()
        assert sorted(drawn[drawn >= 0].tolist()) == sorted(u for u in trainer.drawn[step].tolist() if u >= 0)
        trainer.advance(1)
        assert int(trainer.seen) == int(draws.sizes()[: step + 1].sum())


def test_a_draw_larger_than_its_place_is_taken_whole():
    # A slot of 16 places for 6 units on average: one of 20,000 draws is larger.
    plan = plan_for(N, batch_size=6, steps=2000)
    key = next(key for key in range(1000) if len(plan.sampler([key]).draw(2000).rows) > 2000)
    drawn, sizes = made("dpsgd", plan=plan, draw_key=key).drawn, plan.sampler([key]).draw(2000).sizes()
    assert sizes.max() > 16
    assert (drawn >= 0).sum(1).tolist() == sizes[:, 0].tolist()


def test_no_two_purposes_share_numbers():
    noise = StepNoise(NOISE, "cpu")
    drawn = {(name, at): noise.normal(name, at, 6).tolist() for name in noise.keys for at in range(3)}
    assert len({number for numbers in drawn.values() for number in numbers}) == 6 * len(drawn)
    assert noise.normal(MAP, 1, 2, 3).flatten().tolist() == drawn[MAP, 1]
    assert noise.generator(PLACES, 0).random() != noise.generator(PLACES, 1).random()
    assert StepNoise(NOISE + 1, "cpu").keys != noise.keys


@pytest.mark.parametrize("name", METHODS)
def test_empty_draws_are_steps_too(name):
    trainer = made(name, plan=plan_for(N, batch_size=1, steps=12))
    sizes = (trainer.drawn >= 0).sum(1)
    assert 0 in sizes.tolist()
    before = trainer.tower.flat.data.clone()
    trainer.advance(12)
    trainer.flush()
    assert trainer.table.isfinite().all()
    assert int((trainer.tower.flat.data != before).sum()) == len(before)


@pytest.mark.parametrize(("name", "optimizer"), RUNS)
def test_a_resumed_run_is_the_same_run(name, optimizer):
    whole, first, second = (made(name, optimizer=optimizer) for _ in range(3))
    whole.advance(STEPS)
    first.advance(2)
    state = first.state()
    second.load(state)
    assert second.done == 2
    second.advance(STEPS)
    for one in (whole, second):
        one.flush()
    assert torch.equal(whole.table, second.table)
    assert torch.equal(whole.tower.flat.data, second.tower.flat.data)
    assert int(whole.seen) == int(second.seen)
    assert torch.equal(whole.mechanism.survivors, second.mechanism.survivors)
    first.advance(1)
    assert not torch.equal(state["tower"], first.tower.flat.data)  # a copy, which later steps leave alone


def test_a_state_of_another_training_is_refused():
    state = made("adafest").state()
    with pytest.raises(BadInput, match="noise_key"):
        made("adafest", key=NOISE + 1).load(state)
    with pytest.raises(BadInput, match="plan"):
        made("adafest", plan=plan_for(N, sigma=0.9)).load(state)


def test_keys_from_the_operating_system_are_not_written_down():
    seeded, secret = (made("adafest", plan=plan_for(N, noise_source=source)) for source in ("seeded", OS))
    assert set(seeded.state()) - set(secret.state()) == {"keys"}


@pytest.mark.parametrize("name", METHODS)
def test_noise_is_this_releases_alone(name):
    tables = []
    for key in (NOISE, NOISE, NOISE + 1):
        trainer = made(name, key=key)
        trainer.advance(STEPS)
        trainer.flush()
        tables.append(trainer.table)
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_without_noise_and_clip_it_is_gradient_descent_that_learns():
    trainer = made("dpsgd", sigma=0.0, plan=Plan.nonprivate("a test", examples=N, batch_size=N, steps=300))
    ids, labels = examples(False)
    before = torch.nn.functional.binary_cross_entropy_with_logits(trainer.logits(ids), labels.float())
    trainer.advance(300)
    after = torch.nn.functional.binary_cross_entropy_with_logits(trainer.logits(ids), labels.float())
    assert float(after) < 0.6 * float(before)
    assert int(trainer.clipped) == int(trainer.dropped) == 0


def test_exact_counts_of_clipped_and_lost_units():
    trainer = made("dpsgd", sigma=0.0, plan=Plan.nonprivate("t", examples=N, batch_size=N, steps=1, clip_norm=1e-3))
    trainer.table[0] = math.nan
    lost = int((trainer.ids == 0).any(1).sum())
    trainer.advance(1)
    assert (int(trainer.seen), int(trainer.dropped), int(trainer.clipped)) == (N, lost, N - lost)
    assert trainer.tower.flat.data.isfinite().all()


class Fresh(TorchDispatchMode):
    """The largest tensor that is made; writing into those that were there before is no making."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.known, self.numbers = {t.untyped_storage().data_ptr() for t in known}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, Tensor) and one.untyped_storage().data_ptr() not in self.known:
                self.numbers = max(self.numbers, one.numel())
        return result


def test_a_step_makes_nothing_of_the_size_of_the_vocabulary():
    rows = 1 << 20
    ids, labels = examples(False)
    table = torch.zeros(rows, DIM)
    trainer = EmbeddingTrainer(
        Tower(2, DIM, (4,), generator=torch.Generator()), table, ids * (rows // D), labels, torch.arange(N)[:, None],
        plan_for(N), method("adafest", threshold=4.5), learning_rate=RATE, draw_key=DRAW, noise_key=NOISE,
    )  # fmt: skip
    with Fresh([table, trainer.mechanism.map.first]) as seen:
        trainer.advance(STEPS)
    assert 0 < seen.numbers < 4000  # twice the padded batch's slots, of two numbers; and a few false survivors
    assert (table != 0).any(1).sum() <= trainer.mechanism.survivors.sum() < 60


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="examples"):
        made("dpsgd", plan=plan_for(N + 1))
    for name, rest in (("fest", {"active": None}), ("dpsgd", {"active": ACTIVE}), ("adafest_plus", {"active": None})):
        with pytest.raises(BadInput, match="method"):
            made(name, **rest)
    ids, labels = examples(False)
    tower = Tower(2, DIM, (), generator=torch.Generator())
    for bad in (-2, D):
        broken = ids.clone()
        broken[4, 1] = bad
        with pytest.raises(BadInput, match="ids"):
            EmbeddingTrainer(
                tower, torch.zeros(D, DIM), broken, labels, torch.arange(N)[:, None], plan_for(N), method("dpsgd"),
                learning_rate=RATE, draw_key=DRAW, noise_key=NOISE,
            )  # fmt: skip
    broken = ids.clone()
    broken[4] = -1
    with pytest.raises(BadInput, match="without a row"):
        EmbeddingTrainer(
            tower, torch.zeros(D, DIM), broken, labels, torch.arange(N)[:, None], plan_for(N), method("dpsgd"),
            learning_rate=RATE, draw_key=DRAW, noise_key=NOISE,
        )  # fmt: skip
