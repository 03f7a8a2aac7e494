"""What keeps covariances away from singular ones."""

from dataclasses import dataclass

import numpy as np

from .forms import NotPositiveDefinite

# Pseudo-observations a component; variance of a feature that has one value only.
PSEUDO_OBSERVATIONS = 1e-6
CONSTANT_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class PseudoObservations:
    """A proper penalty: a few observations of the total variances a component.

    Each component is given ``size`` extra observations with covariance
    ``diag(variance)``: the family sees the count ``count + size`` and the scatter
    ``scatter + size * diag(variance)``.  This maximises the likelihood plus
    `log_penalty`, so EM never lowers that sum, and a component that dies gets the
    total variances (Chen and Tan 2009, J. Multivariate Anal. 100:1367).

    A feature with one value only carries no information: its variance is held at
    the same constant in all components, which leaves the responsibilities alone.
    The family constrains the covariances of the other features.

    Attributes
    ----------
    size : float
    variance : ndarray of shape (D,)
        Variances of the features; `CONSTANT_VARIANCE` for constant ones.
    constant : ndarray of shape (D,), bool
    """

    size: float
    variance: np.ndarray
    constant: np.ndarray

    is_penalty = True

    @classmethod
    def of(cls, frame, largest_weight):
        """Return the penalty for data in their frame.

        Rows whose weights are all below one count as fractions of observations,
        and so do the pseudo-observations.
        """
        size = PSEUDO_OBSERVATIONS * min(1.0, largest_weight)
        variance = np.where(frame.constant, CONSTANT_VARIANCE, frame.variance)
        return cls(size, variance, frame.constant)

    def estimate(self, family, count, scatter, previous=None, *, times=1.0):
        """Return the regularised covariances of a family: never fails.

        Parameters
        ----------
        family : Family
        count : ndarray of shape (K,)
        scatter : ndarray
            About the means, in the shape of the family's form.
        previous : Covariances, optional
            Covariances of the family; those returned are no worse.
        times : float, default=1
            How many times the variances of the pseudo-observations are taken.
        """
        extra = np.tile(times * self.size * self.variance, (len(count), 1))
        scatter = family.form.add_to_scatter(scatter, extra)
        return self._estimated(family, count + self.size, scatter, previous)

    def project(self, family, weights, covariances, near):
        """Return the covariances of a family for a scatter of other covariances."""
        scatter = family.form.scatter_of(covariances.values, weights)
        return self._estimated(family, weights, scatter, near)

    def _estimated(self, family, count, scatter, previous):
        form, sizes = family.form, (len(count), len(self.variance))
        if self.constant.all():
            return form.unit(*sizes).rescaled(np.sqrt(self.variance))
        previous = None if previous is None else self._varying(form, previous.values)
        scatter = self._varying(form, scatter)
        try:
            values = family.values(count, scatter, previous)
            return form(self._all(form, values), *sizes)
        except NotPositiveDefinite:
            reduced = len(count), int(np.sum(~self.constant))
            scatter = form.repaired(scatter, *reduced).values
            values = family.values(count, scatter, None)
            return form.repaired(self._all(form, values), *sizes)

    def _varying(self, form, array):
        """Return the part of an array in the form's shape without constant features."""
        if not self.constant.any():
            return array
        return form.of_features(array, ~self.constant)

    def _all(self, form, values):
        """Return values with those of the constant features."""
        if not self.constant.any():
            return values
        return form.with_features(values, ~self.constant, self.variance)

    @property
    def terms(self):
        """The size, variances, held variances and a ridge, for compiled steps."""
        held = np.where(self.constant, self.variance, 0.0)
        return self.size, self.variance, held, np.zeros_like(held)

    def log_penalty(self, mixture):
        """Return ``-size/2 sum_k(log|C_k/V| + tr(V/C_k) - D)``, at most about zero."""
        covariances = mixture.covariances
        ratios = self.variance * covariances.precision_diagonals
        traces = np.broadcast_to(ratios, mixture.means.shape).sum(axis=1)
        relative = covariances.log_determinants - np.log(self.variance).sum()
        return -0.5 * self.size * float(np.sum(relative + traces - len(self.variance)))

    def held_up(self, family, mixture, statistics):
        """Tell of each component whether the penalty makes most of some variance.

        Then twice the penalty would make nearly twice that variance.
        """
        scatter = statistics.scatter(), mixture.covariances
        once, twice = (
            self._relative_precisions(
                self.estimate(family, statistics.count, *scatter, times=times)
            )
            for times in (1.0, 2.0)
        )
        return (once > 1.5 * twice) & (statistics.count > 0)

    def _relative_precisions(self, covariances):
        """Return the traces of the precisions in the metric of the total variances."""
        ratios = self.variance * covariances.precision_diagonals
        sizes = covariances.n_components, covariances.n_features
        return np.broadcast_to(ratios, sizes)[:, ~self.constant].sum(axis=1)


@dataclass(frozen=True, eq=False)
class Ridge:
    """scikit-learn's ``reg_covar``: a constant added to the estimated variances.

    Attributes
    ----------
    value : ndarray of shape (D,)
    """

    value: np.ndarray

    is_penalty = False

    @classmethod
    def of(cls, frame, reg_covar):
        """Return the ridge of ``reg_covar`` squared units of the user's."""
        return cls(reg_covar / frame.scale**2)

    def estimate(self, family, count, scatter, previous=None):
        """Return the covariances of a family with the ridge added.

        See `PseudoObservations.estimate`.
        """
        form, sizes = family.form, (len(count), len(self.value))
        count = np.maximum(count, np.finfo(float).tiny)
        bare = None
        if previous is not None:
            bare = form.add_to_values(previous.values, -self.value)
        try:
            values = family.values(count, scatter, bare)
            return form(form.add_to_values(values, self.value), *sizes)
        except NotPositiveDefinite:
            if previous is None:
                raise
            # A start may lie below the ridge.
            return self.estimate(family, count, scatter)

    def project(self, family, weights, covariances, near):
        """Return the covariances of a family for a scatter of other covariances."""
        values = family.form.add_to_values(covariances.values, -self.value)
        return self.estimate(
            family, weights, family.form.scatter_of(values, weights), near
        )

    @property
    def terms(self):
        """See `PseudoObservations.terms`."""
        zero = np.zeros_like(self.value)
        return 0.0, zero, zero, self.value

    def log_penalty(self, mixture):
        """Return zero: a ridge is no penalty of the likelihood."""
        return 0.0

    def held_up(self, family, mixture, statistics):
        """Tell of no component that it is singular: the user chose the ridge."""
        return np.zeros(mixture.n_components, dtype=bool)
