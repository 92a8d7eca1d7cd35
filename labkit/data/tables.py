"""Which name reads which table of categorical examples. A new one is a loader in its own file and a line here."""

from __future__ import annotations

from pathlib import Path

from labkit.data import criteo, csv_table, flights, hub_table, movies, power_law, ratings
from labkit.data.table import Table
from labkit.errors import BadInput

NAMED = {  # need neither a path nor a download
    "flights": flights.load,
    "flights-60k": flights.load_small,
    "movies": movies.load,
    "power-law": power_law.load,
}
FILES = {"insteval": ratings.insteval, "criteo": criteo.load}
FOLDERS = {"movielens": ratings.movielens}


def load_table(name: str, key: bytes = b"") -> Table:
    """The table that the `data` parameter names.

    Args:
        name: one of `NAMED`, power-law:SETTINGS (`power_law.load`), hub:NAME (fetched before), insteval:FILE,
            criteo:FILE, movielens:FOLDER, or the path of a .csv file.
        key: the store's key, for the fingerprint of data that are not public.

    Raises:
        BadInput: there is no such table, or it cannot be used; nothing is ever downloaded here.
        ValueError: the data are not public and no key was given.
    """
    if name in NAMED:
        return NAMED[name]()
    if name.startswith("power-law:"):
        return power_law.load(name)
    if name.startswith("hub:"):
        return hub_table.load(name)
    kind, _, rest = name.partition(":")
    path = Path(rest).expanduser()
    if kind in FILES and rest and path.is_file():
        return FILES[kind](path, name, key)
    if kind in FOLDERS and rest and path.is_dir():
        return FOLDERS[kind](path, name, key)
    path = Path(name).expanduser()
    if path.suffix == ".csv" and path.is_file():
        return csv_table.load(path, name, key)
    allowed = (
        f"{', '.join(NAMED)}, power-law:SETTINGS, hub:NAME, or what exists: insteval:FILE, criteo:FILE,"
        " movielens:FOLDER, or the path of a .csv file"
    )
    raise BadInput("data", name, allowed)
