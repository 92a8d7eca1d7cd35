"""No source of ours unpickles: a file from elsewhere would run as a program."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("labkit", "widgets", "tools", "benchmarks")
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle5", "shelve"}
CALLS = {"read_pickle", "unsafe_load", "load_pickle"}


def unpickling(source: str) -> list[str]:
    """The places of a source that would, or could, unpickle."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            safe = given.get("weights_only") == "True"
            if (
                (called in ("torch.load", "torch.serialization.load") and not safe)
                or ("allow_pickle" in given and given["allow_pickle"] != "False")
                or called.rpartition(".")[2] in CALLS
                or (called in ("yaml.load", "yaml.full_load") and "SafeLoader" not in ast.unparse(node))
            ):
                found.append(ast.unparse(node))
    return found


def test_no_source_of_ours_does():
    sources = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 200
    found = {str(file.relative_to(ROOT)): places for file in sources if (places := unpickling(file.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import torch, joblib.numpy_pickle",
        "from pickle import loads",
        "def f():\n    import dill",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "np.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=trusted)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
    ],
)
def test_each_way_to_do_so_is_seen(source):
    assert unpickling(source)


def test_what_does_not_is_let_be():
    harmless = "import json\ntorch.load(p, weights_only=True)\nnp.load(p)\nnp.load(p, allow_pickle=False)\njson.load(f)"
    assert unpickling(harmless) == []
