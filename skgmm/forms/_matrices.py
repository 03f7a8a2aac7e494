"""Cholesky factors of, and products with, symmetric and triangular matrices."""

import numpy as np

from .. import kernels
from ._base import Covariances, NotPositiveDefinite

# Rows of a panel: fewer save more products with zeros, but run more slowly.
_PANEL = 64


def whiteners(matrices):
    """Return lower triangular ``W`` with ``W' W`` the inverse, shape (K, D, D).

    Raises
    ------
    NotPositiveDefinite
        Naming the first component without a Cholesky factor.
    """
    out, failed = kernels.whiteners(matrices)
    if failed is not None:
        raise NotPositiveDefinite(failed)
    return out


def safe_whiteners(matrices):
    """Return `whiteners`, of a repaired matrix where rounding left it no factor."""
    matrices, out, start = matrices.copy(), np.empty_like(matrices), 0
    while start < len(matrices):
        out[start:], failed = kernels.whiteners(matrices[start:])
        if failed is None:
            break
        # What comes before is done.
        start += failed
        matrices[start] = repaired(matrices[start])
    return out


def inverses(matrices):
    """Return the inverses of symmetric positive definite matrices (K, D, D)."""
    return grams(whiteners(matrices))


def grams(factors):
    """Return ``W' W`` for factors ``W``."""
    return np.swapaxes(factors, -1, -2) @ factors


def lower_product(lower, z):
    """Return ``lower @ z`` for a lower triangular matrix.

    In panels of rows, each without its zeros: LAPACK's own product of triangular
    matrices is as fast, but its wrapper does not release the GIL.
    """
    out = np.empty_like(z)
    for start in range(0, len(lower), _PANEL):
        stop = min(start + _PANEL, len(lower))
        np.matmul(lower[start:stop, :stop], z[:stop], out=out[start:stop])
    return out


def symmetrised(matrices):
    """Return the symmetric matrices of which the lower triangles are given."""
    return np.tril(matrices) + np.swapaxes(np.tril(matrices, -1), -1, -2)


def log_determinants(factors):
    """Return the log-determinants of the matrices with whiteners ``factors``."""
    return -2.0 * np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)


def repaired(matrices):
    """Return the matrices, the eigenvalues of their correlations clipped."""
    scale = np.sqrt(np.diagonal(matrices, axis1=-2, axis2=-1))
    outer = scale[..., :, np.newaxis] * scale[..., np.newaxis, :]
    values, vectors = np.linalg.eigh(matrices / outer)
    floor = 16 * matrices.shape[-1] * np.finfo(float).eps
    clipped = np.maximum(values, floor)[..., np.newaxis, :]
    return symmetrised((vectors * clipped) @ np.swapaxes(vectors, -1, -2) * outer)


def asymmetric(matrices):
    """Return the index of the first matrix that is not symmetric, or None."""
    for k, matrix in enumerate(matrices):
        size = np.sqrt(np.abs(np.diagonal(matrix)))
        tolerance = 1e-6 * size * size[:, np.newaxis]
        if np.any(np.abs(matrix - matrix.T) > tolerance):
            return k
    return None


def sphering(scatter):
    """Return the factors (D, r) that make a scatter of rank r the identity."""
    scale = np.sqrt(np.diagonal(scatter))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(scatter / scale / scale[:, np.newaxis])
    kept = values > 1e-9 * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept]) / scale[:, np.newaxis]


