"""What cannot be run, said before anything trains, and what a run is expected to need."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.experiments.charged import is_word
from labkit.experiments.queries.spec import DIRECT, DOCUMENT, LOGIT, QueriesSpec
from labkit.runs.experiment import Estimate

if TYPE_CHECKING:
    import torch

    from labkit.data.corpus import Corpus
    from labkit.data.models import ModelFiles

HOURS = 24.0  # a Spec that is expected to take longer is refused
SPEED = {"cpu": 0.25, "cuda": 0.15}  # of the device's matrix-product rate in float32
HALF = {"cpu": 1.0, "cuda": 6.0}  # times that rate in bfloat16, which the language model uses on CUDA
SECONDS_PER_PLAN = 2.0


def impossible(point: QueriesSpec) -> str | None:
    """Every grid point can be."""
    return None


def check(spec: QueriesSpec, corpus: Corpus) -> None:
    """Refuse what no bound of a single field can say.

    Raises:
        BadInput: a model that is not here, has no tokenizer or cannot be adapted, a template without a document, a
            batch larger than the training split, a delta of 1/n or more, more canaries than documents, or what needs
            more memory or time than there is.
    """
    from labkit.data.models import find_model
    from labkit.device import memory_free, resolve
    from labkit.text.language import DOCUMENT as PLACE

    files = find_model(spec.model)
    spec.repeats()
    if spec.template.count(PLACE) != 1:
        raise BadInput("template", spec.template, f"a text with {PLACE} in it, once")
    for split_by in spec.split_by:
        n, pairs, documents = sizes(spec, corpus, split_by)
        for name in ("batch_size", "direct_batch", "logit_batch"):
            if getattr(spec, name) > n:
                raise BadInput(name, getattr(spec, name), f"at most {n}, the {spec.unit}s of the training split")
        if spec.encoder_batch > pairs:
            raise BadInput("encoder_batch", spec.encoder_batch, f"at most {pairs}, the training pairs")
        if spec.delta >= 1 / n:
            what = f"0 for the default, or a number below 1/n = {1 / n:.3g}: at 1/n a mechanism may give one unit away"
            raise BadInput("delta", spec.delta, what)
        planted = spec.canaries * len(spec.repeats())
        if planted > documents:
            raise BadInput(
                "canaries", spec.canaries, f"at most {documents // len(spec.repeats())} of each: one a document"
            )
        if spec.negatives > documents:
            raise BadInput("negatives", spec.negatives, f"at most {documents}, the documents")
    device = resolve(spec.device)
    expected, free, least = estimate(spec, corpus, device), memory_free(device), peak_bytes(spec, device, at_once=1)
    if least > free:  # what is expected may be more: micro-batches that do not fit are halved
        need = f"it would need {least / 1e9:.1f} GB on {device}"
        raise BadInput("model", spec.model, f"what fits in the {free / 1e9:.1f} GB that are free; {need}")
    if expected.seconds > HOURS * 3600:
        raise BadInput(
            "epochs", spec.epochs,
            f"what takes at most {HOURS:g} hours; it would take about {expected.seconds / 3600:,.0f} hours on {device}",
        )  # fmt: skip
    _adapted(files, spec.lora_rank, spec.lora_targets, spec.template, spec.prompt_tokens, spec.query_tokens)


@cache
def _adapted(files: ModelFiles, rank: int, targets: str, template: str, prompt_tokens: int, query_tokens: int) -> None:
    """Refuse a model that has no tokenizer as needed, cannot be adapted so, or cannot read so much: told by its shapes,
    since to read the weights takes long. Last of all, because the libraries for it take seconds to load."""
    from labkit.text.language import encode_prompts, encode_queries, load_language
    from labkit.text.lora import Adapters

    language = load_language(files, "meta")
    Adapters(language, rank=rank, targets=targets, seed=0)
    encode_prompts(language, [""], template, prompt_tokens)
    encode_queries(language, [""], query_tokens)


def sizes(spec: QueriesSpec, corpus: Corpus, split_by: str) -> tuple[int, int, int]:
    """Protected units, training pairs and documents of one split."""
    import numpy as np

    from labkit.data.pairs import split_pairs

    split = split_pairs(corpus, spec.split_seed, split_by, spec.documents)
    units = len(np.unique(split.train.documents)) if spec.unit == DOCUMENT else len(split.train)
    return units, len(split.train), len(split.documents)


def costs(spec: QueriesSpec, corpus: Corpus) -> str:
    """What each release will really cost, in a line."""
    from labkit.experiments.queries.plans import Plans
    from labkit.privacy.record import in_a_line

    units, _, _ = sizes(spec, corpus, spec.split_by[0])
    plans = Plans(spec, units)
    said = f"for a language model {in_a_line(plans.tuning(epsilon) for epsilon in spec.epsilon)}"
    numbers = [epsilon for epsilon in spec.epsilon if not is_word(epsilon)]
    if numbers:
        each = ((arm, in_a_line(plans.encoder(epsilon, arm) for epsilon in numbers)) for arm in (DIRECT, LOGIT))
        said += "".join(f"; for {arm} {line}" for arm, line in each)
    return f"{said}; one {spec.unit} of {units:,} is protected; runs with canaries are not released"


def estimate(spec: QueriesSpec, corpus: Corpus, device: torch.device) -> Estimate:
    """Seconds and bytes for the whole Spec, from the operations it needs and the device's measured rate."""
    from labkit.device import flops_rate
    from labkit.experiments.queries.lab import MICRO

    weights = stored_bytes(spec) / 2
    units, _, documents = sizes(spec, corpus, spec.split_by[0])
    length = spec.prompt_tokens + spec.query_tokens
    per_unit = spec.max_pairs if spec.unit == DOCUMENT else 1
    written = documents * spec.queries_per_document
    encoder = spec.encoder_width**2 * (12 * spec.encoder_layers + 2)
    language = encoders = 0.0
    trained = 2 * spec.encoder_steps * spec.encoder_batch * (spec.prompt_tokens + spec.query_tokens) * 6 * encoder
    language += written * length * 2 * weights
    encoders += trained
    for epsilon in spec.epsilon:
        runs = 2 if spec.canaries else 1
        language += runs * spec.epochs * units * per_unit * length * 4 * weights + written * length * 2 * weights
        encoders += trained / 2
        if spec.canaries:
            ranked = spec.canaries * len(spec.repeats()) * (spec.alternatives + 1)
            language += ranked * length * 2 * weights
        if not is_word(epsilon):
            reads = 6 * encoder * (spec.prompt_tokens + spec.query_tokens)
            encoders += 2 * spec.direct_steps * spec.direct_batch * (1 + spec.negatives / 8) * reads
            encoders += spec.logit_steps * spec.logit_batch**2 * reads
    rate = SPEED[device.type] * flops_rate(device)
    seconds = (language / HALF[device.type] + encoders) / rate
    seconds = seconds * len(spec.split_by) * spec.seeds + SECONDS_PER_PLAN * len(spec.epsilon)
    return Estimate(seconds, peak_bytes(spec, device, at_once=MICRO[device.type]))


def peak_bytes(spec: QueriesSpec, device: torch.device, at_once: int) -> int:
    """Bytes of memory with gradients of so many units held at once, and queries written for as many."""
    stored = stored_bytes(spec)
    width = _width(stored / 2)
    per_unit = spec.max_pairs if spec.unit == DOCUMENT else 1
    each = (spec.prompt_tokens + spec.query_tokens) * width * 2 * 30 * 20 * per_unit
    # Four bytes for each number of an encoder, once more for its file; adapters are smaller than what they adapt.
    copies = 4 * spec.encoder_width**2 * (12 * spec.encoder_layers + 2) if spec.keep_weights else 0
    return int((2 if device.type == "cuda" else 4) * stored + at_once * each) + copies


def stored_bytes(spec: QueriesSpec) -> int:
    """Size of the language model's weights on the disk, two bytes a number."""
    from labkit.data.models import find_model

    return sum(file.stat().st_size for file in find_model(spec.model).folder.glob("*.safetensors"))


def _width(weights: float) -> float:
    """About how wide a transformer of so many weights is: 12 width^2 a layer, a layer for each 20 of width."""
    return (weights * 20 / 12) ** (1 / 3)
