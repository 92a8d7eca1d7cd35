"""The private trainer against a loop of single examples, against plain training, and against its own layout."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch.func import grad

from labkit.errors import BadInput
from labkit.population import MLP
from labkit.privacy import Plan, PrivateTrainer
from labkit.privacy.noise import OS, fill_normal

ARCH = MLP((6, 5, 3))
N, STEPS, BATCH = 40, 6, 10
SIZE = 6 * 5 + 5 + 5 * 3 + 3


def data(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, 6, generator=generator).to(dtype), torch.randint(0, 3, (N,), generator=generator)


def noised(sigma=1.0, clip=0.7, **changes) -> Plan:
    given = {"examples": N, "batch_size": BATCH, "steps": STEPS} | changes
    return Plan.noised(noise_multiplier=sigma, clip_norm=clip, **given)


def without_noise(clip=math.inf, **changes) -> Plan:
    given = {"examples": N, "batch_size": BATCH, "steps": STEPS} | changes
    return Plan.nonprivate("a test", clip_norm=clip, **given)


def trainer(plans, *, keys=(3,), dtype=torch.float32, seeds=None, **rest) -> PrivateTrainer:
    x, y = data(dtype)
    params = ARCH.init(seeds or list(range(len(plans))), dtype=dtype)
    rest = {"learning_rate": 0.5, "noise_keys": [100 + i for i in range(len(plans))]} | rest
    return PrivateTrainer(ARCH, params, plans, x, y, draw_keys=keys, **rest)


def loss(params, x, y):
    hidden = torch.relu(x @ params["0.weight"].T + params["0.bias"])
    return F.cross_entropy((hidden @ params["1.weight"].T + params["1.bias"]).unsqueeze(0), y.unsqueeze(0))


def by_hand(made: PrivateTrainer, plans, rates, masks=None, momentum=0.0) -> list[dict]:
    """The same training in float64: one example, one member, one step at a time; noise from the same keys."""
    x, y = data(torch.float64)
    ends = made.ends
    trained = []
    for k, plan in enumerate(plans):
        params = {n: t[k].double() for n, t in ARCH.init(list(range(len(plans)))).items()}
        kept = {n: masks[n][k].double() if masks and n in masks else torch.ones_like(t) for n, t in params.items()}
        params = {n: t * kept[n] for n, t in params.items()}
        velocity = {n: torch.zeros_like(t) for n, t in params.items()}
        for step in range(plan.steps):
            rows = made.rows[(ends[step - 1] if step else 0) : ends[step], int(made.groups[k])].flatten()
            total = {n: torch.zeros_like(t) for n, t in params.items()}
            for row in rows[rows >= 0].tolist():
                gradient = {n: g * kept[n] for n, g in grad(loss)(params, x[row], y[row]).items()}
                norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
                factor = min(1.0, plan.clip_norm / norm)
                total = {n: t + factor * gradient[n] for n, t in total.items()}
            noise = torch.zeros(1, SIZE)
            if plan.private:
                fill_normal(noise, [made.noise_keys[k]], step, [True])
            start = 0
            for n, t in params.items():
                z = noise[0, start : start + t.numel()].view(t.shape).double()
                start += t.numel()
                scale = plan.noise_multiplier * plan.clip_norm if plan.private else 0.0
                change = rates[k] * kept[n] * (total[n] + scale * z) / plan.batch_size
                velocity[n] = momentum * velocity[n] + change
                params[n] = t - velocity[n]
        trained.append(params)
    return trained


def masks(count: int) -> dict:
    generator = torch.Generator().manual_seed(5)
    return {
        n: (torch.rand(count, *s, generator=generator) < 0.6).float() for n, s in ARCH.shapes().items() if len(s) == 2
    }


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("padded", [None, 3])
def test_against_a_loop_of_single_examples(momentum, masked, padded):
    plans = [noised(1.5, 0.7), noised(0.5, 0.2), without_noise(0.3), without_noise()]
    rates, held = [0.5, 0.2, 0.3, 0.1], masks(4) if masked else None
    made = trainer(plans, keys=(3, 4), groups=[0, 0, 1, 0], learning_rate=rates, masks=held, padded=padded,
                   momentum=momentum)  # fmt: skip
    if padded:
        assert made.ends[-1] > STEPS  # some draw did overflow
    made.advance(STEPS)
    for k, expected in enumerate(by_hand(made, plans, rates, held, momentum)):
        for name, tensor in expected.items():
            assert torch.allclose(made.params[name][k].double(), tensor, atol=2e-6), (k, name)
    if masked:
        for name, mask in held.items():
            assert (made.params[name][mask == 0] == 0).all()  # neither gradient nor noise


def test_in_float64_it_is_the_loop_to_nine_digits():
    plans, rates = [without_noise(0.3), without_noise()], [0.5, 0.2]
    made = trainer(plans, dtype=torch.float64, learning_rate=rates)
    made.advance(STEPS)
    for k, expected in enumerate(by_hand(made, plans, rates)):
        for name, tensor in expected.items():
            # the initial weights are drawn in float32 for both
            assert torch.allclose(made.params[name][k], tensor, atol=1e-9), (k, name)


def test_noise_off_and_clip_infinite_is_plain_training():
    made = trainer([without_noise()], learning_rate=0.3)
    x, y = data()
    params = {n: t[0].clone().requires_grad_() for n, t in ARCH.init([0]).items()}
    optimiser = torch.optim.SGD(params.values(), lr=0.3)
    for start, end in zip((0, *made.ends[:-1]), made.ends, strict=True):
        rows = made.rows[start:end, 0].flatten()
        rows = rows[rows >= 0].long()
        optimiser.zero_grad()
        hidden = torch.relu(x[rows] @ params["0.weight"].T + params["0.bias"])
        logits = hidden @ params["1.weight"].T + params["1.bias"]
        (F.cross_entropy(logits, y[rows], reduction="sum") / BATCH).backward()
        optimiser.step()
    made.advance(STEPS)
    for name, tensor in params.items():
        assert torch.allclose(made.params[name][0], tensor, atol=1e-6), name


def test_the_expected_batch_size_divides_whatever_was_drawn():
    """One step: the sum over the examples drawn, by hand, over the plan's batch of 10."""
    made = trainer([without_noise(steps=1)], keys=(5,), learning_rate=1.0)
    before = {n: t[0].clone() for n, t in made.params.items()}
    drawn = made.rows[:, 0][made.rows[:, 0] >= 0].long()
    assert len(drawn) != BATCH
    x, y = data()

    def total(p):
        hidden = torch.relu(x[drawn] @ p["0.weight"].T + p["0.bias"])
        return F.cross_entropy(hidden @ p["1.weight"].T + p["1.bias"], y[drawn], reduction="sum")

    made.advance(1)
    for name, gradient in grad(total)(before).items():
        assert torch.allclose(before[name] - made.params[name][0], gradient / BATCH, atol=1e-6)


