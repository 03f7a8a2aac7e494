"""Full covariances: one matrix a component."""

import numpy as np
from scipy.linalg import solve_triangular

from . import _matrices
from ._base import residuals, squared_norms
from ._holes import MatrixHoles
from ._matrices import MatrixCovariances


class Full(MatrixCovariances):
    """One full matrix a component: ``values`` of shape (K, D, D)."""

    kind = "full"

    @staticmethod
    def shape(n_components, n_features):
        return (n_components, n_features, n_features)

    @staticmethod
    def n_parameters(n_components, n_features):
        return n_components * n_features * (n_features + 1) // 2

    @classmethod
    def unit(cls, n_components, n_features):
        values = np.tile(np.eye(n_features), (n_components, 1, 1))
        return cls(values, n_components, n_features)

    asymmetric = staticmethod(_matrices.asymmetric)

    def _factorise(self):
        return _matrices.whiteners(self.values)

    def mahalanobis(self, z, means):
        out = np.empty((len(means), z.shape[1]))
        for k, (mean, whitener) in enumerate(zip(means, self.whiteners, strict=True)):
            out[k] = squared_norms(
                _matrices.lower_product(whitener, residuals(z, mean))
            )
        return out

    def colorize(self, component, noise):
        return solve_triangular(self.whiteners[component], noise.T, lower=True).T

    def dense(self):
        return self.values

    def _halves(self, offsets):
        return self.values - offsets[:, :, np.newaxis] * offsets[:, np.newaxis, :]

    def average(self, weights):
        return np.tensordot(weights, self.values, 1)

    @classmethod
    def from_precisions(cls, precisions, n_components, n_features):
        return cls(_matrices.inverses(precisions), n_components, n_features)

    @property
    def general(self):
        return self

    def with_holes(self, observed, varies):
        """Return how these covariances see rows with holes, see `MatrixHoles`."""
        return MatrixHoles(self.values, observed, varies)

    @staticmethod
    def from_general(second):
        return second

    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        for k, root in enumerate(np.sqrt(responsibilities)):
            scaled = residuals(z, means[k]) * root
            first[k] += scaled @ root
            second[k] += scaled @ scaled.T

    @staticmethod
    def shift_scatter(second, count, shift):
        outer = shift[:, :, np.newaxis] * shift[:, np.newaxis, :]
        return _matrices.symmetrised(second) - _per_matrix(count) * outer

    @staticmethod
    def add_to_scatter(scatter, diagonals):
        return scatter + diagonals[:, :, np.newaxis] * np.eye(diagonals.shape[1])

    @staticmethod
    def scatter_of(values, count):
        return values * _per_matrix(count)

    @staticmethod
    def pooled(scatter, count, small):
        share = _per_matrix(count / count.sum()) * scatter.sum(axis=0)
        return np.where(_per_matrix(small), share, scatter)


def _per_matrix(vector):
    return vector[:, np.newaxis, np.newaxis]
