"""Draws what the store holds and what a session says onto the board."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit import device as devices
from labkit.charts.png import still
from labkit.runs import Update, View
from labkit.runs.events import Point, Progress
from widgets import gauge, words
from widgets.feed import Feed
from widgets.figure import Figure
from widgets.history import past_runs
from widgets.live_curve import in_words, live_curve
from widgets.session import Ended

if TYPE_CHECKING:
    import torch

    from labkit.runs import RunKey, Store
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec
    from widgets.board import Board
    from widgets.loaded import Loaded

READY = "Ready. Press Run."


class Painter:
    """The picture of one Spec's results. Whoever calls it holds the panel's lock, except for the figures, which have
    one of their own.

    Attributes:
        view: the stored results of the Spec last looked at or trained; None until there is one.
        doing: what the session is doing, in words.
    """

    def __init__(self, board: Board, experiment: Experiment, store: Store, load: Loaded) -> None:
        self._board, self._experiment, self._store, self._load = board, experiment, store, load
        self._figures: dict[str, Figure] = {}
        self._drawing = threading.Lock()
        self._sessions = 0
        self._feed: Feed | None = None
        self._table_feed: Feed | None = None
        self._at: RunKey | None = None
        self._rate: float | None = None
        self._device: torch.device | None = None
        self.view: View | None = None
        self.doing = ""

    def look_at(self, spec: Spec) -> None:
        """Draw what the store holds of a Spec, and say what Run would do.

        Raises:
            BadInput: its data cannot be used.
        """
        self._board.gauge.clear()
        self._turn_to(self._view_of(spec))
        self.look_again()
        self.draw_words()

    def look_again(self) -> None:
        """Say how much of the Spec is finished."""
        statuses = [status for _, _, seeds in self.view.points for status in seeds.values() if status != "impossible"]
        finished = statuses.count("finished")
        done = words.replicates(finished, len(statuses))
        self._board.bar.value = finished / len(statuses) if statuses else 0
        self._draw_facts()
        if self.view.complete:
            self._board.show_state("idle", f"Finished: {done} are in the store.", "good")
        elif set(statuses) == {"missing"}:
            self._board.show_state("idle", READY)
        else:
            self._board.show_state("idle", f"Stopped: {done} are in the store. Run goes on from there.")

    def begin(self) -> None:
        """Prepare for the messages of a session."""
        self._sessions += 1
        self._at = self._rate = None
        self.doing = "Starting …"
        self._board.show_verdict("")
        self._board.gauge.clear()

    def draw(self, messages: Sequence[Any], spec: Spec) -> None:
        """Draw the newest of the messages of a session that trains this Spec, and all rows that they brought."""
        updates = [message for message in messages if isinstance(message, Update)]
        for update in updates:
            if update.key is not None and update.key != self._at:
                self._enter(update.key, spec)
            if isinstance(update.event, Progress):
                self._rate = update.event.rate or self._rate
        if self._at:
            self._board.chart.append(self._feed.new())
            if self._table_feed:
                self._board.table.append(self._table_feed.new())
        if self._board.table and any(isinstance(message, Ended) for message in messages):
            self._board.table.draw()
        if updates:
            self._draw_progress(updates)
        if self._at is None and Ended("finished") in messages:  # there was nothing left to train
            self._turn_to(self._view_of(spec))

    def draw_words(self) -> None:
        """The verdict and the ledger's totals, once the run is complete, and the table of runs."""
        if self.view:
            complete, totals = self.view.complete, self._experiment.totals
            self._board.show_verdict(self._experiment.verdict_words(self.view) if complete else "")
            self._board.gauge.show_totals(totals(self.view) if complete and totals else "")
            drawn, verdict = self._board.chart.rows, self._board.verdict.value
            self._board.chart.words = in_words(self._experiment, drawn, verdict)
        self._board.runs.rows = [run.row() for run in past_runs(self._store, self._experiment)]

    def figure(self, name: str) -> Figure:
        """One of the experiment's charts, as a picture that `draw_figures` draws anew."""
        if name not in self._figures:
            self._figures[name] = Figure().add_class(f"labkit-figure-{name}")
            self._draw_figure(name)
        return self._figures[name]

    def draw_figures(self) -> None:
        """Draw every figure anew, which may take seconds; if a training begins meanwhile, that is left to its end."""
        session = self._sessions
        for name in tuple(self._figures):
            if self._sessions == session:
                self._draw_figure(name)

    def _draw_figure(self, name: str) -> None:
        if self.view is None:
            return
        with self._drawing:  # what was read first must not be shown last
            made = still(self._experiment.charts[name](self.view), verdict=self._board.verdict.value)
            self._figures[name].show(made)

    def _view_of(self, spec: Spec) -> View:
        return View(self._store, self._experiment, spec, self._load(spec, self._store).fingerprint)

    def _turn_to(self, view: View) -> None:
        self.view, self._feed = view, Feed(view, self._experiment.live["series"])
        self._board.chart.spec = live_curve(self._experiment, view.spec).to_dict()  # drawn anew only if it differs
        if self._board.table:
            self._table_feed = Feed(view, self._board.table.series)
        self._draw_everything()

    def _draw_everything(self) -> None:
        self._board.chart.replace(self._feed.everything())
        if self._table_feed:
            self._board.table.replace(self._table_feed.everything())

    def _enter(self, key: RunKey, spec: Spec) -> None:
        """A replicate is begun or gone on with; its record knows the data's fingerprint, so none are loaded here."""
        if self._at is None:
            fingerprint = self._store.replicates(key.experiment, key.name)[0]["record"]["fingerprint"]
            self._turn_to(View(self._store, self._experiment, spec, fingerprint, key.device_kind))
            self._device = devices.resolve(key.device_kind)
            self.draw_words()
        elif self._experiment.together or self._feed.outdated(key):  # of those run together only one is named
            self._draw_everything()
        self._at = key

    def _draw_progress(self, updates: Sequence[Update]) -> None:
        newest = updates[-1]
        said = [update for update in updates if isinstance(update.event, Progress)]
        self.doing = words.progress(said[-1] if said else newest)
        self._board.bar.value = newest.done / newest.total if newest.total else 0
        points = [update.event for update in updates if isinstance(update.event, Point)]
        if at := [point.values for point in points if point.series == gauge.SERIES]:
            self._board.gauge.show(at[-1])
        left = "" if newest.seconds_left is None else f"about {words.duration(newest.seconds_left)} left"
        rate = "" if self._rate is None else f"{words.count(self._rate)} network-steps a second"
        self._draw_facts(left, rate)

    def _draw_facts(self, *moving: str) -> None:
        standing = []
        if self._device:
            peak = words.size(devices.memory_peak(self._device))
            standing = [f"peak memory {peak}", devices.describe(self._device)]
        self._board.facts.value = " · ".join(fact for fact in (*moving, *standing) if fact)
