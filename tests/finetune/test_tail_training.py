"""The private trainer on what moves of a public network, against a loop of single examples in float64."""

from __future__ import annotations

import pytest
import torch
from small_networks import clipped_sum, examples, gradient, network, one_of, rows_of
from torch import Tensor

from labkit.finetune.method import beside_rows
from labkit.finetune.scores import NORM, RowScores
from labkit.finetune.tail import Tail
from labkit.privacy import Plan, PrivateTrainer
from labkit.privacy.noise import fill_normal

N, STEPS, BATCH, RATE, MOMENTUM = 24, 5, 8, (0.5, 0.2, 0.3), 0.9
COMMON = {"examples": N, "batch_size": BATCH, "steps": STEPS}
PLANS = (
    Plan.noised(noise_multiplier=0.8, clip_norm=0.5, **COMMON),
    Plan.noised(noise_multiplier=1.5, clip_norm=0.2, **COMMON),
    Plan.nonprivate("a test", clip_norm=0.3, **COMMON),
)


def trainer(kind: str, *, members: tuple[int, ...] = (0, 1, 2), **rest) -> PrivateTrainer:
    """Members with rows, plans, rates and draws of their own."""
    made, (images, y) = network(kind), examples(N)
    rows = {
        name: torch.stack([one_of({name: index}, k)[name] for k in members]) for name, index in rows_of(kind).items()
    }
    tail = Tail(made, beside_rows(made, 0), rows)
    head = made.drawn_head(torch.Generator().manual_seed(0))
    given = {"noise_keys": [100 + k for k in members], "draw_keys": [3, 4], "groups": [k % 2 for k in members]}
    given |= {"learning_rate": [RATE[k] for k in members], "momentum": MOMENTUM}
    return PrivateTrainer(
        tail, tail.start(head, len(members)), [PLANS[k] for k in members], tail.features(images), y, **given | rest
    )


def by_hand(made: PrivateTrainer, kind: str, k: int) -> dict[str, Tensor]:
    """Member k: one example and one step at a time, with the same draws and the same noise."""
    public, (images, y) = network(kind, torch.float64), examples(N, dtype=torch.float64)
    rows, plan = one_of(rows_of(kind), k), PLANS[k]
    head = network(kind).drawn_head(torch.Generator().manual_seed(0))
    params = Tail(public, beside_rows(public, 0), {n: i[None] for n, i in rows.items()}).start(head)
    own = {name: tensor[0] for name, tensor in params.items()}
    velocity = {name: torch.zeros_like(tensor) for name, tensor in own.items()}
    numbers = sum(tensor.numel() for tensor in own.values())
    for step in range(STEPS):
        drawn = made.rows[(made.ends[step - 1] if step else 0) : made.ends[step], int(made.groups[k])].flatten()
        found = [gradient(public, own, rows, images[i], y[i]) for i in drawn[drawn >= 0].tolist()]
        total, noise = clipped_sum(found, plan.clip_norm), torch.zeros(1, numbers)
        if plan.private:
            fill_normal(noise, [made.noise_keys[k]], step, [True])
        start = 0
        for name, tensor in own.items():
            z = noise[0, start : start + tensor.numel()].view(tensor.shape).double()
            start += tensor.numel()
            noisy = total.get(name, 0) + plan.noise_multiplier * plan.clip_norm * z
            velocity[name] = MOMENTUM * velocity[name] + RATE[k] / BATCH * noisy
            own[name] = tensor - velocity[name]
    return own


@pytest.mark.parametrize("padded", [None, 3])
@pytest.mark.parametrize("kind", ["convolutions", "tokens"])
def test_against_a_loop_of_single_examples(kind, padded):
    """Rows, noise and clip norms of each member, momentum, and draws that overflow their slots."""
    made = trainer(kind, padded=padded)
    made.advance(STEPS)
    assert (made.ends[-1] > STEPS) == (padded is not None)
    for k in range(3):
        for name, expected in by_hand(made, kind, k).items():
            torch.testing.assert_close(made.params[name][k].double(), expected, rtol=2e-4, atol=5e-5)


@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense"])
def test_frozen_numbers_are_the_public_ones_to_the_bit(kind):
    """And all others are not: noise reaches every number that moves."""
    made, public = trainer(kind), network(kind)
    before = {name: tensor.clone() for name, tensor in public.parameters().items()}
    made.advance(STEPS)
    full = made.arch.full(made.params)
    for name, value in before.items():
        assert torch.equal(public.parameters()[name], value)  # the public network itself stays
        layer, _, number = name.rpartition(".")
        for k in range(2):
            if name not in full:
                continue
            moved = torch.ones_like(value, dtype=torch.bool)
            if number == "weight" and layer in rows_of(kind):
                moved[:] = False
                moved[one_of(rows_of(kind), k)[layer]] = True
            assert torch.equal(full[name][k] != value, moved), name
    moving = {f"{layer}.weight" for layer in rows_of(kind)} | set(beside_rows(public, 0))
    assert set(full) == moving


@pytest.mark.parametrize("kind", ["convolutions", "tokens"])
def test_a_member_trains_to_the_same_bits_whoever_trains_beside_it(kind):
    together = trainer(kind)
    together.advance(STEPS)
    for k in range(3):
        alone = trainer(kind, members=(k,))
        alone.advance(STEPS)
        for name, tensor in alone.params.items():
            assert torch.equal(tensor[0], together.params[name][k]), name


def test_stages_of_a_plan_share_neither_batches_nor_noise():
    """Scoring in steps 3 and 4 between two halves of a training: together they use each step's batch and noise once."""
    made, (images, y) = network("dense"), examples(N)
    asked: list[tuple[int, tuple[int, ...]]] = []

    class Noted(RowScores):
        def _add_noise(self, numbers: Tensor) -> None:
            asked.append((self.done, tuple(self.rows[int(self.slot) - 1, 0].tolist())))
            super()._add_noise(numbers)

    for span in ((3, 4), (4, 5), (0, 3)):
        scorer = Noted(made, ["1", "3"], NORM, PLANS[0], images, y, draw_key=3, noise_key=5, span=span)
        scorer.advance(STEPS)
        assert scorer.done == span[1]
    assert [step for step, _ in asked] == [3, 4, 0, 1, 2]
    assert len({batch for _, batch in asked}) == STEPS
