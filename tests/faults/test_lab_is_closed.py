"""`make lab` starts JupyterLab for this machine alone, behind a token."""

from __future__ import annotations

import os
import re
import subprocess
from ipaddress import ip_address
from pathlib import Path

from jupyter_server.serverapp import ServerApp

ROOT = Path(__file__).parents[2]


def started() -> list[str]:
    """What `make lab` would run, in words."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "ARGS")}
    told = subprocess.run(
        ["make", "-n", "lab", "SETUP=0"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return re.split(r"\s+", told.stdout.strip().splitlines()[-1])


def server(tmp_path: Path, monkeypatch) -> ServerApp:
    """The server as these words configure it, in a home where nobody has configured another; it is not started."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", "JUPYTER_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    words = started()
    app = ServerApp()
    app.parse_command_line([word for word in words[words.index("jupyterlab") + 1 :] if word.startswith("-")])
    app.init_configurables()
    return app


def test_it_listens_on_loopback_alone_and_asks_for_a_token(tmp_path, monkeypatch):
    app = server(tmp_path, monkeypatch)
    assert app.ip == "localhost" or ip_address(app.ip).is_loopback
    assert not app.allow_remote_access
    assert app.allow_origin == app.allow_origin_pat == ""
    assert not app.disable_check_xsrf
    assert app.identity_provider.auth_enabled
    assert app.identity_provider.token_generated
    assert len(app.identity_provider.token) >= 40


def test_the_makefile_says_nothing_that_opens_it():
    words = started()
    assert words[words.index("-m") :] == ["-m", "jupyterlab", "notebooks"]
    assert not re.search(r"--(?:ServerApp\.)?ip\b|0\.0\.0\.0|token\s*=|allow[-_]root", (ROOT / "Makefile").read_text())
