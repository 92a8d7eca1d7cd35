"""The two accountants: Renyi divergences, and privacy loss distributions on a grid that fits the plan.

RDP: Mironov 2017; Mironov, Talwar and Zhang 2019 (sampled Gaussian). PLD: Koskela, Jalko and Honkela 2020; Doroshenko,
Ghazi, Kamath, Kumar and Manurangsi 2022 ("connect the dots"). Both come from `dp_accounting`; both are upper bounds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent, ZCDpEvent
from dp_accounting.pld import common, privacy_loss_distribution
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from dp_accounting.rdp import RdpAccountant

from labkit.privacy.events import ExponentialMechanismDpEvent, Part, in_pld

POINTS = 200_000  # of the grid of a single step's privacy loss, at most: half a second
STEPS = 10**7  # for PLD; beyond, its self-composition takes minutes
SHARES = (0.02, 0.1, 0.5)  # of delta, for parts that reach PLD through a guarantee of their own


@lru_cache(maxsize=1024)
def rdp_epsilon(counted: tuple[Part, ...], delta: float) -> float:
    """Epsilon by Renyi divergences alone.

    Raises:
        ValueError: no order gives a bound, or an event has no Renyi divergence here.
        ArithmeticError: a divergence overflows.
    """
    accountant = RdpAccountant()
    with _listening() as unsound, np.errstate(over="raise", divide="raise", invalid="raise"):
        for event, count in counted:
            if isinstance(event, ExponentialMechanismDpEvent):
                event = ZCDpEvent(event.epsilon**2 / 8)
            if not accountant.supports(event):
                raise ValueError(f"no Renyi divergence of {type(event).__name__}")
            accountant.compose(event, count)
        epsilon = float(accountant.get_epsilon(delta))
    if unsound or not math.isfinite(epsilon):
        raise ValueError(unsound[0] if unsound else "no order gives a bound")
    return epsilon


def pld_of(counted: tuple[Part, ...], interval: float) -> PrivacyLossDistribution:
    """The joint privacy loss distribution of parts that PLD composes, on a grid of this interval, rounded up."""
    total = privacy_loss_distribution.identity(interval)
    for event, count in counted:
        total = total.compose(_single(event, interval).self_compose(count))
    return total


def grid(counted: tuple[Part, ...], delta: float) -> float:
    """The interval of the privacy loss grid.

    Rounding adds up to interval^2 of variance a step, so the relative error of epsilon is of the order of
    steps (interval / epsilon)^2; 0.005 / sqrt(steps) keeps it near 1e-4, whatever epsilon is (an interval of 1e-4
    for all would add half to an epsilon of 0.0016). A step with little noise has losses of up to
    1 / (2 sigma^2) + 10 / sigma: its grid has at most `POINTS`.
    """
    steps = sum(count for _, count in counted)
    widest = max(_widest(event) for event, _ in counted)
    if steps > STEPS:
        raise OverflowError(f"more than {STEPS:,} steps")
    try:
        scale = rdp_epsilon(counted, delta)
    except (ArithmeticError, ValueError):
        scale = 1.0  # any interval gives a bound
    # Finer where few steps have large losses each or epsilon is huge; coarser, and still a bound, where the composed
    # grid of many steps would outgrow memory.
    fine = min(scale * min(0.005 / math.sqrt(steps), 5e-4), 0.02)
    return max(fine, scale * 3e-6, widest / POINTS, 1e-9)


def pld_epsilon(counted: tuple[Part, ...], delta: float, interval: float | None = None) -> float:
    """Epsilon by the joint privacy loss distribution; parts that have none join it by a guarantee of their own.

    The exponential mechanism joins by (epsilon, 0), others by (epsilon_i, delta_i) of their RDP, where delta_i is a
    share of delta, so that delta stays the joint one.

    Args:
        interval: of the grid; None for the one that `grid` finds fit.

    Raises:
        ValueError: no part has a privacy loss distribution, or a foreign one no Renyi divergence either.
        ArithmeticError, MemoryError: the grid overflows.
    """
    own = tuple((event, count) for event, count in counted if in_pld(event))
    choices = [(event, count) for event, count in counted if isinstance(event, ExponentialMechanismDpEvent)]
    foreign = tuple(part for part in counted if part not in own and part not in choices)
    if not own:
        if foreign:
            raise ValueError("no part has a privacy loss distribution")
        return math.fsum(event.epsilon * count for event, count in choices)
    interval = interval or grid(own, delta)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        total = pld_of(own, interval)
        for event, count in choices:
            total = total.compose(_guarantee(event.epsilon, 0.0, interval).self_compose(count))
        if not foreign:
            return _finite(total.get_epsilon_for_delta(delta))
        # Each share is public, so that the smallest of the bounds is one.
        joined = (total.compose(_guarantee(rdp_epsilon(foreign, s * delta), s * delta, interval)) for s in SHARES)
        return _finite(min(one.get_epsilon_for_delta(delta) for one in joined))


@lru_cache(maxsize=16)
def _single(event: DpEvent, interval: float) -> PrivacyLossDistribution:
    sampled = isinstance(event, PoissonSampledDpEvent)
    rate, inner = (event.sampling_probability, event.event) if sampled else (1.0, event)
    gaussian = isinstance(inner, GaussianDpEvent)
    make = (
        privacy_loss_distribution.from_gaussian_mechanism
        if gaussian
        else privacy_loss_distribution.from_laplace_mechanism
    )
    return make(inner.noise_multiplier, value_discretization_interval=interval, sampling_prob=rate)


def _guarantee(epsilon: float, delta: float, interval: float) -> PrivacyLossDistribution:
    parameters = common.DifferentialPrivacyParameters(epsilon, delta)
    return privacy_loss_distribution.from_privacy_parameters(parameters, value_discretization_interval=interval)


def _widest(event: DpEvent) -> float:
    inner = event.event if isinstance(event, PoissonSampledDpEvent) else event
    sigma = inner.noise_multiplier
    return 0.5 / sigma**2 + 10 / sigma if isinstance(inner, GaussianDpEvent) else 1 / sigma


def _finite(epsilon: float) -> float:
    if not math.isfinite(epsilon):
        raise OverflowError("no finite epsilon on its grid")
    return float(epsilon)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Hear what the RDP accountant says to absl's log.

    It says so each time that it leaves out an order whose series does not converge. That only loosens the bound, so
    nobody needs to read it, dozens of times a plan. It also says so when cancellation made a divergence negative, and
    then answers epsilon 0: that is no bound, and is handed back.
    """
    unsound: list[str] = []

    def heard(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "Negative Renyi divergence" in text:
            unsound.append("a negative Renyi divergence")
            return False
        return "Excluding this order" not in text

    logger = logging.getLogger("absl")
    logger.addFilter(heard)
    try:
        yield unsound
    finally:
        logger.removeFilter(heard)
