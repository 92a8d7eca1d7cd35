"""Solutions of notebook 02's exercises: for teachers, and for the tests."""

import dp_accounting
import numpy as np
from dp_accounting import pld


def epsilon(examples, batch, epochs, sigma, delta):
    rate, steps = batch / examples, round(epochs * examples / batch)
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    accountant = pld.PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    return accountant.compose(dp_accounting.SelfComposedDpEvent(step, steps)).get_epsilon(delta)


def clip_and_add(gradients, clip):
    lengths = np.linalg.norm(gradients, axis=1)
    factors = np.minimum(1, clip / lengths)  # never above 1: short gradients stay as they are
    return (gradients * factors[:, None]).sum(axis=0)


def moved(gradients, clip, person):
    # With and without the person the sum differs by the person's own clipped gradient.
    return min(clip, np.linalg.norm(gradients[person]))
