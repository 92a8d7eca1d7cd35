"""The learning rate of each epsilon and kind of method: tried on another seed, judged on the selection split."""

from __future__ import annotations

from collections.abc import Generator

from labkit.experiments.embeddings.lab import Lab
from labkit.experiments.embeddings.spec import ADAFEST, DPSGD, L2, TUNED, UNUSED, USED, YEAR, EmbeddingsSpec
from labkit.experiments.embeddings.training import train
from labkit.experiments.executions import Told
from labkit.runs.naming import canonical

SEED = 2**31  # above every seed that a Spec takes
KIND = {"lazydp": DPSGD, "adafest_plus": ADAFEST}  # tuned as
AT = {"selection_fraction": 0.3, "threshold": 2.0, "k": 300, "map_norm": L2}


def rate_of(lab: Lab, place: int) -> Generator[Told, None, tuple[float, int]]:
    """The point's learning rate, and how many were tried for it.

    The settings tried are fixed (`AT`), whatever else the Spec names: a point's numbers must not depend on the points
    beside it. Tuning looks at the training split's guarantee no more often than it is charged: the ledger's (c).
    """
    point = lab.point(place)
    if point.learning_rate != TUNED:
        return point.learning_rate, 0
    like, rates = tuned_as(point), point.tried_rates()
    key = canonical(like.hashed())
    if key not in lab.tuned:
        reached = {}
        for rate in rates:
            trained = yield from train(lab, place, like, SEED + point.split_seed, rate, told=False)
            reached[rate] = trained.numbers["selection_auc"]
        lab.tuned[key] = max(rates, key=lambda rate: (reached[rate], rate))
    return lab.tuned[key], len(rates)


def tuned_as(point: EmbeddingsSpec) -> EmbeddingsSpec:
    """The point whose rates are tried for this one."""
    (method,) = point.method
    kind = KIND.get(method, method)
    values = {name: AT[name] if name in USED[kind] else UNUSED[name] for name in UNUSED}
    changes = {"method": kind, "order": YEAR} | values
    return point.model_copy(update={name: (value,) for name, value in changes.items()})