class MatrixCovariances(Covariances):
    """What covariances in matrices share: ``values`` of shape (..., D, D)."""

    linear = True

    def _log_determinants(self):
        return log_determinants(self.whiteners)

    @property
    def precisions(self):
        return grams(self.whiteners)

    @property
    def precisions_cholesky(self):
        return np.ascontiguousarray(np.swapaxes(self.whiteners, -1, -2))

    @property
    def precision_diagonals(self):
        return np.einsum("...ij,...ij->...j", self.whiteners, self.whiteners)

    def expected_mahalanobis(self, scatter):
        return float(np.sum(self.precisions * scatter))

    def rescaled(self, scale):
        values = self.values * (scale * scale[:, np.newaxis])
        sizes = self.n_components, self.n_features
        return type(self)(values, *sizes, self.whiteners / scale)

    def mapped(self, into):
        if into.ndim == 1:
            return self.rescaled(into)
        values = symmetrised(into.T @ self.values @ into)
        return self.mended(values, self.n_components, self.n_features)

    def in_single(self):
        # Factors are rounded, so that the shortest axes are not lost.
        factors = np.tril(np.linalg.inv(self.whiteners))
        factors = factors.astype(np.float32).astype(float)
        values = factors @ np.swapaxes(factors, -1, -2)
        whiteners = np.tril(np.linalg.inv(factors))
        return type(self)(values, self.n_components, self.n_features, whiteners)

    @staticmethod
    def metric(total):
        return sphering(total)

    def relative_eigenvalues(self, metric):
        matrices = self.values.reshape(-1, self.n_features, self.n_features)
        eigenvalues = np.linalg.eigvalsh(metric.T @ matrices @ metric)
        return eigenvalues, metric.shape[1]

    @staticmethod
    def spectra(values, total):
        root = np.linalg.cholesky(total)
        inverse = np.linalg.inv(root)
        matrices = values.reshape(-1, *total.shape)
        eigenvalues, vectors = np.linalg.eigh(inverse @ matrices @ inverse.T)
        axes = root @ vectors

        def rebuilt(eigenvalues):
            scaled = axes * eigenvalues[:, np.newaxis, :]
            matrices = symmetrised(scaled @ np.swapaxes(axes, -1, -2))
            return matrices.reshape(values.shape)

        return eigenvalues, rebuilt

    @staticmethod
    def inverse_wishart(degrees, n_features):
        return degrees + n_features + 1.0, 1.0

    def whiten(self, offsets):
        return (self.whiteners @ offsets[:, :, np.newaxis])[:, :, 0]

    def unwhiten(self, offsets):
        return np.linalg.solve(self.whiteners, offsets[:, :, np.newaxis])[:, :, 0]

    def relative_to(self, base):
        return self.whiteners @ np.linalg.inv(base.whiteners)

    @staticmethod
    def sphered(rows, covariance):
        return rows @ sphering(covariance)

    @classmethod
    def coordinates(cls, rows, covariance, weight):
        # Invariant ones, up to signs: the principal axes, after sphering, of a scatter
        # that weighs rows by their squared distance (Tyler et al. 2009, J. R. Statist.
        # Soc. B 71:549).  Short ones are where clusters stand side by side: they have
        # light tails.
        into, values = cls.axes(rows, covariance, weight)
        varying = np.count_nonzero(np.diagonal(covariance))
        # Few rows, all as far away: no axis is better.
        if len(values) < max(varying, 1):
            return super().coordinates(rows, covariance, weight)
        return rows @ (into * cls.stretches(values))

    @staticmethod
    def stretches(tails):
        """Return by what places on invariant axes are stretched (r,): see `axes`."""
        largest = tails.max(initial=0.0)
        return largest / np.maximum(tails, 1e-9 * largest)

    @staticmethod
    def axes(rows, covariance, weight):
        """Return the map (D, r) of centred rows on invariant axes, and their tails.

        There the covariance, of rank r, is the identity, and tails (r,) are variances
        of rows that weigh the more the farther away they are.  See `coordinates`.
        """
        into = sphering(covariance)
        z = rows @ into
        heavy = (z.T * (weight * np.einsum("ij,ij->i", z, z))) @ z
        values, axes = np.linalg.eigh(heavy)
        return into @ axes, values

    def stretched(self, relative):
        diagonals = np.diagonal(relative, axis1=-2, axis2=-1)
        if not np.all(diagonals > 0):
            raise NotPositiveDefinite(int(np.argwhere(~(diagonals > 0))[0, 0]))
        whiteners = np.tril(relative) @ self.whiteners
        factors = np.tril(np.linalg.inv(whiteners))
        values = factors @ np.swapaxes(factors, -1, -2)
        return type(self)(values, self.n_components, self.n_features, whiteners)

    @staticmethod
    def directions(n_features):
        i, j = np.triu_indices(n_features)
        return i, j, np.eye(len(i))

    @staticmethod
    def free(values):
        i, j = np.triu_indices(values.shape[-1])
        return values[..., i, j]

    @classmethod
    def arranged(cls, free, n_components, n_features):
        i, j = np.triu_indices(n_features)
        out = np.empty((len(free), n_features, n_features))
        out[:, i, j] = out[:, j, i] = free
        return out.reshape(cls.shape(n_components, n_features))

    @classmethod
    def repaired(cls, values, n_components, n_features):
        return cls(repaired(values), n_components, n_features)

    @classmethod
    def from_factors(cls, values, factors, n_components, n_features):
        whiteners = np.swapaxes(factors, -1, -2)
        return cls(values, n_components, n_features, whiteners)

    @staticmethod
    def squared_factors(factors):
        return factors @ np.swapaxes(factors, -1, -2)

    @staticmethod
    def add_to_values(values, diagonal):
        return values + np.diag(diagonal)

    @staticmethod
    def of_features(array, chosen):
        return array[..., chosen, :][..., chosen]

    @staticmethod
    def with_features(values, chosen, variance):
        out = np.broadcast_to(
            np.diag(variance), (*values.shape[:-2], *2 * chosen.shape)
        )
        out = out.copy()
        out[..., np.outer(chosen, chosen)] = values.reshape(*values.shape[:-2], -1)
        return out

    @staticmethod
    def diagonal_sums(scatter, n_features):
        diagonals = np.diagonal(scatter, axis1=-2, axis2=-1)
        return diagonals.reshape(-1, n_features).sum(axis=0)
