"""Weights as they are stored, and what of a Spec may stand on a card."""

from __future__ import annotations

import re

import pytest
import torch

from labkit.experiments.kept import adapter, kept, shown


def test_by_hand_float32_and_whole_numbers_as_they_are():
    half = torch.tensor([1.5, -0.25], dtype=torch.bfloat16)
    given = {"weight": half.requires_grad_(), "bias": torch.ones(2), "places": torch.tensor([3, 4])}
    made = kept("encoder", given)
    assert made.key == "weights encoder"
    assert made.tensors["weight"].dtype == torch.float32
    assert made.tensors["weight"].tolist() == [1.5, -0.25]
    assert made.tensors["places"].dtype == torch.int64
    given["bias"].zero_()  # who trains on does not move what was kept
    given["places"].zero_()
    assert (made.tensors["bias"].tolist(), made.tensors["places"].tolist()) == ([1.0, 1.0], [3, 4])


def test_peft_adapts_the_layers_that_have_adapters_and_no_other():
    names = [f"base_model.model.layers.1.q.lora_{half}.weight" for half in "AB"]
    head = [f"base_model.model.13.{kind}" for kind in ("weight", "bias")]
    fields = adapter([*names, *head], rank=4, alpha=8.0, base="tiny")
    assert (fields["r"], fields["lora_alpha"], fields["base_model_name_or_path"]) == (4, 8.0, "tiny")
    assert fields["modules_to_save"] == ["13"]
    assert re.fullmatch(fields["target_modules"], "layers.1.q")
    assert not re.fullmatch(fields["target_modules"], "layers.11.q")
    assert not re.fullmatch(fields["target_modules"], "other.layers.1.q")
    assert adapter(names, rank=4, alpha=8.0, base="tiny")["modules_to_save"] is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist_5k", "mnist_5k"), ("hub:OWNER/NAME", "hub:OWNER/NAME"), ("/home/somebody/models/mine/", "mine"),
        ("~/mine.npz", "mine.npz"), ("C:\\Users\\somebody\\mine.npz", "mine.npz"),
    ],
)  # fmt: skip
def test_of_a_path_the_last_part_alone_is_shown(name, said):
    assert shown(name) == said
