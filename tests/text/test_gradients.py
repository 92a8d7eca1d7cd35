"""Per-unit gradients of adapters: against one unit at a time, Opacus, and the plain gradient."""

from __future__ import annotations

import pytest
import torch
from opacus.grad_sample import GradSampleModule
from text_world import adapters, examples

from labkit.errors import BadInput
from labkit.text.gradients import Examples, compiled_layers, mean_token_loss, summed_gradient, unit_gradients
from labkit.text.language import Tokens
from labkit.text.lora import Adapters


def one_at_a_time(made: Adapters, data: Examples, unit: int) -> dict[str, torch.Tensor]:
    """The unit's gradient by ordinary backward passes, a pair at a time."""
    total = {name: torch.zeros_like(layer.weight) for name, layer in made.layers.items()}
    for pair in data.units[unit].tolist():
        if pair >= 0:
            row = torch.tensor([pair])
            loss = mean_token_loss(made, data.prompts.rows(data.documents[row]), data.queries.rows(row)).sum()
            found = torch.autograd.grad(loss, [layer.weight for layer in made.layers.values()])
            for name, gradient in zip(total, found, strict=True):
                total[name] += gradient
    return total


def test_a_queries_loss_is_the_mean_over_its_own_tokens() -> None:
    """By hand: two tokens of four equally likely ones cost log 4 each, whatever padding follows them."""
    made = adapters("llama")
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.zero_()  # every token is equally likely
    data = examples(4)
    losses = mean_token_loss(made, data.prompts.rows(data.documents), data.queries)
    torch.testing.assert_close(losses, torch.full((4,), torch.tensor(50.0).log()), rtol=1e-6, atol=0, check_dtype=False)


@pytest.mark.parametrize("per_unit", [1, 3])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_against_one_unit_at_a_time_in_float64(kind: str, per_unit: int) -> None:
    made, data = adapters(kind), examples(12, per_unit)
    found, losses = unit_gradients(made, data, torch.arange(len(data.units)))
    assert losses.shape == (len(data.units),)
    for unit in range(len(data.units)):
        for name, gradient in one_at_a_time(made, data, unit).items():
            torch.testing.assert_close(found[name][unit], gradient, rtol=0, atol=1e-9)


def test_neighbours_in_the_batch_change_nothing() -> None:
    made, data = adapters("llama"), examples(12)
    together, _ = unit_gradients(made, data, torch.arange(12))
    some, _ = unit_gradients(made, data, torch.tensor([7, 3]))
    for name in together:
        torch.testing.assert_close(some[name], together[name][[7, 3]], rtol=0, atol=1e-9)


def test_against_opacus() -> None:
    made, data = adapters("llama", torch.float32), examples(6)
    found, _ = unit_gradients(made, data, torch.arange(6))
    wrapped = GradSampleModule(made.model, loss_reduction="sum")
    with pytest.warns(UserWarning, match="Full backward hook"):  # frozen embeddings give the first layer no gradient
        mean_token_loss(made, data.prompts.rows(data.documents), data.queries).sum().backward()
    for name, layer in made.layers.items():
        torch.testing.assert_close(found[name], layer.weight.grad_sample, rtol=1e-4, atol=1e-6)
    wrapped.remove_hooks()


def test_the_sum_is_the_plain_gradient() -> None:
    made, data = adapters("llama"), examples(12, 3)
    units, weight = torch.arange(4), torch.tensor([1.0, 0.0, 1.0, 1.0])
    found, losses = unit_gradients(made, data, units)
    out = {name: torch.zeros_like(layer.weight) for name, layer in made.layers.items()}
    plain = summed_gradient(made, data, units, weight, out)
    torch.testing.assert_close(plain, losses)
    for name in out:
        torch.testing.assert_close(out[name], found[name][[0, 2, 3]].sum(0))


def test_weights_keep_no_gradient_and_layers_no_copies() -> None:
    made, data = adapters("llama"), examples(4)
    unit_gradients(made, data, torch.arange(4))
    assert all(layer.copies is None and layer.weight.grad is None for layer in made.layers.values())
    assert all(weight.grad is None and not weight.requires_grad for weight in made.frozen())


def test_adapters_start_as_the_model_itself_and_follow_their_seed() -> None:
    made, data = adapters("llama"), examples(4)
    prompts, queries = data.prompts.rows(data.documents), data.queries
    made.restart(3)
    started = {name: layer.weight.clone() for name, layer in made.layers.items()}
    with_adapters = mean_token_loss(made, prompts, queries)
    with torch.no_grad():
        for layer in made.layers.values():
            layer.weight.zero_()
    torch.testing.assert_close(mean_token_loss(made, prompts, queries), with_adapters, rtol=0, atol=0)
    made.restart(3)
    assert all(torch.equal(layer.weight, started[name]) for name, layer in made.layers.items())
    made.restart(4)
    assert any(not torch.equal(layer.weight, started[name]) for name, layer in made.layers.items())


@pytest.mark.parametrize(
    ("kind", "targets", "words"),
    [
        ("llama", "nothing_like_it", "names of the model's linear layers"),
        ("llama", "embed_tokens", "model.embed_tokens.lora_embedding_A.default would be trained too"),
    ],
)
def test_targets_that_cannot_be_adapted_are_refused(kind: str, targets: str, words: str) -> None:
    with pytest.raises(BadInput, match="lora_targets") as caught:
        adapters(kind, targets=targets)
    assert words in str(caught.value)


def test_named_targets_alone_are_adapted() -> None:
    made = adapters("llama", targets="q_proj; v_proj")
    assert {name.split(".")[-2] for name in made.layers} == {"q_proj", "v_proj"}
    assert len(made.layers) == 2 * 2 * 2  # layers, targets, A and B


@pytest.mark.filterwarnings("default")  # torch.compile warns of itself, in words that change with its version
def test_compiled_layers_give_the_same_gradients_and_leave_no_trace() -> None:
    """Traced as on CUDA, without the code generator; the layer at the front is left as it is."""
    made, data = adapters("llama"), examples(12, 3)
    expected, _ = unit_gradients(made, data, torch.arange(4))
    with compiled_layers(made, backend="aot_eager"):
        found, _ = unit_gradients(made, data, torch.arange(4))
        assert ["forward" in vars(layer) for layer in made.model.model.layers] == [False, True]
    assert not any("forward" in vars(layer) for layer in made.model.model.layers)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # torch.compile warns of itself, in words that change with its version
def test_on_cuda_in_bfloat16_and_compiled() -> None:
    made, data = adapters("llama", torch.float32, "cuda"), examples(12, device="cuda")
    exact, _ = unit_gradients(adapters("llama", torch.float64), examples(12), torch.arange(12))
    found, _ = unit_gradients(made, data, torch.arange(12, device="cuda"))
    with compiled_layers(made):
        fused, _ = unit_gradients(made, data, torch.arange(12, device="cuda"))
    half, _ = unit_gradients(adapters("llama", torch.bfloat16, "cuda"), data, torch.arange(12, device="cuda"))
    for name in exact:
        torch.testing.assert_close(found[name].cpu().double(), exact[name], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(fused[name], found[name], rtol=1e-3, atol=1e-5)
        apart = (half[name].cpu().double() - exact[name]).norm() / exact[name].norm()
        # Rounding to 8 bits adds up on the way back: the first layer's A, below all others, is furthest off.
        assert apart < 0.3, name
    assert isinstance(data.prompts, Tokens)
