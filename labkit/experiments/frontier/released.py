"""What a network of notebook 02 is for who gets it without this lab's store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.experiments.frontier.spec import CHOSEN, DENSE, RANDOM, REPEATS, SHARED, SMALL, TUNED, FrontierSpec
from labkit.experiments.kept import data_licence, shown, units
from labkit.runs.naming import RunKey
from labkit.runs.released import Released

WORDS = {
    DENSE: "dense",
    RANDOM: "a sub-network drawn at random",
    SMALL: "small and dense from the start",
    CHOSEN: "a sub-network chosen privately",
    REPEATS: "the best of a random number of sub-networks",
}
PUBLIC = (
    "the names of the classes and the constants by which pixels are scaled",
    "how many images the training split has",
    "initial weights and masks, drawn from a seed",
)
TUNED_RATE = "its learning rate or clip norm was chosen by other trainings on the same images, not charged to epsilon"


def released(
    what: str, point: FrontierSpec, key: RunKey, results: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Released:
    """What the network of one arm is (see `Experiment.released`)."""
    from labkit.experiments.frontier.arms import SELECTION_SHARE
    from labkit.privacy import coverage

    result, kind = results.get(what, {}), what.split("-")[0]
    charged, steps = (), "the steps below"
    if kind == CHOSEN and "epsilon_spent" in result:
        share = f"{SELECTION_SHARE * point.epsilon[0]:g}"
        charged = (
            f"one choice among {int(result['candidates'])} masks, by the exponential mechanism at epsilon {share}",
        )
    if kind == REPEATS:
        steps = "a random number of trainings, of the steps below each, of which one is released by its noised score"
    tuned = point.learning_rate in (TUNED, SHARED) or point.clip_norm == TUNED
    return Released(
        what=f"a perceptron trained on {shown(point.data)}: {WORDS.get(kind, kind)}",
        arm=what,
        usage=_usage(point, shapes),
        library="pytorch",
        tags=("image-classification",),
        base="",
        licences={"data": data_licence(point.data)},
        figures={"accuracy": "test_accuracy", "mean cross-entropy": "test_loss"},
        tested_on=("test_images", "images"),
        unit="one training image",
        units=units(point.batch_size, result),
        public=PUBLIC,
        steps=steps,
        charged=charged,
        uncovered=tuple((line.what, line.why) for line in coverage.not_covered()),
        spoilt=TUNED_RATE if tuned else "",
        noise_source=point.noise_source,
    )


def _usage(point: FrontierSpec, shapes: Mapping[str, tuple[int, ...]]) -> str:
    from labkit.data import load, names

    sizes = [
        shapes[name] for name in sorted(shapes, key=lambda name: int(name.split(".")[0])) if len(shapes[name]) == 2
    ]
    layers = ", torch.nn.ReLU(), ".join(f"torch.nn.Linear({inputs}, {outputs})" for outputs, inputs in sizes)
    scaled = "scaled(pixels)  # by the constants that the data's owner declared"
    if point.data in names():
        data = load(point.data)
        scaled = f"(pixels - {data.mean!r}) / {data.std!r}  # pixels: [n, channels, height, width] from 0 to 1"
    return f"""import torch
from safetensors.torch import load_file

model = torch.nn.Sequential({layers})
model.load_state_dict(load_file("model.safetensors"))
images = {scaled}
logits = model(images.flatten(1))"""
