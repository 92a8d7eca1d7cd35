"""What is written down of the circumstances of a run: versions, device, commit. No paths and no host names."""

from __future__ import annotations

import platform
import subprocess
from typing import TYPE_CHECKING, Any

import labkit
from labkit import device as devices
from labkit.runs.location import checkout

if TYPE_CHECKING:
    import torch


def describe_run(device: torch.device) -> dict[str, Any]:
    """Versions of Python, torch and labkit, the device's kind and name, and the git commit ("" outside a checkout)."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "labkit": labkit.__version__,
        "device": device.type,
        "device_name": devices.describe(device),
        "commit": commit(),
    }


def commit() -> str:
    """The checkout's commit, with "-dirty" behind it where tracked files differ; "" where there is none."""
    top = checkout()
    if top is None:
        return ""
    try:
        found = subprocess.run(
            ["git", "-C", str(top), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):  # no git here, or a file system too slow to ask
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
