"""Every benchmark, one after the other: `make bench`. Name some to run only those: `python -m benchmarks training`."""

from __future__ import annotations

import sys
from importlib import import_module

ALL = (
    "training", "private", "scoring", "landscape", "start", "text", "sampling", "embeddings", "finetune", "cluster",
    "cards",
)  # fmt: skip


def main() -> int:
    wanted = sys.argv[1:] or ALL
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        print(f"benchmarks: {', '.join(unknown)} is none of {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in wanted:
        import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
