"""Statistics: all that a model learns from rows; adding them joins the rows."""

from dataclasses import dataclass, replace

import numpy as np

from .forms import Covariances


@dataclass(frozen=True, eq=False)
class Statistics:
    """Expected sufficient statistics of a mixture over some rows.

    Attributes
    ----------
    count : ndarray of shape (K,)
        Sums of ``weight * responsibility``.
    first : ndarray of shape (K, D)
        First moments about `origin`.
    second : ndarray
        Second moments about `origin`, in the shape of the form of covariances.
    log_likelihood : float
        Weighted log-likelihood of the rows under the mixture that gave the
        responsibilities.
    origin : ndarray of shape (K, D)
        Where the moments are taken about: near the means, so that no digits are
        lost however far the means are from zero.
    form : type
        The class of covariances that the second moments are for.
    noise : float, default=nan
        Weight of the rows that are noise; NaN if nobody asked.
    """

    count: np.ndarray
    first: np.ndarray
    second: np.ndarray
    log_likelihood: float
    origin: np.ndarray
    form: type[Covariances]
    noise: float = np.nan

    def __add__(self, other):
        """Return the statistics of both sets of rows (about the same origin)."""
        return Statistics(
            self.count + other.count,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
            self.origin,
            self.form,
            self.noise + other.noise,
        )

    @classmethod
    def sum(cls, parts):
        """Return the statistics of all rows of some parts, in their order.

        What the first part holds is added to, and must belong to nobody else: large
        matrices are not copied for each part.
        """
        total = next(parts)
        log_likelihood, noise = total.log_likelihood, total.noise
        for part in parts:
            for mine, other in zip(total._moments(), part._moments(), strict=True):
                mine += other
            log_likelihood += part.log_likelihood
            noise += part.noise
        return replace(total, log_likelihood=log_likelihood, noise=noise)

    def _moments(self):
        return self.count, self.first, self.second

    @property
    def n_components(self):
        """K."""
        return len(self.count)

    def means(self):
        """Return the means; that of a component without rows is its origin."""
        return self.origin + self._shift()

    def scatter(self):
        """Return the second moments about the means."""
        return self.form.shift_scatter(self.second, self.count, self._shift())

    def scaled(self, factor):
        """Return the statistics of the rows with ``factor`` times their weights."""
        moments = (factor * part for part in self._moments())
        sums = factor * self.log_likelihood, self.origin, self.form, factor * self.noise
        return Statistics(*moments, *sums)

    def about(self, origin):
        """Return the same statistics about another origin (K, D)."""
        shift = self.means() - origin
        # The moments about the means are the smallest ones: no digit is lost.
        second = self.form.shift_scatter(self.scatter(), -self.count, shift)
        first = self.count[:, np.newaxis] * shift
        return replace(self, first=first, second=second, origin=origin)

    def with_total(self, mean, scatter):
        """Return the statistics with the second moments that a total scatter gives.

        ``mean`` (D,) and ``scatter`` (D, D) are those of all rows.
        """
        offsets = self.origin - mean
        second = self.form.second_from_total(scatter, offsets, self.count, self.first)
        return replace(self, second=second)

    def with_small_pooled(self, least):
        """Return the statistics, about the means, with small components pooled.

        Components with counts below ``least`` get the common covariance.
        """
        small = self.count < least
        if not (small.any() or self.first.any()):  # about the means already
            return self
        scatter = self.scatter()
        if small.any():
            scatter = self.form.pooled(scatter, self.count, small)
        no_shift = np.zeros_like(self.first)
        return replace(self, first=no_shift, second=scatter, origin=self.means())

    def _shift(self):
        count = self.count[:, np.newaxis]
        return np.divide(
            self.first, count, out=np.zeros_like(self.first), where=count > 0
        )
