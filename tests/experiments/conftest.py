"""What estimates are compared under: one rate of the device; measured twice, it differs with the neighbours."""

from __future__ import annotations

import pytest


@pytest.fixture
def one_rate(monkeypatch: pytest.MonkeyPatch) -> float:
    """Operations a second that every estimate of the test is made from, instead of a measurement for each."""
    rate = 2e10
    monkeypatch.setattr("labkit.device.flops_rate", lambda device: rate)
    return rate
