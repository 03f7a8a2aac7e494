"""Tied covariances: one matrix for all components."""

import numpy as np
from scipy.linalg import solve_triangular

from . import _matrices
from ._base import residuals, squared_distances, squared_norms
from ._matrices import MatrixCovariances
from .full import Full

# Largest squared distance (in standard deviations) of a mean from the centre of the
# rows at which "total minus between" scatter still has ten right digits.
_FAR = 1e6


class Tied(MatrixCovariances):
    """One full matrix shared by all components: ``values`` of shape (D, D)."""

    kind = "tied"
    shared = True

    @staticmethod
    def shape(n_components, n_features):
        return (n_features, n_features)

    @staticmethod
    def n_parameters(n_components, n_features):
        return n_features * (n_features + 1) // 2

    @classmethod
    def unit(cls, n_components, n_features):
        return cls(np.eye(n_features), n_components, n_features)

    @staticmethod
    def asymmetric(values):
        return _matrices.asymmetric(values[np.newaxis])

    def _factorise(self):
        return _matrices.whiteners(self.values[np.newaxis])[0]

    def mahalanobis(self, z, means):
        # Rows and means are whitened once, about a centre that they share.
        centre = means.mean(axis=0)
        white = _matrices.lower_product(self.whiteners, residuals(z, centre))
        white_means = (means - centre) @ self.whiteners.T
        return squared_distances(white, white_means)

    def colorize(self, component, noise):
        return solve_triangular(self.whiteners, noise.T, lower=True).T

    def in_two(self, offsets, factors):
        return np.broadcast_to(self.values, (len(offsets), *self.values.shape))

    def average(self, weights):
        return self.values

    def with_average(self, component, weights, factor):
        return self

    def dense(self):
        return np.broadcast_to(self.values, (self.n_components, *self.values.shape))

    def take(self, indices):
        return type(self)(self.values, len(indices), self.n_features, self.whiteners)

    @classmethod
    def from_precisions(cls, precisions, n_components, n_features):
        values = _matrices.inverses(precisions[np.newaxis])[0]
        return cls(values, n_components, n_features)

    def marginal(self, features):
        return self._of_one(self._one().marginal(features))

    def split(self, given, free):
        slopes, covariances = self._one().split(given, free)
        shape = self.n_components, len(free), len(given)
        return np.broadcast_to(slopes, shape), self._of_one(covariances)

    def _one(self):
        """Return the matrix as that of one component."""
        return Full(
            self.values[np.newaxis], 1, self.n_features, self.whiteners[np.newaxis]
        )

    def _of_one(self, full):
        sizes = self.n_components, full.n_features
        return Tied(full.values[0], *sizes, full.whiteners[0])

    @classmethod
    def for_total(cls):
        return Full

    def follow_from_total(self, means):
        return squared_norms(self.whiteners @ means.T).max() <= _FAR

    @staticmethod
    def second_from_total(total, offsets, count, first):
        between = offsets.T @ (first + 0.5 * count[:, np.newaxis] * offsets)
        return total - between - between.T

    @property
    def general(self):
        shape = self.n_components, *self.values.shape
        whiteners = np.broadcast_to(self.whiteners, shape)
        return Full(self.dense(), self.n_components, self.n_features, whiteners)

    @staticmethod
    def from_general(second):
        return second.sum(axis=0)

    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        # Components that lie far apart share no rows: each takes those with a part
        # in it, so that this costs one product too.
        for k, part in enumerate(responsibilities):
            rows = np.flatnonzero(part)
            root = np.sqrt(part[rows])
            scaled = residuals(z[:, rows], means[k]) * root
            first[k] += scaled @ root
            second += scaled @ scaled.T

    @staticmethod
    def shift_scatter(second, count, shift):
        return _matrices.symmetrised(second) - (count * shift.T) @ shift

    @staticmethod
    def add_to_scatter(scatter, diagonals):
        return scatter + np.diag(diagonals.sum(axis=0))

    @staticmethod
    def scatter_of(values, count):
        return values * count.sum()

    @staticmethod
    def pooled(scatter, count, small):
        return scatter
