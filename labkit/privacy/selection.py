"""Choosing one of K public candidates by private losses: the exponential mechanism, at a price that K does not raise.

The utility of candidate k is u_k = - sum_i clip(l_ik, 0, L): a sum, because the mean over a data set of secret size
would move with every record. Adding a record lowers all utilities by 0 to L, so they are monotone, and Gumbel noise of
scale L / epsilon makes the arg max epsilon-DP (McSherry and Talwar 2007) and epsilon^2/8-zCDP (Cesar and Rogers 2021).
Laplace noise of that scale would be epsilon-DP too, but only epsilon^2/2-zCDP.

The index alone may be released. The winner's utility, the losers' and how close it was are as private as the losses.
More candidates cost no epsilon; they cost utility, because the best of them must stand out of more noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.privacy.events import ExponentialMechanismDpEvent


def clipped_loss_sum(losses: Tensor, bound: float) -> Tensor:
    """The sum over examples of the clipped losses, float64 [...]; sums of several batches add up.

    Args:
        losses: [..., n], of n private examples; one that is not a number counts as the bound.
        bound: L, public: chosen without a look at the losses.
    """
    if not 0 < bound < math.inf:
        raise BadInput("bound", bound, "a finite number above 0")
    return losses.double().nan_to_num(nan=bound).clamp(0, bound).sum(-1)


def utilities(losses: Tensor, bound: float) -> Tensor:
    """u, float64 [K], from the losses [K, n]: minus the sum of the clipped losses."""
    return -clipped_loss_sum(losses, bound)


def choose(utilities: Tensor, epsilon: float, bound: float, generator: torch.Generator) -> int:
    """The index of one candidate: the arg max of utilities with Gumbel noise of scale L / epsilon.

    Args:
        utilities: [K], from losses clipped to [0, bound].
        epsilon: of this choice; `selection_event(epsilon)` tells an accountant.

    Raises:
        BadInput: epsilon or the bound is not a finite number above 0, or utilities are not K finite numbers.
    """
    _check(utilities, epsilon, bound)
    # Minus the log of an exponential number is a Gumbel one, exact also far out in its tail.
    gumbel = -torch.empty(len(utilities), dtype=torch.float64).exponential_(generator=generator).log_()
    return int((utilities.double().cpu() + gumbel * (bound / epsilon)).argmax())


def law(utilities: Tensor, epsilon: float, bound: float) -> Tensor:
    """The probability of each candidate, float64 [K]: softmax(epsilon u / L). As private as the utilities."""
    _check(utilities, epsilon, bound)
    return (utilities.double().cpu() * (epsilon / bound)).softmax(0)


def selection_event(epsilon: float) -> ExponentialMechanismDpEvent:
    """What a choice with this epsilon costs, for an accountant or for `also` of a plan."""
    if not 0 < epsilon < math.inf:
        raise BadInput("epsilon", epsilon, "a finite number above 0")
    return ExponentialMechanismDpEvent(float(epsilon))


def _check(utilities: Tensor, epsilon: float, bound: float) -> None:
    for name, value in (("epsilon", epsilon), ("bound", bound)):
        if not 0 < value < math.inf:
            raise BadInput(name, value, "a finite number above 0")
    if utilities.dim() != 1 or len(utilities) == 0 or not torch.isfinite(utilities).all():
        raise BadInput("utilities", list(utilities.shape), "one finite number for each of at least one candidate")
