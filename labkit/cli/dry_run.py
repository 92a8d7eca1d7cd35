"""What `labkit run --dry-run` says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labkit.runs import Store, View

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

NO_EPSILON = "none: this experiment trains without privacy"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def words(experiment: Experiment, spec: Spec, store: Store, data: Split) -> str:
    """The replicates to run, and the expected time, memory and epsilon, one a line."""
    from labkit.device import describe, memory_free, resolve

    device = resolve(spec.device)
    expected = experiment.estimate(spec, data, device)
    points = View(store, experiment, spec, data.fingerprint, device.type).points
    impossible = sum(experiment.impossible(point) is not None for point, _, _ in points)
    stored = sum(status == "finished" for _, _, seeds in points for status in seeds.values())
    facts = {
        "question": experiment.question,
        "grid points": f"{len(points)}, of which {impossible} impossible",
        "replicates": f"{(len(points) - impossible) * spec.seeds}, of which {stored} stored already",
        "device": describe(device),
        "time": f"about {duration(expected.seconds)} for all replicates",
        "memory": f"about {size(expected.peak_bytes)} at the peak, of {size(memory_free(device))} free",
        "epsilon": experiment.costs(spec, data) if experiment.costs else NO_EPSILON,
        "store": str(store.path),
    }
    return "\n".join(f"{name:<11}  {fact}" for name, fact in facts.items())


def duration(seconds: float) -> str:
    """A time that a reader can take in: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes in the largest unit that leaves a number above one."""
    power = min(int(math.log2(max(count, 1))) // 10, len(UNITS) - 1)
    return f"{count / 2 ** (10 * power):.4g} {UNITS[power]}"
