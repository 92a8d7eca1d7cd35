"""Notebook 05's landscape: whose update it is; its corners are losses of networks that are put together here."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_finetune import N, artifacts, chunks, jobs, lab, patched, recorded, told
from torch import Tensor
from torch.func import functional_call

from labkit.experiments.finetune.choosing import rows_in
from labkit.experiments.finetune.pictures import pictured
from labkit.experiments.finetune.reached import Run
from labkit.finetune.scores import RowScores
from labkit.runs.events import Result

CHANGES = {"method": "random,sparta,search", "layers": 0, "landscape_size": 5}


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


def test_corners_are_losses_of_networks_that_are_put_together_here(monkeypatch):
    begun = recorded(monkeypatch)
    some = jobs(**CHANGES)
    events = told(some)
    ((place, artifact),) = artifacts(events)
    assert some[place].point.method == ("sparta",)
    (held,) = (kept for key, kept in chunks(events).items() if key.startswith("chosen ") and '["sparta"]' in key)
    rows, bench, dense = rows_in(held), lab(), begun[-1]
    assert (dense.plan.steps, dense.done, dense.count) == (4, 4, 1)
    assert set(dense.params) == set(bench.network.parameters())
    public, trained = bench.network.parameters(), {name: tensor[0] for name, tensor in dense.params.items()}
    train = bench.parts["train"]

    def loss(a: float, b: float) -> Tensor:
        """At the public weights with a times the update of the chosen rows and b times that of all others."""
        own = dict(trained)
        for layer in ("0", "4"):
            name = f"{layer}.weight"
            shares = torch.full((len(public[name]),), b)
            shares[rows[layer]] = a
            change = trained[name] - public[name]
            own[name] = public[name] + shares.view(-1, *[1] * (change.dim() - 1)) * change
        return F.cross_entropy(functional_call(bench.network.stages, own, (train.x,)), train.y).double()

    axis = artifact.tensors["axis_x"]
    assert torch.equal(axis, artifact.tensors["axis_y"])
    assert axis.tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5]
    wanted = torch.stack([torch.stack([loss(a, b) for a in axis.tolist()]) for b in axis.tolist()])
    assert torch.allclose(artifact.tensors["loss"].double(), wanted, rtol=1e-5)
    assert not torch.allclose(wanted, wanted.T, rtol=1e-3)


def test_the_update_is_the_dense_methods_own(monkeypatch):
    """The same draws and noise as the method `all` at that epsilon and rate: no further release."""
    begun = recorded(monkeypatch)
    told(jobs(**CHANGES))
    drawn = begun[-1]
    told(jobs(**CHANGES | {"method": "all"}))
    others = [
        t for t in begun[begun.index(drawn) + 1 :] if t.params["4.weight"].shape == drawn.params["4.weight"].shape
    ]
    assert len(others) == 2  # the method, and the picture of random rows
    for dense in others:
        assert (dense.noise_keys, dense.draw_keys) == (drawn.noise_keys, drawn.draw_keys)
        assert all(torch.equal(dense.params[name], drawn.params[name]) for name in dense.params)


def runs(**changes: object) -> list[Run]:
    return [Run(place, job.point, job.seed, 0.5) for place, job in enumerate(jobs(**changes))]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"method": "sparta,search", "epsilon": "8,1,4,plain"}, ("sparta", 4.0)),
        ({"method": "search,magnitude", "epsilon": "8,1"}, ("magnitude", 1.0)),
        ({"method": "search"}, ("random", 8.0)),
        ({"method": "sparta_norm,sparta", "sparsity": "0.6,0.3"}, ("sparta", 8.0)),
        ({"method": "sparta", "epsilon": "plain,clipped"}, None),
    ],
    ids=str,
)
def test_whose_rows_are_inside(changes, shown):
    found = pictured(runs(**changes), 0)
    assert (found and (found.point.method[0], found.point.epsilon[0])) == shown
    if found:
        assert (found.seed, found.point.sparsity, found.point.warmup) == (0, (0.6,), (0.0,))


def test_the_first_seed_alone_is_drawn():
    assert pictured(runs(method="sparta", seed=4, seeds=3), 4).seed == 4
    assert pictured(runs(method="sparta", seeds=2), 1).seed == 1
    assert pictured(runs(method="sparta", seeds=2), 9) is None
    some = jobs(**CHANGES, seeds=2)
    assert [some[place].seed for place, _ in artifacts(told(some))] == [0]


@pytest.mark.parametrize(
    "changes", [{"landscape_size": 0}, {"noise_source": "os"}, {"epsilon": "plain,clipped"}, {"method": "all"}], ids=str
)
def test_no_picture_where_there_is_none_to_be_had(monkeypatch, changes):
    """Noise of the operating system cannot be had twice: another training would be another release."""
    begun = recorded(monkeypatch)
    some = [job for job in jobs(**CHANGES | changes) if changes.get("method") != "all" or job.point.method == ("all",)]
    events = told(some)
    assert not artifacts(events)
    assert sum(isinstance(event, Result) for _, event in events) == len(some)
    trained = sum(t.count for t in begun if not isinstance(t, RowScores))
    assert trained == len(some)


def test_the_picture_is_of_training_images():
    bench = lab()
    assert len(bench.parts["train"].y) == N < 1000  # all of them, in the oracle above
