"""Coordinates in which steps of EM are extrapolated (SQUAREM)."""

import numpy as np
from scipy.special import softmax

from ._mixture import Mixture


class Coordinates:
    """Coordinates of mixtures relative to one of them, as vectors.

    With ``W`` the whitener, ``m`` the mean and ``p`` the weight of a component, and
    a zero for the base mixture, a component has the coordinates ``sqrt(p0)`` times
    ``log p``, ``W (m - m0)`` and ``W / W0``, and noise the first of them: every vector
    is a mixture again (if the diagonal of ``W / W0`` is positive), and linear maps of
    the features change no length, so that a step length does not depend on units.

    Parameters
    ----------
    base : Mixture
        Its weights are positive.
    """

    def __init__(self, base):
        self._base = base
        self._of_parts = np.sqrt(base.shares)
        self._roots = self._of_parts[: base.n_components]
        self._root_of_matrices = 1.0 if base.covariances.shared else self._roots

    def of(self, mixture):
        """Return the vector of a mixture."""
        base, covariances = self._base, mixture.covariances
        relative = covariances.relative_to(base.covariances)
        offsets = covariances.whiten(mixture.means - base.means)
        parts = (
            self._of_parts * np.log(mixture.shares),
            _scaled(offsets, self._roots),
            _scaled(relative, self._root_of_matrices),
        )
        return np.concatenate([part.ravel() for part in parts])

    def mixture(self, vector):
        """Return the mixture of a vector.

        Raises
        ------
        NotPositiveDefinite
            If no mixture has these coordinates.
        """
        base = self._base
        k, d = base.means.shape
        n = len(self._of_parts)
        logs, offsets, relative = np.split(vector, [n, n + k * d])
        relative = relative.reshape(base.covariances.whiteners.shape)
        relative = _scaled(relative, 1.0 / self._root_of_matrices)
        covariances = base.covariances.stretched(relative)
        offsets = _scaled(offsets.reshape(k, d), 1.0 / self._roots)
        means = base.means + covariances.unwhiten(offsets)
        shares = softmax(logs / self._of_parts)
        return Mixture.of_shares(shares, means, covariances, base.noise)


def _scaled(array, factors):
    """Return an array times factors along its first axis."""
    return array * np.reshape(factors, np.shape(factors) + (1,) * (array.ndim - 1))


def step_length(v0, v1, v2):
    """Return the length of the third scheme of SQUAREM, and the terms of the step.

    ``v0 + 2 a r + a^2 q`` with ``a`` the length, ``r`` the first step and ``q`` the
    change of the steps (Varadhan and Roland 2008, Scand. J. Statist. 35:335); it is
    1 for a plain step of EM, and 1 / (1 - rate) if one rate rules.
    """
    r = v1 - v0
    q = (v2 - v1) - r
    size = np.linalg.norm(q)
    return (np.linalg.norm(r) / size if size > 0 else 1.0), r, q
