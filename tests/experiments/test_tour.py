import torch

from labkit.data import load, split
from labkit.experiments import get, names
from labkit.runs.events import Result
from labkit.runs.experiment import Resources
from labkit.spec import PRESETS


def test_the_tour_is_a_small_random_search():
    tour, search = get("00"), get("01")
    asked = tour.spec.of(sparsity=0.5, budget=4, data="digits", device="cpu")
    digits = split(load("digits"), 0)
    resources = Resources(torch.device("cpu"), digits)
    ours = [e for e in tour.run(asked, 0, resources) if isinstance(e, Result)]
    theirs = [e for e in search.run(asked.search(), 0, resources) if isinstance(e, Result)]
    assert ours == theirs
    assert {result.arm for result in ours} == {"dense", "found", "first", "random"}


def test_bounds_are_typed_once():
    tour, search = get("00").spec.controls()["sparsity"], get("01").spec.controls()["sparsity"]
    assert (tour.ge, tour.lt, tour.help, tour.low) == (search.ge, search.lt, search.help, search.low)


def test_every_preset_of_every_experiment_is_a_valid_spec_with_help():
    for key in names():
        for preset in PRESETS:
            spec = get(key).spec.of(preset=preset)
            assert spec.modified() == {}
            assert all(control.help for control in spec.controls().values())
