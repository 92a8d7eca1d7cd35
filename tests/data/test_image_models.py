from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labkit.data import image_models
from labkit.data.fetched_models import fetch_image_model
from labkit.data.image_models import copy_path, find_image_model, named_image_models
from labkit.data.models import folder_sha256
from labkit.errors import BadInput

FILES = {"config.json": "{}", "preprocessor_config.json": "{}", "model.safetensors": "weights"}


def fill(folder: Path, files: dict[str, str] = FILES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "labkit" / "image-models"


@pytest.fixture
def the_hub(cache, monkeypatch):
    """A Hub whose every model has the files in `.files`, or which raises `.error`."""
    module = ModuleType("huggingface_hub")
    module.files, module.error, module.asked = FILES, None, []

    def snapshot_download(repository: str, local_dir: Path, allow_patterns: list[str]) -> None:
        module.asked.append((repository, allow_patterns))
        if module.error:
            raise module.error
        fill(local_dir, module.files)

    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


@pytest.mark.parametrize("name", ["svhn-cnn", "efficientnet-lite0"])
def test_named_models_are_the_published_files(name):
    found = find_image_model(name)
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest() == image_models.SHA256[name]
    assert found.licence.startswith(("MIT", "Apache-2.0"))
    assert named_image_models() == ("svhn-cnn", "efficientnet-lite0")


def test_the_name_of_the_published_weights_holds_their_hash():
    found = find_image_model("efficientnet-lite0")
    assert found.path.stem == f"efficientnet-lite0-{found.sha256[:8]}"


@pytest.mark.parametrize("name", ["svhn-cnn", "efficientnet-lite0"])
def test_an_altered_file_is_refused_with_both_beginnings(tmp_path, monkeypatch, name):
    file = tmp_path / "weights"
    content = bytearray(find_image_model(name).path.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setitem(image_models.FILES, name, lambda: file)
    wanted, found = image_models.SHA256[name][:12], hashlib.sha256(content).hexdigest()[:12]
    with pytest.raises(BadInput, match=rf"model = '{name}'.*sha256 {wanted}\.\.\.\); this one has {found}.*again"):
        find_image_model(name)
    file.unlink()
    with pytest.raises(BadInput, match=rf"the file weights as .* {wanted}\.\.\.\); it is missing"):
        find_image_model(name)


@pytest.mark.parametrize("lacking", image_models.LITE_PACKAGES)
def test_a_package_that_is_missing_names_the_extra(monkeypatch, lacking):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == lacking else known(name))
    with pytest.raises(BadInput, match=r"efficientnet-lite0.*pip install 'labkit\[vision\]'"):
        find_image_model("efficientnet-lite0")
    assert find_image_model("svhn-cnn")


def test_a_folder_of_ones_own(tmp_path):
    found = find_image_model(str(fill(tmp_path)))
    assert (found.path, found.licence, found.sha256) == (tmp_path, "the user's own", folder_sha256(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text("[]")
    assert find_image_model(str(tmp_path)).sha256 != found.sha256


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"config.json": None}, "with a config.json"),
        ({"preprocessor_config.json": None}, "an image model, with a preprocessor_config.json; there is none in"),
        ({"model.safetensors": None}, r"there is no \*.safetensors"),
        ({"model.safetensors": None, "pytorch_model.bin": "x"}, "no unpickling; there is pytorch_model.bin alone"),
    ],
)
def test_a_folder_that_lacks_something(tmp_path, change, line):
    fill(tmp_path, {name: text for name, text in (FILES | change).items() if text is not None})
    with pytest.raises(BadInput, match=line) as caught:
        find_image_model(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "resnet50", "tiny", "/no/such/folder", "SVHN-CNN"])
def test_an_unknown_model(name):
    with pytest.raises(BadInput, match="svhn-cnn, efficientnet-lite0, hub:OWNER/NAME, or an image model's folder"):
        find_image_model(name)


def test_fetched_once_then_found_without_a_tokenizer(the_hub, cache):
    with pytest.raises(BadInput, match="`labkit fetch hub:owner/vit --as image-model`"):
        find_image_model("hub:owner/vit")
    path = fetch_image_model("hub:owner/vit")
    assert path == fetch_image_model("hub:owner/vit") == copy_path("hub:owner/vit") == cache / "hub--owner--vit"
    assert [repository for repository, _ in the_hub.asked] == ["owner/vit"]
    found = find_image_model("hub:owner/vit")
    assert (found.path, found.licence, found.sha256) == (path, "as the Hub's page says", folder_sha256(path))
    assert [file.name for file in cache.iterdir()] == ["hub--owner--vit"]


def test_a_model_without_preprocessing_leaves_nothing(the_hub, cache):
    the_hub.files = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "weights"}
    with pytest.raises(BadInput, match="preprocessor_config"):
        fetch_image_model("hub:owner/lm")
    assert list(cache.iterdir()) == []


def test_the_hub_says_no(the_hub, cache):
    the_hub.error = ConnectionError("no route\nto host")
    with pytest.raises(BadInput, match=r"hub:owner/vit.*answered: no route") as caught:
        fetch_image_model("hub:owner/vit")
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["hub:", "hub:../vit", "hub:a/b/c", "hub:a/..", "svhn-cnn", ""])
def test_a_name_that_could_leave_the_cache_is_refused(the_hub, name):
    with pytest.raises(BadInput, match="as the Hub spells it"):
        fetch_image_model(name)
    assert the_hub.asked == []


def test_finding_needs_no_torch(tmp_path):
    shutil.copytree(fill(tmp_path / "own"), tmp_path / "copy")
    program = "import sys; from labkit.data import image_models as m\n"
    program += f"for name in (*m.named_image_models(), {str(tmp_path / 'copy')!r}): m.find_image_model(name)\n"
    program += "print({'torch', 'transformers', 'efficientnet_lite_pytorch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_licence_is_beside_the_vendored_file():
    text = (find_image_model("svhn-cnn").path.parent / "LICENSE-svhn-cnn.txt").read_text()
    assert "MIT License" in text
    assert "2026 FYS-8805-Collaborative-Coding" in text
