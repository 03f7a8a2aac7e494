"""Variances and their roots: what forms without matrices share."""

import numpy as np

from ._base import Covariances, NotPositiveDefinite


class VarianceCovariances(Covariances):
    """What covariances in variances share: each value stands for itself."""

    def _factorise(self):
        return inverse_roots(self.values)

    @property
    def variances(self):
        sizes = self.n_components, self.n_features
        return np.broadcast_to(self.values.reshape(self.n_components, -1), sizes)

    def colorize(self, component, noise):
        return noise / self.whiteners[component]

    @property
    def precisions(self):
        return self.whiteners**2

    @property
    def precisions_cholesky(self):
        return self.whiteners

    def whiten(self, offsets):
        return offsets * self.whiteners.reshape(self.n_components, -1)

    def unwhiten(self, offsets):
        return offsets / self.whiteners.reshape(self.n_components, -1)

    def relative_to(self, base):
        return self.whiteners / base.whiteners

    def stretched(self, relative):
        if not np.all(relative > 0):
            raise NotPositiveDefinite(int(np.argwhere(~(relative > 0))[0, 0]))
        whiteners = relative * self.whiteners
        sizes = self.n_components, self.n_features
        return type(self)(whiteners**-2.0, *sizes, whiteners)

    @classmethod
    def repaired(cls, values, n_components, n_features):
        # Rounding may have made a variance negative or zero.
        smallest = np.finfo(float).eps ** 2
        return cls(np.maximum(values, smallest), n_components, n_features)

    @classmethod
    def from_precisions(cls, precisions, n_components, n_features):
        return cls(inverse_roots(precisions) ** 2, n_components, n_features)

    @staticmethod
    def squared_factors(factors):
        return factors**2


def inverse_roots(variances):
    """Return ``1 / sqrt(variances)``; raise `NotPositiveDefinite` for a bad one."""
    bad = ~((variances > 0) & np.isfinite(variances))
    if bad.any():
        raise NotPositiveDefinite(int(np.argwhere(bad)[0, 0]))
    return 1.0 / np.sqrt(variances)
