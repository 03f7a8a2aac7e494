"""Families in which volumes and shapes are shared or not: VEI, EVI, VEE, EVV.

A covariance is a volume, the D-th root of its determinant, times a matrix of
determinant one: its shape, and orientation (Celeux and Govaert 1995).  Where volumes
vary about a common shape, each follows from the other: they are computed in turns, and
each turn raises the likelihood, which has one maximum only.
"""

import numpy as np

from ..forms import _matrices

# Turns of volumes and shape, and the relative change of the volumes that ends them.
_TURNS, _CHANGE = 100, 1e-11


def vei(count, scatter, previous):
    """VEI: volumes of their own, a common diagonal shape."""
    return volumes_about_diagonal(count, scatter, previous)


def evi(count, scatter):
    """EVI: a common volume, diagonal shapes of their own."""
    sizes = geometric_means(scatter)
    return scatter * (sizes.sum() / count.sum() / sizes)[:, np.newaxis]


def vee(count, scatter, previous):
    """VEE: volumes of their own, a common shape and orientation."""
    n_features = scatter.shape[-1]
    flat = scatter.reshape(len(count), -1)

    def matrix(volumes):
        pooled = (1.0 / volumes) @ flat / count.sum()
        return pooled.reshape(1, n_features, n_features)

    def updated(volumes):
        precision = _matrices.inverses(matrix(volumes))
        return flat @ precision.ravel() / (n_features * count)

    start = np.trace(scatter, axis1=1, axis2=2) / (n_features * count)
    if previous is not None:
        start = determinant_roots(previous)
    volumes = _settled(updated, start)
    return volumes[:, np.newaxis, np.newaxis] * matrix(volumes)


def evv(count, scatter):
    """EVV: a common volume, shapes and orientations of their own."""
    sizes = determinant_roots(scatter)
    return scatter * (sizes.sum() / count.sum() / sizes)[:, np.newaxis, np.newaxis]


def volumes_about_diagonal(count, spreads, previous):
    """Return the variances ``volume_k shape_j`` of greatest likelihood, (K, D).

    ``spreads`` (K, D) are sums of squares along the axes; ``previous`` are variances
    whose volumes are the start, or None.
    """

    def shape(volumes):
        return (spreads / volumes[:, np.newaxis]).sum(axis=0) / count.sum()

    def updated(volumes):
        return (spreads / shape(volumes)).mean(axis=1) / count

    start = spreads.mean(axis=1) / count
    if previous is not None:
        start = geometric_means(previous)
    volumes = _settled(updated, start)
    return volumes[:, np.newaxis] * shape(volumes)


def geometric_means(spreads):
    """Return the D-th roots of the products over features, shape (K,)."""
    return np.exp(np.log(spreads).mean(axis=1))


def determinant_roots(matrices):
    """Return the D-th roots of the determinants, shape (K,)."""
    logs = _matrices.log_determinants(_matrices.whiteners(matrices))
    return np.exp(logs / matrices.shape[-1])


def _settled(updated, volumes):
    """Return volumes after so many turns that they hardly change."""
    for _ in range(_TURNS):
        before, volumes = volumes, updated(volumes)
        if np.abs(volumes / before - 1.0).max() <= _CHANGE:
            break
    return volumes
