"""Covariances of some of the features, whatever the form.

Only orthogonal transformations of known factors: unlike a Cholesky factor of a block of
the matrix, and unlike a Schur complement, they cannot fail, and each feature keeps its
digits whatever its units.
"""

from functools import wraps

import numpy as np
from scipy.linalg import solve_triangular

from .._threads import single_threaded_blas


def _alone(function):
    """Run a function with one thread of BLAS.

    OpenBLAS hands even triangular systems of two unknowns to its threads: where other
    work keeps the cores busy, that takes milliseconds.
    """

    @wraps(function)
    def alone(*arguments):
        with single_threaded_blas():
            return function(*arguments)

    return alone


@_alone
def reordered(covariances, order):
    """Return lower triangular factors of the matrices of the features ``order``.

    Shape (K, len(order), len(order)).
    """
    eye = np.eye(covariances.n_features)
    order = list(order)
    out = np.empty((covariances.n_components, len(order), len(order)))
    for k in range(covariances.n_components):
        # Rows L' of any square root L: their products are the covariances.
        factor = np.linalg.qr(covariances.colorize(k, eye)[:, order], mode="r").T
        out[k] = factor * np.where(np.diagonal(factor) < 0, -1.0, 1.0)
    return out


@_alone
def marginal(covariances, features):
    """Return the covariances of some features as full matrices."""
    features = list(features)
    values = covariances.dense()[:, features][:, :, features]
    return _full(reordered(covariances, features), values)


@_alone
def split(covariances, given, free):
    """Return the slopes of some features on others, and full matrices of the rest."""
    factors = reordered(covariances, [*given, *free])
    n = len(given)
    heads, tails, rest = factors[:, :n, :n], factors[:, n:, :n], factors[:, n:, n:]
    slopes = np.empty(tails.shape)
    for k, head in enumerate(heads):
        slopes[k] = solve_triangular(head, tails[k].T, lower=True, trans="T").T
    return slopes, _full(rest, rest @ np.swapaxes(rest, 1, 2))


def _full(factors, values):
    from .full import Full  # which is a form itself

    eye = np.eye(factors.shape[1])
    whiteners = np.empty(factors.shape)
    for k, factor in enumerate(factors):
        whiteners[k] = solve_triangular(factor, eye, lower=True)
    return Full(values, *factors.shape[:2], whiteners)
