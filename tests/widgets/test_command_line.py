"""The command that a panel offers, read back by the command line's own parser."""

from __future__ import annotations

import shlex

from fake_experiment import FakeSpec
from hypothesis import given
from hypothesis import strategies as st

from labkit.cli import parameters, parser
from widgets.command_line import command


def test_by_hand() -> None:
    assert command("01", FakeSpec.of()) == "labkit run 01"
    spec = FakeSpec.of(preset="full", sparsity="0.5, 0.95", steps=7, data="my data.npz", device="cpu", store="/a b")
    assert command("01", spec) == (
        "labkit run 01 -p data 'my data.npz' -p sparsity 0.5,0.95 -p steps 7 --preset full --device cpu --store '/a b'"
    )


@given(
    preset=st.sampled_from(["quick", "full"]),
    sparsity=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
    steps=st.integers(1, 1_000_000),
    seeds=st.integers(1, 1000),
    delay=st.floats(0, 1),
    # argparse takes no value that begins with a dash: such a file is ./-name on any command line
    data=st.text(st.characters(exclude_categories=["C"]), min_size=1).filter(lambda text: not text.startswith("-")),
    device=st.sampled_from(["auto", "cpu"]),
)
def test_the_command_line_reads_it_back_exactly(**given: object) -> None:
    spec = FakeSpec.of(**given)
    arguments = shlex.split(command("99", spec))
    assert arguments[0] == "labkit"
    assert FakeSpec.of(**parameters.given(parser().parse_args(arguments[1:]))) == spec
