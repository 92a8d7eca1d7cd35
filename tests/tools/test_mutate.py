from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutate import ROOT, Mutant, load, passes

LISTED = load(ROOT / "tests" / "mutations", [])


@pytest.mark.parametrize("mutant", LISTED, ids=str)
def test_each_mutant_still_fits_the_code_and_names_a_test(mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    file, _, name = mutant.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_sums.py").write_text("import sums\n\n\ndef test_add():\n    assert sums.add(1, 2) == 3\n")
    return tmp_path


def test_a_caught_mutant_and_one_that_survives(tree):
    assert passes(["test_sums.py::test_add"], tree)
    Mutant("sums.py", "a + b", "b + a", "test_sums.py::test_add").apply(tree)
    assert passes(["test_sums.py::test_add"], tree)
    Mutant("sums.py", "b + a", "b - a", "test_sums.py::test_add").apply(tree)
    assert not passes(["test_sums.py::test_add"], tree)


def test_a_named_test_that_does_not_exist_is_no_catch(tree):
    with pytest.raises(RuntimeError, match="no test ran"):
        passes(["test_sums.py::test_gone"], tree)


@pytest.mark.parametrize("old", ["a * b", "a"])
def test_a_change_must_be_unmistakable(tree, old):
    with pytest.raises(ValueError, match="occurs"):
        Mutant("sums.py", old, "0", "test_sums.py").apply(tree)


def test_some_of_the_mutants(tmp_path):
    entry = '[[mutant]]\nfile = "{0}.py"\nold = "x"\nnew = "y"\ntest = "tests/test_{0}.py::test"\n'
    (tmp_path / "a.toml").write_text(entry.format("one"))
    (tmp_path / "b.toml").write_text(entry.format("two") + 'group = "some"\n' + entry.format("somewhere"))
    assert [mutant.file for mutant in load(tmp_path, [])] == ["one.py", "two.py", "somewhere.py"]
    assert [mutant.file for mutant in load(tmp_path, ["test_two"])] == ["two.py"]
    assert [mutant.file for mutant in load(tmp_path, ["some"])] == ["two.py", "somewhere.py"]


def test_the_privacy_frontier_s_ten_are_a_group():
    """Each names another broken guarantee (the list of the issue)."""
    ten = load(ROOT / "tests" / "mutations", ["ten-guarantees"])
    assert len(ten) == len({(m.file, m.old) for m in ten}) == 10
