"""The rows of a live chart, read from the store as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.runs import RunKey, View


class Feed:
    """The points of one series of a View's replicates, in the order they were stored.

    Rows carry the grid fields of their point, name, seed and the values.
    """

    def __init__(self, view: View, series: str) -> None:
        self._store, self._experiment, self._series = view.store, view.experiment.key, series
        self._fields = {name: view.fields(point) for point, name, _ in view.points}
        self._seeds, self._device_kind = view.spec.replicate_seeds(), view.device_kind
        self._cursor = 0
        self._seen: set[tuple[str, int]] = set()

    def new(self) -> list[dict[str, Any]]:
        """The rows since the last call."""
        self._cursor, rows = self._store.points_since(
            self._cursor, self._experiment, self._series, names=tuple(self._fields)
        )
        wanted = [row for row in rows if row["seed"] in self._seeds and row["device_kind"] == self._device_kind]
        self._seen.update((row["name"], row["seed"]) for row in wanted)
        return [self._fields[row["name"]] | row for row in wanted]

    def outdated(self, key: RunKey) -> bool:
        """Whether rows of a replicate were read before it was begun, or resumed: the store then has dropped those that
        it will say again."""
        return (key.name, key.seed) in self._seen

    def everything(self) -> list[dict[str, Any]]:
        """All rows, from the first."""
        self._cursor, self._seen = 0, set()
        return self.new()
