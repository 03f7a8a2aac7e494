"""Which features, or directions, of rows and mixture a picture shows."""

from dataclasses import dataclass

import numpy as np
import sklearn.mixture

from .._fitted import FittedMixture
from .._gaussian_mixture import GaussianMixture
from .._mixture import Mixture
from ..forms import Full

_MOST_PAIRS = 4  # features that are drawn in pairs; more are projected


def our_mixture(estimator):
    """Return a fitted estimator that holds a mixture, converted if need be."""
    if isinstance(estimator, FittedMixture):
        return estimator
    if isinstance(estimator, sklearn.mixture.GaussianMixture):
        return GaussianMixture.from_sklearn(estimator)
    raise TypeError(
        "estimator must be a fitted mixture of skgmm, or a fitted "
        f"sklearn.mixture.GaussianMixture; got {type(estimator).__name__}. Of a "
        "pipeline pass the last step, and rows transformed by the steps before."
    )


@dataclass(frozen=True)
class Features:
    """Some of the features, as they are."""

    names: list
    indices: np.ndarray

    def rows(self, X):
        """Return the columns shown of rows."""
        return X[:, self.indices]

    def mixture(self, mixture):
        """Return the marginal mixture of the features."""
        block = np.ix_(self.indices, self.indices)
        values = [matrix[block] for matrix in matrices(mixture)]
        return full_mixture(mixture.weights, mixture.means[:, self.indices], values)


@dataclass(frozen=True)
class Directions:
    """Linear functions of the features, from a centre."""

    names: list
    centre: np.ndarray
    directions: np.ndarray

    def rows(self, X):
        """Return the coordinates of rows along the directions."""
        return (X - self.centre) @ self.directions

    def mixture(self, mixture):
        """Return the mixture of the coordinates."""
        values = [
            self.directions.T @ matrix @ self.directions for matrix in matrices(mixture)
        ]
        return full_mixture(mixture.weights, self.rows(mixture.means), values)


def matrices(mixture):
    """Iterate over the covariance matrices (D, D), one in memory at a time."""
    covariances = mixture.covariances
    return (covariances.take([k]).dense()[0] for k in range(mixture.n_components))


def full_mixture(weights, means, covariances):
    """Return the mixture of covariance matrices (K, D, D)."""
    return Mixture(weights, means, Full(covariances, *np.shape(means)))


def view_of(estimator, mixture, features, most=_MOST_PAIRS):
    """Return the view that the parameter ``features`` asks for.

    Parameters
    ----------
    estimator : estimator
        Whose names of features are taken.
    mixture : Mixture
    features : None, 'projection', or sequence of int or str
        By default all features, or their projection if there are more than ``most``.
    most : int
    """
    n_features = mixture.n_features
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = ["x"] if n_features == 1 else [f"x{i}" for i in range(n_features)]
    names = list(names)
    if features is None:
        features = "projection" if n_features > most else range(n_features)
    if isinstance(features, str):
        if features != "projection":
            raise ValueError(
                "features must be None, 'projection' or a list of features; got "
                f"{features!r}. Write [{features!r}] for one feature."
            )
        return _projection(mixture)
    indices = np.array([_index(feature, names) for feature in features], dtype=int)
    if indices.size == 0:
        raise ValueError("features must name at least one feature; got none.")
    if len(np.unique(indices)) < len(indices):
        raise ValueError(
            f"features must be different ones; got {[names[i] for i in indices]}."
        )
    return Features([names[i] for i in indices], indices)


def _index(feature, names):
    if feature in names:
        return names.index(feature)
    if isinstance(feature, (int, np.integer)) and 0 <= feature < len(names):
        return feature
    shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    raise ValueError(
        f"features must be numbers below {len(names)} or names of features, which are "
        f"{shown}; got {feature!r}."
    )


def _projection(mixture):
    directions, shares = separating_directions(mixture)
    shares = shares[: directions.shape[1]]
    names = [
        f"direction {i + 1} ({share:.0%} of differences)"
        for i, share in enumerate(shares)
    ]
    return Directions(names, mixture.weights @ mixture.means, directions)


