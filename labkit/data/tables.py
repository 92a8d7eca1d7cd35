"""Which name reads which table of categorical examples. A new one is a loader in its own file and a line here."""

from __future__ import annotations

from labkit.data import flights, movies, power_law
from labkit.data.table import Table
from labkit.errors import BadInput

NAMED = {  # need neither a path nor a download
    "flights": flights.load,
    "flights-60k": flights.load_small,
    "movies": movies.load,
    "power-law": power_law.load,
}


def load_table(name: str, key: bytes = b"") -> Table:
    """The table that the `data` parameter names.

    Args:
        name: one of `NAMED`, or power-law:SETTINGS (`power_law.load`).
        key: the store's key, for the fingerprint of data that are not public.

    Raises:
        BadInput: there is no such table, or it cannot be used; nothing is ever downloaded here.
        ValueError: the data are not public and no key was given.
    """
    if name in NAMED:
        return NAMED[name]()
    if name.startswith("power-law:"):
        return power_law.load(name)
    raise BadInput("data", name, ", ".join(NAMED))
