"""Which fine-tunes follow from notebook 05's lists."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_finetune import EXPERIMENT, spec

from labkit.errors import BadInput
from labkit.experiments.finetune.spec import FIXED, METHODS, READING, ROWS, kind_of
from labkit.finetune.methods import METHODS as KNOWN
from labkit.runs.naming import run_name

FIELDS = ("epsilon", "method", "sparsity", "scope", "warmup")
GRID = {
    "epsilon": "4,plain,1", "method": "head,sparta", "sparsity": "0.8,0.5", "scope": "global,layer", "warmup": "0,0.5",
}  # fmt: skip


def rows(**changes: Any) -> list[tuple[Any, ...]]:
    """Each point's value of each grid field."""
    return [tuple(getattr(point, name)[0] for name in FIELDS) for point in spec(**GRID | changes).points()]


def test_a_small_grid_by_hand():
    main = [
        row
        for epsilon in (4.0, "plain", 1.0)
        for row in (
            (epsilon, "head", 0.0, "layer", 0.0),
            (epsilon, "sparta", 0.8, "global", 0.0),
            (epsilon, "random", 0.8, "global", 0.0),
        )
    ]
    beside = [
        (1.0, "sparta", 0.5, "global", 0.0),
        (1.0, "random", 0.5, "global", 0.0),
        (1.0, "sparta", 0.8, "layer", 0.0),
        (1.0, "random", 0.8, "layer", 0.0),
        (1.0, "sparta", 0.8, "global", 0.5),
    ]
    assert rows() == main + beside


def test_a_first_warm_up_is_the_main_one_of_those_that_look():
    found = rows(warmup="0.5,0", epsilon="1")
    assert (1.0, "sparta", 0.8, "global", 0.5) in found
    assert (1.0, "sparta", 0.8, "global", 0.0) in found
    assert {row[-1] for row in found if row[1] == "random"} == {0.0}


@pytest.mark.parametrize(
    ("preset", "each"),
    [
        # 3 epsilons
        ("quick", {"fixed": 3, "reading": 3, "other": 3}),
        # 6 epsilons, 5 more sparsities, another scope; and another warm-up
        ("full", {"fixed": 6, "reading": 6 + 5 + 1 + 1, "other": 6 + 5 + 1}),
        # 1 epsilon, another sparsity
        ("imagenet", {"fixed": 1, "reading": 1 + 1, "other": 1 + 1}),
    ],
)
def test_the_presets_by_hand(preset, each):
    made = EXPERIMENT.spec.of(preset=preset)
    kinds = {"fixed": set(FIXED), "reading": set(READING), "other": set(ROWS) - set(READING)}
    methods = set(METHODS) if preset != "imagenet" else set(METHODS) - {"sparta_abs", "sparta_noisy", "search"}
    wanted = {method: each[kind] for kind, some in kinds.items() for method in some & methods}
    assert Counter(point.method[0] for point in made.points()) == wanted
    assert made.modified() == {}


def test_the_imagenet_preset_is_full_with_another_network():
    made, full = (EXPERIMENT.spec.of(preset=preset) for preset in ("imagenet", "full"))
    differs = {name: getattr(made, name) for name in full.controls() if getattr(made, name) != getattr(full, name)}
    fewer = {"preset": "imagenet", "model": "efficientnet-lite0", "seeds": 3, "epsilon": (2.0,), "epochs": 5.0}
    fewer |= {"sparsity": (0.8, 0.95), "scope": ("layer",), "warmup": (0.0,), "landscape_size": 13}
    assert differs == fewer | {"method": tuple(m for m in METHODS if m not in ("sparta_abs", "sparta_noisy", "search"))}


@pytest.mark.parametrize("method", ["head", "sparta,search", "magnitude", "random,all"])
def test_random_rows_always_run_beside(method):
    found = rows(method=method)
    assert {row[1] for row in found} == {"random", *method.split(",")}
    assert {row[0] for row in found if row[1] == "random"} == {4.0, "plain", 1.0}


