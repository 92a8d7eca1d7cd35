"""`labkit run 02`: what cannot be private is refused in one line, and a dry run says what an epsilon will cost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
WORDS = r".*\bclipped\b.*\bplain\b.*"


@pytest.fixture
def frontier(lab, monkeypatch):
    """The lab with the real notebooks; no kernel can start."""
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(NOTEBOOKS))
    monkeypatch.setattr("papermill.execute_notebook", None)
    return lab


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("epsilon", "-1", rf"epsilon = '-1' {WORDS}"),
        ("epsilon", "0", rf"epsilon = '0' {WORDS}"),
        ("epsilon", "inf", rf"epsilon = 'inf' {WORDS}"),
        ("epsilon", "nan", rf"epsilon = 'nan' {WORDS}"),
        ("epsilon", "2, -1", rf"epsilon = '2, -1' {WORDS}"),
        ("epsilon", "0.001", r"epsilon = 0\.001 .*noise.*"),
        ("delta", "0.5", r"delta = 0\.5 .*below 1/n = 0\.000795.*"),
        ("delta", "-0.1", r"delta = .*"),
        ("clip_norm", "0", r"clip_norm = '?0'? .*"),
        ("clip_norm", "nan", r"clip_norm = .*"),
        ("batch_size", "100000", r"batch_size = 100000 .*at most 1258, the size of the training split: a rate.*"),
        ("thin_class", "Shirt", r"thin_class = 'Shirt' .*"),
    ],
)
def test_what_cannot_be_is_one_line_before_a_kernel_starts(frontier, name, value, line):
    code, out, err = frontier.run("run", "02", "-p", name, value, "-p", "data", "digits", "--device", "cpu")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"labkit: {line}\n", err), err
    assert not (frontier.path / "outputs").exists()


def dry_run(frontier, *parameters: str) -> dict[str, str]:
    code, out, err = frontier.run("run", *parameters, "--dry-run", "--device", "cpu", "-p", "data", "digits")
    assert code == 0, err
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())


def test_a_dry_run_says_what_each_epsilon_will_cost(frontier):
    facts = dry_run(frontier, "02", "-p", "epsilon", "2,clipped,plain", "-p", "steps", "6", "-p", "batch_size", "30")
    one = r"1\.99\d+ \(noise multiplier 0\.745, PLD\) at delta 1e-05"
    assert re.fullmatch(rf"for a network {one}; none for clipped, plain; .*not charged", facts["epsilon"])
    assert facts["replicates"] == "30, of which 0 stored already"
    with frontier.store() as store:
        assert store.replicates() == []


def test_without_noise_there_is_no_epsilon(frontier):
    assert dry_run(frontier, "02", "-p", "epsilon", "plain")["epsilon"].startswith("for a network none for plain;")


def test_the_other_notebooks_say_theirs(frontier):
    tour = dry_run(frontier, "00", "-p", "epsilon", "4,plain")
    assert re.fullmatch(r"[34]\.\d+ \(noise multiplier \S+, PLD\) at delta 1e-05; none for plain", tour["epsilon"])
    assert dry_run(frontier, "01")["epsilon"] == "none: this experiment trains without privacy"
