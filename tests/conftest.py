"""Which tests can run here. Whatever is left out is deselected with one printed line, never skipped in silence."""

from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
NO_CHROMIUM = "no Chromium found: install Debian's package `chromium`, or set LABKIT_CHROMIUM to one"
LINES = pytest.StashKey[list[str]]()


def chromium() -> str | None:
    """The path of a Chromium, from $LABKIT_CHROMIUM or the search path; None without one."""
    named = os.environ.get("LABKIT_CHROMIUM")
    return named or next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium of the browser tests."""
    return str(chromium())


@pytest.hookimpl(trylast=True)  # after -m and -k, so that a run without browser tests asks for no Chromium
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lines = config.stash.setdefault(LINES, [])
    if os.environ.get("LABKIT_GPU") != "1":
        _deselect(config, items, "gpu", "set LABKIT_GPU=1 on a machine with one, or run `make test-gpu`", lines)
    if chromium() is None:
        if os.environ.get("CI") == "true" and any(item.get_closest_marker("browser") for item in items):
            raise pytest.UsageError(f"CI=true, and {NO_CHROMIUM}")
        _deselect(config, items, "browser", NO_CHROMIUM, lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)


def _deselect(config: pytest.Config, items: list[pytest.Item], marker: str, why: str, lines: list[str]) -> None:
    out = [item for item in items if item.get_closest_marker(marker)]
    if out:
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)
        lines.append(f"{len(out)} {marker} tests deselected: {why}")
