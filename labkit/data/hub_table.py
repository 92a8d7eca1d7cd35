"""Tables of the Hugging Face Hub, such as Criteo's clicks: fetched once on request, read from the copy ever after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from labkit.data import hub
from labkit.data.checks import MINIMUM
from labkit.data.copies import answering
from labkit.data.criteo import MISSING, buckets
from labkit.data.hashing import WIDE, wide_hash
from labkit.data.table import Table, check_ids, make_table
from labkit.errors import BadInput

LABELS = ("label", "click", "clicked", "target")  # the first of them that the table has
NUMBER = re.compile(r"I\d+|integer_feature_\d+", re.IGNORECASE)  # as Criteo's whole numbers are called
MOST = 1_000_000  # rows of a copy


def copy_path(name: str) -> Path:
    """Where the copy of `hub:NAME` lies, whether it is there or not.

    Raises:
        BadInput: NAME cannot be a table's name.
    """
    return hub.copy_path(name, "tables")


def load(name: str) -> Table:
    """Read the copy of `hub:NAME`; this never downloads. Its ids are hashes, which `hashing.hashed` has to fold.

    Raises:
        BadInput: it has not been fetched, or its copy cannot be used.
    """
    path = copy_path(name)
    if not path.is_file():
        raise BadInput("data", name, f"a table fetched before; `labkit fetch {name} --as table` downloads this one")
    try:
        # numpy leaves a broken file open that it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as read:
            columns, ids, labels = tuple(read["columns"].tolist()), read["ids"], read["labels"]
        table = make_table(
            name.removeprefix("hub:"),
            columns,
            ids,
            (WIDE,) * len(columns),
            labels,
            licence="as the Hub's page says",
            public=True,
            vocabulary="",
        )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BadInput("data", name, f"a whole copy; delete {path.name} and fetch it again") from error
    check_ids(table)
    return table


def fetch(name: str, tell: Callable[[str], None]) -> Path:
    """Download up to a million rows of the train split and keep labels and public hashes of all other values.

    A missing value is a value of its own; columns called like Criteo's whole numbers (I1, integer_feature_1) are
    bucketed. Code of the data set is never run. A copy that is here already is left as it is.

    Args:
        name: hub:OWNER/NAME.
        tell: is told in one line where rows were left out.

    Returns:
        where the copy lies.

    Raises:
        BadInput: the extra [hub] is not installed, the Hub does not answer, or there are no rows with labels 0 and 1.
    """
    path, wanted = copy_path(name), name.removeprefix("hub:")
    if path.is_file():
        return path
    if Path(wanted).exists():  # the package would read that instead, and private files would count as public
        raise BadInput("data", name, f"a folder without a file or folder called {wanted}: change directory")
    try:
        import datasets
    except ImportError as error:
        raise BadInput("data", name, "with the extra [hub] installed: pip install 'labkit[hub]'") from error
    with answering("data", name):
        rows = list(islice(datasets.load_dataset(wanted, split="train", streaming=True), MOST + 1))
    if len(rows) > MOST:
        tell(f"kept the first {MOST:,} rows of {wanted}")
    columns, ids, labels = _encoded(rows[:MOST], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npz")
    np.savez_compressed(unfinished, ids=ids, labels=labels, columns=np.array(columns))
    unfinished.replace(path)
    return path


def _encoded(rows: list[Mapping[str, object]], name: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    def require(condition: bool, allowed: str) -> None:
        if not condition:
            raise BadInput("data", name, allowed)

    require(len(rows) >= MINIMUM, f"at least {MINIMUM} rows; there are {len(rows)}")
    names = {column.lower(): column for column in rows[0]}
    label = next((names[known] for known in LABELS if known in names), None)
    require(label is not None, f"a column called {' or '.join(LABELS)}; there are {', '.join(rows[0])}")
    columns = [column for column in rows[0] if column != label]
    require(bool(columns), f"columns beside {label}")
    found = {str(row[label]) for row in rows}
    ones = {"1", "1.0", "True"}
    require(found <= ones | {"0", "0.0", "False"}, f"labels 0 and 1 in {label}; there is {sorted(found)[-1]}")
    labels = np.asarray([str(row[label]) in ones for row in rows], np.int64)
    require(0 < labels.sum() < len(labels), f"labels of both kinds; every label is {labels[0]}")
    ids = np.empty((len(rows), len(columns)), np.int64)
    for place, column in enumerate(columns):
        values = [row[column] for row in rows]
        if NUMBER.fullmatch(column):
            whole = all(value in (None, "") or float(value).is_integer() for value in values)
            require(whole, f"whole numbers in column {column}")
            numbers = [MISSING if value in (None, "") else int(float(value)) for value in values]
            values = buckets(np.asarray(numbers, np.int64)).tolist()
        strings = ["" if value is None else str(value) for value in values]
        known = {value: wide_hash(column, value) for value in set(strings)}
        ids[:, place] = [known[value] for value in strings]
    return columns, ids, labels
