"""Gradients held for each example, or made twice: the same sums, and nobody adds more than C."""

from __future__ import annotations

import pytest
import torch
from small_networks import examples, network
from torch import nn

from labkit.finetune import clip as room
from labkit.finetune.moving import MovingConvolution, MovingLinear
from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.tail import Tail
from labkit.population import norms

MOVES = {
    "convolutions": (["11.weight", "11.bias", "1.weight"], {"0": [[0, 2], [1, 3]], "3": [[1], [0]], "5": [[0], [2]]}),
    "tokens": (["5.weight"], {"0": [[0], [1]], "2.query": [[1, 2], [0, 2]]}),
    "dense": (["5.weight"], {"1": [[0, 1], [2, 3]]}),
}


def found(kind: str, absolute: bool, held: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    monkeypatch.setitem(room.HELD, "cpu", held)
    public, (images, y) = network(kind, torch.float64), examples(7, dtype=torch.float64)
    whole, rows = MOVES[kind]
    whole = [] if absolute else [name for name in whole if name in public.parameters()]
    tail = Tail(public, whole, {name: torch.tensor(index) for name, index in rows.items()}, absolute=absolute)
    params, x = tail.start({}, 2), tail.features(images)
    out = {name: torch.zeros_like(value) for name, value in params.items()}
    limit, weight = torch.tensor([0.05, 2.0], dtype=torch.float64), torch.ones(7, dtype=torch.float64)
    tail.clipped_sum(params, x, y, out, clip=limit, weight=weight, fresh=True)
    return out


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", list(MOVES))
def test_held_or_made_twice_the_sums_are_the_same(kind, absolute, monkeypatch):
    told = found(kind, absolute, 0, monkeypatch)
    for some in (700, 1 << 26):  # a layer or two held, or all
        held = found(kind, absolute, some, monkeypatch)
        for name, value in told.items():
            torch.testing.assert_close(held[name], value, rtol=1e-9, atol=1e-12)
            assert bool(value.any())


@pytest.mark.parametrize("kind", ["convolutions", "tokens"])
def test_no_more_is_held_than_there_is_room_for(kind, monkeypatch):
    """Of two members one after another; a layer that does not fit is made again, an example at a time, and those that
    do are held."""
    monkeypatch.setitem(norms.NUMBERS, "cpu", 1)
    sizes: list[int] = []

    def noted(make):
        def each(self, a, delta):
            made = make(self, a, delta)
            sizes.append(made.numel() if made.shape[1] == 7 else 0)
            return made

        return each

    for layer in (MovingConvolution, MovingLinear):
        monkeypatch.setattr(layer, "each", noted(layer.each))

    def held(space: int) -> int:
        sizes.clear()
        found(kind, False, space, monkeypatch)
        return sum(sizes) // 2

    every = held(1 << 26)
    assert held(every) == every
    assert 0 < held(every - 1) < every
    assert held(0) == 0


@pytest.mark.parametrize("space", [0, 1 << 26])
def test_gradients_that_nearly_cancel_over_an_image_stay_within_the_clip_norm(space, monkeypatch):
    """Held or made twice, norm and sum are of the very same numbers, whatever rounding has left of them; of a formula
    for each, whose rounding differs, some would be above it."""
    monkeypatch.setitem(room.HELD, "cpu", space)
    convolution = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(convolution.weight)
    stages = in_order([convolution, nn.Flatten(), nn.Linear(64, 2, bias=False)])
    tail = Tail(Network("flat", stages, "2", Transform((8, 8), 1, (0.0,), (1.0,))), ["0.weight"])
    generator = torch.Generator().manual_seed(0)
    for size in (1e-4, 1e-5, 1e-6) * 30:
        # The weights behind add up to nothing, and the image is the same everywhere but for a little.
        head = torch.randn(2, 64, generator=generator)
        head -= head.mean(1, keepdim=True)
        stages[2].weight.data.copy_(head * 1e4)
        images = 1 + size * torch.randn(1, 1, 8, 8, generator=generator)
        out = {"0.weight": torch.zeros(1, 1, 1, 1, 1)}
        given = {"clip": torch.full((1,), 0.5), "weight": torch.ones(1), "fresh": True}
        report = tail.clipped_sum(tail.start({}), images, torch.zeros(1, dtype=torch.int64), out, **given)
        assert float(report.norms) > 0
        assert float(out["0.weight"].abs()) <= 0.5


@pytest.mark.parametrize("at_once", [1, 3])
def test_pieces_have_the_factors_of_their_examples(at_once, monkeypatch):
    """One example, or a few with a last piece that is smaller."""
    expected = found("convolutions", False, 1 << 26, monkeypatch)
    row = max(layer.weight[0].numel() for layer in network("convolutions").weight_layers().values())
    monkeypatch.setitem(norms.NUMBERS, "cpu", at_once * row)
    for name, value in found("convolutions", False, 0, monkeypatch).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)
