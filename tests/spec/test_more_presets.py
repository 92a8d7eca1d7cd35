"""Presets beside quick and full, which a Spec may name: what differs from full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from labkit.errors import BadInput
from labkit.spec import Spec, control


class Walk(Spec):
    more_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"far": {"steps": 9, "sparsity": "0.7"}, "near": {}}

    sparsity: tuple[float, ...] = control("0.5,0.9", "0,0.5,0.9", ge=0, lt=1, help="share removed")
    steps: int = control(10, 1000, ge=1, help="steps")
    width: int = control(3, 4, ge=1, help="width")


class Plain(Spec):
    steps: int = control(10, 1000, ge=1, help="steps")


def test_what_a_preset_does_not_name_is_fulls():
    far = Walk.of(preset="far")
    assert (far.preset, far.steps, far.sparsity, far.width, far.seeds) == ("far", 9, (0.7,), 4, 10)
    near = Walk.of(preset="near")
    assert (near.preset, near.steps, near.sparsity, near.width) == ("near", 1000, (0.0, 0.5, 0.9), 4)


def test_what_is_given_wins_and_is_said_to_be_modified():
    assert Walk.of(preset="far").modified() == {}
    far = Walk.of(preset="far", steps=5)
    assert (far.steps, far.sparsity) == (5, (0.7,))
    assert far.modified() == {"steps": 5}


def test_a_change_of_preset_moves_what_nobody_set():
    changed = Walk.of(width=7).changed(preset="far")
    assert (changed.steps, changed.sparsity, changed.width) == (9, (0.7,), 7)
    back = changed.changed(preset="quick")
    assert (back.steps, back.sparsity, back.width) == (10, (0.5, 0.9), 7)


def test_the_names_are_offered_and_others_refused():
    assert Walk.controls()["preset"].choices == ("quick", "full", "far", "near")
    assert Walk.controls()["steps"].presets == {"quick": 10, "full": 1000, "far": 9, "near": 1000}
    with pytest.raises(BadInput, match=r"preset = 'huge' .*quick, full, far, near"):
        Walk.of(preset="huge")


def test_the_preset_names_no_run():
    assert Walk.of(preset="near").hashed() == Walk.of(preset="full").hashed()
    assert Walk.of(preset="far").hashed() != Walk.of(preset="full").hashed()


def test_other_specs_have_none():
    assert Plain.controls()["preset"].choices == ("quick", "full")
    with pytest.raises(BadInput, match="preset = 'far'"):
        Plain.of(preset="far")
