"""The parameters of notebook 01, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec import Spec, control

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.search import Recipe, Space
    from labkit.search.space import Parent

THRESHOLD = 0.98  # of the dense parent's final selection accuracy: what "converged" means (steps to a threshold)
TRAINED = 1000  # of all candidates scored, the first so many are trained


class RandomSearchSpec(Spec):
    """Does searching for a well-initialised sparse sub-network beat drawing one at random? (2403.08265)"""

    sparsity: tuple[float, ...] = control(
        "0.5,0.9",
        "0,0.5,0.8,0.9,0.95,0.98,0.99",
        ge=0,
        lt=1,
        help="share of every hidden layer's nodes that is removed (space nodes), or of all weights (space weights)",
        low="nothing removed",
        high="hardly anything left",
    )
    budget: tuple[int, ...] = control(
        "32",
        "1000",
        ge=1,
        le=100_000,
        log=True,
        unit="candidates",
        help="sub-networks that are scored; the best one is 'found', the first 1,000 are trained",
        low="no search",
        high="a long search",
    )
    space: str = control(
        "nodes", help="what a candidate removes: whole nodes or single weights", choices=("nodes", "weights")
    )
    distribution: str = control(
        "uniform",
        help="how the weights left are spread over layers (space weights only)",
        choices=("uniform", "er", "erk"),
    )
    width: int = control(
        256, 512, ge=2, le=16_384, log=True, unit="nodes per hidden layer",
        help="width of the dense parent; channels per block for a cnn", low="narrow", high="over-wide",
    )  # fmt: skip
    depth: int = control(2, ge=1, le=16, unit="hidden layers", help="hidden layers, or convolution blocks for a cnn")
    model: str = control("mlp", help="the parent's kind", choices=("mlp", "cnn"))
    steps: int = control(
        150, 1000, ge=1, le=1_000_000, log=True, unit="steps", help="training steps of every network",
        low="hardly trained", high="trained for long",
    )  # fmt: skip
    score_after: int = control(
        0,
        ge=0,
        le=1_000_000,
        unit="steps",
        help="training steps before candidates are scored; 0 scores the initialisation",
    )
    rescale: bool = control(
        False, help="give sub-networks the scale of weights that a network of their size would start with"
    )
    learning_rate: float = control(0.05, gt=0, le=10, log=True, help="learning rate of every network (momentum 0.9)")
    batch_size: int = control(128, ge=1, le=65_536, unit="images", help="images in a step")
    evaluations: int = control(10, 20, ge=1, le=1000, help="looks at the selection split on the way, evenly spaced")
    margin: float = control(
        0.01, gt=0, lt=1, unit="accuracy", help="differences below this are called none; fixed before the run"
    )
    landscape_size: int = control(
        15, 41, ge=0, le=201, unit="points per side", help="loss landscapes of the first replicate; 0 draws none"
    )

    def recipe(self) -> Recipe:
        """How every arm is trained."""
        from labkit.search import Recipe

        return Recipe(self.steps, self.batch_size, self.learning_rate, self.evaluations)

    def parent(self, data: Split) -> Parent:
        """The dense architecture for these images."""
        from labkit.population import CNN, MLP

        classes, image = len(data.classes), tuple(data.train.x.shape[1:])
        if self.model == "cnn":
            return CNN((self.width,) * self.depth, image, classes)
        return MLP((data.train.flat.shape[1], *(self.width,) * self.depth, classes))

    def search_space(self, parent: Parent, seed: int) -> Space:
        """The sub-networks of this grid point (a Spec with one sparsity)."""
        from labkit.search import NodeSpace, WeightSpace

        (sparsity,) = self.sparsity
        if self.space == "nodes":
            return NodeSpace(parent, sparsity, seed, self.rescale)
        return WeightSpace(parent, sparsity, seed, self.rescale, self.distribution)

    def scored(self) -> int:
        """Candidates that differ: the budget, or 1 at sparsity 0, where every candidate is the parent."""
        (sparsity,), (budget,) = self.sparsity, self.budget
        return budget if sparsity > 0 else 1

    def trained(self) -> int:
        """Candidates that are trained in each data order, the found one not counted where it is beyond them."""
        return min(self.scored(), TRAINED)
