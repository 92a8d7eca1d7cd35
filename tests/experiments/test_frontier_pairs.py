"""What networks of a batch share, and what they must not: draws, noise, seeds, data and sizes."""

from __future__ import annotations

import pytest
import torch
from small_frontier import batch, digits, jobs, spec, told

from labkit.experiments.frontier import training
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.batch import small, thinned
from labkit.experiments.frontier.spec import SIMULATED
from labkit.experiments.frontier.tuning import tuning_seeds
from labkit.population import MLP, weights_per_member
from labkit.search import NodeSpace, WeightSpace


def test_arms_share_draws_and_never_noise(monkeypatch):
    """Over every network of two epsilons, tuning and losing repeats included."""
    seen: list[tuple] = []
    made = training.trainer_of

    def spy(batch, arch, some):
        seen.extend((batch, network) for network in some)
        return made(batch, arch, some)

    monkeypatch.setattr(training, "trainer_of", spy)
    for epsilon in ("2", "3"):
        told(jobs(epsilon=epsilon, sparsity="0,0.5,0.25"))
    assert len({(some.plans.epsilon, network) for some, network in seen}) == len(seen) > 100
    assert len({some.noise_key(network) for some, network in seen}) == len(seen)
    draws: dict[tuple, set[int]] = {}
    for some, network in seen:
        own = network.draw or network.arm.kind == SIMULATED
        draws.setdefault((network.seed, own), set()).add(some.draw_key(network))
    assert all(len(keys) == 1 for keys in draws.values())
    assert len(set.union(*draws.values())) == len(draws)  # others' draws are others
    tuned_on, reported = ({n.seed for _, n in seen if n.purpose == what} for what in ("tuning", "report"))
    assert tuned_on == set(tuning_seeds(seen[0][0]))
    assert reported == {0, 1}
    assert min(tuned_on) >= 2**32  # beyond what a Spec may name


@pytest.mark.parametrize(
    ("epsilon", "changes"),
    [("2", {"delta": 1e-6})]
    + [
        ("clipped", change)
        for change in ({"clip_norm": 2}, {"width": 9}, {"split_seed": 1}, {"thin_class": "3"}, {"steps": 7})
    ],
)
def test_another_mechanism_under_the_same_seed_has_other_noise(epsilon, changes):
    """The difference of two releases with one noise and two scales is the private gradient."""
    keys = []
    for some in (batch(epsilon=epsilon), batch(epsilon=epsilon, **changes)):
        keys.append(some.noise_key(Network(Arm("dense", some.plans.training), 0, 0.5)))
    assert keys[0] != keys[1]


def test_the_simulation_has_a_quarter_of_batch_and_noise():
    plans = batch(batch_size=40).plans
    assert plans.simulated.batch_size == 10
    assert plans.simulated.noise_multiplier == pytest.approx(plans.training.noise_multiplier / 4)
    assert plans.simulated.steps == plans.training.steps
    assert plans.simulated.clip_norm == plans.training.clip_norm
    odd = batch(batch_size=30).plans  # 7 of 30: the ratio of batch and noise is kept, not the quarter
    assert odd.simulated.noise_multiplier / 7 == pytest.approx(odd.training.noise_multiplier / 30)


def test_a_tenth_of_one_class_stays():
    held, point = digits(), spec(thin_class="3")
    train = thinned(held.train, point, held.classes)
    before, after = (torch.bincount(part.y, minlength=10) for part in (held.train, train))
    assert after[3] == round(0.1 * int(before[3]))
    others = torch.arange(10) != 3
    assert torch.equal(after[others], before[others])
    assert torch.equal(train.x[train.y != 3], held.train.x[held.train.y != 3])
    assert thinned(held.train, spec(), held.classes) is held.train
    some = batch(thin_class="3", epsilon="clipped")
    assert some.plans.training.examples == len(train) < len(held.train)
    assert some.data.test.y.equal(held.test.y)  # only the training is thinned
    assert some.data.selection.y.equal(held.selection.y)


@pytest.mark.parametrize(("width", "sparsity"), [(8, 0.5), (16, 0.9), (64, 0.95), (33, 0.3)])
def test_the_small_network_is_the_nearest_in_size(width, sparsity):
    dense = MLP((64, width, width, 10))
    assert small(dense, "nodes", sparsity).widths == (
        64, *[NodeSpace(dense, sparsity, 0).candidates(dense.init([0]), [0]).arch.widths[1]] * 2, 10
    )  # fmt: skip
    target = WeightSpace(dense, sparsity, 0).parameters()
    found = abs(weights_per_member(small(dense, "weights", sparsity).shapes()) - target)
    others = [abs(weights_per_member(MLP((64, w, w, 10)).shapes()) - target) for w in range(1, width + 1)]
    assert found == min(others)
