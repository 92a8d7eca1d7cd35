"""Whoever looks, two series of a chart are told apart, and every text of it can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import made_up_embeddings as embeddings
import made_up_finetune as finetune
import made_up_frontier as frontier
import made_up_queries as queries
import numpy as np
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st
from seen_by import apart, ciede2000, lab, linear

from labkit import charts
from labkit.charts.differences import COLOURS
from labkit.charts.theme import ARMS, DASHES, PALETTE, contrast, ink

LEAST = 10.0  # CIEDE2000; 1 can just be noticed side by side, 10 at a glance between thin lines
HEX = r"#[0-9a-fA-F]{6}"
colours = st.tuples(*[st.integers(0, 255)] * 3).map(lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb))
FEW = {"seeds": 2, "epsilon": (3.0, "plain")}
VIEWS = {
    "frontier": lambda: frontier.made_up(**FEW),
    "queries": lambda: queries.made_up(**FEW),
    "embeddings": lambda: embeddings.made_up(**FEW),
    "finetune": lambda: finetune.made_up(seeds=2),
}
DRAWN = [
    ("frontier", name)
    for name in ("frontier", "by_sparsity_at_epsilon", "tuning", "per_class", "choosing", "audit", "tuned_and_shared",
                 "frontier_verdicts")
] + [
    ("queries", name) for name in ("retrieval", "retrieval_table", "retrieval_verdicts", "quality", "samples")
] + [
    ("embeddings", name)
    for name in ("reduction", "noninferior", "auc_table", "embeddings_verdicts", "map_norms", "survivors", "vocabulary")
] + [
    ("finetune", name)
    for name in ("finetune_epsilons", "finetune_sparsity", "finetune_verdicts", "finetune_noise", "finetune_scopes",
                 "finetune_table", "finetune_ordered")
]  # fmt: skip

WRITTEN = (  # charts with words in the colours of arms or verdicts
    ("frontier", "choosing"), ("frontier", "frontier_verdicts"), ("queries", "retrieval"),
    ("queries", "retrieval_table"), ("embeddings", "auc_table"), ("finetune", "finetune_scopes"),
)  # fmt: skip


@pytest.fixture(scope="module")
def views() -> dict[str, Any]:
    return {name: make() for name, make in VIEWS.items()}


def test_the_difference_of_colours_against_published_pairs() -> None:
    """Sharma, Wu and Dalal 2005, table 1: pairs 1, 7, 13, 17, 25 and 34."""
    for one, other, published in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert ciede2000(np.array(one, float), np.array(other, float)) == pytest.approx(published, abs=5e-4)


def test_a_colour_in_cielab_by_hand() -> None:
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.01)
    assert linear("#808080")[0] == pytest.approx(0.2159, abs=1e-4)
    for vision in ("protanopia", "deuteranopia", "tritanopia"):
        assert lab("#808080", vision) == pytest.approx(lab("#808080"), abs=0.1)  # grey is grey to everybody
    assert apart("#c03000", "#5a6000") < 10 < ciede2000(lab("#c03000"), lab("#5a6000"))  # red and green to some


def test_the_palette_and_the_verdicts_are_told_apart_by_all() -> None:
    for one, other in (*combinations(PALETTE, 2), *combinations(COLOURS.values(), 2)):
        assert apart(one, other) >= LEAST, (one, other)
    assert len(set(DASHES)) == len(DASHES) == len(PALETTE)
    assert min(contrast(colour) for colour in COLOURS.values()) >= 4.5  # their words are written in them


@pytest.mark.parametrize(("kind", "name"), DRAWN)
def test_series_are_told_apart(views: dict[str, Any], kind: str, name: str) -> None:
    for domain, colour, dash in scales(getattr(charts, name)(views[kind]).to_dict()):
        for one, other in combinations(range(len(domain)), 2):
            if colour[one] != colour[other]:
                assert apart(colour[one], colour[other]) >= LEAST, (domain[one], domain[other])
            elif dash is None:  # said to be one: better, and better by less than the margin
                assert domain[other].startswith(domain[one])
            else:
                assert dash[one] != dash[other], (domain[one], domain[other])


@pytest.mark.parametrize(("kind", "name"), WRITTEN)
def test_every_text_can_be_read(views: dict[str, Any], kind: str, name: str) -> None:
    chart = getattr(charts, name)(views[kind])
    fills = set(re.findall(rf'<text[^>]* fill="({HEX})"', vl_convert.vegalite_to_svg(chart.to_json())))
    assert len(fills) > 1  # more than the axes'
    assert {fill for fill in fills if contrast(fill) < 4.5} == set()


def test_the_arms_of_notebook_01_are_told_apart_by_dash_alone() -> None:
    """A copier knows no colour."""
    dashes = [ARMS[name].dash for name in ("found", "random", "first", "dense", "private", "private-random")]
    assert len(set(dashes)) == len(dashes)


@given(colours)
def test_a_text_in_a_shade_of_any_colour_can_be_read(colour: str) -> None:
    shade = ink(colour)
    assert contrast(shade) >= 4.5
    assert contrast(colour) < 4.5 or shade.lower() == colour


def scales(spec: Any) -> Iterator[tuple[list[str], list[str], list | None]]:
    """Of every encoding with named colours: the names, the colours, and the dashes where there are any."""
    if isinstance(spec, dict):
        colour = named(spec.get("color"))
        if colour and all(re.fullmatch(HEX, str(one)) for one in colour[1]):
            dash = named(spec.get("strokeDash"))
            yield [str(name) for name in colour[0]], colour[1], dash[1] if dash else None
        for part in spec.values():
            yield from scales(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from scales(part)


def named(channel: Any) -> tuple[list, list] | None:
    """The domain and the range of a channel's scale, where both are listed."""
    scale = channel.get("scale") if isinstance(channel, dict) else None
    if not isinstance(scale, dict) or not isinstance(scale.get("domain"), list) or "range" not in scale:
        return None
    return scale["domain"], scale["range"]
