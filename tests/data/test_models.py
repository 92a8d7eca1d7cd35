from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labkit.data.fetched_models import fetch_model
from labkit.data.models import copy_path, file_sha256, find_model, folder_sha256, named_models
from labkit.errors import BadInput

FILES = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "weights"}


def fill(folder: Path, files: dict[str, str] = FILES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "labkit" / "models"


@pytest.fixture
def the_hub(cache, monkeypatch):
    """A Hub whose every model has the files in `.files`, or which raises `.error`."""
    module = ModuleType("huggingface_hub")
    module.files, module.error, module.asked = FILES | {".cache/x": "notes"}, None, []

    def snapshot_download(repository: str, local_dir: Path, allow_patterns: list[str]) -> None:
        module.asked.append((repository, allow_patterns))
        if module.error:
            raise module.error
        for name, text in module.files.items():
            (local_dir / name).parent.mkdir(exist_ok=True)
            (local_dir / name).write_text(text)

    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


def test_sha256_of_a_folder_by_hand(tmp_path):
    fill(tmp_path, {"b": "two", "a": "one"})
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c").write_text("three")
    named = [(text, name) for name, text in (("a", "one"), ("b", "two"), ("below/c", "three"))]
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for text, name in named]
    assert folder_sha256(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_sha256_names_content_and_names_and_nothing_else(tmp_path):
    first = folder_sha256(fill(tmp_path / "one"))
    assert folder_sha256(fill(tmp_path / "moved")) == first
    assert folder_sha256(fill(tmp_path / "hidden", FILES | {".DS_Store": "x"})) == first
    assert folder_sha256(fill(tmp_path / "changed", FILES | {"config.json": "[]"})) != first
    (tmp_path / "moved" / "model.safetensors").rename(tmp_path / "moved" / "renamed.safetensors")
    assert folder_sha256(tmp_path / "moved") != first


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    file = fill(tmp_path) / "model.safetensors"
    first, before = folder_sha256(tmp_path), file_sha256.cache_info()
    assert folder_sha256(tmp_path) == first
    assert file_sha256.cache_info().misses == before.misses
    file.write_text("WEIGHTS")
    os.utime(file, ns=(10**18, 10**18))  # a clock too coarse to tell two writes apart
    assert folder_sha256(tmp_path) != first
    assert file_sha256.cache_info().misses == before.misses + 1


def test_a_folder_of_ones_own(tmp_path):
    found = find_model(str(fill(tmp_path)))
    assert (found.folder, found.licence) == (tmp_path, "the user's own")
    assert found.sha256 == folder_sha256(tmp_path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"config.json": None}, "with a config.json"),
        ({"tokenizer.json": None}, "a tokenizer; there is none of tokenizer.json"),
        ({"model.safetensors": None}, r"there is no \*.safetensors"),
        ({"model.safetensors": None, "pytorch_model.bin": "x"}, "no unpickling; there is pytorch_model.bin alone"),
    ],
)
def test_a_folder_that_lacks_something(tmp_path, change, line):
    fill(tmp_path, {name: text for name, text in (FILES | change).items() if text is not None})
    with pytest.raises(BadInput, match=line) as caught:
        find_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_pickled_weights_beside_safe_ones_do_no_harm(tmp_path):
    assert find_model(str(fill(tmp_path, FILES | {"pytorch_model.bin": "x"})))


@pytest.mark.parametrize("name", ["", "gpt2", "/no/such/folder"])
def test_an_unknown_model(name):
    with pytest.raises(BadInput, match="tiny, smollm2-135m-gguf, smollm2-135m, hub:OWNER/NAME, or a model's folder"):
        find_model(name)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("smollm2-135m-gguf", "`labkit fetch smollm2-135m-gguf`"),
        ("smollm2-135m", "`labkit fetch smollm2-135m`"),
        ("hub:owner/lm", "`labkit fetch hub:owner/lm --as model`"),
    ],
)
def test_not_fetched_says_how(cache, name, command):
    with pytest.raises(BadInput, match=command):
        find_model(name)
    assert not cache.exists()


def test_fetched_once_then_found(the_hub, cache):
    path = fetch_model("smollm2-135m")
    assert the_hub.asked[0][0] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in the_hub.asked[0][1] if pattern != "LICENSE*")
    assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
    assert fetch_model("smollm2-135m") == path
    assert len(the_hub.asked) == 1
    found = find_model("smollm2-135m")
    assert found.folder == path == cache / "smollm2-135m"
    assert found.licence.startswith("Apache-2.0")
    assert [file.name for file in cache.iterdir()] == ["smollm2-135m"]


def test_any_other_model_of_the_hub_lies_apart(the_hub):
    path = fetch_model("hub:owner/lm")
    assert the_hub.asked[0][0] == "owner/lm"
    assert path == copy_path("hub:owner/lm")
    assert len({copy_path(name) for name in ("hub:owner/lm", "hub:smollm2-135m", "smollm2-135m")}) == 3
    assert find_model("hub:owner/lm").licence == "as the Hub's page says"


def test_weights_that_must_be_unpickled_stay_on_the_hub(the_hub, cache):
    the_hub.files = {name: text for name, text in FILES.items() if name != "model.safetensors"}
    with pytest.raises(BadInput, match="safetensors"):
        fetch_model("hub:owner/lm")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), OSError(""), ValueError("bad name")])
def test_the_hub_says_no(the_hub, cache, error):
    the_hub.error = error
    with pytest.raises(BadInput, match=r"hub:owner/lm.*answered") as caught:
        fetch_model("hub:owner/lm")
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["hub:", "hub:../lm", "hub:a/b/c", "hub:a/..", "gpt2", ""])
def test_a_name_that_could_leave_the_cache_is_refused(the_hub, name):
    with pytest.raises(BadInput, match="as the Hub spells it"):
        fetch_model(name)
    assert the_hub.asked == []


def test_a_file_is_for_one_model_alone(the_hub, tmp_path):
    with pytest.raises(BadInput, match=r"from = .*smollm2-135m-gguf alone"):
        fetch_model("smollm2-135m", tmp_path / "x.gguf")


def test_the_vendored_model_is_whole():
    found = find_model("tiny")
    assert found.licence.startswith("Apache-2.0")
    assert json.loads((found.folder / "config.json").read_text())["model_type"]
    assert (found.folder / "README.md").is_file()
    assert sum(file.stat().st_size for file in found.folder.rglob("*")) < 4 * 2**20
    assert fetch_model("tiny") == found.folder


def test_finding_needs_no_torch():
    program = "import sys; from labkit.data import models; models.named_models(); import labkit.data.corpus;"
    program += "import labkit.data.pairs; print({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert named_models()[0] == "tiny"
