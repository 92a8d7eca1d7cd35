"""One training step as a CUDA graph: recorded once, replayed without the cost of its launches."""

from __future__ import annotations

from collections.abc import Callable

import torch


class CapturedStep:
    """Records `step`, which must touch only tensors that stay where they are; recording does not run it.

    Args:
        step: a function without arguments, already run a few times on this device.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            step()

    def replay(self) -> None:
        """Run the recorded step once more; returns before the device has finished it."""
        self.graph.replay()
