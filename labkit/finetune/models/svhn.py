"""The vendored network: six convolutions and a linear layer, trained on photographed house numbers (SVHN).

Its weights come from ccexam 1.0.0 (see LICENSE-svhn-cnn.txt beside them).
"""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor, nn

from labkit.data.image_models import ImageModel
from labkit.finetune.models.parts import convolution, linear, new_head
from labkit.finetune.network import FrozenNorm, Network, Transform, in_order

TRANSFORM = Transform((32, 32), 3, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))  # as ccexam prepares SVHN
BLOCKS = ("features.0", "features.1", "features.2")  # of 32, 64 and 128 channels
EPS = 1e-5  # of the BatchNorms, PyTorch's own


def build(files: ImageModel, classes: int) -> Network:
    """The network with a stage for each layer: three times twice convolution, norm, ReLU and then a pooling, a linear
    layer, the head.

    The convolutions' biases are folded into the norms behind them, where a shift does the same: "biases" are the
    norms' shifts and the biases of the two linear layers.
    """
    tensors = load_file(files.path)
    stages: list[nn.Module] = []
    for block in BLOCKS:
        for place in (0, 3):
            stages += _layer(tensors, f"{block}.{place}", f"{block}.{place + 1}")
        # The largest of four comes through a ReLU as the ReLU of the largest: three quarters of the work.
        stages[-1:] = [nn.MaxPool2d(2), nn.ReLU()]
    hidden = linear(tensors["classifier.1.weight"], tensors["classifier.1.bias"])
    stages += [nn.Flatten(), hidden, nn.ReLU(), new_head(hidden.out_features, classes)]
    said = f"the head for 10 digits of SVHN is replaced by a new one for {classes} classes"
    return Network(files.name, in_order(stages), str(len(stages) - 1), TRANSFORM, said)


def _layer(tensors: dict[str, Tensor], filters: str, norm: str) -> list[nn.Module]:
    """A convolution, its norm and a ReLU."""
    weight, shift, mean, var = (tensors[f"{norm}.{kind}"] for kind in ("weight", "bias", "running_mean", "running_var"))
    # norm(x + b) = (x + b - mean) / deviation: a bias in front of frozen statistics is another mean.
    mean = mean - tensors[f"{filters}.bias"]
    return [
        convolution(tensors[f"{filters}.weight"], padding=(1, 1)),
        FrozenNorm(weight, shift, mean, var, EPS),
        nn.ReLU(),
    ]
