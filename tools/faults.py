"""Strike runs with faults, and print as a Markdown table what became of them: `python -m tools.faults`.

Each fault of tests/faults strikes the tests' small experiment on a store of its own, which is deleted. After every
strike the store is looked at, at the end the run is resumed and compared with an undisturbed one, bit for bit.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aftermath import Told

TESTS = Path(__file__).parent.parent / "tests"
HEADING = ("fault", "times", "finished results lost", "integrity", "resumed to the same numbers", "what the run said")
BROWSER = (
    "A browser that is closed, or a page that is loaded anew, is no fault to a run: "
    "tests/browser/test_panel_in_browser.py."
)


def known() -> dict[str, Callable[[Path, random.Random], Told]]:
    """The faults by name: those that a file of tests/faults lists in FAULTS."""
    for folder in (TESTS, TESTS / "faults"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    modules = [importlib.import_module(file.stem) for file in sorted((TESTS / "faults").glob("test_*.py"))]
    return {name: fault for module in modules for name, fault in getattr(module, "FAULTS", {}).items()}


def strike(fault: Callable[[Path, random.Random], Told], seed: int) -> Told:
    """What becomes of a run, in a folder that is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        return fault(Path(folder), random.Random(seed))


def table(told: Mapping[str, Told]) -> str:
    """A row for each fault."""
    from tools.results import (
        grid,
    )  # here, since each process that a fault starts imports this file, and charts take long

    rows = [
        [
            name,
            str(one.times),
            f"{one.lost} of {one.kept}",
            "; ".join(one.wrong) or "ok",
            "yes" if one.equal else "NO",
            one.said,
        ]
        for name, one in told.items()
    ]
    return grid([list(HEADING), *rows])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose name contains one of these")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which they strike")
    given = parser.parse_args(arguments)
    chosen = {name: f for name, f in known().items() if not given.words or any(w in name for w in given.words)}
    if not chosen:
        print(f"no such fault; there are {', '.join(known())}", file=sys.stderr)
        return 2
    told = {name: strike(fault, given.seed) for name, fault in chosen.items()}
    print(f"{table(told)}\n\n{BROWSER}")
    return 0 if all(one.survived for one in told.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
