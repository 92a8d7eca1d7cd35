"""What each method moves of a network with every kind of layer: by name, by hand."""

from __future__ import annotations

import pytest
import torch
from small_networks import examples, network, summed

from labkit.finetune.method import Moves, Setting, head_of, parameters_of, row_layers
from labkit.finetune.methods import METHODS
from labkit.finetune.rows import frozen_share, kept, magnitude, random_rows, top_rows
from labkit.finetune.scores import GRADIENT, READINGS
from labkit.finetune.tail import Tail
from labkit.streams import stream

HEAD = {"11.weight", "11.bias"}
NORM = {"1.weight", "1.bias", "9.weight", "9.bias"}
BIASES = {"0.bias", "1.bias", "3.bias", "8.bias", "9.bias", "11.bias"}
WEIGHTS = {"0.weight", "3.weight", "5.weight", "8.weight"}
BESIDE = HEAD | NORM | BIASES


def moved(name: str, first: int = 0, sparsity: float = 0.6, scope: str = "layer", seed: int = 0) -> Moves:
    generator = stream(seed, "rows")
    return METHODS[name].moves(Setting(network("convolutions"), first, sparsity, scope, 2, generator))


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("all", BESIDE | WEIGHTS), ("head", HEAD), ("head_norm", HEAD | NORM), ("bias", HEAD | BIASES),
        ("magnitude", BESIDE), ("random", BESIDE), ("sparta", BESIDE), ("sparta_abs", BESIDE),
        ("sparta_noisy", BESIDE), ("sparta_norm", BESIDE), ("search", BESIDE),
    ],
)  # fmt: skip
def test_what_moves_whole(name, whole):
    found = moved(name)
    assert set(found.whole) == whole
    assert len(found.whole) == len(whole)  # nothing twice
    assert found.network is network("convolutions")
    late = moved(name, first=5)  # behind the depthwise convolution
    assert set(late.whole) == {each for each in whole if int(each.split(".")[0]) >= 5}


def test_norms_in_front_of_the_first_layer_with_rows_stay():
    """From stage 1 on, the first layer is in stage 3: with rows, the norm before it would cost more than they do."""
    assert "1.weight" in moved("head_norm", first=1).whole
    for name in ("random", "magnitude", "sparta", "search"):
        assert set(moved(name, first=1).whole) == {each for each in BESIDE if int(each.split(".")[0]) >= 3}


def test_every_method_is_listed_with_what_it_is():
    assert list(METHODS) == [
        "all", "head", "head_norm", "bias", "lora", "magnitude", "random", "sparta", "sparta_abs", "sparta_noisy",
        "sparta_norm", "search",
    ]  # fmt: skip
    assert all(name == method.name for name, method in METHODS.items())
    assert {name for name, method in METHODS.items() if not method.sized} == {
        "all",
        "head",
        "head_norm",
        "bias",
        "lora",
    }
    chooses = {name: method.reading for name, method in METHODS.items() if method.chooses}
    names = ("sparta", "sparta_abs", "sparta_noisy", "sparta_norm", "search")
    assert chooses == dict(zip(names, (*READINGS, GRADIENT), strict=True))
    assert [name for name, method in METHODS.items() if method.searches] == ["search"]
    assert len({method.words for method in METHODS.values()}) == len(METHODS)


def test_rows_that_a_private_choice_names_are_open_and_those_of_fixed_size_are_none():
    for name, method in METHODS.items():
        rows = moved(name).rows
        if method.chooses:
            assert rows is None
        elif not method.sized:
            assert rows == {}
        else:
            assert {layer: len(index) for layer, index in rows.items()} == {
                layer: kept(count, 0.6) for layer, (count, _) in network("convolutions").layers().items()
            }


def test_the_longest_rows_are_those_of_the_public_weights():
    layers, weights = network("convolutions").layers(), network("convolutions").parameters()
    for name, index in moved("magnitude").rows.items():
        lengths = weights[f"{name}.weight"].flatten(1).norm(dim=1)
        assert set(index.tolist()) == set(lengths.topk(len(index)).indices.tolist())
    scores = magnitude({name: weights[f"{name}.weight"] for name in layers})
    found, expected = moved("magnitude", scope="global").rows, top_rows(scores, layers, 0.6, "global", power=0.5)
    assert all(torch.equal(found[name], expected[name]) for name in layers)
    assert frozen_share(found, layers) >= 0.6


def test_random_rows_are_the_generators_and_no_data_s():
    layers = network("convolutions").layers()
    for scope in ("layer", "global"):
        found, expected = moved("random", scope=scope, seed=3).rows, random_rows(layers, 0.6, scope, stream(3, "rows"))
        assert all(torch.equal(found[name], expected[name]) for name in layers)
    assert any(not torch.equal(a, b) for a, b in zip(moved("random").rows.values(), found.values(), strict=True))


def test_adapters_stand_beside_the_layers_that_can_have_some():
    found = moved("lora", first=5)
    assert set(found.whole) - HEAD == {
        f"{layer}.lora_{half}.default.weight" for layer in ("8",) for half in "AB"
    }  # the convolution in stage 5 is dilated
    assert "none beside 5" in found.network.said
    assert found.rows == {}
    assert found.network is not network("convolutions")


def test_row_layers_begin_at_the_first_stage_that_may_move():
    assert list(row_layers(network("convolutions"), 5)) == ["5", "8"]
    assert row_layers(network("convolutions"), 0) == network("convolutions").layers()


def test_tokens_positions_and_what_has_no_formulas_stay():
    made = network("tokens")
    assert set(parameters_of(made, 2)) == {
        "2.norm.weight", "2.norm.bias", "2.query.weight", "2.key.weight", "2.key.bias", "2.value.weight",
        "2.value.bias", "3.weight", "6.weight", "6.bias",
    }  # fmt: skip
    assert head_of(made) == ("6.weight", "6.bias")


@pytest.mark.parametrize("name", METHODS)
def test_a_tail_moves_what_the_method_says_and_nothing_else(name):
    found = moved(name)
    rows = (
        found.rows if found.rows is not None else random_rows(network("convolutions").layers(), 0.6, "layer", stream(1))
    )
    tail = Tail(found.network, found.whole, {layer: index[None] for layer, index in rows.items()})
    assert set(tail.names) == set(found.whole) | {f"{layer}.weight" for layer in rows}
    images, y = examples(3)
    out, report = summed(tail, tail.start({}), tail.features(images), y)
    assert set(out) == set(tail.names)
    assert bool((report.norms > 0).all())
