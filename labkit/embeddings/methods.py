"""Every mechanism by its name. A new one is a class in a file of its own and a line here."""

from __future__ import annotations

from labkit.embeddings.adaptive import AdaptiveRows
from labkit.embeddings.dense import DenseRows
from labkit.embeddings.lazy import LazyRows
from labkit.embeddings.mechanism import Mechanism

DPSGD, FEST, ADAFEST, ADAFEST_PLUS, LAZYDP = "dpsgd", "fest", "adafest", "adafest_plus", "lazydp"

METHODS: dict[str, type[Mechanism]] = {
    DPSGD: DenseRows,
    FEST: DenseRows,
    ADAFEST: AdaptiveRows,
    ADAFEST_PLUS: AdaptiveRows,
    LAZYDP: LazyRows,
}
CHOSEN = (FEST, ADAFEST_PLUS)  # those that train only rows chosen beforehand
ADAPTIVE = (ADAFEST, ADAFEST_PLUS)  # those that choose rows in every step
