"""Which rows move: counts, ties and budgets by hand, and what holds for any layers and any sparsity."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.errors import BadInput
from labkit.finetune.rows import (
    GLOBAL,
    LAYER,
    NORMS,
    SCOPES,
    SUMS,
    chance,
    frozen_share,
    kept,
    magnitude,
    overlap,
    random_rows,
    top_rows,
)
from labkit.streams import stream

TWO = {"a": (4, 2), "b": (3, 8)}  # 8 and 24 weights


def lists(rows) -> dict[str, list[int]]:
    return {name: index.tolist() for name, index in rows.items()}


def scores(**given) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in given.items()}


layers_of_any_kind = st.dictionaries(
    st.sampled_from(["3", "0", "1.conv", "7.fc"]), st.tuples(st.integers(1, 12), st.integers(1, 20)), min_size=1
)
sparsities = st.integers(1, 99).map(lambda percent: percent / 100)


@pytest.mark.parametrize(
    ("rows", "sparsity", "count"),
    [
        (10, 0.9, 1), (10, 0.8, 2), (10, 0.7, 3), (10, 0.85, 2), (1, 0.99, 1), (3, 0.99, 1), (100, 0.99, 1),
        (5, 0.001, 5), (1000, 0.001, 999), (86_000_000, 0.8, 17_200_000), (10**15, 0.9, 10**14), (7, 1e-9, 7),
    ],
)  # fmt: skip
def test_kept_by_hand(rows, sparsity, count):
    assert kept(rows, sparsity) == count


@given(rows=st.integers(1, 10**6), thousandths=st.integers(1, 999))
def test_kept_is_the_ceiling_in_whole_numbers(rows, thousandths):
    count = kept(rows, thousandths / 1000)
    assert count == -(-(1000 - thousandths) * rows // 1000)
    assert 1 <= count <= rows


def test_the_best_rows_of_each_layer_by_hand():
    """0.5: two of four and two of three; in "a" the tie of 5 goes to the smaller number."""
    given = scores(a=[5, 1, 9, 5], b=[-1, -3, -2])
    assert lists(top_rows(given, TWO, 0.5, LAYER)) == {"a": [0, 2], "b": [0, 2]}


def test_the_best_rows_over_all_layers_by_hand():
    """16 of 32 weights; "a" has rows of 2 numbers, "b" of 8.

    As sums: a 2.5, 0.5, 1.5, 1.0 and b 3.0, 2.0, 0.1 a number: b0 (8 left), a0 (6), then b1 needs 8 and is passed over,
    a2 (4), a3 (2), a1 (0). As norms, over sqrt(2) and sqrt(8): b0 8.5, b1 5.7, and the 16 are used up.
    """
    given = scores(a=[5, 1, 3, 2], b=[24, 16, 0.8])
    assert lists(top_rows(given, TWO, 0.5, GLOBAL, power=SUMS)) == {"a": [0, 1, 2, 3], "b": [0]}
    assert lists(top_rows(given, TWO, 0.5, GLOBAL)) == {"a": [], "b": [0, 1]}
    assert lists(top_rows(given, TWO, 0.5, GLOBAL, power=NORMS)) == {"a": [], "b": [0, 1]}


def test_ties_go_to_the_earlier_layer_and_the_smaller_number():
    layers = {"z": (3, 4), "a": (3, 4)}
    equal, unequal = scores(a=[1, 1, 1], z=[1, 1, 1]), scores(a=[1, 1, 1], z=[2, 2, 2])
    for some in (equal, unequal):  # scores come in another order than the layers
        assert lists(top_rows(some, layers, 0.5, GLOBAL)) == {"z": [0, 1, 2], "a": []}
    assert lists(top_rows(equal, layers, 0.6, LAYER)) == {"z": [0, 1], "a": [0, 1]}
    many = {"0": (1000, 1)}
    assert lists(top_rows({"0": torch.zeros(1000)}, many, 0.9, LAYER)) == {"0": list(range(100))}


@pytest.mark.parametrize("choose", ["top", "random"])
def test_where_no_row_fits_the_best_of_the_shortest_moves(choose):
    """One of 100 weights may move, and the shortest rows have 10."""
    layers = {"a": (2, 30), "b": (4, 10)}
    if choose == "top":
        given = scores(a=[100, 90], b=[1, 2, 4, 3])
        assert lists(top_rows(given, layers, 0.99, GLOBAL)) == {"a": [], "b": [2]}
        return
    found = [lists(random_rows(layers, 0.99, GLOBAL, stream(seed, "rows"))) for seed in range(20)]
    assert {tuple(rows["a"]) for rows in found} == {()}
    assert {len(rows["b"]) for rows in found} == {1}
    assert len({rows["b"][0] for rows in found}) > 1


@settings(deadline=None)
@given(layers=layers_of_any_kind, sparsity=sparsities, scope=st.sampled_from(SCOPES), seed=st.integers(0, 99))
def test_what_holds_of_any_choice(layers, sparsity, scope, seed):
    """Rising rows that are there; a layer's count, or the budget used as far as rows fit."""
    generator = torch.Generator().manual_seed(seed)
    given = {name: torch.randn(rows, generator=generator) for name, (rows, _) in layers.items()}
    power = SUMS if seed % 2 else NORMS
    drawn = random_rows(layers, sparsity, scope, stream(seed, "rows"))
    best = top_rows(given, layers, sparsity, scope, power=power)
    total = sum(rows * numbers for rows, numbers in layers.values())
    for chosen in (drawn, best):
        assert list(chosen) == list(layers)
        for name, index in chosen.items():
            assert index.dtype == torch.int64
            assert bool((index.diff() > 0).all())
            assert all(0 <= row < layers[name][0] for row in index.tolist())
        moving = sum(len(index) * layers[name][1] for name, index in chosen.items())
        assert frozen_share(chosen, layers) == pytest.approx(1 - moving / total, abs=1e-12)
        if scope == LAYER:
            assert {n: len(i) for n, i in chosen.items()} == {n: kept(r, sparsity) for n, (r, _) in layers.items()}
        else:
            budget = max(kept(total, sparsity), min(numbers for _, numbers in layers.values()))
            assert 0 < moving <= budget
            unused = [n for name, (r, n) in layers.items() if len(chosen[name]) < r]
            assert all(numbers > budget - moving for numbers in unused)  # nothing that was left would have fitted
        assert overlap(chosen, chosen) == 1
        assert 0 < chance(chosen, layers, scope) <= 1
    if scope == LAYER:
        for name, index in best.items():
            out = torch.ones(layers[name][0], dtype=torch.bool).index_fill_(0, index, False)
            assert not bool((given[name][out, None] > given[name][index]).any())


