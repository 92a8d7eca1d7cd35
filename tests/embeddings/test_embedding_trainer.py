"""The trainer against the same training one unit at a time in float64, with the same noise."""

from __future__ import annotations

import math

import pytest
import torch
from one_unit import TABLE, clipped_sum, distinct_rows, unit_gradient, weights
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from labkit.embeddings.convention import deviations, l1_factor, l2_factor
from labkit.embeddings.false_survivors import false_survivors
from labkit.embeddings.mechanism import Method
from labkit.embeddings.methods import ADAPTIVE, CHOSEN, METHODS
from labkit.embeddings.noise import DENSE, FLUSH, MAP, PENDING, PLACES, ROWS, StepNoise
from labkit.embeddings.survivors import tail
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.errors import BadInput
from labkit.privacy import Plan
from labkit.privacy.noise import OS

N, SIZES, DIM, STEPS, BATCH, CLIP, RATE = 30, (4, 9), 2, 5, 8, 0.5, 0.7
D = sum(SIZES)
ACTIVE = torch.tensor([0, 1, 3, 4, 5, 7, 10])
DRAW, NOISE = 3, 17


def examples(bag: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    if bag:
        ids = torch.randint(-1, D, (N, 3), generator=generator)
        ids[:, 1].clamp_(min=0)
    else:
        ids = torch.stack([torch.randint(0, SIZES[0], (N,), generator=generator)] * 2, 1)
        ids[:, 1] = SIZES[0] + torch.randint(0, SIZES[1], (N,), generator=generator)
    return ids, torch.randint(0, 2, (N,), generator=generator)


def method(name: str, **rest) -> Method:
    chosen = {"selection_fraction": 0.3, "threshold": 1.0} if name in ADAPTIVE else {}
    return Method(name=name, **chosen | rest)


def plan_for(units: int, sigma: float = 0.8, **rest) -> Plan:
    given = {"examples": units, "batch_size": BATCH, "steps": STEPS} | rest
    if not sigma:
        return Plan.nonprivate("a test", clip_norm=CLIP, **given)
    return Plan.noised(noise_multiplier=sigma, clip_norm=CLIP, **given)


def made(name: str, *, bag: bool = False, of_each: int = 1, sigma: float = 0.8, key: int = NOISE, **rest):
    ids, labels = examples(bag)
    tower = Tower(ids.shape[1], DIM, (4,), bag=bag, generator=torch.Generator().manual_seed(5))
    table = torch.randn(D, DIM, generator=torch.Generator().manual_seed(6))
    units = torch.arange(N).view(-1, of_each)
    if of_each > 1:
        units[::3, -1] = -1
    settings = {"method": method(name), "plan": plan_for(len(units), sigma), "learning_rate": RATE} | rest
    active = {"active": ACTIVE} if name in CHOSEN else {}
    given = {"draw_key": DRAW, "noise_key": key} | active | settings
    return EmbeddingTrainer(tower, table, ids, labels, units, **given)


class ByHand:
    """The whole training in float64, row by row."""

    def __init__(self, trainer: EmbeddingTrainer, optimizer: str) -> None:
        self.trainer, self.plan, self.method = trainer, trainer.plan, trainer.method
        self.given = weights(trainer.tower, trainer.table)
        self.squares = {name: torch.zeros_like(t) for name, t in self.given.items()} if optimizer == "adagrad" else None
        self.noise = StepNoise(NOISE, "cpu")
        self.active = ACTIVE if self.method.name in CHOSEN else torch.arange(D)
        self.noised = dict.fromkeys(range(D), 0)
        self.survivors: list[int] = []

    def train(self) -> dict[str, Tensor]:
        for at in range(self.plan.steps):
            self.step(at)
        if self.method.name == "lazydp":
            self.pay(range(D), self.plan.steps, FLUSH)
        return self.given

    def step(self, at: int) -> None:
        t = self.trainer
        slots = [t.units[unit] if unit >= 0 else torch.full_like(t.units[0], -1) for unit in t.drawn[at].tolist()]
        batch = [torch.stack([t.ids[e] if e >= 0 else torch.full_like(t.ids[0], -1) for e in unit]) for unit in slots]
        if self.method.name == "lazydp":
            self.pay(dict.fromkeys(int(row) for unit in batch for row in unit.flatten() if row >= 0), at, PENDING)
        gradients = [
            unit_gradient(t.tower, self.given, ids, t.labels[unit.clamp(min=0)], active=self.active)
            for ids, unit in zip(batch, slots, strict=True)
        ]
        total = clipped_sum(gradients, self.given, CLIP)
        rows, deviation = self.chosen(batch, at), self.plan.noise_multiplier * CLIP
        if self.method.name in ADAPTIVE:
            deviation = deviations(self.plan.noise_multiplier, self.method.selection_fraction, 1.0, CLIP)[1]
        if self.method.name != "lazydp":
            total[TABLE][rows] += deviation * self.noise.normal(ROWS, at, len(rows), DIM)
        self.survivors.append(len(rows))
        dense = self.noise.normal(DENSE, at, self.trainer.tower.flat.data.numel()).double() * deviation
        for name, part in self.trainer.tower.params.items():
            total[name] += dense[: part.numel()].view(part.shape)
            dense = dense[part.numel() :]
        for name, gradient in total.items():
            some = rows if name == TABLE else slice(None)
            self.move(name, some, gradient[some] / self.plan.batch_size)

    def chosen(self, batch: list[Tensor], at: int) -> Tensor:
        """Rows of the tables that the step noises, in the order in which it does."""
        if self.method.name not in ADAPTIVE:
            return self.active
        f, factor = self.method.selection_fraction, {"l2": l2_factor, "l1": l1_factor}[self.method.map_norm]
        on_map = deviations(self.plan.noise_multiplier, f, self.method.map_clip, CLIP)[0]
        places = {int(row): place for place, row in enumerate(self.active)}
        votes: dict[int, float] = {}
        first: dict[int, int] = {}
        for unit, ids in enumerate(batch):
            touched = distinct_rows(ids, self.active)
            for slot, row in enumerate(ids.flatten().tolist()):
                if row in places:
                    first.setdefault(row, unit * ids.numel() + slot)
            for row in touched:
                votes[row] = votes.get(row, 0.0) + factor(len(touched), self.method.map_clip)
        noise = on_map * self.noise.normal(MAP, at, len(batch) * batch[0].numel()).double()
        limit = self.method.threshold * on_map
        kept = [row for row in sorted(first, key=first.get) if votes[row] + float(noise[first[row]]) >= limit]
        lone = false_survivors(len(places), tail(self.method.threshold), self.noise.generator(PLACES, at))
        kept += [int(self.active[place]) for place in lone if int(self.active[place]) not in first]
        return torch.tensor(kept, dtype=torch.int64)

    def pay(self, rows, at: int, purpose: str) -> None:
        due = [row for row in rows if self.noised[row] < at]
        noise = self.noise.normal(purpose, at, len(due), DIM).double()
        scale = RATE * self.plan.noise_multiplier * CLIP / self.plan.batch_size
        for row, numbers in zip(due, noise, strict=True):
            self.given[TABLE][row] -= scale * math.sqrt(at - self.noised[row]) * numbers
            self.noised[row] = at

    def move(self, name: str, some, gradient: Tensor) -> None:
        if self.squares is not None:
            self.squares[name][some] += gradient**2
            gradient = gradient / (self.squares[name][some].sqrt() + 1e-10)
        self.given[name][some] -= RATE * gradient


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
