"""Which parts of a network stay: masks and sub-networks drawn from a seed."""

from labkit.sparsity.densities import DISTRIBUTIONS
from labkit.sparsity.nodes import draw_nodes, kept_counts, node_masks
from labkit.sparsity.weights import draw_weights, kept_weights

__all__ = [
    "DISTRIBUTIONS",
    "draw_nodes",
    "draw_weights",
    "kept_counts",
    "kept_weights",
    "node_masks",
]
