"""What the panel says, by hand."""

from __future__ import annotations

import pytest
from fake_experiment import FakeSpec

from labkit.runs import RunKey, Update
from labkit.runs.events import Point, Progress
from widgets import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 s"),
        (41.6, "42 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (1e6, "277 h 46 min"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("bytes_", "said"), [(0, "0 MiB"), (512 * 2**20, "512 MiB"), (1024 * 2**20, "1.0 GiB"), (80 * 2**30, "80.0 GiB")]
)
def test_size(bytes_: int, said: str) -> None:
    assert words.size(bytes_) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0.1234, "0.123"),
        (842.3, "842"),
        (999.9, "1,000"),
        (12_345, "12,300"),
        (999_900, "1 million"),
        (1.5e6, "1.5 million"),
    ],
)
def test_count(number: float, said: str) -> None:
    assert words.count(number) == said


def test_progress() -> None:
    (point,) = FakeSpec.of().points()
    key = RunKey("99", "ab", 3, "cpu")
    update = Update(Progress(1, 2, "walking fancy"), key, point, 1.5, 10, None)
    assert words.progress(update) == "walking fancy · sparsity 0.5, seed 3 · 1 of 10 replicates"
    assert (
        words.progress(Update(Point("curve", {}), key, point, 0, 10, None))
        == "sparsity 0.5, seed 3 · 0 of 10 replicates"
    )
    assert words.progress(Update(Progress(0, 1, "loading data"), None, None, 0, 0, None)) == "loading data"


def test_parameters() -> None:
    assert words.parameters(FakeSpec.of(store="/anywhere")) == "quick"
    assert words.parameters(FakeSpec.of(preset="full", fail_at=3, sparsity="0.5,0.75")) == (
        "full; sparsity 0.5, 0.75; fail at 3"
    )
