"""Public networks as stages with a new head, one file for each family."""

from __future__ import annotations

from labkit.data.image_models import LITE, SVHN, find_image_model
from labkit.finetune.models import efficientnet, svhn, transformers
from labkit.finetune.network import Network

FAMILIES = {SVHN: svhn.build, LITE: efficientnet.build}


def load_network(name: str, classes: int) -> Network:
    """The public network that the `model` parameter names, on the CPU, with a head of zeros for `classes` classes.

    Nothing is downloaded, and nothing is drawn: a head to begin with is `Network.drawn_head`.

    Args:
        name: as for `labkit.data.image_models.find_image_model`.

    Raises:
        BadInput: it is not here, is not what was published, or is of a kind that cannot be cut into stages.
    """
    return FAMILIES.get(name, transformers.build)(find_image_model(name), classes)
