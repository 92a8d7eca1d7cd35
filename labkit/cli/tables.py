"""Runs as JSON, as a table for a spreadsheet, and as a table with types (Parquet), each put into a file in one step."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labkit
from labkit.cli.runs import plain
from labkit.errors import BadInput
from labkit.runs import Store
from labkit.runs.files import write_atomically
from labkit.runs.reader import KEY_FIELDS, key_of

if TYPE_CHECKING:
    import pyarrow

OF_STORE = ("seed", "store")  # fields of a Spec that say where and how often, not what: a row has a seed of its own
INT64 = range(-(2**63), 2**63)


def as_json(store: Store, names: list[str], hidden: Collection[str]) -> str:
    """Every replicate with its results."""
    rows = [row for name in names for row in store.replicates(name=name)]
    results = [row for name in names for row in store.results(name=name)]
    for row in rows:
        row["results"] = [
            {field: value for field, value in result.items() if field not in KEY_FIELDS and field not in hidden}
            for result in results
            if all(result[field] == row[field] for field in ("name", "seed", "device_kind"))
        ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def as_csv(store: Store, names: list[str], hidden: Collection[str]) -> str:
    """A row per result: the run, its parameters as they are typed on the command line, then its values."""
    rows = _rows(store, names, hidden, plain)
    out = io.StringIO()
    writer = csv.DictWriter(out, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return _printable(out.getvalue())


def as_parquet(store: Store, names: list[str], hidden: Collection[str]) -> bytes:
    """The rows and columns of `as_csv` with types, as a Parquet file; what a run does not have is null.

    A column holds booleans, integers (int64) or numbers (double, also where some runs have integers) or else text. Text
    is what it becomes where runs disagree (2.0 here, "clipped" there) or where a number has more digits than the type:
    the words of the CSV's cells, so that nothing is rounded or dropped. A parameter that holds one value of its grid is
    that value; any other list or mapping is JSON text. A column of nulls alone has the type null. The schema's metadata
    say which labkit wrote the file, and which fields were left out.

    Raises:
        BadInput: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput("parquet", True, "with the extra [parquet] installed: pip install 'labkit[parquet]'") from error
    rows = _rows(store, names, hidden, _typed)
    columns = {name: _column(pyarrow, [row.get(name) for row in rows]) for name in _columns(rows)}
    told = {"labkit": labkit.__version__, "labkit.left_out": ",".join(sorted(hidden))}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(told), out)
    return out.getvalue()


def put(file: str, content: str | bytes) -> None:
    """Write a file whole or not at all; one that is there is replaced and keeps who may read it.

    Raises:
        BadInput: it cannot be written; an old file is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe, /dev/null or /dev/stdout is no file to be replaced
        else:
            write_atomically(path.resolve(), data)  # a link stays one
    except OSError as error:
        raise BadInput("output", file, f"a file that can be written ({error.strerror})") from error


def _rows(store: Store, names: list[str], hidden: Collection[str], shown: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """A row per result; parameters as `shown` gives them."""
    rows: list[dict[str, Any]] = []
    for name in names:
        specs = {key_of(row): row["spec"] for row in store.replicates(name=name)}
        for key, spec in specs.items():
            own = {field: shown(value) for field, value in spec.items() if field not in OF_STORE}
            rows += [
                {"run": name}
                | own
                | {field: value for field, value in result.items() if field != "name" and field not in hidden}
                for result in store.results(name, key.experiment, key.device_kind)
                if result["seed"] == key.seed
            ]
    return rows


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(field for row in rows for field in row))


def _typed(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return json.dumps(value, ensure_ascii=False, allow_nan=False) if isinstance(value, (list, dict)) else value


def _column(arrow: Any, values: Sequence[Any]) -> pyarrow.Array:
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return arrow.nulls(len(values))
    if kinds == {bool}:
        return arrow.array(values, arrow.bool_())
    if kinds == {int} and all(value is None or value in INT64 for value in values):
        return arrow.array(values, arrow.int64())
    if kinds <= {int, float} and float in kinds and all(value is None or _exact(value) for value in values):
        return arrow.array([None if value is None else float(value) for value in values], arrow.float64())
    return arrow.array([None if value is None else _printable(str(value)) for value in values], arrow.string())


def _printable(text: str) -> str:
    # Half of a surrogate pair, which a JSON text may hold, is no UTF-8: its escape stands in its place.
    return text.encode(errors="backslashreplace").decode()


def _exact(value: float) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False