@pytest.mark.parametrize(
    ("epsilon", "focus"),
    [("1,8,plain", 1.0), ("8,1,2", 2.0), ("plain,4", 4.0), ("plain,clipped", "plain"), ("clipped", "clipped")],
)
def test_the_middle_epsilon(epsilon, focus):
    assert spec(epsilon=epsilon).focus() == focus
    assert {row[0] for row in rows(epsilon=epsilon) if row[2] == 0.5} == {focus}


LISTS = {
    "epsilon": ["1", "8", "2", "plain", "clipped"], "method": list(METHODS), "sparsity": ["0.5", "0.8", "0.9"],
    "scope": ["layer", "global"], "warmup": ["0", "0.25", "0.5"],
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({name: st.lists(st.sampled_from(v), min_size=1, unique=True) for name, v in LISTS.items()})
)
def test_each_point_once_and_each_value_somewhere(lists):
    asked = spec(**{name: ",".join(values) for name, values in lists.items()})
    made = asked.points()
    names = [run_name("05", 1, point, "f" * 64) for point in made]
    assert len(names) == len(set(names))
    found = [dict(zip(FIELDS, (getattr(p, name)[0] for name in FIELDS), strict=True)) for p in made]
    assert {row["epsilon"] for row in found} == set(asked.epsilon)
    drawn = [row for row in found if row["method"] == "random"]
    assert {row["sparsity"] for row in drawn} == set(asked.sparsity)
    assert {row["scope"] for row in drawn} == set(asked.scope)
    assert {row["warmup"] for row in found if row["method"] in READING} in (set(asked.warmup), set())
    assert all((row["sparsity"], row["scope"]) == (0, "layer") for row in found if row["method"] in FIXED)
    assert all(row["warmup"] == 0 for row in found if row["method"] not in READING)
    settings_of = {tuple(row[name] for name in ("epsilon", "sparsity", "scope")) for row in found if row["sparsity"]}
    assert settings_of == {(row["epsilon"], row["sparsity"], row["scope"]) for row in drawn}  # each has its control


def test_methods_are_those_that_are_there():
    assert list(KNOWN) == ["all", "head", "head_norm", "bias", "lora", "magnitude", "random", *READING, "search"]
    assert {name for name, method in KNOWN.items() if not method.sized} == set(FIXED)
    assert {name for name, method in KNOWN.items() if method.chooses} == {*READING, "search"}
    assert set(METHODS) == set(KNOWN)


def test_what_takes_one_learning_rate():
    kinds = {point.method[0]: kind_of(point) for point in spec(method=",".join(METHODS)).points()}
    assert {kinds[name] for name in ROWS} == {"rows"}
    assert [kinds[name] for name in FIXED] == list(FIXED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "spectral"}, "method = 'spectral'.*all.*search"),
        ({"sparsity": "0"}, r"sparsity = '0'.*\(0, 1\)"),
        ({"sparsity": "0.5,1"}, r"sparsity = '0\.5,1'.*\(0, 1\)"),
        ({"scope": "network"}, "scope = 'network'.*layer, global"),
        ({"warmup": "-1"}, "warmup = '-1'.*epochs"),
        ({"layers": -1}, "layers = -1.*weight layers"),
        ({"layers": 1.5}, "layers = 1.5.*whole number"),
        ({"budget": 1}, "budget = 1.*2, 100000"),
        ({"lora_rank": 0}, "lora_rank = 0"),
        ({"clip_norm": 0}, "clip_norm = 0"),
        ({"epsilon": "0"}, "epsilon = '0'.*clipped.*plain"),
        ({"delta": -1e-6}, "delta = -1e-06"),
        ({"delta": 1}, "delta = 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rate": "shared"}, "learning_rate = 'shared'.*tuned"),
        ({"noise_source": "dice"}, "noise_source = 'dice'.*seeded.*os"),
        ({"evaluations": 0}, "evaluations = 0"),
        ({"margin": 0}, "margin = 0"),
        ({"preset": "tiny"}, "preset = 'tiny'.*quick, full, imagenet"),
    ],
    ids=str,
)
def test_what_a_single_field_cannot_be(changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        spec(**changes)
    assert len(str(refused.value).splitlines()) == 1
