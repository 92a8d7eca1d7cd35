"""The README's picture of the panel, cut from what the browser test saw: `make panel`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

SEEN = Path("test-artefacts/test_a_person_finds_the_runs_again_after_a_reload[01]-3-paused.png")
PICTURE = Path("docs/panel.png")
BOX = (112, 84, 990, 956)  # the panel down to the table of runs, which names paths of its machine


def main() -> int:
    PICTURE.parent.mkdir(exist_ok=True)
    with Image.open(SEEN) as page:
        page.convert("RGB").crop(BOX).quantize(256, dither=Image.Dither.NONE).save(PICTURE, "PNG", optimize=True)
    print(PICTURE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
