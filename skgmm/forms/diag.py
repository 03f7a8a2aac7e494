"""Diagonal covariances: one variance a component and feature."""

import numpy as np

from ._base import averages, keeps_digits, residuals, squared_norms
from ._holes import VarianceHoles
from ._variances import VarianceCovariances


class Diag(VarianceCovariances):
    """One variance a component and feature: ``values`` of shape (K, D)."""

    kind = "diag"

    @staticmethod
    def shape(n_components, n_features):
        return (n_components, n_features)

    @staticmethod
    def n_parameters(n_components, n_features):
        return n_components * n_features

    @classmethod
    def unit(cls, n_components, n_features):
        return cls(np.ones((n_components, n_features)), n_components, n_features)

    def _log_determinants(self):
        return -2.0 * np.log(self.whiteners).sum(axis=1)

    def mahalanobis(self, z, means):
        centre = means.mean(axis=0)
        offsets, precisions = means - centre, self.precisions
        lengths = np.sum(precisions * offsets**2, axis=1)
        residual = residuals(z, centre)
        cross = (2.0 * precisions * offsets) @ residual
        residual *= residual
        out = precisions @ residual
        if keeps_digits(out, lengths):
            out -= cross
            out += lengths[:, np.newaxis]
            return np.maximum(out, 0.0, out=out)
        for k, (mean, whitener) in enumerate(zip(means, self.whiteners, strict=True)):
            white = residuals(z, mean)
            white *= whitener[:, np.newaxis]
            out[k] = squared_norms(white)
        return out

    def relative_eigenvalues(self, metric):
        varies = metric > 0
        ratios = self.values[:, varies] / metric[varies]
        return np.sort(ratios, axis=1), ratios.shape[1]

    @staticmethod
    def sphered(rows, covariance):
        varies = covariance > 0
        return rows[:, varies] / np.sqrt(covariance[varies])

    def _halves(self, offsets):
        return np.maximum(self.values - offsets**2, 0.1 * self.values)

    def average(self, weights):
        return weights @ self.values

    def dense(self):
        return self.values[:, :, np.newaxis] * np.eye(self.n_features)

    @property
    def precision_diagonals(self):
        return self.precisions

    def expected_mahalanobis(self, scatter):
        return float(np.sum(self.precisions * scatter))

    def rescaled(self, scale):
        sizes = self.n_components, self.n_features
        return type(self)(self.values * scale**2, *sizes, self.whiteners / scale)

    def marginal(self, features):
        sizes = self.n_components, len(features)
        return Diag(self.values[:, features], *sizes, self.whiteners[:, features])

    def split(self, given, free):
        slopes = np.zeros((self.n_components, len(free), len(given)))
        return slopes, self.marginal(free)

    @property
    def general(self):
        return self

    def with_holes(self, observed, varies):
        """Return how these covariances see rows with holes, see `VarianceHoles`."""
        return VarianceHoles(self.values, observed, varies)

    @staticmethod
    def from_general(second):
        return second

    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        if not hard and accumulate_products(
            z, responsibilities, means, self.precisions, first, second
        ):
            return
        for k, part in enumerate(responsibilities):
            residual = residuals(z, means[k])
            first[k] += residual @ part
            residual *= residual
            second[k] += residual @ part

    @staticmethod
    def shift_scatter(second, count, shift):
        return second - count[:, np.newaxis] * shift**2

    @staticmethod
    def spectra(values, total):
        return values / total, lambda eigenvalues: eigenvalues * total

    @staticmethod
    def inverse_wishart(degrees, n_features):
        # Each variance has a prior of its own, in one dimension.
        return degrees + 2.0, 1.0

    @staticmethod
    def directions(n_features):
        every = np.arange(n_features)
        return every, every, np.eye(n_features)

    @staticmethod
    def add_to_scatter(scatter, diagonals):
        return scatter + diagonals

    @staticmethod
    def add_to_values(values, diagonal):
        return values + diagonal

    @staticmethod
    def scatter_of(values, count):
        return values * count[:, np.newaxis]

    @staticmethod
    def of_features(array, chosen):
        return array[:, chosen]

    @staticmethod
    def with_features(values, chosen, variance):
        out = np.tile(variance, (len(values), 1))
        out[:, chosen] = values
        return out

    @staticmethod
    def diagonal_sums(scatter, n_features):
        return scatter.sum(axis=0)

    @staticmethod
    def pooled(scatter, count, small):
        share = (count / count.sum())[:, np.newaxis] * scatter.sum(axis=0)
        return np.where(small[:, np.newaxis], share, scatter)


def accumulate_products(z, responsibilities, means, precisions, first, second):
    """Add the moments as products for all components, if these keep the digits."""
    count = responsibilities.sum(axis=1)[:, np.newaxis]
    squares = responsibilities @ (z * z).T
    if not keeps_digits(precisions * averages(squares, count), precisions * means**2):
        return False
    sums = responsibilities @ z.T
    first += sums - count * means
    second += squares - means * (2.0 * sums - count * means)
    return True
