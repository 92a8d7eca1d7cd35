"""Make the static site from what the repository holds: `make gallery`, in seconds, outputs/site.

With `--execute` the notebooks are executed first, and copies with pictures kept for readers: docs/executed/NAME.ipynb,
without widgets and with pictures of 256 colours, a tenth of their size in git. Runs that the store already holds are
not run again.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from labkit import cli, experiments
from tools.executed import headings, static
from tools.report import NotSelfContained
from tools.site.build import SITE, build
from tools.site.pages import HOME
from tools.site.words import SiteError

GALLERY = Path("docs/executed")
BAD_INPUT = 2
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


def execute(keys: list[str], preset: str) -> int:
    """Execute notebooks and keep their copies; the exit code of the first that did not come out well, else 0."""
    for key in keys:
        with tempfile.TemporaryDirectory() as folder:
            executed = Path(folder) / f"{experiments.get(key).notebook}.ipynb"
            code = cli.main(["run", key, "--preset", preset, "-o", str(executed)])
            if code:
                return code
            print(keep(executed, GALLERY))
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--execute", nargs="*", metavar="NUMBER", help="first execute these notebooks, or all")
    parser.add_argument("--preset", default="quick", help="of the notebooks that are executed")
    parser.add_argument("--store", help="a store that may hold their runs already")
    parser.add_argument("-o", "--output", type=Path, default=SITE, help="the folder of the pages")
    given = parser.parse_args(arguments)
    if given.store:  # not as a parameter, which would put a folder of this machine into the copy
        os.environ["LABKIT_STORE"] = given.store
    if given.execute is not None:
        code = execute(given.execute or experiments.names(), given.preset)
        if code:
            return code
    try:
        pages = build(Path(), given.output)
    except (SiteError, NotSelfContained) as error:
        print(f"the site is not made: {error}", file=sys.stderr)
        return BAD_INPUT
    size = sum(path.stat().st_size for path in given.output.rglob("*") if path.is_file())
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB: open {(given.output / HOME).resolve()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
