"""Adapters beside a public network's layers: nothing changes at first, then the product of B and A does, by hand."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit.errors import BadInput
from labkit.finetune.lora import adaptable, drawn, with_lora
from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.tail import Tail
from labkit.streams import stream

RANK = 2
PLAIN = ("0", "2.1", "5.1", "7.fc")
NAMES = (*PLAIN[:2], "3", "4", *PLAIN[2:])


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5, bias=False)

    def forward(self, x):
        return self.fc(x).relu()


def network(dtype=torch.float64) -> Network:
    """A convolution, one with stride and padding inside a stage, a depthwise and a dilated one, a linear layer
    on two positions and one on a vector."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stages = [
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Sequential(nn.Identity(), nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), bias=False)),
            nn.Conv2d(6, 6, 3, padding=1, groups=6),
            nn.Conv2d(6, 2, 3, padding=2, dilation=2),
            nn.Sequential(nn.Flatten(2), nn.Linear(16, 3)),
            nn.Flatten(),
            Named(),
            nn.Linear(5, 3),
        ]
        made = in_order(stages).to(dtype)
    transform = Transform((8, 8), 3, (0.0,) * 3, (1.0,) * 3)
    return Network("a model", made, "8", transform, "the head is new")


def images(dtype=torch.float64) -> torch.Tensor:
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=dtype)


