"""Runs: their names, the store that keeps them, the worker that makes them, the view that reads them."""

from labkit.runs.naming import RunKey, run_name
from labkit.runs.store import Finished, Store

__all__ = ["Finished", "RunKey", "Store", "run_name"]