def moved_by_noise(made: PrivateTrainer, rate: float) -> np.ndarray:
    """How far each weight moved where no gradient comes, in units of rate * sigma * clip norm / batch: [K, D]."""
    before = torch.cat([t.flatten(1) for t in made.params.values()], 1).clone()
    made.advance(1)
    after = torch.cat([t.flatten(1) for t in made.params.values()], 1)
    unit = torch.tensor([rate * p.noise_multiplier * p.clip_norm / p.batch_size for p in made.plans])
    return ((before - after) / unit.unsqueeze(1)).double().numpy()


def test_an_empty_draw_is_a_noise_only_step():
    plans = [noised(1.3, 0.7, batch_size=1)] * 400
    made = trainer(plans, keys=(8,), learning_rate=0.7)
    sizes = made.plan.sampler([8]).draw(STEPS).sizes()[:, 0].tolist()
    empty = sizes.index(0)
    made.advance(empty)
    z = moved_by_noise(made, 0.7)
    # false-alarm rate 1e-4
    assert stats.kstest(z.flatten(), "norm").pvalue > 1e-4


def test_the_noise_has_the_deviation_that_the_plan_says():
    """sigma * clip * rate / expected batch, on a step without gradients; wrong by 3 % it fails (99 % power)."""
    plans = [
        noised(sigma, clip, batch_size=1) for sigma, clip in ((1.0, 0.5), (4.0, 0.5), (1.0, 3.0)) for _ in range(150)
    ]
    made = trainer(plans, keys=(8,), learning_rate=0.7)
    made.advance(made.plan.sampler([8]).draw(STEPS).sizes()[:, 0].tolist().index(0))
    for some in np.split(moved_by_noise(made, 0.7), 3):
        assert (some**2).mean() == pytest.approx(1, abs=4 * (2 / some.size) ** 0.5)


