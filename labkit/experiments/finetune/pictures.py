"""The loss around the pre-trained point: along a private update, inside and outside the rows that were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from labkit.experiments.charged import is_word
from labkit.experiments.embeddings.spec import middle
from labkit.experiments.executions import Told
from labkit.experiments.finetune.choosing import STRIDE
from labkit.experiments.finetune.lab import Lab
from labkit.experiments.finetune.reached import Reached, Ready, Run
from labkit.experiments.finetune.spec import ALL, LAYER, ROWS, SPARTA
from labkit.experiments.finetune.training import trainer_of
from labkit.finetune.rows import Rows
from labkit.finetune.tail import Tail
from labkit.generators import relay
from labkit.landscape.surface import grid
from labkit.population.params import Params
from labkit.privacy.noise import OS
from labkit.runs.events import Artifact

IMAGES = 1000  # training images in the loss: the picture is not private
LOW, HIGH = -0.5, 1.5  # of an update: 0 is the public weights, 1 the trained ones
AT_ONCE = 16  # networks between two chances to stop


def pictures(lab: Lab, runs: Sequence[Run], reached: Mapping[Run, Reached]) -> Iterator[Told]:
    """The landscape of the first seed, as the artifact `landscape` of the job whose rows are inside (`pictured`).

    All weights are trained once more with seeded noise. Noise from the operating system cannot be had twice, and
    another training would be another release: then there is no picture.
    """
    size, shown = lab.point.landscape_size, pictured(runs, lab.point.seed)
    if shown is None or not size or lab.point.noise_source == OS:
        return
    changes = {"method": (ALL,), "sparsity": (0.0,), "scope": (LAYER,), "warmup": (0.0,)}
    run = Run(shown.place, shown.point.model_copy(update=changes), shown.seed, shown.rate, told=False)
    tail, trainer = trainer_of(lab, [Ready(run, lab.moves(run.point, run.seed), {}, None)])
    while trainer.done < trainer.steps:
        trainer.advance(STRIDE)
        yield shown.place, lab.progress("training for the landscape")
    start, inside, outside = split_update(tail, trainer.params, lab.head(shown.seed), reached[shown].rows)
    axis = torch.linspace(LOW, HIGH, size, dtype=torch.float64)
    x, y = lab.features(tail.first, "train")[:IMAGES], lab.parts["train"].y[:IMAGES]
    steps = grid(tail, start, inside, outside, axis, axis, x, y, chunk=AT_ONCE, tf32=True)
    loss = yield from relay(steps, lambda _: (shown.place, lab.progress("landscape")))
    yield shown.place, Artifact("landscape", {"loss": loss.cpu(), "axis_x": axis, "axis_y": axis})


def pictured(runs: Sequence[Run], seed: int) -> Run | None:
    """Whose rows are inside: SPARTA's of the first seed, or another choice's, at the middle number of epsilon."""
    rank = {method: place for place, method in enumerate(dict.fromkeys((SPARTA, *ROWS)))}
    own = [
        run for run in runs if run.seed == seed and run.point.method[0] in rank and not is_word(run.point.epsilon[0])
    ]
    if not own:
        return None
    focus = middle(list({run.point.epsilon[0] for run in own}))
    at_focus = [run for run in own if run.point.epsilon[0] == focus]
    return min(at_focus, key=lambda run: rank[run.point.method[0]])


def split_update(tail: Tail, trained: Params, head: Params, rows: Rows) -> tuple[Params, Params, Params]:
    """The network before the rows moved, and its update in the chosen rows and in all others, [1, ...] each.

    Head, biases and norms are as trained everywhere: they move with every method.
    """
    public = tail.start(head)
    start, inside, outside = ({name: tensor.clone() for name, tensor in trained.items()} for _ in range(3))
    for name, tensor in trained.items():
        inside[name].zero_()
        outside[name].zero_()
        if name.rpartition(".")[0] in rows and name.endswith(".weight"):
            start[name].copy_(public[name])
            change, index = tensor - public[name], rows[name.rpartition(".")[0]].to(tensor.device)
            inside[name][0, index] = change[0, index]
            outside[name].copy_(change - inside[name])
    return start, inside, outside
