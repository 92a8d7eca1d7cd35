"""A tail around what moves: where it begins, what it starts from, what stands still, and what is refused."""

from __future__ import annotations

import pytest
import torch
from small_networks import (
    CLASSES,
    CLIP,
    TRANSFORM,
    K,
    Mean,
    Tokens,
    clipped_sum,
    drawn,
    examples,
    gradient,
    network,
    rows_of,
    summed,
    take,
)
from torch import Tensor, nn
from torch.func import functional_call

from labkit.errors import BadInput
from labkit.finetune.method import beside_rows, parameters_of
from labkit.finetune.network import Network, in_order
from labkit.finetune.tail import Tail


@pytest.mark.parametrize("kind", ["convolutions", "tokens", "grid", "dense"])
def test_the_start_is_the_public_network_with_a_new_head(kind):
    made, rows = network(kind), rows_of(kind)
    tail, (images, _) = Tail(made, beside_rows(made, 0), rows), examples(5)
    head = made.drawn_head(torch.Generator().manual_seed(0))
    params = tail.start(head, K)
    expected = functional_call(made.stages, head, (images,))
    x = tail.features(images)
    for shown in (x, x.expand(K, *x.shape)):
        for each in tail.logits(params, shown):
            torch.testing.assert_close(each, expected)
    assert {name: tuple(t.shape) for name, t in params.items()} == {n: (K, *s) for n, s in tail.shapes().items()}
    params[tail.names[0]].zero_()
    assert bool(made.parameters()[tail.names[0]].any())  # a copy


def test_rows_stand_in_their_places_and_no_other_number_moves():
    made, rows = network("dense"), rows_of("dense")
    tail = Tail(made, ["5.bias"], rows | {"5": torch.zeros(1, 0, dtype=torch.int64)})
    assert tail.shapes() == {"1.weight": (2, 72), "3.weight": (1, 6), "5.bias": (CLASSES,)}
    params = drawn(tail.shapes(), K, 1, torch.float32)
    full = tail.full(params)
    for name in ("1", "3"):
        index, public = rows[name].expand(K, -1), made.parameters()[f"{name}.weight"]
        for k in range(K):
            frozen = [row for row in range(len(public)) if row not in index[k].tolist()]
            assert torch.equal(full[f"{name}.weight"][k, index[k]], params[f"{name}.weight"][k])
            assert torch.equal(full[f"{name}.weight"][k, frozen], public[frozen])
    assert torch.equal(full["5.bias"], params["5.bias"])


def test_what_is_named_whole_moves_whole_whatever_rows_say():
    tail = Tail(network("dense"), ["3.weight"], {"3": torch.tensor([[1]])})
    assert tail.shapes() == {"3.weight": (4, 6)}
    params, (images, y) = tail.start({}), examples(3)
    out, _ = summed(tail, params, tail.features(images), y)
    assert bool((out["3.weight"] != 0).all())


def test_training_begins_at_the_first_stage_that_moves(monkeypatch):
    made = network("convolutions")
    tail, (images, _) = Tail(made, ["8.weight"]), examples(5)
    halfway = made.stages[:4](images)
    assert tail.first == 8
    assert tail.features(images).shape == (5, 15)
    torch.testing.assert_close(tail.features(images), made.stages[:8](images))
    torch.testing.assert_close(tail.features(halfway, at=4), made.stages[:8](images))
    torch.testing.assert_close(tail.features(made.stages[:8](images), at=8), made.stages[:8](images))
    with pytest.raises(BadInput, match="at = 9 is not usable; allowed: at most 8"):
        tail.features(images, at=9)
    assert tail.features(images.double()).dtype == torch.float32
    assert Tail(made, ["0.weight"]).features(images.double()).dtype == torch.float32
    monkeypatch.setattr("labkit.finetune.tail.AT_ONCE", 2)
    torch.testing.assert_close(tail.features(images), made.stages[:8](images))
    assert Tail(made, parameters_of(made, 0)).first == 0


def test_a_base_stands_in_for_public_values_in_moving_and_in_frozen_stages():
    """A warm-up may have moved a norm that stands before the first layer whose rows are scored."""
    made, (images, y) = network("convolutions", torch.float64), examples(3, dtype=torch.float64)
    base = drawn({"1.weight": (4,), "8.bias": (6,), "11.weight": (3, 6)}, 1, 3, torch.float64)
    base = {name: value[0] for name, value in base.items()}
    tail = Tail(made, ["5.weight"], {"8": torch.tensor([[1, 2]])}, base=base)
    params, x = tail.start({}), tail.features(images)
    torch.testing.assert_close(tail.logits(params, x)[0], functional_call(made.stages, base, (images,)))
    out, _ = summed(tail, params, x, y)
    rows = {"8": torch.tensor([1, 2])}
    found = [gradient(made, take(params, 0), rows, *one, base) for one in zip(images, y, strict=True)]
    for name, each in clipped_sum(found, CLIP).items():
        torch.testing.assert_close(out[name][0], each, rtol=1e-8, atol=1e-10)
    assert torch.equal(Tail(made, ["8.bias"], base=base).start({})["8.bias"][0], base["8.bias"])


def test_activations_by_hand():
    """Behind the first frozen stage: 6 + 6 + 4 + 4 + 3 numbers."""
    tail = Tail(network("dense"), ["1.bias"])
    assert tail.activation_numbers() == 23
    assert tail.activation_numbers() == 23


class Twice(nn.Module):
    """A layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(x))


class Unused(Twice):
    """A layer that never runs."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class PositionsFirst(Twice):
    """Tokens [B, T, d] as [T, B, d]."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class Folded(Twice):
    """Positions as more examples."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Mixing(Twice):
    """Statistics of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        return (x - x.mean(0)) / (1e-3 + x.std(0, correction=0))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Twice, "2.inner, given 1 and 1 rows by 1 examples"), (Unused, "2.inner, given no rows"),
        (PositionsFirst, "2.inner, given 9 rows by 1 examples"), (Folded, "2.inner, given 9 rows by 1 examples"),
        (Mixing, "examples see each other"),
    ],
)  # fmt: skip
def test_networks_for_which_the_formulas_do_not_hold_are_refused(layer, said):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stages = [nn.Conv2d(2, 4, 2, stride=2), Tokens(), layer(), Mean(), nn.Linear(4, CLASSES)]
    made = Network("n", in_order(stages), "4", TRANSFORM)
    with pytest.raises(BadInput, match=said):
        Tail(made, ["2.inner.weight", "4.bias"])


@pytest.mark.parametrize(
    ("whole", "rows", "rest", "said"),
    [
        ([], {}, {}, "one that moves nothing"),
        ([], {"1": torch.zeros(1, 0, dtype=torch.int64)}, {}, "one that moves nothing"),
        (["1.wieght"], {}, {}, "1.wieght"),
        (["1.bias"], {"2": torch.tensor([[0]])}, {}, "2.weight"),
        (["1.bias"], {}, {"base": {"7.bias": torch.zeros(3)}}, "base = '7.bias'"),
        (["1.bias", "1.weight"], {}, {"absolute": True}, "absolute = '1.bias'"),
    ],
)
def test_what_cannot_move_is_refused(whole, rows, rest, said):
    with pytest.raises(BadInput, match=said):
        Tail(network("dense"), whole, rows, **rest)


def test_masks_are_refused():
    tail, (images, y) = Tail(network("dense"), ["1.bias"]), examples(2)
    with pytest.raises(BadInput, match="masks"):
        summed(tail, tail.start({}), tail.features(images), y, masks={"1.bias": torch.ones(1, 6)})
