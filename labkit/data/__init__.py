"""Data sets: one small file for each source, one record for all of them, one way to split."""

from labkit.data.dataset import Dataset
from labkit.data.registry import load, names
from labkit.data.split import Part, Split, split

__all__ = ["Dataset", "Part", "Split", "load", "names", "split"]
