"""The parameters of notebook 02, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec import Spec, control

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.population import MLP
    from labkit.search import Space

CLIPPED, PLAIN = "clipped", "plain"
DENSE, RANDOM, SMALL, CHOSEN, REPEATS, SIMULATED = "dense", "random", "small", "chosen", "repeats", "simulated"  # arms
TUNED, SHARED = "tuned", "shared"


class FrontierSpec(Spec):
    """What does an epsilon cost in accuracy, for whom, and does sparsity pay some of it back?"""

    epsilon: tuple[float | str, ...] = control(
        "0.5,2,8,clipped,plain",
        "0.25,0.5,1,2,4,8,clipped,plain",
        kind="float", gt=0, le=1000, log=True, words=(CLIPPED, PLAIN),
        help="privacy loss of a trained network; clipped: clipped gradients without noise, plain: neither",
        low="strong privacy, much noise", high="weak privacy, little noise",
    )  # fmt: skip
    delta: float = control(
        0.0, ge=0, lt=1, help="probability that epsilon may fail by; 0 for the smaller of 1e-5 and 1/(10 n)"
    )
    sparsity: tuple[float, ...] = control(
        "0,0.9", "0,0.5,0.8,0.9,0.95", ge=0, lt=1,
        help="share of every hidden layer's nodes that is removed (space nodes), or of all weights (space weights)",
        low="nothing removed", high="hardly anything left",
    )  # fmt: skip
    space: tuple[str, ...] = control(
        "nodes",
        "nodes,weights",
        help="what a mask removes: whole nodes or single weights",
        choices=("nodes", "weights"),
    )
    budget: int = control(
        32, 1000, ge=1, le=100_000, log=True, unit="candidates",
        help="masks that the private selection chooses from (space nodes)", low="no search", high="a long search",
    )  # fmt: skip
    repeats: float = control(
        3.0, 10.0, ge=1, le=100, unit="trainings on average",
        help="mean number of private repeats; the number itself stays secret (space nodes)",
    )  # fmt: skip
    clip_norm: float | str = control(
        1.0, TUNED, kind="float", gt=0, le=1000, log=True, words=(TUNED,),
        help="L2 norm that each example's gradient is clipped to; tuned: each arm its own, among 0.25, 1, 4 and beyond",
    )  # fmt: skip
    batch_size: int = control(
        128, 256, ge=1, le=1_000_000, unit="images", help="expected batch: an image joins with this over n"
    )
    steps: int = control(
        150, 400, ge=1, le=100_000, log=True, unit="steps", help="training steps of every network",
        low="little spent, little learned", high="the budget spread thinly",
    )  # fmt: skip
    width: int = control(64, 256, ge=2, le=16_384, log=True, unit="nodes per hidden layer", help="width of the network")
    depth: int = control(2, ge=1, le=16, unit="hidden layers", help="hidden layers")
    learning_rate: float | str = control(
        TUNED, kind="float", gt=0, le=1000, words=(TUNED, SHARED),
        help="tuned: each arm its own, with the shared one beside it; shared: the dense network's; or a number for all",
    )  # fmt: skip
    rates: int = control(6, 12, ge=3, le=50, help="learning rates tried for each arm, evenly spaced on a log scale")
    tuning_seeds: int = control(2, 3, ge=1, le=100, help="seeds that the tuning uses, others than the reported ones")
    thin_class: str = control("", help="a class of which a tenth is kept for training; empty for none")
    noise_source: str = control(
        "seeded", help="seeded: reproducible, for teaching; os: from the operating system", choices=("seeded", "os")
    )
    evaluations: int = control(5, 10, ge=1, le=1000, help="looks at the selection split on the way, evenly spaced")
    audit_runs: int = control(
        200, 4000, ge=0, le=1_000_000, unit="runs in each world", help="shadow networks of the audit; 0 for no audit"
    )
    margin: float = control(
        0.01, gt=0, lt=1, unit="accuracy", help="differences below this are called none; fixed before the run"
    )
    landscape_size: int = control(
        15, 41, ge=0, le=201, unit="points per side", help="loss landscapes of the first replicate; 0 draws none"
    )
    keep_weights: bool = control(
        False, hashed=False, stored=True, help="store the trained weights of each run, for `labkit export --weights`"
    )

    def dense(self, data: Split) -> MLP:
        """The dense network for these images."""
        from labkit.population import MLP

        return MLP((data.train.flat.shape[1], *(self.width,) * self.depth, len(data.classes)))

    def looks(self) -> list[int]:
        """The steps after which the selection split is evaluated."""
        count = min(self.evaluations, self.steps)
        return [self.steps * (i + 1) // count for i in range(count)]

    def budgets(self) -> tuple[int, ...]:
        """Numbers of candidates that the private selection is run with, the last one the budget."""
        return tuple(sorted({max(2, round(self.budget ** (i / 3))) for i in (1, 2, 3)})) if self.budget > 1 else ()


def search_space(arch: MLP, space: str, sparsity: float, seed: int) -> Space:
    """The masked networks of one parent."""
    from labkit.search import NodeSpace, WeightSpace

    return NodeSpace(arch, sparsity, seed) if space == "nodes" else WeightSpace(arch, sparsity, seed)
