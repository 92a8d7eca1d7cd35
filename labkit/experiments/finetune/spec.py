"""The parameters of notebook 05, and which fine-tunes follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from labkit.experiments.embeddings.spec import EmbeddingsSpec, middle
from labkit.experiments.frontier.spec import CLIPPED, PLAIN, TUNED, FrontierSpec
from labkit.spec import Spec, control

ALL, HEAD, HEAD_NORM, BIAS, LORA = "all", "head", "head_norm", "bias", "lora"
MAGNITUDE, RANDOM, SEARCH = "magnitude", "random", "search"
SPARTA, SPARTA_ABS, SPARTA_NOISY, SPARTA_NORM = "sparta", "sparta_abs", "sparta_noisy", "sparta_norm"
FIXED = (ALL, HEAD, HEAD_NORM, BIAS, LORA)  # their size is what it is
READING = (SPARTA, SPARTA_ABS, SPARTA_NOISY, SPARTA_NORM)  # they choose rows by private scores
ROWS = (MAGNITUDE, RANDOM, *READING, SEARCH)
CHOOSING = (*READING, SEARCH)  # their choice is paid for
METHODS = (*FIXED, *ROWS)
ROWS_KIND = "rows"  # whatever chooses them, they train alike
LAYER, GLOBAL = "layer", "global"


class FinetuneSpec(Spec):
    """Which weights should a private fine-tune touch, and does choosing beat a free random choice?

    Grid fields are not all combined with all (`points`): every method meets every epsilon at the first sparsity, scope
    and warmup; every other value of those stands beside it at the middle number among the epsilons.
    """

    pretrained: ClassVar[str] = "model"
    more_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "imagenet": {
            "model": "efficientnet-lite0", "seeds": 3, "epsilon": "2", "sparsity": "0.8,0.95", "scope": "layer",
            "warmup": "0", "method": "all,head,head_norm,bias,lora,magnitude,random,sparta,sparta_norm",
            "epochs": 5.0, "landscape_size": 13,
        }
    }  # fmt: skip

    seeds: int = control(2, 5, **Spec.described("seeds"))
    data: str = control(
        "mnist_5k", "fashion_mnist",
        help="mnist_5k, fashion_mnist, digits, hub:NAME, or a path to an .npz file or image folder",
    )  # fmt: skip
    model: str = control(
        "svhn-cnn", help="public weights: svhn-cnn, efficientnet-lite0, hub:OWNER/NAME (fetched before) or a folder"
    )
    epsilon: tuple[float | str, ...] = control(
        "1,8,plain", "1,2,4,8,clipped,plain",
        **EmbeddingsSpec.described("epsilon"),
    )  # fmt: skip
    delta: float = control(0.0, **FrontierSpec.described("delta"))
    method: tuple[str, ...] = control(
        ",".join(METHODS), choices=METHODS, help="which weights move; random rows, the free baseline, always run beside"
    )
    sparsity: tuple[float, ...] = control(
        "0.8", "0.8,0.3,0.5,0.9,0.95,0.99", gt=0, lt=1,
        help="share of the weights of the layers that may move which stays frozen (row methods); the first is the main",
        low="nearly all weights move", high="hardly any row moves",
    )  # fmt: skip
    scope: tuple[str, ...] = control(
        "layer", "layer,global", choices=(LAYER, GLOBAL), help="rows chosen within each layer, or over all layers"
    )
    warmup: tuple[float, ...] = control(
        "0", "0,2", ge=0, le=1000, unit="epochs",
        help="training of head, biases and norms before SPARTA scores rows; 0 scores them at the start",
    )  # fmt: skip
    layers: int = control(
        2, 0, ge=0, le=1000, unit="weight layers", help="how many of the last weight layers may move; 0 for all"
    )
    budget: int = control(
        8, 64, ge=2, le=100_000, log=True, unit="candidates", help="random sets of rows that search chooses from",
        low="no search", high="a long search",
    )  # fmt: skip
    lora_rank: int = control(4, 8, ge=1, le=1024, log=True, help="rank of the low-rank adapters (lora)")
    clip_norm: float = control(1.0, gt=0, le=1000, log=True, help="L2 norm that each example's gradient is clipped to")
    batch_size: int = control(
        128, 256, ge=1, le=1_000_000, unit="images", help="expected batch: an image joins with this over n"
    )
    epochs: float = control(2.0, 10.0, gt=0, le=1000, help="expected times that an image is drawn to train")
    learning_rate: float | str = control(
        0.1, TUNED, kind="float", gt=0, le=1000, words=(TUNED,),
        help="one number for all, or tuned: each epsilon and kind of method its own, on the selection split",
    )  # fmt: skip
    rates: str = control("0.03,0.1,0.3,1", help="learning rates that the tuning tries, separated by commas")
    noise_source: str = control("seeded", **FrontierSpec.described("noise_source"))
    evaluations: int = control(2, 5, ge=1, le=1000, help="looks at the selection split while training")
    margin: float = control(
        0.01, gt=0, lt=1, unit="accuracy", help="differences below this are called none; fixed before the run"
    )
    landscape_size: int = control(
        7, 25, ge=0, le=201, unit="points per side", help="loss landscape of the first replicate; 0 draws none"
    )
    keep_weights: bool = control(False, **FrontierSpec.described("keep_weights"))

    def points(self) -> tuple[Self, ...]:
        """The same Spec once for each fine-tune, each grid field holding one value.

        What a method has no use for holds a fixed value: sparsity 0 and the scope `layer` for those of fixed size, a
        warmup of 0 for all that score no rows.
        """
        found: dict[tuple[Any, ...], Self] = {}
        for values in self._cells():
            fixed, reads = values["method"] in FIXED, values["method"] in READING
            values = values | ({"sparsity": 0.0, "scope": LAYER} if fixed else {}) | ({} if reads else {"warmup": 0.0})
            found.setdefault(tuple(values.values()), self.model_copy(update={n: (v,) for n, v in values.items()}))
        return tuple(found.values())

    def _cells(self) -> Iterator[dict[str, Any]]:
        methods = tuple(dict.fromkeys((*self.method, RANDOM)))
        main = {"sparsity": self.sparsity[0], "scope": self.scope[0], "warmup": self.warmup[0]}
        for epsilon, method in itertools.product(self.epsilon, methods):
            yield {"epsilon": epsilon, "method": method} | main
        for name in main:
            for value, method in itertools.product(getattr(self, name)[1:], methods):
                yield {"epsilon": self.focus(), "method": method} | main | {name: value}

    def focus(self) -> float | str:
        """The epsilon at which everything beside the main grid is trained: the middle number, or the first word."""
        numbers = [epsilon for epsilon in self.epsilon if epsilon not in (CLIPPED, PLAIN)]
        return middle(numbers) if numbers else self.epsilon[0]

    def tried_rates(self) -> tuple[float, ...]:
        """The learning rates of the tuning (see `EmbeddingsSpec.tried_rates`)."""
        return EmbeddingsSpec.tried_rates(self)


def kind_of(point: FinetuneSpec) -> str:
    """What trains alike and takes the same learning rate: a method of fixed size, or any choice of rows."""
    return point.method[0] if point.method[0] in FIXED else ROWS_KIND