def adapted(names=NAMES, seed=0, rank=RANK, dtype=torch.float64):
    return with_lora(network(dtype), rank, names, stream(seed, "lora"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_start_the_outputs_are_equal_to_the_bit(dtype):
    plain, (made, _) = network(dtype), adapted(dtype=dtype)
    assert torch.equal(made.stages(images(dtype)), plain.stages(images(dtype)))
    assert {p.dtype for p in made.stages.parameters()} == {dtype}


def test_what_moves_by_name_and_count():
    """Rank 2: (3 * 9 + 4) + (4 * 6 + 6) + (16 + 3) + (6 + 5) times 2 numbers."""
    made, moving = adapted()
    assert moving == tuple(f"{name}.lora_{half}.default.weight" for name in PLAIN for half in "AB")
    own = made.parameters()
    assert sum(own[name].numel() for name in moving) == RANK * ((27 + 4) + (24 + 6) + (16 + 3) + (6 + 5))
    assert {name for name in own if "lora" in name} == set(moving)
    assert not any(p.requires_grad for p in made.stages.parameters())  # who trains it says what moves
    assert not any(module.training for module in made.stages.modules())


def by_hand(made: Network, moving) -> torch.Tensor:
    """The network with W + B A in place of W, of a plain copy."""
    plain, own = network(), made.parameters()
    with torch.no_grad():
        for name in PLAIN:
            a, b = (own[f"{name}.lora_{half}.default.weight"] for half in "AB")
            layer = plain.stages.get_submodule(name)
            layer.weight.add_(torch.einsum("or,r...->o...", b.flatten(1), a))
    return plain.stages(images())


def test_moved_b_changes_the_weights_by_its_product_with_a():
    """The scale is 1: alpha is the rank."""
    made, moving = adapted()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in made.stages.named_parameters():
            if ".lora_B." in name:
                value.copy_(torch.randn(value.shape, generator=generator))
    found = made.stages(images())
    assert not torch.allclose(found, network().stages(images()), atol=1e-2)
    assert torch.allclose(found, by_hand(made, moving), atol=1e-12)


def test_the_given_network_stays_as_it_was():
    given = network()
    before = given.parameters()
    made, _ = with_lora(given, RANK, NAMES, stream(0, "lora"))
    assert list(given.parameters()) == list(before)
    ours = {tensor.data_ptr() for tensor in given.stages.parameters()}
    assert not ours & {tensor.data_ptr() for tensor in made.stages.parameters()}
    assert made.head == given.head
    assert made.classes == given.classes


def test_depthwise_and_dilated_convolutions_are_left_out_and_said():
    made, moving = adapted()
    assert not any(name.startswith(("3.", "4.")) for name in moving)
    assert made.said == (
        "the head is new; adapters of rank 2 stand beside 4 layers; none beside 3, 4: convolutions with groups or "
        "dilation"
    )
    assert "none" not in adapted(PLAIN)[0].said
    assert not adaptable(nn.Conv2d(4, 8, 3, groups=2))  # whatever its groups
    with pytest.raises(BadInput, match=r"lora on 3, 4.* without groups"):
        adapted(("3", "4"))


def test_a_name_is_one_layer_and_not_all_that_end_like_it():
    """In a list, peft takes "1" for 2.1 as well, and a point in a pattern for any letter."""
    with torch.random.fork_rng():
        stages = [nn.Flatten(), nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 2)]
        named = Network("a model", in_order(stages), "3", Transform((2, 2), 1, (0.0,), (1.0,)))
    for name in ("1", "2.1"):
        made, moving = with_lora(named, RANK, [name], stream(0))
        assert {n for n in made.parameters() if "lora" in n} == set(moving)
        assert all(n.startswith(f"{name}.lora_") for n in moving)


def test_a_is_uniform_within_its_bound_and_of_its_generator():
    """Bound 1 / sqrt(inputs), of a convolution its patch's; 27 and 6 inputs."""
    made, moving = adapted()
    own = made.parameters()
    for name, inputs in (("0", 27), ("7.fc", 6)):
        a = own[f"{name}.lora_A.default.weight"]
        assert 0.5 * inputs**-0.5 < float(a.abs().max()) <= inputs**-0.5
        assert not own[f"{name}.lora_B.default.weight"].any()
    same, other = adapted()[0].parameters(), adapted(seed=1)[0].parameters()
    firsts = [name for name in moving if ".lora_A." in name]
    assert all(torch.equal(own[name], same[name]) for name in moving)
    assert not any(torch.equal(own[name], other[name]) for name in firsts)
    again = drawn(made, moving, stream(0, "lora"))
    assert all(torch.equal(again[name].double(), own[name]) for name in moving)
    wide = drawn(*with_lora(network(), 64, ["0"], stream(0)), stream(0))["0.lora_A.default.weight"]
    assert float(wide.std()) == pytest.approx((27 * 3) ** -0.5, rel=0.06)  # 1,728 numbers: sd 1.1 %


def test_no_global_randomness_is_used():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    adapted()
    assert torch.equal(torch.get_rng_state(), before)


def test_no_warning_is_raised():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted()


def test_a_population_of_adapters_has_the_gradients_of_single_examples():
    """What a private fine-tune clips: adapters and head of each example, against autograd, one at a time."""
    made, moving = adapted()
    with torch.no_grad():
        for name, value in made.stages.named_parameters():
            if ".lora_B." in name:
                value.fill_(0.1)
    whole = [*moving, "8.weight", "8.bias"]
    tail, y = Tail(made, whole), torch.tensor([0, 1, 2, 0, 1])
    assert list(tail.shapes()) == [name for name in made.parameters() if name in whole]
    params, clip = tail.start({}), 0.5
    out = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    tail.clipped_sum(
        params, tail.features(images()), y, out, clip=torch.tensor([clip], dtype=torch.float64),
        weight=torch.ones(1, 5, dtype=torch.float64), fresh=True,
    )  # fmt: skip
    held = {name: p.requires_grad_() for name, p in made.stages.named_parameters() if name in whole}
    total = {name: torch.zeros_like(p) for name, p in held.items()}
    for image, label in zip(images(), y, strict=True):
        loss = F.cross_entropy(made.stages(image[None]), label[None])
        gradient = dict(zip(held, torch.autograd.grad(loss, list(held.values())), strict=True))
        norm = float(sum(g.square().sum() for g in gradient.values())) ** 0.5
        for name, g in gradient.items():
            total[name] += g * min(1.0, clip / norm)
    for name, expected in total.items():
        assert torch.allclose(out[name][0], expected, atol=1e-6), name


@pytest.mark.parametrize(
    ("rank", "names", "said"),
    [
        (0, PLAIN, "lora_rank = 0"),
        (RANK, ("0", "9"), "layers = '9' .* a model besides its head: 0, 2.1"),
        (RANK, ("0", "8"), "layers = '8'"),
        (RANK, (), "lora on no layer"),
    ],
)
def test_what_cannot_be_adapted_is_refused(rank, names, said):
    with pytest.raises(BadInput, match=said):
        with_lora(network(), rank, names, stream(0))
