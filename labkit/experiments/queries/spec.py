"""The parameters of notebook 03, and what follows from them."""

from __future__ import annotations

from typing import ClassVar

from labkit.errors import BadInput
from labkit.experiments.frontier.spec import FrontierSpec
from labkit.spec import Spec, control

# Arms.
UNTRAINED, REAL, UNTUNED, SYNTHETIC = "untrained", "real", "untuned", "synthetic"
DIRECT, WARM, LOGIT = "direct", "direct-warm", "logit"
BASELINES = (UNTRAINED, REAL, UNTUNED)  # the same at every epsilon
PAIR, DOCUMENT = "pair", "document"


class QueriesSpec(Spec):
    """Can private synthetic queries train a retriever better than private training of the retriever?"""

    data_kind: ClassVar[str] = "corpus"
    pretrained: ClassVar[str] = "model"

    seeds: int = control(1, **Spec.described("seeds"))
    data: str = control("hpo", help="hpo, a corpus fetched from the Hub, or a folder in BEIR's layout")
    epsilon: tuple[float | str, ...] = control(
        "3,plain", "1,3,8,16,clipped,plain",
        **FrontierSpec.described("epsilon") | {
            "help": "privacy loss of what is released; clipped: clipped gradients without noise, plain: neither",
        },
    )  # fmt: skip
    split_by: tuple[str, ...] = control(
        PAIR, choices=(PAIR, DOCUMENT),
        help="pair: a test query's document may be trained on in other words; document: it is not",
    )  # fmt: skip
    delta: float = control(0.0, **FrontierSpec.described("delta"))
    unit: str = control(PAIR, choices=(PAIR, DOCUMENT), help="what is protected: one pair, or a document's pairs")
    max_pairs: int = control(
        4, ge=1, le=64, unit="pairs", help="most pairs of a document that take part (unit document); public"
    )
    documents: int = control(
        1000, 0, ge=0, le=10_000_000, help="documents drawn by split_seed alone, with their pairs; 0 for all"
    )
    model: str = control("tiny", "smollm2-135m-gguf", help="the public language model: a name, hub:NAME or a folder")
    template: str = control("{document}\nSearch query:", help="what the model reads before it writes a query")
    prompt_tokens: int = control(40, 56, ge=4, le=4096, unit="tokens", help="longer documents are cut")
    query_tokens: int = control(16, ge=2, le=1024, unit="tokens", help="longest query, its end included")
    lora_rank: int = control(8, 16, ge=1, le=1024, help="rank of the adapters")
    lora_targets: str = control("all-linear", help="all-linear, or names of linear layers, separated by semicolons")
    batch_size: int = control(
        128,
        1024,
        ge=1,
        le=1_000_000,
        unit="units",
        help="expected batch of the fine-tuning: a unit joins with this over n",
    )
    epochs: float = control(2.5, 4.0, gt=0, le=1000, help="expected times that a unit is drawn in the fine-tuning")
    clip_norm: float = control(1.0, gt=0, le=1000, log=True, help="L2 norm that each unit's gradient is clipped to")
    learning_rate: float = control(0.01, 0.008, gt=0, le=10, log=True, help="the fine-tuning's highest learning rate")
    plain_rate: float = control(
        0.01,
        0.002,
        gt=0,
        le=10,
        log=True,
        help="the same without noise (clipped, plain), which bears less",
    )
    queries_per_document: int = control(
        2, ge=1, le=100, help="synthetic queries for every document", low="few", high="many, and slower"
    )
    top_p: float = control(
        0.95, gt=0, le=1, help="nucleus: the likeliest tokens with this much probability are drawn from"
    )
    temperature: float = control(1.0, gt=0, le=10, help="of the sampling", low="alike", high="wild")
    encoder_width: int = control(96, 384, ge=4, le=8192, log=True, help="width of the retriever's encoder")
    encoder_layers: int = control(1, 2, ge=0, le=32, help="transformer layers of the encoder")
    encoder_steps: int = control(80, 300, ge=1, le=1_000_000, log=True, unit="steps", help="training of each encoder")
    encoder_batch: int = control(64, 512, ge=2, le=1_000_000, unit="pairs", help="batch of each encoder's training")
    encoder_rate: float = control(0.003, 0.001, gt=0, le=10, log=True, help="the encoders' highest learning rate")
    encoder_temperature: float = control(0.05, gt=0, le=100, help="cosines are divided by it in the encoders' softmax")
    direct_batch: int = control(64, 512, ge=1, le=1_000_000, unit="units", help="expected batch of DP-direct")
    direct_steps: int = control(20, 40, ge=1, le=1_000_000, log=True, unit="steps", help="steps of DP-direct")
    direct_rate: float = control(0.003, 0.004, gt=0, le=10, log=True, help="learning rate of DP-direct and Logit-DP")
    negatives: int = control(
        12, 16, ge=1, le=1_000_000, help="public documents that each of DP-direct's queries is held against"
    )
    logit_batch: int = control(24, 48, ge=2, le=1_000_000, unit="units", help="expected batch of Logit-DP")
    logit_steps: int = control(20, 10, ge=1, le=1_000_000, log=True, unit="steps", help="steps of Logit-DP")
    canaries: int = control(
        20, ge=0, le=10_000, help="planted queries for each number of repeats, in runs of their own; 0 for none"
    )
    canary_repeats: str = control("1,10,100", help="how often canaries are planted, separated by commas")
    alternatives: int = control(127, 255, ge=1, le=1_000_000, help="codes that each canary is ranked among")
    noise_source: str = control("seeded", **FrontierSpec.described("noise_source"))
    evaluations: int = control(3, 8, ge=1, le=1000, help="looks at the selection split while fine-tuning")
    margin: float = control(
        0.02, gt=0, lt=1, unit="recall", help="differences below this are called none; fixed before the run"
    )
    keep_weights: bool = control(False, **FrontierSpec.described("keep_weights"))

    def repeats(self) -> tuple[int, ...]:
        """How often canaries are planted.

        Raises:
            BadInput: not a list of whole numbers above 0.
        """
        try:
            found = tuple(dict.fromkeys(int(part) for part in self.canary_repeats.split(",") if part.strip()))
        except ValueError:
            found = ()
        if not found or min(found) < 1:
            raise BadInput("canary_repeats", self.canary_repeats, "whole numbers of at least 1, separated by commas")
        return found


def called(epsilon: float | str) -> str:
    """An epsilon as a title says it."""
    return epsilon if isinstance(epsilon, str) else f"epsilon {epsilon:g}"
