"""An experiment for the tests of store, worker, panel and command line: it needs no data set and takes milliseconds.

Two arms walk a random vector towards zero; a higher sparsity freezes more of it. Every number comes from a seeded
generator whose state is part of the checkpoint, so a resumed run must end in the same numbers, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.runs.events import Artifact, Checkpoint, Chunk, Event, Point, Progress, Result
from labkit.runs.experiment import Claim, Estimate, Experiment, Resources
from labkit.spec import Spec, control

if TYPE_CHECKING:
    import altair as alt

ARMS = ("fancy", "plain")
SIZE = 1000


class FakeSpec(Spec):
    data: str = control("digits", help="any data set; the fake experiment never looks at it")
    sparsity: tuple[float, ...] = control(
        "0.5", "0.5,0.9", help="share of entries frozen", ge=0, lt=1, low="dense", high="almost empty"
    )
    steps: int = control(20, 200, help="steps of each arm", unit="steps", ge=1, le=1_000_000, log=True)
    delay: float = control(0.0, help="pause after each step", unit="s", ge=0, le=1, hashed=False)
    fail_at: int = control(0, help="step at which the run breaks; 0 for never", ge=0, hashed=False)


def run(point: FakeSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """Each arm is a chunk; every step offers a checkpoint."""
    import torch

    for number, arm in enumerate(ARMS):
        if arm in resources.chunks:
            walked = resources.chunks[arm]["walked"]
        else:
            kept = resources.checkpoints.get(arm)
            generator = torch.Generator().manual_seed(seed * len(ARMS) + number)
            if kept:
                step, walked = int(kept["step"]), kept["walked"].clone()
                generator.set_state(kept["generator"])
            else:
                step, walked = 0, torch.randn(SIZE, generator=generator)
            frozen = int(point.sparsity[0] * SIZE)
            while step < point.steps:
                noise = torch.randn(SIZE - frozen, generator=generator)
                walked[frozen:] = 0.95 * walked[frozen:] + 0.01 * noise
                step += 1
                if step == point.fail_at:
                    raise RuntimeError(f"the fake experiment was asked to break at step {step}")
                if point.delay:
                    time.sleep(point.delay)
                accuracy = float(1 / (1 + walked.square().mean()))
                yield Point("curve", {"arm": arm, "step": step, "selection_accuracy": accuracy})
                yield Progress(number * point.steps + step, len(ARMS) * point.steps, f"walking {arm}", rate=1000.0)
                # The closure is called, if at all, before the generator goes on: nothing has moved meanwhile.
                yield Checkpoint(
                    arm,
                    lambda walked=walked, step=step, generator=generator: {
                        "walked": walked,
                        "step": torch.tensor(step),
                        "generator": generator.get_state(),
                    },
                )
            yield Chunk(arm, {"walked": walked})
        yield Artifact(f"walked-{arm}", {"walked": walked})
        yield Result(arm, {"test_accuracy": float(1 / (1 + walked.square().mean())), "sum": float(walked.sum())})


def check(spec: FakeSpec, data: object) -> None:
    if spec.steps == 13:
        raise BadInput("steps", 13, "any number but 13, which no bound can say")


def impossible(point: FakeSpec) -> str | None:
    return "nothing is left to walk" if point.sparsity[0] * SIZE > SIZE - 2 else None


def estimate(spec: FakeSpec, data: object, device: object) -> Estimate:
    replicates = len(spec.points()) * spec.seeds
    return Estimate(seconds=replicates * len(ARMS) * spec.steps * (spec.delay + 1e-4), peak_bytes=2 * 4 * SIZE)


def claims(view: object) -> list[Claim]:
    rows = view.results()
    highest = max(row["test_accuracy"] for row in rows)
    return [Claim("accuracy stays below one", highest < 1, f"highest accuracy {highest:.3f} over {len(rows)} results")]


def chart(view: object) -> alt.Chart:
    import altair as alt

    return (
        alt.Chart(alt.Data(values=view.series("curve")))
        .mark_line()
        .encode(x=alt.X("step:Q"), y=alt.Y("mean(selection_accuracy):Q"), color="arm:N")
    )


def verdict_words(view: object) -> str:
    return f"undecided: {len(view.results())} results of a fake experiment"


EXPERIMENT = Experiment(
    key="99",
    notebook="99_fake",
    question="does the machinery around an experiment work?",
    spec=FakeSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={"curve": chart},
    verdict_words=verdict_words,
    live={"series": "curve"},
)