def separating_directions(mixture, n_directions=2):
    r"""Return the directions in which the components of a mixture differ most.

    They maximise :math:`v^\top M v` at :math:`v^\top \Sigma v = 1`, where
    :math:`M = B \Sigma^{-1} B + \sum_k \pi_k (\Sigma_k - W) \Sigma^{-1} (\Sigma_k - W)`
    has the scatter :math:`B` of the means and the differences of the covariances from
    their mean :math:`W`; :math:`\Sigma = B + W` [1]_.

    Parameters
    ----------
    mixture : Mixture
    n_directions : int, default=2

    Returns
    -------
    directions : ndarray of shape (D, n_directions)
        Fewer if the mixture spans fewer dimensions.
    shares : ndarray
        What each direction has of the sum of all eigenvalues; of equal components,
        which differ nowhere, that of the variance.

    References
    ----------
    .. [1] L. Scrucca (2010). Dimension reduction for model-based clustering. Statistics
       and Computing 20, 471-484.
    """
    weights = mixture.weights
    offsets = mixture.means - weights @ mixture.means
    within = sum(
        w * matrix for w, matrix in zip(weights, matrices(mixture), strict=True)
    )
    scale = np.sqrt(weights @ offsets**2 + np.diagonal(within))
    product = np.outer(scale, scale)
    offsets = offsets / scale
    between = (offsets.T * weights) @ offsets
    within = within / product
    values, vectors = np.linalg.eigh(between + within)
    kept = values > values[-1] * len(values) * np.finfo(float).eps
    values = values[kept]
    white = vectors[:, kept] / np.sqrt(values)
    root = white.T @ between @ white
    kernel = root @ root
    for weight, matrix in zip(weights, matrices(mixture), strict=True):
        root = white.T @ (matrix / product - within) @ white
        kernel += weight * (root @ root)
    if np.trace(kernel) < 1e-12:  # the components are the same: principal axes
        kernel = np.diag(values)
    values, axes = np.linalg.eigh(kernel)
    directions = white @ axes[:, ::-1][:, :n_directions]
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(directions.shape[1])])
    return directions / scale[:, np.newaxis], values[::-1] / values.sum()


def subsample(n_rows, sample_weight, most):
    """Return the indices of at most ``most`` rows, in order, drawn by weight."""
    present = np.arange(n_rows)
    if sample_weight is not None:
        present = np.flatnonzero(sample_weight > 0)
    if len(present) <= most:
        return present
    rng = np.random.default_rng(0)
    p = None
    if sample_weight is not None:
        p = sample_weight[present] / sample_weight[present].sum()
    return np.sort(rng.choice(present, most, replace=False, p=p))


def deviations_of(mixture):
    """Return the standard deviations (K, D) of the features in the components."""
    return np.sqrt(mixture.covariances.variances)


def limits_of(mixture, rows=None, sample_weight=None, *, reach=None):
    """Return the ranges (D, 2) that show the rows and the components.

    ``reach`` is how many standard deviations of these are shown.

    Components of weight zero are left out, as are rows of weight zero.
    """
    live = mixture.weights > 0
    if reach is None:
        reach = 3.2 if mixture.n_features == 1 else 2.5  # a curve needs its tails
    means, reach = mixture.means[live], reach * deviations_of(mixture)[live]
    low, high = (means - reach).min(axis=0), (means + reach).max(axis=0)
    if rows is not None:
        if sample_weight is not None:
            rows = rows[sample_weight > 0]
        low = np.fmin(low, np.fmin.reduce(rows, axis=0))
        high = np.fmax(high, np.fmax.reduce(rows, axis=0))
    margin = 0.04 * (high - low) + 64 * np.spacing(
        np.maximum(np.abs(low), np.abs(high))
    )
    return np.stack([low - margin, high + margin], axis=1)


def grid_of(limits, means, deviations, n_points):
    """Return points of one axis, closer together about narrow components."""
    low, high = limits
    narrow = deviations < 4 * (high - low) / n_points
    near = np.linspace(-3, 3, 13) * deviations[narrow, np.newaxis]
    near += means[narrow, np.newaxis]
    points = np.append(np.linspace(low, high, n_points), near)
    return np.unique(points[(points >= low) & (points <= high)])
