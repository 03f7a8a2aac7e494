"""Families whose covariances are averages of the scatter."""

import numpy as np


def full(count, scatter):
    """VVV: one matrix a component."""
    return scatter / count[:, np.newaxis, np.newaxis]


def tied(count, scatter):
    """EEE: one matrix for all, from the pooled scatter."""
    return scatter / count.sum()


def diag(count, scatter):
    """VVI: one variance a component and feature."""
    return scatter / count[:, np.newaxis]


def tied_diag(count, scatter):
    """EEI: one variance a feature."""
    return np.broadcast_to(scatter.sum(axis=0) / count.sum(), scatter.shape)


def spherical(count, scatter):
    """VII: one variance a component."""
    return scatter / count


def tied_spherical(count, scatter):
    """EII: one variance for all."""
    return np.broadcast_to(scatter.sum() / count.sum(), scatter.shape)


# Families that are all covariances of their form.
UNCONSTRAINED = (full, tied, diag, spherical)
