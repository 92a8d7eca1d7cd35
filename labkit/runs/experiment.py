"""What an experiment is: a Spec, a generator of events, and what may be claimed of its results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.runs.events import Event
from labkit.spec import Spec

if TYPE_CHECKING:
    import altair as alt
    from torch import Tensor, device

    from labkit.data import Split
    from labkit.data.corpus import Corpus
    from labkit.data.table import Table
    from labkit.runs.naming import RunKey
    from labkit.runs.released import Released
    from labkit.runs.view import View


@dataclass(frozen=True)
class Resources:
    """What a replicate is given to work with.

    Args:
        device: where to compute.
        data: the split data set, or the corpus or table, on the CPU.
        chunks: tensors of the chunks finished earlier, by key; those of all jobs where several are run together.
        checkpoints: tensors of the unfinished chunk, by key; empty for a fresh start.
    """

    device: device
    data: Split | Corpus | Table
    chunks: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    checkpoints: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One replicate to be run: a grid point, which holds one value in each grid field, and a seed."""

    point: Spec
    seed: int


@dataclass(frozen=True)
class Together:
    """How replicates of many grid points and seeds are run as one program.

    Args:
        by: replicates with the same `by(job)` are run together.
        run: `run(jobs, resources)` yields each event with the place of its job in `jobs`. Whatever jobs come together,
            a job's numbers are the same. `Progress` is of all jobs; they finish together, at the end.
    """

    by: Callable[[Job], Hashable]
    run: Callable[[Sequence[Job], Resources], Iterator[tuple[int, Event]]]


@dataclass(frozen=True)
class Estimate:
    """What a whole Spec is expected to need: seconds of computing and bytes of the device's memory at the peak."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Claim:
    """One sentence that the stored results either bear out or not.

    Args:
        text: the claim in words.
        holds: whether it does.
        measured: the numbers that decide it, in words.
    """

    text: str
    holds: bool
    measured: str


@dataclass(frozen=True)
class Experiment:
    """One question of the lab.

    Args:
        key: its notebook's number, "01".
        notebook: the notebook's file name without its ending.
        question: the question in one sentence.
        spec: the Spec's class.
        version: a whole number, raised when the experiment's numbers change.
        run: `run(point, seed, resources)` yields the events of one replicate of one grid point.
        check: `check(spec, data)` raises BadInput for what no bound can say (a layer without a node, too much memory).
        impossible: `impossible(point)` says in one line why a grid point cannot exist, or returns None.
        estimate: `estimate(spec, data, device)`, printed by `--dry-run`.
        costs: `costs(spec, data)` says in a line what epsilon the networks will cost, printed by `--dry-run`; None
            where nothing is private.
        claims: `claims(view)` judges the stored results.
        charts: named functions from a `View` to an Altair chart.
        live: the series that the panel draws while training, and how (the keys that `widgets.live_curve` reads).
        totals: says in words what the complete results have cost in privacy, shown below the panel's gauge; None where
            nothing is private.
        not_private: names of values and artifacts that read private data outside the mechanism: exports leave them out.
        released: `released(what, point, key, results, shapes)` says what stored weights are, for `labkit export`: what
            they are of, the grid point, the replicate, its results by arm, the shapes of the tensors by name; None
            where no weights are kept.
        together: runs many replicates as one program, where that is faster; None to run them one by one.
    """

    key: str
    notebook: str
    question: str
    spec: type[Spec]
    version: int
    run: Callable[[Spec, int, Resources], Iterator[Event]]
    check: Callable[[Spec, Split], None]
    impossible: Callable[[Spec], str | None]
    estimate: Callable[[Spec, Split, device], Estimate]
    claims: Callable[[View], list[Claim]]
    charts: Mapping[str, Callable[[View], alt.Chart]]
    verdict_words: Callable[[View], str]
    live: Mapping[str, Any] = field(default_factory=dict)
    totals: Callable[[View], str] | None = None
    together: Together | None = None
    costs: Callable[[Spec, Split], str] | None = None
    released: Callable[[str, Spec, RunKey, Mapping[str, Any], Mapping[str, tuple[int, ...]]], Released] | None = None
    not_private: Collection[str] = ()