def best_first(given, layers, sparsity, power) -> dict[str, list[int]]:
    """The global choice in plain Python: sorted by score a number, ties in order, while weights are left."""
    order = [
        (-float(given[name][row].double() / numbers**power), place, row, name)
        for place, (name, (rows, numbers)) in enumerate(layers.items())
        for row in range(rows)
    ]
    total = sum(rows * numbers for rows, numbers in layers.values())
    left = math.ceil((1 - Fraction(str(sparsity))) * total)
    left = max(left, min(numbers for _, numbers in layers.values()))
    found = {name: [] for name in layers}
    for *_, row, name in sorted(order):
        if layers[name][1] <= left:
            left -= layers[name][1]
            found[name].append(row)
    return {name: sorted(rows) for name, rows in found.items()}


@settings(deadline=None)
@given(
    layers=layers_of_any_kind, sparsity=sparsities, power=st.sampled_from([NORMS, SUMS]), seed=st.integers(0, 99),
    ties=st.booleans(),
)  # fmt: skip
def test_the_global_choice_against_plain_python(layers, sparsity, power, seed, ties):
    generator = torch.Generator().manual_seed(seed)
    given = {name: torch.randn(rows, generator=generator) for name, (rows, _) in layers.items()}
    if ties:
        given = {name: score.round() for name, score in given.items()}
    found = top_rows(given, layers, sparsity, GLOBAL, power=power)
    assert lists(found) == best_first(given, layers, sparsity, power)


@pytest.mark.parametrize("scope", SCOPES)
def test_random_rows_are_uniform(scope):
    """Each of 12 rows in 2,000 draws; chi-square at 1e-4. Of rows of one length each is as likely in either scope."""
    layers, draws = {"a": (6, 5), "b": (6, 5)}, 2000
    counts = torch.zeros(12, dtype=torch.float64)
    for seed in range(draws):
        found = random_rows(layers, 0.5, scope, stream(seed, "uniform"))
        counts[torch.cat([found["a"], found["b"] + 6])] += 1
    assert int(counts.sum()) == 6 * draws
    # An observed row is in with probability 1/2, without replacement: variance draws / 4.
    statistic = float(((counts - draws / 2) ** 2 / (draws / 4)).sum())
    assert stats.chi2.sf(statistic * (5 / 6 if scope == LAYER else 11 / 12), 10 if scope == LAYER else 11) > 1e-4


