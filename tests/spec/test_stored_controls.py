"""A control that only says what is stored leaves the names of runs alone that were stored before there was one."""

from __future__ import annotations

import hashlib

import pytest

from labkit import experiments
from labkit.runs.naming import run_name
from labkit.spec import Spec, control

# First name and a digest of the names of all points, of data "data" and weights "weights", at commit 6cbd2d4: before
# `keep_weights`.
NAMES = {
    ("00", "quick"): ("edc75aca50a6e504", "93672a00a5d0dcb3"),
    ("00", "full"): ("afc91b13b4e21845", "5726b445ba4724ef"),
    ("01", "quick"): ("8f8265ea2600ed2d", "a7dd5159442c3787"),
    ("01", "full"): ("ba7bb87d7b4042f5", "726ad5e2500951d4"),
    ("02", "quick"): ("b5c196ec24671c15", "e6f608fa3b991989"),
    ("02", "full"): ("a0d05dd4b3155a1a", "739033ab73d39a8f"),
    ("03", "quick"): ("c8f5fded274dc45d", "a60fb8897b0c5ba0"),
    ("03", "full"): ("939f56f1f5890f40", "52f4f52983ba4807"),
    ("04", "quick"): ("8c344335188822ee", "0e46fcc3a920d4ec"),
    ("04", "full"): ("c31b272675abe79c", "c7ab5110e2eefe91"),
    ("05", "quick"): ("792a99b18cf42706", "844e4f4b51d70998"),
    ("05", "full"): ("57f8dda8a150cf0a", "0964291337b0db37"),
}


class Walk(Spec):
    steps: int = control(10, 1000, ge=1, help="steps")
    keep: bool = control(False, hashed=False, stored=True, help="store the path as well")


@pytest.mark.parametrize(("experiment", "preset"), NAMES, ids=" ".join)
def test_runs_of_today_have_the_names_of_yesterday(experiment, preset):
    found = experiments.get(experiment)
    points = found.spec.of(preset=preset).points()
    names = [run_name(experiment, found.version, point, "data", "weights") for point in points]
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
    assert (names[0], digest) == NAMES[experiment, preset]


def test_it_names_a_run_where_it_was_changed_and_decides_no_number():
    plain, keeping = Walk.of(), Walk.of(keep=True)
    assert keeping.hashed() == plain.hashed() == plain.named()
    assert keeping.named() == plain.named() | {"keep": True}
    assert run_name("00", 1, keeping, "data") != run_name("00", 1, plain, "data")
    assert "keep" not in Walk.of(preset="full").named()


@pytest.mark.parametrize("experiment", experiments.names())
def test_a_stored_control_has_one_default(experiment):
    """Of two, one would name the runs of its preset otherwise."""
    for item in experiments.get(experiment).spec.controls().values():
        assert not item.stored or (not item.hashed and len(set(item.presets.values())) == 1)
