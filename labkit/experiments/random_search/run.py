"""One replicate: a parent, its candidates scored, all of them trained, and what they reached."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

import torch
from torch import Tensor

from labkit.experiments.random_search.pictures import pictures
from labkit.experiments.random_search.replicate import ORDERS, Replicate, replicate
from labkit.experiments.random_search.spec import THRESHOLD, RandomSearchSpec
from labkit.generators import relay
from labkit.population import chunks, evaluate
from labkit.runs.events import Artifact, Chunk, Event, Progress, Result
from labkit.runs.experiment import Resources
from labkit.search import Candidates, Learned, best, fits, score, steps_to
from labkit.search.learn import curve_point


def run(point: RandomSearchSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate (see `labkit.runs.experiment.Experiment`)."""
    r = replicate(point, seed, resources)
    dense = yield from r.learn(Candidates(r.arch, r.parent, None), "order", "dense", {"dense": 0})
    scores = yield from score_all(r)
    found = best(scores)
    # the found network first, so that its curve is seen early; it is one of the candidates, or one more
    which = [found, *(i for i in range(point.trained()) if i != found)]
    learned: dict[str, Learned] = {}
    for order in ORDERS:
        learned[order] = yield from learn_all(r, order, which)
    yield Artifact("scores", {"initial_loss": scores})
    threshold = THRESHOLD * float(dense["selection_accuracy"][-1, 0])
    yield Artifact("candidates", candidate_table(r, which, scores, learned, threshold))
    if seed == point.seed and point.landscape_size:
        yield from pictures(r, found)
    first = learned[ORDERS[0]]
    trained = slice(0, None) if found < point.trained() else slice(1, None)  # the mean is over the first draws alone
    means = torch.stack([first[name][:, trained].mean(1) for name in ("selection_accuracy", "selection_loss")], 1)
    for step, row in zip(r.recipe.looks(), means, strict=True):
        yield curve_point("random", step, row)
    arms = {"found": slice(0, 1), "first": slice(which.index(0), which.index(0) + 1), "random": trained}
    parameters = r.space.parameters()
    which_scores = scores[torch.tensor(which)]
    for arm, members in arms.items():
        yield arm_result(r, arm, first, members, which_scores[members], threshold, parameters)
    initial = evaluate(r.arch, r.parent, r.data.selection.x, r.data.selection.y).loss.cpu()
    full = sum(tensor[0].numel() for tensor in r.parent.values())
    yield arm_result(r, "dense", dense, slice(0, 1), initial, threshold, full)


def score_all(r: Replicate) -> Generator[Event, None, Tensor]:
    """The score of every candidate, [budget]."""
    size = fits(r.space, r.parent, r.point.batch_size, r.point.scored())
    parts = []
    for which in chunks(r.point.scored(), size):
        key = f"scores-{which.start}-{which.stop}"
        if key in r.resources.chunks:
            parts.append(r.resources.chunks[key]["score"])
        else:
            steps = score(r.space, r.parent, which, r.data, r.recipe, r.point.score_after, r.order_seed("order"))
            parts.append((yield from relay(steps, lambda rate: Progress(r.done, r.total, "warming up", rate))))
            yield Chunk(key, {"score": parts[-1]})
        r.done += r.point.score_after * len(which)
        yield Progress(r.done, r.total, f"scored {which.stop} of {r.point.scored()} candidates")
    return torch.cat(parts)


def learn_all(r: Replicate, order: str, which: list[int]) -> Generator[Event, None, Learned]:
    """What the candidates `which` learned in one data order, in chunks that fit."""
    parts: list[Learned] = []
    for places in chunks(len(which), fits(r.space, r.parent, r.point.batch_size, len(which))):
        members = [which[place] for place in places]
        drawn = {}
        if order == ORDERS[0]:
            named = {"found": which[0], "first": 0}
            drawn = {arm: members.index(number) for arm, number in named.items() if number in members}
        some = r.space.candidates(r.parent, members)
        parts.append((yield from r.learn(some, order, f"{order}-{places.start}-{places.stop}", drawn)))
    return {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}


def candidate_table(
    r: Replicate, which: list[int], scores: Tensor, learned: Mapping[str, Learned], threshold: float
) -> dict[str, Tensor]:
    """What is kept of every trained candidate, in the order of their numbers."""
    order = torch.tensor(which).argsort()
    first, again = (learned[name] for name in ORDERS)
    steps, censored = steps_to(threshold, first["selection_accuracy"], r.recipe.looks())
    return {
        "index": torch.tensor(which)[order],
        "initial_loss": scores[torch.tensor(which)][order],
        "test_accuracy": first["test_accuracy"][order],
        "test_accuracy_again": again["test_accuracy"][order],
        "steps_to_threshold": steps[order],
        "censored": censored[order],
    }


def arm_result(
    r: Replicate, arm: str, learned: Learned, members: slice, initial: Tensor, threshold: float, parameters: int
) -> Result:
    """The stored numbers of one arm: means over its members."""
    steps, censored = steps_to(threshold, learned["selection_accuracy"][:, members], r.recipe.looks())
    return Result(
        arm,
        {
            "test_accuracy": float(learned["test_accuracy"][members].mean()),
            "test_loss": float(learned["test_loss"][members].mean()),
            "selection_accuracy": float(learned["selection_accuracy"][-1, members].mean()),
            "initial_loss": float(initial.mean()),
            "steps_to_threshold": float(steps.mean()),
            "censored": float(censored.float().mean()),
            "parameters": parameters,
            "trained": int(steps.shape[0]),
            "test_images": len(r.data.test),
            "captured": bool(learned["captured"][members].all()),
        },
    )
