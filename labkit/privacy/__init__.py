"""Differentially private training: one plan for sampling, clipping, noise and cost; a ledger; choices; audits."""

from labkit.privacy.accounting import Spent, default_delta, shared, spent
from labkit.privacy.plan import Plan
from labkit.privacy.train import PrivateTrainer

__all__ = [
    "Plan",
    "PrivateTrainer",
    "Spent",
    "default_delta",
    "shared",
    "spent",
]
