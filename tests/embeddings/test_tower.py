from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_unit import TABLE, logit, norm, unit_gradient, weights
from torch import Tensor

from labkit.embeddings.tower import Tower
from labkit.errors import BadInput

SLOTS, DIM, ROWS, BASE = 4, 3, 11, 5
CASES = [
    {"hidden": ()},
    {"hidden": (6,)},
    {"hidden": (6, 5)},
    {"hidden": (), "bag": True},
    {"hidden": (6, 5), "bag": True},
    {"hidden": (), "bag": True, "base": BASE},
    {"hidden": (6,), "bag": True, "base": BASE},
]


def made(case: dict, seed: int = 0) -> Tower:
    tower = Tower(SLOTS, DIM, generator=torch.Generator().manual_seed(seed), **case)
    # Biases start at zero, where they would hide a mistake.
    tower.flat.data.add_(torch.randn(tower.flat.data.shape, generator=torch.Generator().manual_seed(seed + 1)) * 0.3)
    return tower


def batch(examples: int, seed: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, ROWS, (examples, SLOTS), generator=generator)
    ids[:, 0].clamp_(min=0)
    table, vectors = torch.randn(ROWS, DIM, generator=generator), torch.randn(ROWS, BASE, generator=generator)
    return ids, torch.randint(0, 2, (examples,), generator=generator), table, vectors


def passed(tower: Tower, ids: Tensor, table: Tensor, vectors: Tensor):
    real = ids >= 0
    frozen = None
    if tower.base:
        frozen = torch.stack([vectors[one[one >= 0]].mean(0) for one in ids])
    return tower.forward(table[ids.clamp(min=0)], real, frozen), real


def test_by_hand():
    tower = Tower(2, 1, (), generator=torch.Generator())
    tower.params["0.weight"].copy_(torch.tensor([[2.0, -3.0]]))
    tower.params["0.bias"].fill_(0.5)
    real = torch.tensor([[True, True], [True, False]])
    seen = tower.forward(torch.tensor([[[1.0], [2.0]], [[1.0], [9.0]]]), real)
    assert seen.logits.tolist() == [2 - 6 + 0.5, 2.5]
    deltas, slots = tower.backward(seen, torch.tensor([1.0, 2.0]), real)
    assert slots.tolist() == [[[2.0], [-3.0]], [[4.0], [0.0]]]
    # The gradient of the weights is error * (inputs, 1): |1|^2 (1 + 4 + 1) and |2|^2 (1 + 0 + 1).
    assert tower.squared_norms(seen, deltas, 1).tolist() == [6.0, 8.0]
    assert tower.squared_norms(seen, deltas, 2).tolist() == [9 + 4 + 9]  # (1 + 2, 2 + 0, 1 + 2)
    out = {name: torch.zeros_like(t) for name, t in tower.params.items()}
    tower.add_sums(seen, deltas, torch.tensor([1.0, 0.5]), out)
    assert out["0.weight"].tolist() == [[2.0, 2.0]]
    assert out["0.bias"].tolist() == [2.0]


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_against_autograd(case):
    tower = made(case)
    ids, labels, table, vectors = batch(9)
    seen, real = passed(tower, ids, table, vectors)
    deltas, slots = tower.backward(seen, seen.logits.sigmoid() - labels, real)
    given_weights = weights(tower, table)
    for n in range(len(ids)):
        assert float(seen.logits[n]) == pytest.approx(
            float(logit(tower, given_weights, ids[n], vectors)), rel=1e-4, abs=1e-5
        )
        expected = unit_gradient(tower, given_weights, ids[n : n + 1], labels[n : n + 1], vectors=vectors)
        found = torch.zeros(ROWS, DIM, dtype=torch.float64).index_add_(0, ids[n].clamp(min=0), slots[n].double())
        assert torch.allclose(found, expected[TABLE], atol=1e-5)
        out = {name: torch.zeros_like(t) for name, t in tower.params.items()}
        tower.add_sums(seen, deltas, torch.eye(len(ids))[n], out)
        assert all(torch.allclose(out[name].double(), expected[name], atol=1e-5) for name in out)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("per_unit", [1, 3])
