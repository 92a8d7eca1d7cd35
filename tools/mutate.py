"""Break the code on purpose, one change at a time; a named test must fail each time: `make mutate`.

A mutant that survives is a behaviour that no test holds. The mutants are `tests/mutations/*.toml`:

    [[mutant]]
    file = "labkit/stats/best.py"
    old = "k * special.log_ndtr(x)"       # must occur exactly once
    new = "special.log_ndtr(x)"
    test = "tests/stats/test_best.py::test_by_hand"
    group = "ten-guarantees"               # if several are run together: `make mutate ARGS=ten-guarantees`
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = (
    "labkit", "widgets", "tests", "tools", "notebooks", "docs",
    "pyproject.toml", "environment.yml", "Makefile", "README.md", "CONTRIBUTING.md",
)  # fmt: skip
TIMEOUT = 120  # seconds; a mutant that hangs its test is caught


@dataclass(frozen=True)
class Mutant:
    """One change and the test that must notice it.

    Args:
        file: the file to change, from the root of the checkout.
        old: text that occurs in it exactly once.
        new: what stands there instead.
        test: a pytest node.
        group: a name by which several are run together; empty for none.
    """

    file: str
    old: str
    new: str
    test: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.old.split())[:50]} -> {' '.join(self.new.split())[:50]}"

    def apply(self, tree: Path) -> str:
        """Change the file below `tree`; returns its former text.

        Raises:
            ValueError: the old text does not occur exactly once.
        """
        path = tree / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self}: the old text occurs {text.count(self.old)} times")
        path.write_text(text.replace(self.old, self.new))
        return text


def load(folder: Path, words: list[str]) -> list[Mutant]:
    """The mutants of all lists, or those whose group is one of the words or whose file or test contains one."""
    lists = [tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))]
    mutants = [Mutant(**entry) for entry in (entry for found in lists for entry in found["mutant"])]
    return [m for m in mutants if not words or any(w == m.group or w in m.file or w in m.test for w in words)]


def passes(tests: list[str], tree: Path) -> bool:
    """Whether these tests pass in this tree, which shadows the installed package."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": "",
    }
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(tests)}: no test ran\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only mutants of these groups, or whose file or test contains one")
    mutants = load(ROOT / "tests" / "mutations", parser.parse_args(arguments).words)
    if not mutants:
        print("no such mutant")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree)
        if not passes(sorted({mutant.test for mutant in mutants}), tree):
            print("a named test fails without any mutant")
            return 1
        survivors = [mutant for mutant in mutants if _survives(mutant, tree)]
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants caught")
    return 1 if survivors else 0


def _survives(mutant: Mutant, tree: Path) -> bool:
    former = mutant.apply(tree)
    survived = passes([mutant.test], tree)
    (tree / mutant.file).write_text(former)
    print(f"{'SURVIVES' if survived else 'caught  '} {mutant}", flush=True)
    return survived


if __name__ == "__main__":
    raise SystemExit(main())
