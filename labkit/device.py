"""The device a run computes on: which one, what it is called, how much memory and speed it has."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from labkit.errors import BadInput

if TYPE_CHECKING:
    import torch

CGROUP = Path("/sys/fs/cgroup")


def resolve(name: str) -> torch.device:
    """The device that `name` stands for: "auto" is CUDA where it is usable and the CPU elsewhere.

    Raises:
        BadInput: "cuda" where no CUDA device is usable, or a name that is none of auto, cpu, cuda.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise BadInput("device", name, "one of auto, cpu, cuda")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if name == "cuda":
        raise BadInput("device", name, "auto or cpu: no CUDA device is usable here")
    return torch.device("cpu")


def describe(device: torch.device) -> str:
    """The name of the card, or the CPU's model and the number of cores this process may use."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_model()}, {cores()} cores"


def memory_free(device: torch.device) -> int:
    """Bytes that may still be allocated: of the card, or of the machine within this process's cgroup limit."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    left = psutil.virtual_memory().available
    bound = cgroup_left(CGROUP)
    return left if bound is None else min(left, bound)


def card(device: torch.device) -> str:
    """A CUDA card's own id: the same in every process, whichever cards that one sees."""
    import torch

    return str(torch.cuda.get_device_properties(device).uuid)


def cards(name: str, most: int | None = None) -> list[torch.device]:
    """The CUDA cards that processes of a run on this device may be dealt out to: all that are visible, or the first.

    Args:
        name: as for `resolve`; none where it stands for the CPU.
        most: how many at most.

    Raises:
        BadInput: as `resolve`.
    """
    import torch

    if resolve(name).type != "cuda":
        return []
    count = torch.cuda.device_count()
    return [torch.device("cuda", number) for number in range(count if most is None else min(most, count))]


def free_memory(device: torch.device, error: BaseException | None = None) -> None:
    """Give memory of a card back to other processes: what no tensor needs any more; on a CPU nothing.

    Args:
        error: on its way up. It would keep what the functions that it has left worked with: their locals are dropped.
    """
    if device.type != "cuda":
        return
    import gc
    import traceback

    import torch

    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()
    torch.cuda.empty_cache()


def memory_peak(device: torch.device) -> int:
    """Bytes at the highest so far: of this process's tensors on the card, or of the whole process on a CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes


def flops_rate(device: torch.device, seconds: float = 0.1) -> float:
    """Floating-point operations a second of a float32 matrix product, measured for about `seconds`.

    An upper mark for estimates: a small network reaches a fraction of it.
    """
    import torch

    size = 4096 if device.type == "cuda" else 512
    left = torch.ones(size, size, device=device)
    out = torch.empty_like(left)
    torch.mm(left, left, out=out)  # the first call also loads the library
    _wait(device)
    products, started = 0, time.perf_counter()
    while products == 0 or time.perf_counter() - started < seconds:
        torch.mm(left, left, out=out)
        _wait(device)
        products += 1
    return products * 2 * size**3 / (time.perf_counter() - started)


def cgroup_left(root: Path) -> int | None:
    """Bytes left below the memory limit of the control group at `root`; None without a limit.

    Cached file pages count as used there but are given back on demand, so they are added again.
    """
    for limit, used, cached in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            bound = (root / limit).read_text().strip()
            taken = int((root / used).read_text())
            stat = dict(line.split() for line in (root / cached).read_text().splitlines())
        except OSError:
            continue
        if bound == "max":
            return None
        reclaimable = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
        return max(0, int(bound) - taken + reclaimable)
    return None


def _wait(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