def test_norms_of_units_against_autograd(case, per_unit):
    tower = made(case)
    ids, labels, table, vectors = batch(9)
    seen, real = passed(tower, ids, table, vectors)
    deltas, _ = tower.backward(seen, seen.logits.sigmoid() - labels, real)
    found = tower.squared_norms(seen, deltas, per_unit).sqrt()
    assert len(found) == 9 // per_unit
    for unit in range(len(found)):
        some = slice(unit * per_unit, (unit + 1) * per_unit)
        gradient = unit_gradient(tower, weights(tower, table), ids[some], labels[some], vectors=vectors)
        del gradient[TABLE]
        assert float(found[unit]) == pytest.approx(norm(gradient), rel=1e-4)


@settings(max_examples=15, deadline=None)
@given(case=st.sampled_from(CASES), seed=st.integers(0, 10**6))
def test_sums_are_linear_in_the_factors(case, seed):
    tower = made(case, seed)
    ids, labels, table, vectors = batch(6, seed)
    seen, real = passed(tower, ids, table, vectors)
    deltas, _ = tower.backward(seen, seen.logits.sigmoid() - labels, real)
    a, b = torch.rand(2, 6, generator=torch.Generator().manual_seed(seed))
    sums = []
    for factors in (a, b, a + 2 * b):
        sums.append({name: torch.zeros_like(t) for name, t in tower.params.items()})
        tower.add_sums(seen, deltas, factors, sums[-1])
    assert all(torch.allclose(sums[0][n] + 2 * sums[1][n], sums[2][n], atol=1e-4) for n in sums[0])


def test_empty_slots_are_not_read():
    for case in ({"hidden": (5,)}, {"hidden": (5,), "bag": True}):
        tower, real = made(case), torch.tensor([[True, False, True, False]])
        clean, dirty = torch.ones(2, 1, SLOTS, DIM)
        dirty[:, [1, 3]] = math.nan
        seen = [tower.forward(embedded, real) for embedded in (clean, dirty)]
        assert seen[0].logits.tolist() == seen[1].logits.tolist()
        slots = tower.backward(seen[1], torch.ones(1), real)[1]
        assert (slots[0, [1, 3]] == 0).all()
        assert (slots[0, [0, 2]] != 0).any()


def test_what_has_the_factor_zero_leaves_nothing_behind():
    tower = made({"hidden": (5,)})
    embedded = torch.ones(2, SLOTS, DIM)
    embedded[1] = math.nan
    seen = tower.forward(embedded, torch.ones(2, SLOTS, dtype=torch.bool))
    deltas, _ = tower.backward(seen, seen.logits.sigmoid(), torch.ones(2, SLOTS, dtype=torch.bool))
    out = {name: torch.zeros_like(t) for name, t in tower.params.items()}
    tower.add_sums(seen, deltas, torch.tensor([1.0, 0.0]), out)
    assert all(t.isfinite().all() for t in out.values())


def test_the_generator_alone_draws_the_weights():
    one, again, other = (Tower(SLOTS, DIM, (7,), generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one.flat.data, again.flat.data)
    assert not torch.equal(one.flat.data, other.flat.data)
    assert (one.params["0.bias"] == 0).all()
    assert 0.8 < float(one.params["0.weight"].abs().max()) * math.sqrt(SLOTS * DIM) <= 1
    assert one.params["0.weight"].shape == (7, SLOTS * DIM)
    low = Tower(SLOTS, DIM, (7,), bag=True, base=BASE, generator=torch.Generator())
    assert {name: tuple(t.shape) for name, t in low.params.items()} == {
        "0.weight": (BASE, DIM),
        "1.weight": (7, BASE),
        "1.bias": (7,),
        "2.weight": (1, 7),
        "2.bias": (1,),
    }


def test_frozen_vectors_need_a_bag():
    with pytest.raises(BadInput, match="base"):
        Tower(SLOTS, DIM, (), base=BASE, generator=torch.Generator())
