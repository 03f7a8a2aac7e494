"""Random problems, and helpers that several test files share."""

import warnings
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from skgmm import GaussianMixture
from skgmm.families import FAMILIES

TYPES = ("full", "tied", "diag", "spherical")


def examples(share):
    """Return settings with so many times the examples that the profile has."""
    return settings(max_examples=max(2, round(share * settings.default.max_examples)))


def in_shape(matrices, covariance_type):
    """Return the matrices (K, D, D) as near as the covariance type comes to them."""
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    return {
        "full": matrices,
        "tied": matrices.mean(axis=0),
        "diag": diagonals,
        "spherical": diagonals.mean(axis=1),
    }[covariance_type]


def dense(covariances, covariance_type, n_components, n_features):
    """Return covariances, or precisions, of any type as matrices (K, D, D)."""
    eye = np.eye(n_features)
    kind = FAMILIES[covariance_type].form.kind
    if kind == "diag":
        return covariances[:, :, np.newaxis] * eye
    if kind == "spherical":
        return covariances[:, np.newaxis, np.newaxis] * eye
    return np.broadcast_to(covariances, (n_components, n_features, n_features))


def matrices_of(mixture):
    """Return the covariance matrices (K, D, D) of a fitted mixture."""
    covariances = np.asarray(mixture.covariances_)
    return dense(covariances, mixture.covariance_type, *mixture.means_.shape)


@dataclass(frozen=True)
class Truth:
    """The mixture that data are drawn from."""

    weights: np.ndarray
    means: np.ndarray
    matrices: np.ndarray

    @classmethod
    def random(cls, seed, n_components, n_features, distance=4.0):
        """Return a mixture with matrices of condition below about ten."""
        rng = np.random.default_rng(seed)
        square = (n_components, n_features, n_features)
        axes = np.linalg.qr(rng.normal(size=square))[0]
        variances = rng.uniform(0.3, 3.0, size=(n_components, 1, n_features))
        weights = rng.uniform(1.0, 3.0, size=n_components)
        return cls(
            weights / weights.sum(),
            distance * rng.normal(size=square[:2]),
            (axes * variances) @ np.swapaxes(axes, 1, 2),
        )

    def sample(self, n_rows, seed):
        """Return rows and their components, at least two dozen of each."""
        rng = np.random.default_rng(seed)
        labels = rng.choice(len(self.weights), n_rows, p=self.weights)
        first = 24 * len(self.weights)
        labels[:first] = np.arange(first) % len(self.weights)
        noise = rng.normal(size=(n_rows, self.means.shape[1]))
        roots = np.linalg.cholesky(self.matrices)
        rows = self.means[labels] + np.einsum("nij,nj->ni", roots[labels], noise)
        return rows, labels

    def start(self, covariance_type):
        """Return parameters that start EM somewhere between here and far."""
        matrices = 2.0 * self.matrices
        covariances = in_shape(matrices, covariance_type)
        inverse = np.linalg.inv if covariances.ndim > 1 else np.reciprocal
        if covariance_type == "diag":
            inverse = np.reciprocal
        return {
            "weights_init": np.full(len(self.weights), 1 / len(self.weights)),
            "means_init": self.means + 0.5,
            "precisions_init": inverse(covariances),
        }


@dataclass(frozen=True)
class Case:
    """Well-conditioned rows, with the mixture they come from."""

    truth: Truth
    X: np.ndarray
    labels: np.ndarray

    @property
    def n_components(self):
        return len(self.truth.weights)


def case(seed, n_components, n_features, n_rows=200, distance=4.0):
    """Return the case with a seed."""
    truth = Truth.random(seed, n_components, n_features, distance)
    return Case(truth, *truth.sample(n_rows, seed + 1))


def cases(max_components=4, max_features=5, **kwargs):
    """Draw cases."""
    return st.builds(
        case,
        st.integers(0, 2**32 - 1),
        st.integers(1, max_components),
        st.integers(1, max_features),
        **kwargs,
    )


def fitted(X, n_components, *, sample_weight=None, like=GaussianMixture, **parameters):
    """Return a mixture fitted by plain EM, whether it has converged or not.

    Races and leaps choose by comparing objectives: they make more of the differences in
    rounding that the laws leave open.
    """
    if like is GaussianMixture:
        parameters = {"acceleration": None, "init_params": "bisect"} | parameters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = like(n_components, **parameters)
        if sample_weight is None:
            return mixture.fit(X)
        return mixture.fit(X, sample_weight=sample_weight)
