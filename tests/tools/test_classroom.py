"""Several kernels at once: a small notebook of its own, and notebook 00 as four learners run it."""

from __future__ import annotations

import asyncio

import nbformat
import pytest

from labkit.errors import BadInput
from tools import classroom
from tools.classroom import Learner, room, table

SMALL = """
import os, base64
from IPython.display import Image, display
store = os.environ["LABKIT_STORE"]
pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
display(Image(base64.b64decode(pixel)))
held = bytearray(50_000_000)
held[::4096] = b"x" * len(held[::4096])
"""


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


@pytest.mark.slow
def test_two_at_once_and_what_is_measured_of_them(tmp_path):
    cells = SMALL, "import time; time.sleep(1.0)", "assert store.endswith('1/store'), store"
    one, two = asyncio.run(room(2, notebook(*cells), tmp_path))
    assert one.error.startswith("CellExecutionError: AssertionError: /")
    assert one.error.endswith("0/store")  # each has a store of its own
    assert two.error == ""
    for learner in (one, two):
        assert 0 < learner.chart <= learner.ended - 1.0
        assert 50e6 < learner.peak < 250e6
        assert learner.resident >= learner.peak


@pytest.mark.slow
def test_a_kernel_that_dies_is_said(tmp_path):
    (one,) = asyncio.run(room(1, notebook("import os; os.kill(os.getpid(), 9)"), tmp_path))
    assert one.error.startswith("DeadKernelError")
    assert one.chart is None


def test_the_table_by_hand():
    learners = [Learner(1.0, 4.0, 100_000_000, 300_000_000), Learner(3.0, 9.0, 200_400_000, 250_000_000)]
    learners.append(Learner(None, 2.0, 10, 20, "DeadKernelError: Kernel died"))
    lines = table(learners).splitlines()
    assert lines[2:] == [
        "| kernels that finished | 2 of 3 |",
        "| first chart: the first, the median, the last | 1.0 s, 2.0 s, 3.0 s |",
        "| end: the first, the median, the last | 2.0 s, 4.0 s, 9.0 s |",
        "| memory of a kernel alone, peak (target 700 MB) | 200 MB |",
        "| memory of a kernel with what it shares, peak | 300 MB |",
    ]


@pytest.mark.parametrize(
    ("learner", "code"),
    [(Learner(1, 2, 699_000_000, 0), 0), (Learner(1, 2, 700_000_000, 0), 1), (Learner(1, 2, 1, 1, "x: y"), 1)],
)
def test_the_exit_code_says_whether_it_came_out_well(monkeypatch, capsys, learner, code):
    async def found(kernels, notebook, folder):
        return [learner] * kernels

    monkeypatch.setattr(classroom, "room", found)
    assert classroom.main(["--kernels", "2"]) == code
    assert f"| kernels that finished | {0 if learner.error else 2} of 2 |" in capsys.readouterr().out


def test_a_class_of_nobody_is_refused():
    with pytest.raises(BadInput, match="kernels = 0 is not usable; allowed: 1 to 1000"):
        classroom.main(["--kernels", "0"])


@pytest.mark.slow
def test_four_learners_run_notebook_00(capsys):
    """Fewer seeds and candidates than a learner takes: CI has no time for more. `make class` is 30 of them with all."""
    assert classroom.main(["--kernels", "4", "-p", "seeds", "2", "-p", "budget", "8"]) == 0
    assert "| kernels that finished | 4 of 4 |" in capsys.readouterr().out
