"""Runs: their names, the store that keeps them, the worker that makes them, the view that reads them."""

from labkit.runs.location import notebooks_path, store_path
from labkit.runs.naming import RunKey, run_name
from labkit.runs.store import Finished, Store
from labkit.runs.view import View, open_view
from labkit.runs.worker import Update, Worker

__all__ = [
    "Finished",
    "RunKey",
    "Store",
    "Update",
    "View",
    "Worker",
    "notebooks_path",
    "open_view",
    "run_name",
    "store_path",
]
