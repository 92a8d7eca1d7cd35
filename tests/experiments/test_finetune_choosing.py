"""Which rows notebook 05 chooses: the best by scores that are made here by hand, and privately the best of a search."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_finetune import N, chunks, jobs, lab, patched, point, results, told
from torch import Tensor
from torch.func import functional_call

from labkit.experiments.finetune import choosing
from labkit.experiments.finetune.choosing import BOUND
from labkit.experiments.finetune.lab import Lab, keys, release_label
from labkit.experiments.finetune.plans import plan_of
from labkit.experiments.finetune.spec import READING, FinetuneSpec
from labkit.finetune.lookahead import REACH
from labkit.finetune.rows import Rows, overlap, random_rows, top_rows
from labkit.finetune.scores import RowScores
from labkit.privacy.noise import secret_stream
from labkit.privacy.selection import choose
from labkit.runs.experiment import Job
from labkit.streams import stream

READINGS = {"sparta": "sum", "sparta_abs": "absolute", "sparta_noisy": "noisy", "sparta_norm": "norm"}
LAYERS = {"0": (3, 9), "4": (6, 27)}
RATE = 0.5


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


def chosen(asked: FinetuneSpec, seed: int = 0) -> tuple[Rows, float]:
    """The rows of the only run of a method, and how many of them a choice without noise would have made."""
    held = chunks(told([Job(asked, seed)]))
    (found,) = (held[key] for key in held if key.startswith("chosen "))
    return choosing.rows_in(found), float(found["overlap"])


def scored(bench: Lab, asked: FinetuneSpec, reading: str, seed: int = 0, **changes: Any) -> RowScores:
    """The steps of a plan that score rows, on whole images."""
    train, plan = bench.parts["train"], plan_of(asked, N)
    made = RowScores(
        bench.network, list(LAYERS), reading, plan, train.x, train.y, base=bench.head(seed),
        span=(plan.steps - 4, plan.steps), **(keys(bench, asked, seed, RATE) | changes),
    )  # fmt: skip
    made.advance(4)
    return made


def same(one: Rows, other: Rows) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("epsilon", ["2", "clipped"])
@pytest.mark.parametrize("method", READING)
def test_rows_are_the_best_by_scores_that_are_made_by_hand(method, epsilon, scope):
    asked = point(method=method, epsilon=epsilon, scope=scope, layers=0)
    bench = lab()
    scores = scored(bench, asked, READINGS[method])
    size = {"sparsity": 0.6, "scope": scope, "power": 0.5 if method == "sparta_norm" else 1.0}
    wanted, noiseless = (top_rows(s, LAYERS, **size) for s in (scores.scores(), scores.noiseless_scores()))
    rows, agreed = chosen(asked)
    assert same(rows, wanted)
    assert agreed == overlap(wanted, noiseless)
    assert (agreed == 1) or epsilon == "2"


def test_noise_changes_the_choice():
    """Otherwise nothing above would tell whose scores are taken."""
    rows = [chosen(point(method=method, epsilon="2", layers=0), seed) for method in READING for seed in range(3)]
    assert len({tuple(torch.cat(list(found.values())).tolist()) for found, _ in rows}) > 4
    assert 0 < sum(agreed for _, agreed in rows) / len(rows) < 1


def candidates(asked: FinetuneSpec, seed: int = 0) -> list[Rows]:
    """Drawn here by the streams that they are named by."""
    made = []
    for k in range(asked.budget):
        generator = stream(seed, "rows", asked.scope[0], str(asked.sparsity[0]), k)
        made.append(random_rows(LAYERS, asked.sparsity[0], asked.scope[0], generator))
    return made


def utilities(bench: Lab, asked: FinetuneSpec, seed: int = 0) -> Tensor:
    """Minus the sum of the clipped losses of every image after a step in each set of rows, on the whole network."""
    gradient = scored(bench, asked, "gradient", seed).released_gradient()
    train, own = bench.parts["train"], {**bench.network.parameters(), **bench.head(seed)}
    found = []
    for rows in candidates(asked, seed):
        moved = dict(own)
        for name, index in rows.items():
            weight, g = own[f"{name}.weight"], gradient[f"{name}.weight"]
            change = torch.zeros_like(weight)
            change[index] = g[index] * REACH * weight.norm() / g.norm()
            moved[f"{name}.weight"] = weight - change
        logits = functional_call(bench.network.stages, moved, (train.x,))
        found.append(-F.cross_entropy(logits, train.y, reduction="none").clamp(max=BOUND).double().sum())
    return torch.stack(found)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("epsilon", ["2", "plain"])
def test_a_search_by_hand(monkeypatch, epsilon, seed):
    asked, asking = point(method="search", epsilon=epsilon, budget=6, layers=0), []
    monkeypatch.setattr(choosing, "choose", lambda *given: asking.append(given) or choose(*given))
    bench = lab()
    u = utilities(bench, asked, seed)
    best = index = int(u.argmax())
    rows, agreed = chosen(asked, seed)
    if epsilon == "2":
        ((given, share, bound, _),) = asking
        assert torch.allclose(given, u, rtol=1e-5)
        assert (share, bound) == (0.2, BOUND)
        generator = secret_stream("seeded", seed, "search", release_label(bench, asked, RATE))
        index = choose(given, 0.2, BOUND, generator)
    assert (asking == []) == (epsilon == "plain")
    sets = candidates(asked, seed)
    assert same(rows, sets[index])
    assert agreed == overlap(sets[index], sets[best])


def test_a_private_search_takes_others_than_the_best():
    taken = [chosen(point(method="search", epsilon="2", budget=6, layers=0), seed)[1] for seed in range(4)]
    assert min(taken) < 1


def test_a_search_is_over_the_rows_that_random_rows_would_draw():
    """The first candidate is what the free control moves."""
    for scope in ("layer", "global"):
        free = lab(jobs(layers=0)).moves(point(method="random", scope=scope, layers=0), 3).rows
        assert same(free, candidates(point(method="search", scope=scope), 3)[0])


def test_random_rows_are_paired_and_differ_by_seed_sparsity_and_scope():
    bench = lab(jobs(layers=0))
    of = {
        (seed, scope, sparsity): bench.moves(point(scope=scope, sparsity=sparsity, layers=0), seed).rows
        for seed in (0, 1) for scope in ("layer", "global") for sparsity in ("0.6", "0.7")
    }  # fmt: skip
    assert same(of[0, "layer", "0.6"], bench.moves(point(epsilon="1", clip_norm=3.0, layers=0), 0).rows)
    shown = [tuple((n, tuple(i.tolist())) for n, i in rows.items()) for rows in of.values()]
    assert len(set(shown)) > 5


def test_the_choice_counts_as_a_choice_of_its_noise():
    """Rows and numbers of another seed are others, with the same plan."""
    found = results(told(jobs(method="sparta_norm", epsilon="2", layers=0, seeds=3)))
    held = [values for values in found.values() if values["arm"] == "sparta_norm"]
    assert len({values["noise_multiplier"] for values in held}) == 1
    assert len({values["test_loss"] for values in held}) == 3


def test_only_the_choice_leaves_the_scores():
    """No score, gradient or loss is kept of a fine-tune once its rows are known."""
    held = chunks(told(jobs(method="sparta,search", warmup="0.5", layers=0)))
    kept = {name.split(" ")[0] for key, found in held.items() if key.startswith("chosen ") for name in found}
    assert kept == {"rows", "warmed", "overlap"}
    assert {key.split(" ")[0] for key in held} == {"warmed", "chosen", "ended", "trained"}
