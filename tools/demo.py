"""Run notebooks 00 to 05 headless at preset quick, and build one report of them: `make demo`."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit import cli, experiments
from tools import report

NOTEBOOKS = ("00", "01", "02", "03", "04", "05")
OUTPUTS = Path("outputs")
FINISHED, CLAIM_FAILED = 0, 3  # exit codes of `labkit run` that leave a whole notebook


def main(arguments: list[str] | None = None) -> int:
    """Run each notebook with `labkit run NUMBER --preset quick`; more arguments are passed on to each.

    Returns:
        0, or the exit code of the first notebook that did not come out well.
    """
    more = sys.argv[1:] if arguments is None else arguments
    OUTPUTS.mkdir(exist_ok=True)
    written, worst = [], FINISHED
    for key in NOTEBOOKS:
        path = OUTPUTS / f"{experiments.get(key).notebook}.ipynb"
        print(f"== {path.stem}", flush=True)
        code = cli.main(["run", key, "--preset", "quick", "-o", str(path), *more])
        worst = worst or code
        if code not in (FINISHED, CLAIM_FAILED):
            return code
        written.append(path)
    page = OUTPUTS / "report.html"
    page.write_text(report.build(written, "labkit: the demo"), encoding="utf-8")
    print(f"\nThe report, with pictures: {page.resolve()}")
    print(f"The executed notebooks:    {', '.join(str(path) for path in written)}")
    print("To watch it train live:    make lab")
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
