"""What the panel says, in words and numbers a reader takes in at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.runs.events import Progress
from widgets.field import text

if TYPE_CHECKING:
    from labkit.runs import Update
    from labkit.spec import Spec


def duration(seconds: float) -> str:
    """Rounded to what matters: "1 s" at least, "42 s", "3 min 20 s", "2 h 05 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes as "512 MiB" or "1.4 GiB"."""
    mebibytes = count / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def count(number: float) -> str:
    """Three digits that count: "842", "12,300", "1.02 million"."""
    rounded = float(f"{number:.3g}")
    return (
        f"{rounded:,.4g}" if rounded < 1000 else f"{rounded:,.0f}" if rounded < 1e6 else f"{rounded / 1e6:.3g} million"
    )


def progress(update: Update) -> str:
    """What is being done, for which grid point and seed, and how far it is."""
    doing = update.event.what if isinstance(update.event, Progress) else ""
    where = point(update.point) + f", seed {update.key.seed}" if update.key and update.point else ""
    return " · ".join(part for part in (doing, where.removeprefix(", "), replicates(update.done, update.total)) if part)


def replicates(done: float, total: float) -> str:
    """How many replicates are finished, once it is known how many there are."""
    return f"{int(done)} of {int(total)} replicates" if total else ""


def point(spec: Spec) -> str:
    """The grid fields of a grid point: "sparsity 0.9, budget 64"."""
    grids = [name for name, item in spec.controls().items() if item.grid]
    return ", ".join(f"{name} {text(getattr(spec, name))}" for name in grids)


def parameters(spec: Spec) -> str:
    """The preset, and whatever differs from it: "quick; sparsity 0.5, 0.9; steps 40"."""
    differing = {name: value for name, value in spec.modified().items() if name != "store"}
    return "; ".join([spec.preset, *(f"{name.replace('_', ' ')} {text(value)}" for name, value in differing.items())])
