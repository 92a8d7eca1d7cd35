"""Random search over the sub-networks of one parent (2403.08265)."""

from labkit.search.learn import Learned, Recipe, learn, steps_to
from labkit.search.pace import advance
from labkit.search.score import best, fits, score
from labkit.search.space import Candidates, NodeSpace, Space, WeightSpace, hidden_sizes

__all__ = [
    "Candidates",
    "Learned",
    "NodeSpace",
    "Recipe",
    "Space",
    "WeightSpace",
    "advance",
    "best",
    "fits",
    "hidden_sizes",
    "learn",
    "score",
    "steps_to",
]
