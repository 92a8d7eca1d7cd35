"""What notebook 05 refuses before anything trains, and what it foretells."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from small_finetune import EXPERIMENT, N, build, images, patched, recorded, spec

from labkit import device
from labkit.data import Part, load, split
from labkit.errors import BadInput
from labkit.experiments.finetune import limits
from labkit.experiments.finetune.plans import plan_of
from labkit.experiments.finetune.spec import FIXED, METHODS, SEARCH
from labkit.finetune.models import svhn
from labkit.finetune.network import Network
from labkit.runs import Store, Worker

ALL = ",".join(METHODS)
COUNTS = "all moves 244 numbers, head moves 70 numbers, head_norm moves 76 numbers, bias moves 79 numbers"


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


REFUSED = [
    ({"method": "all,head,head_norm,bias", "sparsity": "0.5"}, rf"sparsity = '0\.5' .*fixed size: {COUNTS}"),
    ({"method": "lora", "sparsity": "0.5,0.7"}, r"sparsity = '0\.5, 0\.7'.*lora moves 136 numbers"),
    ({"layers": 4}, r"layers = 4 .*at most the 3 weight layers of small, or 0 for all"),
    ({"layers": 1}, "layers = 1 .*0, or at least 2: with the head alone there are no rows"),
    ({"warmup": "0,1"}, r"warmup = 1\.0 .*less than the 4 steps of the whole training, 1 epochs; these are 4"),
    ({"warmup": "0.1", "epochs": 0.2}, r"warmup = 0\.1 .*less than the 1 step of the whole training, 0\.2 epochs"),
    ({"delta": 1 / N}, r"delta = 0\.0111.*0 for the default, or a number below 1/n = 0\.0111"),
    ({"rates": "1,often"}, "rates = '1,often'.*numbers above 0"),
    ({"rates": "1,0"}, "rates.*numbers above 0"),
    ({"rates": "inf"}, "rates.*numbers above 0"),
    ({"epochs": 1000, "seeds": 1000, "method": ALL, "batch_size": 1}, "epochs = 1000.*at most 24 hours"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=str)
def test_what_cannot_run_is_refused_before_anything_trains(tmp_path, monkeypatch, changes, words):
    begun = recorded(monkeypatch)
    changes = {"method": "sparta"} | changes
    with Store(tmp_path) as store, pytest.raises(BadInput, match=words) as refused:
        list(Worker(EXPERIMENT, spec(**changes), store, load=lambda asked, where: images()).run())
    assert len(str(refused.value).splitlines()) == 1
    assert not begun
    with Store(tmp_path) as store:
        assert not store.replicates()


def test_a_warm_up_leaves_a_step_to_train():
    with pytest.raises(BadInput, match=r"warmup = 0\.85"):
        EXPERIMENT.check(spec(method="sparta", warmup="0.85"), images())


def test_a_delta_of_one_in_n_is_refused():
    with pytest.raises(BadInput, match=r"delta = 0\.0111.*0 for the default, or a number below 1/n"):
        EXPERIMENT.check(spec(delta=1 / N), images())


def test_a_batch_is_within_the_training_split():
    with pytest.raises(BadInput, match=r"batch_size = 91 .*size of the training split"):
        EXPERIMENT.check(spec(batch_size=91), images())


@pytest.mark.parametrize(
    "changes",
    [{"layers": 2}, {"layers": 3}, {"layers": 0}, {"warmup": "0,0.75"}, {"warmup": "0.7"}, {"batch_size": N},
     {"delta": 0.99 / N}, {"method": f"{','.join(FIXED)},random"}, {"method": "head,magnitude", "sparsity": "0.2"},
     {"method": "random,head", "warmup": "5"}, {"epsilon": "plain,clipped"}],
    ids=str,
)  # fmt: skip
def test_what_is_at_the_bound_is_not_refused(changes):
    EXPERIMENT.check(spec(**{"method": "sparta", "epsilon": "plain"} | changes), images())


@pytest.mark.parametrize(
    ("made", "method", "words"),
    [
        (partial(build, norms=False), "head_norm", "method = 'head_norm' .*head: no normalisation stands behind .*= 2"),
        (partial(build, norms=False, biases=False), "bias", "method = 'bias' .*head: no bias stands behind .*= 2"),
    ],
    ids=["norms", "biases"],
)
def test_what_would_move_the_head_alone_is_the_head(made, method, words):
    with patched(made):
        for name in set(FIXED) - {method, "head_norm"}:
            EXPERIMENT.check(spec(method=f"{name},random"), images())
        with pytest.raises(BadInput, match=words):
            EXPERIMENT.check(spec(method=f"all,random,{method}"), images())


def test_adapters_that_cannot_stand_are_refused_beforehand(monkeypatch):
    monkeypatch.setattr("labkit.finetune.lora.adaptable", lambda layer: False)
    with pytest.raises(BadInput, match="method = 'lora on 4'"):
        EXPERIMENT.check(spec(method="lora"), images())


def test_models_that_are_not_here():
    for name, words in {"resnet": "svhn-cnn, efficientnet-lite0", "hub:a/b": "labkit fetch hub:a/b"}.items():
        with pytest.raises(BadInput, match=f"model = '{name}'.*{words}"):
            EXPERIMENT.check(spec(model=name), images())


def test_images_that_the_model_cannot_take():
    data = images()
    three = {name: Part(getattr(data, name).x.repeat(1, 3, 1, 1), getattr(data, name).y) for name in ("train", "test")}
    with pytest.raises(BadInput, match=r"data = 'images of 3 channels'.*1 channel, or the model's 1"):
        EXPERIMENT.check(spec(), replace(data, **three))
    with pytest.raises(BadInput, match=r"data = 'digits'.*floats from 0 to 1"):
        EXPERIMENT.check(spec(), replace(data, std=3.0))


def test_the_head_is_for_the_classes_of_the_data():
    few = replace(images(), classes=("a", "b", "c"))
    assert "a new one for 3 classes" in EXPERIMENT.costs(spec(), few)
    with pytest.raises(BadInput, match="head moves 21 numbers"):
        EXPERIMENT.check(spec(method="head", sparsity="0.5"), few)


def test_what_does_not_fit_is_said_with_its_bytes(monkeypatch):
    asked = spec(method="all,random")
    needed = EXPERIMENT.estimate(asked, images(), torch.device("cpu")).peak_bytes
    assert needed > 2 * 4 * 64 * (N + 40 + 50)  # the images, once more in their frozen stages
    monkeypatch.setattr(device, "memory_free", lambda where: needed)
    EXPERIMENT.check(asked, images())
    monkeypatch.setattr(device, "memory_free", lambda where: needed - 1)
    with pytest.raises(BadInput, match=r"batch_size = 24 .*what fits in the .* GB that are free; it would need .* GB"):
        EXPERIMENT.check(asked, images())


def test_a_dry_run_says_what_each_fine_tune_will_cost():
    said = EXPERIMENT.costs(spec(method="all,sparta,search", epsilon="8,2,plain"), images())
    assert "\n" not in said
    assert f"one image of {N} is protected" in said
    assert "the head is replaced by a new one for 10 classes" in said
    assert "become" not in said  # nothing is resized
    of = {"a network": "random", "one that pays to choose its rows": "sparta", "one that pays to search": "search"}
    for words, method in of.items():
        found = re.search(rf"for {words}[^;]*?([\d.]+) \(noise multiplier ([\d.]+)", said)
        point = next(p for p in spec(method=method).points() if p.method == (method,))
        assert float(found[2]) == pytest.approx(plan_of(point, N).noise_multiplier, rel=0.01)
        assert 7.9 < float(found[1]) <= 8
    assert said.count("noise multiplier") == 3 * 2
    assert said.count("none for plain") == 3
    assert "8 x 8 become" not in said


def test_images_that_are_resized_are_said_to_be():
    data = images()
    wide = {name: Part(getattr(data, name).x.repeat(1, 1, 1, 2), getattr(data, name).y) for name in ("train", "test")}
    assert "images of 1 x 8 x 16 become 1 x 8 x 8, as small expects" in EXPERIMENT.costs(spec(), replace(data, **wide))


def seconds(**changes: object) -> float:
    return EXPERIMENT.estimate(spec(**changes), images(), torch.device("cpu")).seconds


def test_estimates_grow_with_the_work():
    base = seconds()
    assert 0 < base < seconds(epsilon="8,4") < seconds(epsilon="8,4", seeds=3)
    assert base < seconds(epochs=50) < seconds(epochs=50, layers=0)
    assert base < seconds(method="all,sparta") < seconds(method="all,sparta,sparta_norm")
    assert base < seconds(method="all,magnitude", sparsity="0.6") < seconds(method="all,magnitude", sparsity="0.6,0.7")
    many = {"method": SEARCH, "budget": 100_000}
    assert seconds(method=SEARCH) < seconds(**many) < seconds(**many, layers=0)


def test_an_estimate_counts_its_tuning_once():
    """On one seed, whatever the number of seeds: as many trainings as there are rates."""
    one = seconds(method="random", epochs=10)
    tuned = {"method": "random", "epochs": 10, "learning_rate": "tuned"}
    three = seconds(**tuned, rates="1,2,3")
    assert three - one == pytest.approx(3 * (seconds(method="random", epochs=10, seeds=2) - one))
    five = seconds(**tuned, rates="1,2,3", seeds=5)
    assert five - seconds(method="random", epochs=10, seeds=5) == pytest.approx(three - one)


def test_products_by_hand():
    from labkit.experiments.finetune.size import activations, products

    made = build(None, 10)
    convolution, middle, head = 3 * 9 * 9, 27 * 6, 60
    assert products(made, 0) == (0, convolution + middle + head)
    assert products(made, 1) == (convolution, middle + head)
    assert products(made, 6) == (convolution + middle, head)
    assert activations(made) == 27 * 4 + 6 * 2 + 10  # each layer's output for one image


def test_nothing_is_impossible():
    assert {EXPERIMENT.impossible(point) for point in spec(method=ALL).points()} == {None}


def test_the_quick_preset_can_run():
    """With the real network and images; what its plans cost is asked elsewhere."""
    with patched(svhn.build):
        EXPERIMENT.check(EXPERIMENT.spec.of(device="cpu", epsilon="plain,clipped"), split(load("mnist_5k"), 0))


def test_a_head_that_peft_cannot_tell_from_other_layers_is_refused_beforehand(monkeypatch):
    def nested(files: object, classes: int) -> Network:
        made = build(files, classes)
        made.stages[4].register_module("6", torch.nn.Identity())
        return made

    monkeypatch.setattr(limits, "loaded", lambda model, classes: nested(None, classes))
    for changes in ({"method": "random"}, {"keep_weights": False}):
        limits.check(spec(**({"method": "random,lora", "keep_weights": True} | changes)), images())
    with pytest.raises(BadInput, match=r"keep_weights = True .* its head 6 looks like 4\.6"):
        limits.check(spec(method="random,lora", keep_weights=True), images())


def test_weights_count_in_the_estimate():
    device = torch.device("cpu")
    with_them, without = (EXPERIMENT.estimate(spec(keep_weights=keep), images(), device) for keep in (True, False))
    numbers = sum(t.numel() for t in build(None, 10).parameters().values())
    assert with_them.peak_bytes - without.peak_bytes == 8 * numbers
    assert with_them.seconds == without.seconds