def test_arms_never_share_noise():
    made = trainer([noised(batch_size=1)] * 2, keys=(8,), noise_keys=[1, 2])
    made.advance(made.plan.sampler([8]).draw(STEPS).sizes()[:, 0].tolist().index(0))
    z = moved_by_noise(made, 0.5)
    assert abs(np.corrcoef(z)[0, 1]) < 0.5
    with pytest.raises(BadInput, match="never share noise"):
        trainer([noised(), noised()], noise_keys=[1, 1])
    trainer([without_noise(), without_noise()], noise_keys=[1, 1])  # nothing to share


def test_a_member_is_the_same_whoever_trains_beside_it():
    together = trainer([noised(), noised(0.4), without_noise()], keys=(3, 4), groups=[0, 1, 0])
    alone = trainer([noised(0.4)], keys=(4,), seeds=[1], noise_keys=[101])
    together.advance(STEPS)
    alone.advance(STEPS)
    for name in ARCH.shapes():
        assert torch.allclose(together.params[name][1], alone.params[name][0], atol=1e-6)


def test_stopped_and_resumed_it_ends_in_the_same_bits():
    whole, begun, resumed = (trainer([noised(), without_noise(0.3)], momentum=0.9, padded=3) for _ in range(3))
    whole.advance(STEPS)
    begun.advance(4)
    resumed.load(begun.state())
    resumed.advance(STEPS)
    for name in ARCH.shapes():
        assert torch.equal(resumed.params[name], whole.params[name])
    assert resumed.done == STEPS


def test_a_checkpoint_of_another_plan_or_other_noise_is_refused():
    state = trainer([noised()]).state()
    with pytest.raises(BadInput, match="plan"):
        trainer([noised(1.01)]).load(state)
    with pytest.raises(BadInput, match="noise_keys"):
        trainer([noised()], noise_keys=[7]).load(state)


def test_keys_from_the_operating_system_are_never_written():
    keys = [2**62 + 12345, 2**61 + 999]
    plan = dataclasses.replace(noised(), noise_source=OS)
    made = trainer([plan, plan], noise_keys=keys)
    made.advance(2)
    state = made.state()
    written = {number for t in state.values() if not t.is_floating_point() for number in t.flatten().tolist()}
    assert not written & set(keys)
    seeded = trainer([noised(), noised()], noise_keys=keys).state()
    assert seeded["noise_keys"].tolist() == keys


def test_an_example_without_a_finite_gradient_counts_as_zero_and_is_counted():
    x, y = data()
    x[7] = torch.nan
    plans = [without_noise(0.5, batch_size=N, steps=1), noised(1.0, 0.5, batch_size=N, steps=1)]
    made = PrivateTrainer(ARCH, ARCH.init([0, 1]), plans, x, y, learning_rate=0.5, draw_keys=[1], noise_keys=[1, 2])
    made.advance(1)
    assert made.dropped.tolist() == [1, 1]
    assert made.seen.tolist() == [N, N]
    assert all(torch.isfinite(t).all() for t in made.params.values())


@pytest.mark.parametrize(
    ("second", "what"),
    [
        (lambda: noised(steps=STEPS + 1), "steps"),
        (lambda: noised(batch_size=BATCH + 1), "batch_size"),
        (lambda: dataclasses.replace(noised(), noise_source=OS), "noise_source"),
    ],
)
def test_members_share_their_sampling(second, what):
    with pytest.raises(BadInput, match=what):
        trainer([noised(), second()])


def test_a_plan_for_another_number_of_examples_is_refused():
    with pytest.raises(BadInput, match="examples"):
        trainer([noised(examples=N + 1)])


def test_without_a_plan_nothing_trains():
    x, y = data()
    with pytest.raises(TypeError):
        PrivateTrainer(ARCH, ARCH.init([0]), x=x, y=y, learning_rate=0.1, draw_keys=[1], noise_keys=[1])
