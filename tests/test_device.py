from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
import torch

from labkit import device
from labkit.errors import BadInput

CPU = torch.device("cpu")


def test_cpu_is_cpu():
    assert device.resolve("cpu") == CPU


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_without_cuda(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if name == "auto":
        assert device.resolve(name) == CPU
    else:
        with pytest.raises(BadInput, match=r"^device = 'cuda' is not usable; allowed: auto or cpu: no CUDA device"):
            device.resolve(name)


def test_auto_prefers_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device.resolve("auto") == torch.device("cuda", 1) == device.resolve("cuda")


def test_an_unknown_name_is_refused():
    with pytest.raises(BadInput, match="mps"):
        device.resolve("mps")


def test_the_cpu_is_described_with_its_cores():
    assert device.describe(CPU).endswith(f"{len(psutil.Process().cpu_affinity())} cores")


def test_free_memory_is_bounded_by_the_control_group(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 250\n")
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    assert device.memory_free(CPU) == 350  # 1000 - 900, and 250 of the 900 can be given back


def test_free_memory_without_a_limit_is_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    assert 0 < device.memory_free(CPU) <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 600\n")
    assert device.cgroup_left(tmp_path) is None


def test_the_older_control_groups_are_read_too(tmp_path):
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("1200\n")
    (folder / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 50\n")
    assert device.cgroup_left(tmp_path) == 0


def test_peak_memory_remembers_what_was_freed():
    # In a process of its own: the peak of this one may already be higher than any small tensor.
    code = (
        "import torch; from labkit.device import memory_peak as peak; cpu = torch.device('cpu');"
        "kept = torch.ones(512 * 2**20, dtype=torch.uint8); del kept; print(peak(cpu))"
    )
    peak = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 512 * 2**20 < peak < 4 * 2**30


def test_flops_are_measured_quickly():
    device.flops_rate(CPU)  # loads the library
    started = time.perf_counter()
    rate = device.flops_rate(CPU, seconds=0.05)
    assert time.perf_counter() - started < 2  # generous: the machine may be shared
    assert 1e8 < rate < 1e14


@pytest.mark.gpu
def test_on_a_card():
    cuda = device.resolve("cuda")
    torch.cuda.reset_peak_memory_stats(cuda)
    before, peak = device.memory_free(cuda), device.memory_peak(cuda)
    kept = torch.ones(256 * 2**20, dtype=torch.uint8, device=cuda)
    assert device.memory_peak(cuda) >= peak + kept.numel()
    assert device.memory_free(cuda) <= before
    assert device.describe(cuda) == torch.cuda.get_device_name(cuda)
    assert device.flops_rate(cuda) > 1e12
