"""What is left to do of a Spec, and the pieces that it is done in."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.errors import Busy
from labkit.runs.events import Event
from labkit.runs.experiment import Experiment, Job, Resources
from labkit.runs.inputs import weights
from labkit.runs.naming import RunKey, run_name
from labkit.runs.store import Finished

if TYPE_CHECKING:
    from labkit.runs.lease import Lease
    from labkit.runs.store import Store
    from labkit.spec import Spec

Piece = list[tuple[RunKey, "Spec"]]  # replicates that are run together, each with its grid point


def planned(
    experiment: Experiment, spec: Spec, store: Store, fingerprint: str, device_kind: str, record: Mapping[str, Any]
) -> tuple[Piece, int]:
    """The replicates that the store does not hold finished, and how many it does; impossible ones are put on record."""
    left: Piece = []
    finished = 0
    for point in spec.points():
        name = run_name(experiment.key, experiment.version, point, fingerprint, weights(point))
        why = experiment.impossible(point)
        for seed in spec.replicate_seeds():
            key = RunKey(experiment.key, name, seed, device_kind)
            if why is not None:
                store.impossible(key, point, why, record)
            elif store.status(key) == "finished":
                store.tidy(key)
                finished += 1
            else:
                left.append((key, point))
    return left, finished


def pieces(experiment: Experiment, left: Piece) -> list[Piece]:
    """Replicates in the pieces that are run as one program."""
    if experiment.together is None:
        return [[one] for one in left]
    found: dict[Hashable, Piece] = {}
    for key, point in left:
        found.setdefault(experiment.together.by(Job(point, key.seed)), []).append((key, point))
    return list(found.values())


def claimed(store: Store, piece: Piece, record: Mapping[str, Any]) -> tuple[list[Lease], Piece, Piece]:
    """The leases of what may be written now and its replicates, and those that other living processes write.

    What another process has finished meanwhile is in neither.
    """
    leases: list[Lease] = []
    own: Piece = []
    busy: Piece = []
    for key, point in piece:
        try:
            leases.append(store.claim(key, point, record))
        except Busy:
            busy.append((key, point))
        except Finished:
            continue
        except BaseException:  # nobody would give back what is claimed already
            for lease in leases:
                lease.forget()
            raise
        else:
            own.append((key, point))
    return leases, own, busy


def earlier(store: Store, piece: Piece) -> tuple[dict[str, Any], dict[str, Any]]:
    """Chunks and checkpoints of all replicates of a piece, by key."""
    chunks, checkpoints = ([kept(key) for key, _ in piece] for kept in (store.chunks, store.checkpoints))
    return _merged(chunks), _merged(checkpoints)


def planned_record(spec: Spec, circumstances: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """What is remembered of each replicate of a Spec.

    Args:
        circumstances: `labkit.runs.record.describe_run` of where it is computed.
        fingerprint: of its data.
    """
    return dict(circumstances) | {
        "preset": spec.preset,
        "seeds_planned": spec.seeds,
        "spec": spec.model_dump(mode="json"),
        "fingerprint": fingerprint,
        "weights": weights(spec),
    }


def events_of(experiment: Experiment, jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of a piece, each with the place of its replicate."""
    if experiment.together is None:
        (job,) = jobs
        with contextlib.closing(experiment.run(job.point, job.seed, resources)) as events:
            yield from ((0, event) for event in events)
    else:
        with contextlib.closing(experiment.together.run(jobs, resources)) as events:
            yield from events


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}