def test_random_rows_are_those_of_their_generator():
    layers = {"a": (50, 3), "b": (50, 7)}
    for scope in SCOPES:
        one, again, other = (lists(random_rows(layers, 0.8, scope, stream(seed, "rows"))) for seed in (1, 1, 2))
        assert one == again != other


def test_scores_of_public_weights_by_hand():
    found = magnitude({"a": torch.tensor([[3.0, 4.0], [0.0, -1.0]]), "b": torch.full((2, 1, 2, 2), 2.0)})
    assert {name: score.tolist() for name, score in found.items()} == {"a": [5.0, 1.0], "b": [4.0, 4.0]}


def test_overlap_by_hand():
    chosen = {"a": torch.tensor([0, 2, 3]), "b": torch.tensor([1])}
    other = {"a": torch.tensor([2, 3, 5, 6]), "b": torch.tensor([0])}
    assert overlap(chosen, other) == 2 / 4
    assert overlap(other, chosen) == 2 / 5
    assert overlap(chosen, {"b": torch.tensor([1])}) == 1 / 4  # a layer that the other left out whole


def test_chance_by_hand():
    """3 of 12 rows and 1 of 2: (9 / 12 + 1 / 2) / 4 within layers, 4 of 14 over all."""
    layers = {"a": (12, 5), "b": (2, 9)}
    chosen = {"a": torch.tensor([0, 1, 2]), "b": torch.tensor([1])}
    assert chance(chosen, layers) == (9 / 12 + 1 / 2) / 4
    assert chance(chosen, layers, GLOBAL) == 4 / 14


@pytest.mark.parametrize("scope", SCOPES)
def test_chance_is_the_mean_overlap_of_random_rows(scope):
    """500 independent draws; wrong by 0.02 it fails."""
    layers = {"a": (20, 4), "b": (5, 4)}
    fixed = random_rows(layers, 0.7, scope, stream(0, "fixed"))
    found = [overlap(random_rows(layers, 0.7, scope, stream(seed, "other")), fixed) for seed in range(500)]
    assert sum(found) / len(found) == pytest.approx(chance(fixed, layers, scope), abs=0.02)


def test_the_frozen_share_by_hand():
    """4 + 8 of 32 weights move."""
    assert frozen_share({"a": torch.tensor([0, 1]), "b": torch.tensor([2])}, TWO) == 1 - 12 / 32
    assert frozen_share({"b": torch.tensor([2])}, TWO) == 1 - 8 / 32


@pytest.mark.parametrize("sparsity", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_a_sparsity_that_is_none_is_refused(sparsity):
    with pytest.raises(BadInput, match=r"sparsity = .* above 0 and below 1"):
        random_rows(TWO, sparsity, LAYER, stream(0))
    with pytest.raises(BadInput, match=r"sparsity = .* above 0 and below 1"):
        top_rows(scores(a=[1, 2, 3, 4], b=[1, 2, 3]), TWO, sparsity, GLOBAL)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({}, "only weight layer is its head.*method head"),
        ({"a": (0, 4)}, "a: 0 rows of 4 numbers"),
        ({"a": (3, 4), "b": (3, 0)}, "b: 3 rows of 0 numbers"),
    ],
)
def test_a_layer_without_rows_is_refused(layers, said):
    with pytest.raises(BadInput, match=said):
        random_rows(layers, 0.5, LAYER, stream(0))
    with pytest.raises(BadInput, match=said):
        top_rows({name: torch.zeros(rows) for name, (rows, _) in layers.items()}, layers, 0.5, LAYER)


def test_an_unknown_scope_is_refused():
    with pytest.raises(BadInput, match=r"scope = 'rows' .* layer or global"):
        random_rows(TWO, 0.5, "rows", stream(0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (scores(a=[1, 2, 3, 4]), "one for each row"),
        (scores(a=[1, 2, 3, 4], b=[1, 2]), "one for each row"),
        (scores(a=[1, 2, 3, 4], b=[1, 2, 3], c=[1]), "one for each row"),
        (scores(a=[1, 2, 3, 4], b=[1, math.nan, 3]), "nan in b"),
    ],
)
def test_scores_of_other_rows_or_without_an_order_are_refused(given, said):
    with pytest.raises(BadInput, match=said):
        top_rows(given, TWO, 0.5, LAYER)


def test_without_a_chosen_row_there_is_no_overlap():
    with pytest.raises(BadInput, match="at least one chosen row"):
        overlap({"a": torch.tensor([], dtype=torch.int64)}, {})
    with pytest.raises(BadInput, match="at least one chosen row"):
        chance({}, TWO)
