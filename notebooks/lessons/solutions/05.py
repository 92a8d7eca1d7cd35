"""Solutions of notebook 05's exercises: for teachers, and for the tests."""

import math

import numpy as np


def moving_numbers(layers, sparsity):
    # 1 - 0.7 is a little more than 0.3 in binary: without the allowance a row too many would move.
    return sum(math.ceil((1 - sparsity) * rows - 1e-9) * numbers for rows, numbers in layers)


def length_change(gradients, person):
    everybody = gradients.sum(axis=0)
    others = everybody - gradients[person]
    return np.linalg.norm(np.linalg.norm(everybody, axis=1) - np.linalg.norm(others, axis=1))


def noise_to_signal(moving, sigma, batch):
    # sigma * C on each of the moving numbers, over batch * C.
    return math.sqrt(moving) * sigma / batch
