"""DP LoRA fine-tuning of a language model against Opacus hooks and our own plain step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.common import Row, interleaved, report, seconds
from labkit.data.models import ModelFiles
from labkit.device import resolve
from labkit.privacy import Plan
from labkit.text.gradients import Examples, mean_token_loss
from labkit.text.language import Language, Tokens
from labkit.text.lora import Adapters
from labkit.text.tuning import PrivateTuner

# SmolLM2-135M's shape; the speed does not depend on the numbers in it, so that nothing has to be fetched.
SMOLLM2 = {
    "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True,
}  # fmt: skip
SMALL = {**SMOLLM2, "vocab_size": 2048, "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 4}  # fmt: skip
PROMPT, QUERY, RANK, CLIP = 56, 16, 16, 1.0
WARM_UP = 3  # steps, in which layers are compiled and a graph is recorded
PEER_MICRO = 256  # what Opacus' hooks hold at once; more gains nothing


def language(shape: dict[str, object], device: torch.device, dtype: torch.dtype, seed: int = 0) -> Language:
    """A model of this shape with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**shape)).to(device, dtype).eval()
    return Language(model, None, False, ModelFiles("random", Path(), "", ""))


def examples(count: int, vocabulary: int, device: torch.device) -> Examples:
    """Random prompts of the full length and queries of 4 to 16 tokens."""
    generator = torch.Generator().manual_seed(0)
    prompts = Tokens(
        torch.randint(3, vocabulary, (count, PROMPT), generator=generator), torch.ones(count, PROMPT).bool()
    )
    lengths = torch.randint(4, QUERY + 1, (count, 1), generator=generator)
    ids = torch.randint(3, vocabulary, (count, QUERY), generator=generator)
    queries = Tokens(ids, torch.arange(QUERY) < lengths)
    rows = torch.arange(count, device=device)
    return Examples(prompts.to(device), queries.to(device), rows, rows[:, None])


def tuner(adapters: Adapters, data: Examples, batch: int, micro: int, *, private: bool, fast: bool) -> PrivateTuner:
    """Ours, with DP or plainly; `fast` as users get it on CUDA."""
    common = {"examples": len(data.units), "batch_size": batch, "steps": 100}
    plan = (
        Plan.noised(noise_multiplier=1.0, clip_norm=CLIP, **common)
        if private
        else Plan.nonprivate("plain: the peer", **common)
    )
    return PrivateTuner(adapters, data, plan, learning_rate=1e-3, draw_key=0, noise_key=0, micro_batch=micro, fast=fast)


class OpacusHooks:
    """The same model, adapters and loss under Opacus' hooks, a logical batch at a time."""

    def __init__(self, adapters: Adapters, data: Examples, batch: int, micro: int) -> None:
        self.adapters, self.data, self.batch, self.micro = adapters, data, batch, micro
        self.wrapped = GradSampleModule(adapters.model)
        weights = [layer.weight for layer in adapters.layers.values()]
        self.optimizer = DPOptimizer(
            torch.optim.Adam(weights, lr=1e-3), noise_multiplier=1.0, max_grad_norm=CLIP, expected_batch_size=batch
        )
        self.wrapped.train()

    def step(self) -> None:
        """One logical batch in micro-batches."""
        self.optimizer.zero_grad()
        starts = range(0, self.batch, self.micro)
        for start in starts:
            self.optimizer.signal_skip_step(start != starts[-1])
            rows = torch.arange(start, start + self.micro, device=self.data.units.device)
            prompts, queries, _ = self.data.pairs(rows)
            # Opacus multiplies by the batch again: it supposes a mean.
            mean_token_loss(self.adapters, prompts, queries).mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device, dtype=dtype).unbind()
    (median,) = interleaved(device, lambda: left @ right)
    return 2 * size**3 / median


def training(device: torch.device, shape: dict[str, object], dtype: torch.dtype, batch: int, micro: int) -> list[Row]:
    """Examples a second: ours compiled (on CUDA) and as it is, plain and with DP, and Opacus hooks."""
    data = examples(4 * batch, shape["vocab_size"], device)
    rates: dict[str, float] = {}

    def measured(name: str, work: Callable[[], object]) -> None:
        (median,) = interleaved(device, work)
        rates[name] = batch / median
        peak = f", {torch.cuda.memory_reserved() / 2**30:.1f} GiB reserved" if device.type == "cuda" else ""
        print(f"{name}: {rates[name]:,.0f} examples/s{peak}", file=sys.stderr, flush=True)

    adapters = Adapters(language(shape, device, dtype), rank=RANK, seed=0)
    ways = {"eager": False} | ({"compiled": True} if device.type == "cuda" else {})
    for how, fast in ways.items():
        for kind in ("DP", "plain"):
            ours = tuner(adapters, data, batch, micro, private=kind == "DP", fast=fast)
            first = seconds(lambda ours=ours: ours.advance(WARM_UP), device)
            print(f"{how}, {kind}: the first {WARM_UP} steps take {first:.1f} s", file=sys.stderr, flush=True)
            measured(f"{how}, {kind}", lambda ours=ours: ours.advance(1))
            del ours
    peer = OpacusHooks(adapters, data, batch, PEER_MICRO)
    measured("Opacus hooks", peer.step)
    weights = sum(parameter.numel() for parameter in adapters.model.parameters())
    floor = matmul_rate(device, dtype) / (6 * weights * (PROMPT + QUERY))
    what = f"DP LoRA rank {RANK}, {weights / 1e6:.1f} M parameters, {PROMPT + QUERY} tokens, batch {batch}"
    rows = []
    for how in ways:
        dp, plain = rates[f"{how}, DP"], rates[f"{how}, plain"]
        beside = f"plain {plain:,.0f}: DP takes {plain / dp:.2f}x its time (target 1.2x); {dp / floor:.0%} of the floor"
        rows.append(Row(f"{what}, {how}", "Opacus hooks", "examples/s", dp, rates["Opacus hooks"], 5.0, None, beside))
    print(f"arithmetic floor, 6 x parameters x tokens: {floor:,.0f} examples/s")
    return rows


def main() -> None:
    device = resolve("auto")
    start = time.perf_counter()
    if device.type == "cuda":
        rows = training(device, SMOLLM2, torch.bfloat16, 1024, 512)
    else:
        rows = training(device, SMALL, torch.float32, 64, 64)
    report("Private fine-tuning of a language model", rows)
    print(f"({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
