"""The README's pictures of the site, from what the browser test saw: `make site-pictures`."""

from __future__ import annotations

from pathlib import Path

from tools.gallery import fewer_colours

SEEN = Path("test-artefacts")
PICTURES = Path("docs")


def main() -> int:
    for name in ("site-phone.png", "site-projector.png"):
        (PICTURES / name).write_bytes(fewer_colours((SEEN / name).read_bytes()))
        print(PICTURES / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
