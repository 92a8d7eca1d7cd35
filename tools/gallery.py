"""Execute the notebooks and keep copies with pictures for readers on GitHub: `make gallery`.

Each copy is docs/executed/NAME.ipynb without widgets; its pictures lie beside it as docs/executed/NAME/FIGURE.png.
Runs that the store already holds are not run again.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit import cli, experiments
from tools.executed import headings, static

GALLERY = Path("docs/executed")
FIGURE = re.compile(r"""\.figure\(\s*["'](\w+)["']""")


def keep(executed: Path, gallery: Path) -> list[Path]:
    """Write the static copy of an executed notebook and its PNG pictures.

    Args:
        executed: the executed notebook.
        gallery: the folder of the copies; pictures of an older copy are removed.

    Returns:
        the files written.
    """
    notebook = static(nbformat.read(executed, as_version=4))
    folder = gallery / executed.stem
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    written = [gallery / executed.name]
    nbformat.write(notebook, written[0])
    for name, picture in pictures(notebook).items():
        written.append(folder / f"{name}.png")
        written[-1].write_bytes(picture)
    return written


def pictures(notebook: NotebookNode) -> dict[str, bytes]:
    """The PNG pictures of an executed notebook, by the figure that the cell asks for, else by the heading above it;
    a second one of the same name becomes `name-2`."""
    found: dict[str, bytes] = {}
    heading = "picture"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = next(reversed(headings(cell.source)), heading)
        asked = FIGURE.search(cell.source)
        name = asked[1] if asked else re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
        packed = [
            output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
        ]
        for content in packed:
            count = sum(re.fullmatch(rf"{name}(-\d+)?", other) is not None for other in found)
            found[f"{name}-{count + 1}" if count else name] = base64.b64decode(content)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", help="their numbers; all by default")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--store", help="a store that may hold the runs already")
    given = parser.parse_args(arguments)
    if given.store:  # not as a parameter, which would put a folder of this machine into the copy
        os.environ["LABKIT_STORE"] = given.store
    for key in given.experiments or experiments.names():
        with tempfile.TemporaryDirectory() as folder:
            executed = Path(folder) / f"{experiments.get(key).notebook}.ipynb"
            code = cli.main(["run", key, "--preset", given.preset, "-o", str(executed)])
            if code:
                return code
            for path in keep(executed, GALLERY):
                print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
