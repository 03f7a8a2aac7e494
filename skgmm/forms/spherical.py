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


class Spherical(VarianceCovariances):
    """One variance a component: ``values`` of shape (K,).

    Its second moments are *means* over the features, so that a variance is a
    second moment over a count, as in the other forms.
    """

    kind = "spherical"

    @staticmethod
    def shape(n_components, n_features):
        return (n_components,)

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

    def extreme_eigenvalues(self, total):
        if not total > 0:
            return np.zeros(1), np.zeros(1), 0
        ratios = self.values / total
        return ratios, ratios, self.n_features

    @staticmethod
    def metric(scatter):
        return np.eye(len(scatter))

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
    def add_to_scatter(scatter, diagonals):
        return scatter + diagonals.mean(axis=1)

    @staticmethod
    def add_to_values(values, diagonal):
        return values + diagonal.mean()

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
