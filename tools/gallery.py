"""Execute the notebooks and keep copies with pictures for readers on GitHub: `make gallery`.

Each copy is docs/executed/NAME.ipynb, without widgets and with pictures of 256 colours, a tenth of their size in git.
Runs that the store already holds are not run again.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from labkit import cli, experiments
from tools.executed import headings, static

GALLERY = Path("docs/executed")
FIGURE = re.compile(r"""\.figure\(\s*["'](\w+)["']""")


def keep(executed: Path, gallery: Path) -> Path:
    """Write the static copy of an executed notebook into a folder; returns its path."""
    notebook = static(nbformat.read(executed, as_version=4))
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                packed = base64.b64decode(output.data["image/png"])
                output.data["image/png"] = base64.b64encode(fewer_colours(packed)).decode()
    gallery.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, gallery / executed.name)
    return gallery / executed.name


def fewer_colours(png: bytes) -> bytes:
    """The picture with its 256 most telling colours."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(picture, mask=picture.convert("RGBA").getchannel("A"))
    flat.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


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
            print(keep(executed, GALLERY))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
