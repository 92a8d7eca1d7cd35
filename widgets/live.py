"""The panel in a page: what its buttons do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.errors import BadInput, LabError
from labkit.runs import Update, View
from widgets.board import Board
from widgets.command_line import command
from widgets.controls import Controls
from widgets.history import identity, past_runs
from widgets.live_curve import live_curve
from widgets.live_table import live_table
from widgets.loaded import Loaded
from widgets.painter import READY, Painter
from widgets.session import Ended, Messages, Session, active, batches
from widgets.state_line import StateLine

if TYPE_CHECKING:
    from labkit.runs import Store
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec
    from widgets.figure import Figure
    from widgets.where import Run

INTERVAL = 0.15  # seconds between two drawings: 6 to 7 a second
SAYS = {
    "pausing": "Pausing after the step in work …",
    "paused": "Paused. Nothing is lost; Resume goes on.",
    "stopping": "Stopping after the step in work …",
}
REFUSED = "These parameters cannot be used."


class Live:
    """Controls, board, painter and session put together.

    Buttons may call from several threads at once (kernel subshells) while the session's messages are drawn from
    another: each takes the one lock. The training's own thread takes none and draws nothing.

    Args:
        place: the notebook's cell; when it is run again, the new panel takes over from the old. Empty if unknown.
        hide: parameters without a control; their values stay in force and are said in words.
    """

    def __init__(
        self, experiment: Experiment, spec: Spec, store: Store, place: str = "", hide: tuple[str, ...] = ()
    ) -> None:
        self._experiment, self._store, self._place = experiment, store, place
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._painting: threading.Thread | None = None
        self._load = Loaded()
        self._controls = Controls(spec, hidden=("store",), fixed=hide, lock=self._lock)
        curve, table = live_curve(experiment, spec).to_dict(), live_table(experiment)
        state = StateLine(experiment.key, self._restore)
        self.board = Board(experiment.question, self._controls, curve, store.path, table, state)
        self._painter = Painter(self.board, experiment, store, self._load)
        with self._lock:
            self._wire()
            self._look_at(spec)
            self._take_over(spec)

    @property
    def view(self) -> View | None:
        """The stored results of the parameters last run or opened; None where their data cannot be used."""
        return self._painter.view

    def figure(self, name: str) -> Figure:
        """One of the experiment's charts, drawn anew when a run ends or is opened."""
        return self._painter.figure(name)  # without the lock: a button must not wait for a drawing

    def close(self) -> None:
        """Stop what is being trained, wait until nothing is drawn any more, and take the widgets off the page."""
        with self._lock:
            session, painting = self._session, self._painting
        if session:
            session.stop()
        if painting:
            painting.join()
        self.board.close()

    def _wire(self) -> None:
        act = {"run": self._run, "pause": self._pause, "resume": self._resume, "stop": self._stop}
        for name, button in self.board.buttons.items():
            button.on_click(lambda _, name=name: act[name]())
        self.board.runs.observe(lambda change: self._open(change["new"]), "chosen")
        self._controls.observe(lambda _: self._edited(), ["spec", "error"])
        self._edited()

    def _edited(self) -> None:
        self.board.runs.shown = identity(self._controls.spec)
        self.board.command.text = command(self._experiment.key, self._controls.spec)
        self.board.state.show(self._controls.spec)
        if self._session is None:
            self.board.buttons["run"].disabled = bool(self._controls.error)
            if self.board.status.value == REFUSED and not self._controls.error:
                self.board.show_state("idle", READY)  # what was refused is no longer entered

    def _take_over(self, spec: Spec) -> None:
        """The cell may have been run before: follow the training of the same parameters, stop one of others."""
        session = self._training(spec)
        if session:
            self._follow(session, spec)
        for other in active():
            if self._place and other.place == self._place and other is not session:
                other.stop()

    def _run(self) -> None:
        with self._lock:
            if self._session or self._controls.error:
                return  # pressed twice
            spec = self._controls.spec
            run = self.board.where.chosen()
            session = Session(self._key(spec), lambda: self._updates(spec, run), place=self._place)
            self._follow(self._training(spec) or session, spec)

    def _pause(self) -> None:
        with self._lock:
            if self._session:
                self._session.pause()
                self._show_state()

    def _resume(self) -> None:
        with self._lock:
            if self._session:
                self._session.resume()
                self._show_state()

    def _stop(self) -> None:
        with self._lock:
            if self._session:
                self._session.stop()
                self._show_state()

    def _open(self, key: str) -> None:
        if not key:
            return  # emptied below
        with self._lock:
            self.board.runs.chosen = ""  # first: else a failure here would leave the row's next press no change
            found = [run.spec for run in past_runs(self._store, self._experiment) if run.key == key]
            if found and self._session is None:
                spec = found[0].changed(store=self._controls.spec.store)
                self._controls.show(spec)
                self._look_at(spec)
        self._painter.draw_figures()

    def _restore(self, spec: Spec) -> None:
        with self._lock:
            if self._session is None:
                self._controls.show(spec)
                self._look_at(spec)
        self._painter.draw_figures()

    def _look_at(self, spec: Spec) -> None:
        try:
            self._painter.look_at(spec)
        except BadInput as error:
            self._blame(error)

    def _blame(self, error: BadInput) -> None:
        self._controls.blame(error)
        self.board.show_state("idle", REFUSED, "bad")

    def _training(self, spec: Spec) -> Session | None:
        """The session of this process that trains these parameters, if there is one."""
        return next((session for session in active() if session.key == self._key(spec)), None)

    def _key(self, spec: Spec) -> tuple[str, str, str]:
        return self._experiment.key, str(self._store.path), identity(spec)

    def _updates(self, spec: Spec, run: Run) -> Iterator[Update]:
        try:
            yield from run(self._experiment, spec, self._store, self._load)
        finally:
            self._store.close_thread()

    def _follow(self, session: Session, spec: Spec) -> None:
        """Draw what a session says until it ends; start it if it is new."""
        messages = session.read(self._place or self)
        self._session = session
        self._painter.begin()
        if not session.is_alive():
            session.start()
        self._show_state()
        self._painting = threading.Thread(target=self._paint, args=(messages, spec), name="labkit-painter", daemon=True)
        self._painting.start()

    def _paint(self, messages: Messages, spec: Spec) -> None:
        for batch in batches(messages, INTERVAL):
            with self._lock:
                try:
                    self._painter.draw(batch, spec)
                except LabError as error:  # the store may be locked for a moment; the training itself goes on
                    self._painter.doing = f"Not all can be shown: {error}"
                self._show_state()
                if isinstance(batch[-1], Ended):
                    self._end(batch[-1])
        self._painter.draw_figures()
        self._store.close_thread()

    def _show_state(self) -> None:
        state = self._session.state
        if state != "ended":
            self.board.show_state(state, SAYS.get(state, self._painter.doing), "busy")

    def _end(self, ended: Ended) -> None:
        self._session = None
        try:
            self._painter.draw_words()  # first: who reads that it has finished finds the verdict there
        finally:
            self._show_end(ended)

    def _show_end(self, ended: Ended) -> None:
        if isinstance(ended.error, BadInput):
            self._blame(ended.error)
        elif ended.how == "failed":
            self.board.show_state("idle", f"Failed: {ended.reason()}", "bad")
        elif ended.how == "replaced":
            self.board.show_state("replaced", "The cell was run again; its new panel shows the training.")
        else:
            self._painter.look_again()
