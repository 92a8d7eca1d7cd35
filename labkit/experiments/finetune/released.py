"""What a fine-tuned network is for who gets it without this lab's store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.experiments.finetune.spec import LORA, TUNED, FinetuneSpec
from labkit.experiments.kept import PEFT, adapter, data_licence, shown, units
from labkit.runs.naming import RunKey
from labkit.runs.released import Released

PUBLIC = (
    "the weights of the public network, and its frozen statistics",
    "the names of the classes and the constants by which pixels are scaled",
    "how many images the training split has",
)
TUNED_RATE = "its learning rate was chosen by other trainings on the same images, which epsilon does not charge"
CALLED = """logits = {model}(network.transform(pixels))  # pixels: [n, channels, height, width] from 0 to 1"""


def released(
    what: str, point: FinetuneSpec, key: RunKey, results: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Released:
    """What the weights of one method are (see `Experiment.released`)."""
    from labkit.charts import finetune_coverage
    from labkit.data.image_models import LICENCES
    from labkit.experiments.finetune.plans import SELECTION_SHARE, method_of

    result, method, base = results.get(what, {}), method_of(point), shown(point.model)
    spent = []
    if method.chooses:
        spent.append(f"{result.get('selection_steps', 0)} of the steps, whose noised sums choose the rows that move")
    if method.searches:
        share = f"{SELECTION_SHARE * point.epsilon[0]:g}" if "epsilon_spent" in result else "no"
        spent.append(f"one choice among {point.budget} sets of rows, by the exponential mechanism at epsilon {share}")
    lora = what == LORA
    return Released(
        what=f"{base} fine-tuned on {shown(point.data)}: what moves is {method.words}",
        arm=what,
        usage=_usage(base, lora, shapes),
        library="peft" if lora else "pytorch",
        tags=("image-classification",),
        base=base,
        licences={"model": LICENCES.get(point.model, "see its source"), "data": data_licence(point.data)},
        adapter=adapter(shapes, rank=point.lora_rank, alpha=point.lora_rank, base=base) if lora else {},
        figures={"accuracy": "test_accuracy", "mean cross-entropy": "test_loss"},
        tested_on=("test_images", "images"),
        unit="one training image",
        units=units(point.batch_size, result),
        public=PUBLIC,
        charged=tuple(spent),
        uncovered=tuple((line.what, line.why) for line in finetune_coverage.not_covered()),
        spoilt=TUNED_RATE if point.learning_rate == TUNED else "",
        noise_source=point.noise_source,
    )


def _usage(base: str, lora: bool, shapes: Mapping[str, tuple[int, ...]]) -> str:
    plain = {name.removeprefix(PEFT): shape for name, shape in shapes.items()}
    head = max(int(name.split(".")[0]) for name in plain)  # the last stage, alone
    begin = f"""from labkit.finetune.models import load_network

network = load_network({base!r}, {plain[f"{head}.weight"][0]})  # the public network with a head of zeros"""
    if lora:
        return f"""from peft import PeftModel
{begin}
model = PeftModel.from_pretrained(network.stages, ".").eval()
{CALLED.format(model="model")}"""
    return f"""from safetensors.torch import load_file
{begin}
network.stages.load_state_dict(load_file("model.safetensors"))
{CALLED.format(model="network.stages")}"""
