"""The three controls of notebook 00, and the random search behind them."""

from __future__ import annotations

from labkit.experiments.frontier.spec import FrontierSpec
from labkit.experiments.random_search import RandomSearchSpec
from labkit.spec import Spec, control

SETTINGS = {"width": 128, "steps": 80, "evaluations": 8, "landscape_size": 0}
PRIVATE, PRIVATE_RANDOM = "private", "private-random"


class TourSpec(Spec):
    """What do the three controls do?"""

    sparsity: tuple[float, ...] = control("0.5,0.9", "0.5,0.8,0.9,0.95", **RandomSearchSpec.described("sparsity"))
    budget: tuple[int, ...] = control("16", "64", **RandomSearchSpec.described("budget"))
    epsilon: tuple[float | str, ...] = control("2", "0.5,2,8", **FrontierSpec.described("epsilon"))

    @property
    def margin(self) -> float:
        """Differences in accuracy below this are called none."""
        return self.search().margin

    def search(self) -> RandomSearchSpec:
        """The same question without privacy, with everything else set to small values."""
        common = {name: getattr(self, name) for name in type(self).controls() if name != "epsilon"}
        return RandomSearchSpec.of(**(common | SETTINGS))
