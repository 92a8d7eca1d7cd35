"""The panel of a notebook: live in a page, or trained to the end in the cell where nobody looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.display import DisplayHandle, display

from labkit.charts.png import still
from labkit.errors import BadInput, ClaimFailed, LabError
from labkit.experiments import of_spec
from labkit.runs import Store, View, Worker, open_view, store_path
from widgets import headless, live_curve
from widgets.live import Live
from widgets.state_line import restored

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

FIRST_RUN = "press Run, then run this cell"


class LivePanel:
    """Trains what a Spec describes and shows it; to be made in one cell and used by the cells below.

    Live, it returns at once: its controls start at the Spec, and Run trains in a thread. Headless, it has trained to
    the end when it returns. Both write to the same store and draw the same figure. See `headless.is_live`.

    Args:
        spec: the parameters; every control starts at its value here.
        experiment: what is run; None for the experiment of the Spec's class.
        state: the line of a panel's "Copy state"; it sets every parameter but the Spec's device and store.
        hide: parameters that get no control, as for a lesson; their values stay in force and are said in words.

    Raises:
        BadInput: the state or the names to hide are none; headless, the parameters or their data cannot be used; live,
            the panel says that beside the control.
    """

    def __init__(
        self, spec: Spec, *, experiment: Experiment | None = None, state: str = "", hide: Iterable[str] = ()
    ) -> None:
        self.experiment = experiment or of_spec(spec)
        spec = restored(state, self.experiment.key, spec) if state else spec
        hide = _parameters(spec, hide)
        self.spec = spec
        self.store = Store(store_path(spec.store))
        self.live: Live | None = None
        self._view: View | None = None
        if headless.is_live():
            self.live = Live(self.experiment, spec, self.store, _cell(), hide)
        else:
            headless.train(Worker(self.experiment, spec, self.store), _Line())
            self._view = open_view(spec, self.experiment, self.store)

    @property
    def view(self) -> View:
        """The stored results of the parameters last run or opened, complete or not.

        Raises:
            LabError: live, while their data cannot be used.
        """
        view = self.live.view if self.live else self._view
        if view is None:
            raise LabError("the data of these parameters cannot be used; the panel says why")
        return view

    @property
    def run(self) -> View:
        """The stored results of a complete run.

        Raises:
            LabError: it is not complete; the text says what to do.
        """
        view = self.view
        if not view.complete:
            raise LabError(FIRST_RUN if self.live else "the run is not complete: some replicates are missing or failed")
        return view

    def figure(self, name: str) -> Any:
        """One of the experiment's charts, by name: a picture that fills in live, a still one in a headless run."""
        if self.live:
            return self.live.figure(name)
        return still(self.experiment.charts[name](self.run), verdict=self.experiment.verdict_words(self.run))

    def claims(self) -> None:
        """Print each of the experiment's claims with the numbers that decide it; live and before a run, what to do.

        Raises:
            ClaimFailed: one did not hold.
            LabError: headless, the run is not complete.
        """
        if self.live and not self.view.complete:
            print(FIRST_RUN)
            return
        claims = self.experiment.claims(self.run)
        for claim in claims:
            print(f"{'holds' if claim.holds else 'FAILS'}: {claim.text} ({claim.measured})")
        failed = [claim.text for claim in claims if not claim.holds]
        if failed:
            raise ClaimFailed("; ".join(failed))

    def close(self) -> None:
        """Stop what is being trained and let go of page and store. A stopped run can be resumed by another panel."""
        if self.live:
            self.live.close()
        self.store.close()

    def _ipython_display_(self) -> None:
        if self.live:
            display(self.live.board.widget)
        else:
            display(live_curve.still_curve(self.experiment, self.view))
            print(self.experiment.verdict_words(self.run))
            if self.experiment.totals:
                print(self.experiment.totals(self.run))


def _parameters(spec: Spec, names: Iterable[str]) -> tuple[str, ...]:
    """The names of parameters, also from one text; in the Spec's order, each once.

    Raises:
        BadInput: one is none.
    """
    names = names.replace(",", " ").split() if isinstance(names, str) else list(names)
    for name in names:
        if name not in spec.controls():
            raise BadInput("hide", name, "the parameters " + ", ".join(spec.controls()))
    return tuple(name for name in spec.controls() if name in names)


class _Line:
    """A line of output in place of the one before."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None

    def __call__(self, text: str) -> None:
        if self._handle is None:
            self._handle = display(_Words(text), display_id=True)
        else:
            self._handle.update(_Words(text))


class _Words(str):
    """Text that is displayed without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _cell() -> str:
    """The notebook's cell that is being run; empty where the front end does not tell."""
    shell = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return parent.get("metadata", {}).get("cellId", "")
