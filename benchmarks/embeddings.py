"""A private step on large embedding tables: DP-AdaFEST against dense DP-SGD, LazyDP and Opacus, by vocabulary."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import RUNS, Row, report, seconds
from labkit.device import resolve
from labkit.embeddings.mechanism import Method
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.privacy import Plan
from labkit.streams import stream

DIM, BATCH, COLUMNS, EXAMPLES, HIDDEN = 64, 2048, 26, 65_536, (64,)
EXPONENT, THRESHOLD, FRACTION, SIGMA = 1.1, 5.0, 0.5, 1.0
SIZES = {"cuda": (10**5, 10**6, 10**7, 10**8), "cpu": (10**5, 10**6)}
TARGETS = {("cuda", 10**7): (10, 40), ("cuda", 10**8): (100, 400), ("cpu", 10**6): (20, None)}
STEPS = {"adafest": 50, "lazydp": 50, "dpsgd": 5}
GHOST_UP_TO = 10**6  # rows: Opacus holds several dense gradients of the table


def power_law_ids(rows: int, generator: np.random.Generator) -> Tensor:
    """int64 [EXAMPLES, COLUMNS]: COLUMNS equal vocabularies, the i-th most frequent id with a share of i^-EXPONENT."""
    size = rows // COLUMNS
    shares = np.arange(1, size + 1, dtype=np.float64) ** -EXPONENT
    ids = np.searchsorted(shares.cumsum() / shares.sum(), generator.random((EXAMPLES, COLUMNS)))
    return torch.from_numpy(np.minimum(ids, size - 1) + np.arange(COLUMNS) * size)


def trainer(name: str, table: Tensor, ids: Tensor, labels: Tensor, steps: int) -> EmbeddingTrainer:
    """One mechanism on tables that the others move too: only time is measured."""
    plan = Plan.noised(noise_multiplier=SIGMA, examples=EXAMPLES, batch_size=BATCH, steps=steps, clip_norm=1.0)
    device = table.device
    tower = Tower(COLUMNS, DIM, HIDDEN, generator=stream(0, "benchmark"), device=device)
    method = Method(name=name, selection_fraction=FRACTION, threshold=THRESHOLD)
    return EmbeddingTrainer(
        tower, table, ids, labels, torch.arange(EXAMPLES, device=device)[:, None], plan, method,
        learning_rate=0.1, draw_key=1, noise_key=2, tf32=True, capture=device.type == "cuda",
    )  # fmt: skip


class Clicks(nn.Module):
    """The same network as Opacus takes it: one table, looked up once."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table, self.first = nn.Embedding(rows, DIM), nn.Linear(COLUMNS * DIM, HIDDEN[0])
        self.last = nn.Linear(HIDDEN[0], 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.last(self.first(self.table(ids).flatten(1)).relu())


def ghost(rows: int, ids: Tensor, labels: Tensor) -> float:
    """Seconds of a step of Opacus with ghost clipping, on fixed batches of the expected size."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    module = Clicks(rows).to(ids.device)
    wrapped = GradSampleModuleFastGradientClipping(module, max_grad_norm=1.0, use_ghost_clipping=True)
    optimiser = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), 0.1), noise_multiplier=SIGMA, max_grad_norm=1.0, expected_batch_size=BATCH
    )
    loss = DPLossFastGradientClipping(wrapped, optimiser, nn.CrossEntropyLoss())

    def step() -> None:
        optimiser.zero_grad()
        loss(wrapped(ids[:BATCH]), labels[:BATCH]).backward()
        optimiser.step()

    step()
    return statistics.median(seconds(step, ids.device) for _ in range(RUNS))


def at_size(rows: int, device: torch.device) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds a step of every mechanism, and what was counted beside."""
    generator = np.random.default_rng(0)
    ids = power_law_ids(rows, generator).to(device)
    labels = torch.from_numpy(generator.integers(0, 2, EXAMPLES)).to(device)
    wanted = {name: count if device.type == "cuda" else max(1, count // 10) for name, count in STEPS.items()}
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    table = torch.zeros(rows // COLUMNS * COLUMNS, DIM, device=device)
    held = {"adafest": trainer("adafest", table, ids, labels, (RUNS + 3) * wanted["adafest"])}
    held["adafest"].advance(wanted["adafest"])
    counted = {}
    if device.type == "cuda":
        torch.cuda.synchronize()
        counted["peak"] = (torch.cuda.max_memory_allocated() - before) / (table.numel() * 4)
    for name in ("lazydp", "dpsgd"):
        held[name] = trainer(name, table, ids, labels, (RUNS + 3) * max(wanted[name], 12))
        held[name].advance(12 if device.type == "cuda" else 1)  # past the eager steps, into the captured one
    times: dict[str, list[float]] = {name: [] for name in held}
    for _ in range(RUNS):
        for name, one in held.items():
            times[name].append(seconds(lambda one=one, name=name: one.advance(wanted[name]), device) / wanted[name])
    mechanism = held["adafest"].mechanism
    done = mechanism.survivors[: held["adafest"].done].float()
    counted |= {"survivors": float(done.mean()), "touched": float(mechanism.touched[: len(done)].float().mean())}
    counted["rows"] = len(table)
    medians = {name: statistics.median(values) for name, values in times.items()}
    del held, mechanism
    if rows <= GHOST_UP_TO:
        medians["ghost"] = ghost(len(table), ids, labels)
    return medians, counted


def main() -> None:
    device, start = resolve("auto"), time.perf_counter()
    rows, flat = [], {}
    for size in SIZES[device.type]:
        times, counted = at_size(size, device)
        ours, flat[size] = times["adafest"], times["adafest"]
        note = f"{1e3 * ours:.3f} ms; survivors {counted['survivors']:,.0f} of {counted['touched']:,.0f} touched:"
        note += f" {counted['rows'] / max(counted['survivors'], 1):,.0f} times fewer numbers"
        if "peak" in counted:
            note += f"; peak memory {counted['peak']:.2f} of the table"
        for peer in ("dpsgd", "ghost", "lazydp"):
            if peer in times:
                goal = TARGETS.get((device.type, size), (None, None)) if peer == "dpsgd" else (None, None)
                what = f"DP-AdaFEST step, vocabulary {size:,}"
                said = note if peer == "dpsgd" else ""
                label = {"dpsgd": "dense DP-SGD", "ghost": "Opacus ghost", "lazydp": "LazyDP"}[peer]
                rows.append(Row(what, label, "steps/s", 1 / ours, 1 / times[peer], *goal, said))
    report(
        f"Sparse embeddings: {COLUMNS} columns of dim {DIM}, batch {BATCH}, ids of a power law of exponent {EXPONENT},"
        f" threshold {THRESHOLD:g}, f {FRACTION:g}, sigma {SIGMA:g}",
        rows,
    )
    print(f"slowest size over fastest: {max(flat.values()) / min(flat.values()):.2f} (target: at most 1.2)")
    print(f"({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
