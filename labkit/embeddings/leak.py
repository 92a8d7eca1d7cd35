"""What one update shows about an example that alone touches a row: the row's change, or that it stayed.

The observer knows every other example, and sees which rows of the table moved. Where noise falls on touched rows only,
as in EANA, a row that moved betrays the example with certainty: no epsilon bounds that, however large the noise. It is
here to be shown, and nothing in this package trains so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dp_accounting import GaussianDpEvent

from labkit.embeddings.convention import deviations, l2_factor
from labkit.embeddings.survivors import tail
from labkit.errors import BadInput
from labkit.privacy.accounting import spent

DPSGD, LAZYDP, FEST, ADAFEST, ADAFEST_PLUS, EANA = "dpsgd", "lazydp", "fest", "adafest", "adafest_plus", "eana"
MECHANISMS = (DPSGD, LAZYDP, FEST, ADAFEST, ADAFEST_PLUS, EANA)
THRESHOLDED = (ADAFEST, ADAFEST_PLUS)


@dataclass(frozen=True)
class Leak:
    """How well the rule "the row changed" tells two neighbouring batches apart.

    Args:
        changed_untouched, changed_touched: probability that the row changes when nobody touches it, and when the
            example does that is in question.
        observed_epsilon: the least epsilon at delta that permits both; infinite where none does.
        step_epsilon: what the step itself costs at delta, without amplification by sampling; infinite without noise.
    """

    changed_untouched: float
    changed_touched: float
    observed_epsilon: float
    step_epsilon: float


def changed_probability(
    mechanism: str,
    touched: bool | int,
    threshold: float,
    noise_multiplier: float,
    fraction: float,
    map_clip: float,
    distinct: int,
    selected: bool = True,
) -> float:
    """The probability that a step changes a row that at most one example of its batch touches.

    Args:
        mechanism: "dpsgd", "lazydp" (after its flush, before which nothing may be shown), "fest", "adafest",
            "adafest_plus", or "eana", noise on touched rows only, which is not private.
        touched: whether the example does.
        threshold: in standard deviations of the selection noise.
        noise_multiplier: sigma.
        fraction: f, the share of 1 / sigma^2 spent on selection.
        map_clip: C1.
        distinct: rows that the example touches in all; its contribution to each is `l2_factor`.
        selected: whether the row is among those that "fest" and "adafest_plus" keep, which no example here changes.
    """
    if mechanism not in MECHANISMS:
        raise BadInput("mechanism", mechanism, ", ".join(MECHANISMS))
    if mechanism == EANA:
        return float(bool(touched))
    if mechanism in (FEST, ADAFEST_PLUS) and not selected:
        return 0.0
    if mechanism not in THRESHOLDED:
        return 1.0
    return tail(threshold - touched * signal(noise_multiplier, fraction, map_clip, distinct))


def signal(noise_multiplier: float, fraction: float, map_clip: float, distinct: int) -> float:
    """How far one example lifts each row that it touches, in standard deviations of the selection noise."""
    return l2_factor(distinct, map_clip) / deviations(noise_multiplier, fraction, map_clip, 1.0)[0]


def observed_epsilon(
    p_touched: float, p_untouched: float, delta: float, stay: tuple[float, float] | None = None
) -> float:
    """The least epsilon with which two probabilities of one event are (epsilon, delta)-close, and its complement's too.

    Args:
        p_touched, p_untouched: of the event in two neighbouring worlds.
        delta: of the guarantee.
        stay: the complement's probabilities, where 1 - p would lose them in rounding.

    Returns:
        0 where delta alone permits the difference; infinite where no epsilon does.
    """
    if not 0 <= p_touched <= 1 or not 0 <= p_untouched <= 1:
        raise BadInput("probability", (p_touched, p_untouched), "numbers from 0 to 1")
    if not 0 <= delta < 1:
        raise BadInput("delta", delta, "0 up to 1")
    pairs = (p_touched, p_untouched), stay or (1 - p_touched, 1 - p_untouched)
    return max(0.0, *(_least(one, other, delta) for pair in pairs for one, other in (pair, pair[::-1])))


def leak(
    mechanism: str,
    threshold: float,
    noise_multiplier: float,
    fraction: float,
    map_clip: float,
    distinct: int,
    delta: float,
    selected: bool = True,
) -> Leak:
    """Both probabilities, what they betray, and what the step allows; arguments as for `changed_probability`."""
    setting = (threshold, noise_multiplier, fraction, map_clip, distinct, selected)
    touched, untouched = (changed_probability(mechanism, present, *setting) for present in (True, False))
    stay = None
    if mechanism in THRESHOLDED and selected:
        lift = signal(noise_multiplier, fraction, map_clip, distinct)
        stay = tail(lift - threshold), tail(-threshold)
    step = math.inf if mechanism == EANA else spent(GaussianDpEvent(noise_multiplier), delta).epsilon
    return Leak(untouched, touched, observed_epsilon(touched, untouched, delta, stay), step)


def _least(one: float, other: float, delta: float) -> float:
    """The least epsilon with one <= e^epsilon other + delta."""
    if one <= delta:
        return 0.0
    return math.log(one - delta) - math.log(other) if other else math.inf
