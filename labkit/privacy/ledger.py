"""The ledger: what released models cost together, on one data set.

Three totals, none of which stands for another: (a) a run alone; (b) the winner, charged for being chosen; (c) all runs
with tuning, which is what was spent and no guarantee that can be released. Models that share each Poisson draw are one
event (`labkit.privacy.accounting.shared`); different draws compose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dp_accounting import DpEvent

from labkit.errors import BadInput
from labkit.privacy.accounting import Spent, shared, spent
from labkit.privacy.events import dp_sgd
from labkit.privacy.plan import Plan
from labkit.privacy.repeats import Repeats

TRAINING, TUNING = "training", "tuning"
NOT_RELEASABLE = "not a releasable guarantee: what all runs and their tuning spent, losing runs included"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One execution of a run, or of a stretch of its steps.

    A run that was stopped and resumed has one entry for each time, in that order. A step that was replayed with the
    same draws and the same noise is the same release and counts once; with fresh noise or draws it is another one. What
    else is in a run's plan (`also`, or repeats) counts once a name.

    Args:
        name: of the run.
        plan: of the run, or of random repeats, whose losers are hidden.
        fingerprint: of the data set before split, thinning and relabelling, so that another split is the same data.
        group: names the Poisson draws: equal only where rows, key and sample rate are. Repeats draw for themselves.
        noise: names the noise key; None for the run's own.
        first, last: the steps executed are first to last - 1; last None for all of the plan's.
        kind: "training" or "tuning".
    """

    name: str
    plan: Plan | Repeats
    fingerprint: str
    group: str
    noise: str | None = None
    first: int = 0
    last: int | None = None
    kind: str = TRAINING

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.end <= self.base.steps:
            raise BadInput("last", self.last, f"{self.first} to {self.base.steps}, the plan's steps")

    @property
    def base(self) -> Plan:
        """The plan of one training."""
        return self.plan.base if isinstance(self.plan, Repeats) else self.plan

    @property
    def end(self) -> int:
        """The number of the first step that was not executed."""
        return self.base.steps if self.last is None else self.last


@dataclass(frozen=True)
class Total:
    """What some entries cost together.

    Args:
        planned: as if the last execution of every run had gone on to the plan's end. It is the one to report, unless
            the decision to stop looked at no private data.
        executed: for the steps that were run.
        unprotected: runs without noise, which neither number contains: with them epsilon is infinite.
        note: how it may be used.
    """

    planned: Spent
    executed: Spent
    unprotected: tuple[str, ...] = ()
    note: str = ""

    @property
    def epsilon(self) -> float:
        """As planned; infinite with a run without noise."""
        return math.inf if self.unprotected else self.planned.epsilon


def this_run(entries: Sequence[Entry], name: str) -> Total:
    """(a) One run alone, all its executions."""
    return _total([entry for entry in entries if entry.name == name])


def winner(entries: Sequence[Entry], name: str, among: Iterable[str] = ()) -> Total:
    """(b) The released run, charged for being chosen.

    A private choice is part of the winner's plan (`also`, or repeats). Any other choice among trained models, even on
    public data, has used all of them, and is charged for all of them.

    Args:
        among: names of the runs that it was chosen from other than by a private mechanism.
    """
    names = {name, *among}
    if unknown := names - {entry.name for entry in entries}:
        raise BadInput("among", sorted(unknown), "names of runs in the ledger")
    return _total([entry for entry in entries if entry.name in names])


def everything(entries: Sequence[Entry]) -> Total:
    """(c) All runs with tuning."""
    return replace(_total(entries), note=NOT_RELEASABLE)


def by_data(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    """A ledger for each data set. Costs on different data sets do not add up, unless a person is in both."""
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in entries:
        found[entry.fingerprint] = (*found.get(entry.fingerprint, ()), entry)
    return found


def events(entries: Sequence[Entry]) -> list[DpEvent]:
    """What an accountant counts for these executions together; runs without noise are left out.

    Raises:
        BadInput: several data sets, plans of one name, sample rates of one group, or runs with one noise.
    """
    if len(found := by_data(entries)) > 1:
        raise BadInput("fingerprint", sorted(found), "one data set; other data have a ledger of their own")
    private = [entry for entry in entries if entry.base.private]
    plans = {entry.name: entry.plan for entry in private}
    if mixed := [entry.name for entry in private if plans[entry.name] != entry.plan]:
        raise BadInput("name", mixed[0], "a name with one plan: another plan makes another run")
    counted = [event for group in _grouped(private).values() for event in _group_events(group)]
    for plan in plans.values():
        counted += [plan.event()] if isinstance(plan, Repeats) else list(plan.also)
    return counted


def _grouped(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    users: dict[str, tuple[str, str, Plan | Repeats]] = {}
    for entry in entries:
        if isinstance(entry.plan, Repeats):
            continue
        use = entry.name, entry.group, entry.plan
        if users.setdefault(_noise(entry), use) != use:
            # The difference of two releases with the same noise shows the private sums without any.
            raise BadInput("noise", _noise(entry), "noise of one run alone, with one plan and one group of draws")
        groups.setdefault(entry.group, []).append(entry)
    return groups


def _group_events(group: Sequence[Entry]) -> list[DpEvent]:
    """The group's steps in stretches with the same members: in each, one Gaussian of their shared noise."""
    rates = {entry.base.sample_rate for entry in group}
    if len(rates) > 1:
        raise BadInput("group", group[0].group, f"runs with one sample rate, not {sorted(rates)}")
    (rate,) = rates
    cuts = sorted({step for entry in group for step in (entry.first, entry.end)})
    counted = []
    for first, end in pairwise(cuts):
        here = {_noise(e): e.base.noise_multiplier for e in group if e.first <= first and end <= e.end}
        if here:
            counted.append(dp_sgd(rate, shared(list(here.values())), end - first))
    return counted


def _total(entries: Sequence[Entry]) -> Total:
    if not entries:
        raise BadInput("entries", [], "at least one run")
    unprotected = tuple(dict.fromkeys(entry.name for entry in entries if not entry.base.private))
    deltas = [entry.base.delta for entry in entries if entry.base.private]
    delta = min(deltas, default=1e-5)
    latest = {entry.name: i for i, entry in enumerate(entries)}
    whole = [replace(entry, last=None) if latest[entry.name] == i else entry for i, entry in enumerate(entries)]
    return Total(spent(events(whole), delta), spent(events(entries), delta), unprotected)


def _noise(entry: Entry) -> str:
    return entry.name if entry.noise is None else entry.noise
