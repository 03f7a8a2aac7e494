"""The four families of scikit-learn: each is the maximum of its likelihood."""

import numpy as np


def full(count, scatter):
    """One matrix a component."""
    return scatter / count[:, np.newaxis, np.newaxis]


def tied(count, scatter):
    """One matrix for all: the pooled scatter."""
    return scatter / count.sum()


def diag(count, scatter):
    """One variance a component and feature."""
    return scatter / count[:, np.newaxis]


def spherical(count, scatter):
    """One variance a component."""
    return scatter / count
