"""Solutions of notebook 04's exercises: for teachers, and for the tests."""

import numpy as np
from scipy import stats


def contribution_map(examples, rows, c1):
    total = np.zeros(rows)
    for touched in examples:
        own = np.unique(touched)  # a row is touched or not
        total[own] += min(1, c1 / np.sqrt(len(own)))
    return total


def two_noises(sigma, f, c1, c2):
    return sigma * c1 / np.sqrt(f), sigma * c2 / np.sqrt(1 - f)


def false_survivors(rows, touched, threshold):
    return (rows - touched) * stats.norm.sf(threshold)
