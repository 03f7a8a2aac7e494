"""Gaussians of rows with holes: evaluated where observed, completed where not.

With o the observed features of a row and m the missing ones, under one Gaussian

    x_o ~ N(mu_o, S_oo),    x_m | x_o ~ N(mu_m + G (x_o - mu_o), C),
    G = S_mo S_oo^-1,       C = S_mm - S_mo S_oo^-1 S_om

(Ghahramani and Jordan 1994, NIPS 6:120; Little and Rubin 2019, chapter 11).  Everything
here is for P patterns of holes at once, in all D dimensions: residuals ``e`` from the
means (K, P, R, D), of R rows a pattern, are zero where nothing was observed.
"""

from functools import cached_property

import numpy as np

from . import _matrices


class MatrixHoles:
    """Holes under covariances in matrices, see the module.

    Parameters
    ----------
    values : ndarray of shape (K, D, D)
    observed : ndarray of shape (P, D), bool
    varies : ndarray of shape (D,), bool
        Features with one value only have no conditional variance.

    Attributes
    ----------
    whiteners : ndarray of shape (K, P, D, D)
        Those of ``S_oo``, with zeros for what is missing.
    log_determinants : ndarray of shape (K, P)
        Those of ``S_oo``.
    """

    def __init__(self, values, observed, varies):
        self._values, self._observed = values[:, np.newaxis], observed
        self._missing = ~observed & varies
        both = observed[:, :, np.newaxis] & observed[:, np.newaxis, :]
        # Ones stand for what is missing: the factors are those of the rest.
        matrices = np.where(both, self._values, np.eye(observed.shape[1]))
        whiteners = _matrices.safe_whiteners(matrices.reshape(-1, *values.shape[1:]))
        self.log_determinants = _matrices.log_determinants(whiteners).reshape(
            matrices.shape[:2]
        )
        self.whiteners = whiteners.reshape(matrices.shape)
        self.whiteners *= both

    def mahalanobis(self, e):
        """Return the squared distances of the observed parts, shape (K, P, R)."""
        white = e @ _transposed(self.whiteners)
        return np.einsum("kprd,kprd->kpr", white, white)

    @cached_property
    def _cross(self):
        missing = self._missing[:, np.newaxis, :]
        return self.whiteners @ np.where(missing, self._values, 0.0)

    @cached_property
    def _completion(self):
        """The matrices (K, P, D, D) that make conditional means of residuals."""
        observed = self._observed[:, :, np.newaxis] * np.eye(self._observed.shape[1])
        return _transposed(self._cross) @ self.whiteners + observed

    @cached_property
    def conditional(self):
        """The conditional covariances (K, P, D, D); zero where observed."""
        both = self._missing[:, :, np.newaxis] & self._missing[:, np.newaxis, :]
        left = np.where(both, self._values, 0.0)
        return left - _transposed(self._cross) @ self._cross

    def completed(self, e):
        """Return residuals with their conditional means where they have holes."""
        return e @ _transposed(self._completion)

    def moments(self, e, parts):
        """Return the sums over rows of ``part e e'``, shape (K, P, D, D)."""
        return _transposed(e * parts[..., np.newaxis]) @ e

    def complete(self, count, first, second):
        """Return the expected moments of the completed rows.

        Parameters
        ----------
        count, first, second : ndarray of shape (K, P), (K, P, D), (K, P, D, D)
            Those of residuals with holes.

        Returns
        -------
        first, second : ndarray of shape (K, D), (K, D, D)
        """
        completion = self._completion
        moved = completion @ second
        squares = [
            np.tensordot(m, c, ((0, 2), (0, 2)))
            for m, c in zip(moved, completion, strict=True)
        ]
        return (
            np.einsum("kpij,kpj->ki", completion, first),
            np.stack(squares) + np.einsum("kp,kpij->kij", count, self.conditional),
        )

    def noise(self, components, white):
        """Give white noise (P, R, D) the conditional covariances of components (P, R).

        By eigenvectors: a conditional covariance may be singular.
        """
        values, vectors = np.linalg.eigh(self.conditional)
        roots = vectors * np.sqrt(np.maximum(values, 0.0))[..., np.newaxis, :]
        out = np.zeros_like(white)
        for k, root in enumerate(roots):
            chosen = (components == k)[..., np.newaxis]
            out += np.where(chosen, white @ _transposed(root), 0.0)
        return out * self._missing[:, np.newaxis, :]


class VarianceHoles:
    """Holes under covariances without correlations: ``values`` of shape (K, D).

    What is missing has its mean and variance, whatever was observed; second moments
    are (K, P, D).  Else as `MatrixHoles`.
    """

    def __init__(self, values, observed, varies):
        self._values, self._missing = values, ~observed & varies
        self._roots = 1.0 / np.sqrt(values)
        self.log_determinants = np.log(values) @ observed.T

    def mahalanobis(self, e):
        white = e * self._roots[:, np.newaxis, np.newaxis]
        return np.einsum("kprd,kprd->kpr", white, white)

    @cached_property
    def conditional(self):
        return self._values[:, np.newaxis] * self._missing

    def completed(self, e):
        return e

    def moments(self, e, parts):
        return np.einsum("kpr,kprd,kprd->kpd", parts, e, e)

    def complete(self, count, first, second):
        return first.sum(axis=1), second.sum(axis=1) + self._values * (
            count @ self._missing
        )

    def noise(self, components, white):
        roots = 1.0 / self._roots[components]
        return white * roots * self._missing[:, np.newaxis, :]


def _transposed(matrices):
    return np.swapaxes(matrices, -1, -2)
