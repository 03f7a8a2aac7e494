"""Spherical covariances: one variance a component."""

import numpy as np

from ._base import (
    averages,
    keeps_digits,
    residuals,
    squared_distances,
    squared_norms,
)
from ._variances import VarianceCovariances
from .diag import Diag


class Spherical(VarianceCovariances):
    """One variance a component: ``values`` of shape (K,).

    Its second moments are *means* over the features, so that a variance is a
    second moment over a count, as in the other forms.
    """

    kind = "spherical"

    @staticmethod
    def shape(n_components, n_features):
        return (n_components,)

    @staticmethod
    def n_parameters(n_components, n_features):
        return n_components

    @classmethod
    def unit(cls, n_components, n_features):
        return cls(np.ones(n_components), n_components, n_features)

    def _log_determinants(self):
        return -2.0 * self.n_features * np.log(self.whiteners)

    def mahalanobis(self, z, means):
        centre = means.mean(axis=0)
        precisions = self.precisions
        distances = squared_distances(residuals(z, centre), means - centre, precisions)
        distances *= precisions[:, np.newaxis]
        return distances

    def relative_eigenvalues(self, metric):
        if not metric > 0:
            return np.zeros((1, 0)), 0
        return (self.values / metric)[:, np.newaxis], self.n_features

    @staticmethod
    def sphered(rows, covariance):
        return rows

    def _halves(self, offsets):
        mean_squares = np.mean(offsets**2, axis=1)
        return np.maximum(self.values - mean_squares, 0.1 * self.values)

    def average(self, weights):
        return float(weights @ self.values)

    def dense(self):
        return self.values[:, np.newaxis, np.newaxis] * np.eye(self.n_features)

    @property
    def precision_diagonals(self):
        return self.precisions[:, np.newaxis]

    def expected_mahalanobis(self, scatter):
        return float(self.n_features * np.sum(self.precisions * scatter))

    def rescaled(self, scale):
        """See the base class; ``scale`` must be the same for all features."""
        factor, sizes = scale[0], (self.n_components, self.n_features)
        return type(self)(self.values * factor**2, *sizes, self.whiteners / factor)

    def marginal(self, features):
        return Spherical(self.values, self.n_components, len(features), self.whiteners)

    def split(self, given, free):
        slopes = np.zeros((self.n_components, len(free), len(given)))
        return slopes, self.marginal(free)

    @property
    def general(self):
        sizes = self.n_components, self.n_features
        values, whiteners = (
            np.repeat(array[:, np.newaxis], self.n_features, axis=1)
            for array in (self.values, self.whiteners)
        )
        return Diag(values, *sizes, whiteners)

    @staticmethod
    def from_general(second):
        return second.mean(axis=1)

    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        if not hard and _accumulate_products(
            z, responsibilities, means, self.precisions, first, second
        ):
            return
        for k, part in enumerate(responsibilities):
            residual = residuals(z, means[k])
            first[k] += residual @ part
            second[k] += squared_norms(residual) @ part / self.n_features

    @staticmethod
    def shift_scatter(second, count, shift):
        return second - count * np.mean(shift**2, axis=1)

    @staticmethod
    def spectra(values, total):
        return values[
            :, np.newaxis
        ] / total, lambda eigenvalues: eigenvalues[:, 0] * total

    @staticmethod
    def inverse_wishart(degrees, n_features):
        # One variance, in one dimension; an observation has D squares of it.
        return (degrees + 2.0) / n_features, 1.0 / n_features

    @staticmethod
    def directions(n_features):
        every = np.arange(n_features)
        return every, every, np.ones((1, n_features))

    @staticmethod
    def add_to_scatter(scatter, diagonals):
        return scatter + diagonals.mean(axis=1)

    @staticmethod
    def add_to_values(values, diagonal):
        return values + diagonal.mean()

    @staticmethod
    def scatter_of(values, count):
        return values * count

    @staticmethod
    def diagonal_sums(scatter, n_features):
        return np.full(n_features, scatter.sum())

    @staticmethod
    def pooled(scatter, count, small):
        return np.where(small, count * (scatter.sum() / count.sum()), scatter)


def _accumulate_products(z, responsibilities, means, precisions, first, second):
    """Add the moments as products for all components, if these keep the digits."""
    count, lengths = responsibilities.sum(axis=1), squared_norms(means.T)
    squares = responsibilities @ squared_norms(z)
    if not keeps_digits(precisions * averages(squares, count), precisions * lengths):
        return False
    sums = responsibilities @ z.T
    first += sums - count[:, np.newaxis] * means
    squares -= 2.0 * np.sum(means * sums, axis=1) - count * lengths
    second += squares / len(z)
    return True
