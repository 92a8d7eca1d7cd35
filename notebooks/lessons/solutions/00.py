"""Solutions of notebook 00's exercises: for teachers, and for the tests."""

import numpy as np
from scipy import stats


def gain(found, random, dense):
    # The baseline is what a blind draw of the same size gives on average, in the same seed.
    return found - random.mean(axis=1)


def interval(found, random):
    differences = found - random  # a seed's luck drops out
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half


nodes_left = round((1 - 0.97) * 128)
