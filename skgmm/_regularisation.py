"""What keeps covariances away from singular ones."""

from dataclasses import dataclass
from functools import cached_property

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

    def moments(self, statistics):
        """Return the means, and the scatter about them."""
        return statistics.means(), statistics.scatter()

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

    def varying(self, covariances):
        """Return the values of covariances without those of constant features."""
        return self._varying(type(covariances), covariances.values)

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
        """The size, variances, held variances and a ridge, for compiled steps.

        None if these cannot make the steps.
        """
        held = np.where(self.constant, self.variance, 0.0)
        return self.size, self.variance, held, np.zeros_like(held)

    @cached_property
    def _log_determinant(self):
        """That of the covariance of the pseudo-observations."""
        return float(np.log(self.variance).sum())

    def log_penalty(self, mixture):
        """Return ``-size/2 sum_k(log|C_k/V| + tr(V/C_k) - D)``, at most about zero."""
        covariances = mixture.covariances
        ratios = self.variance * covariances.precision_diagonals
        traces = np.broadcast_to(ratios, mixture.means.shape).sum(axis=1)
        relative = covariances.log_determinants - self._log_determinant
        return -0.5 * self.size * float(np.sum(relative + traces - len(self.variance)))

    def held_up(self, family, mixture, statistics):
        """Tell of each component whether the penalty makes most of some variance.

        Then twice the penalty would make nearly twice that variance.
        """
        scatter = self.moments(statistics)[1], mixture.covariances
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
class Conjugate(PseudoObservations):
    """A conjugate prior of each mean and covariance, and `PseudoObservations`.

    The mean of a component is Gaussian about ``centre`` with covariance ``C_k /
    shrinkage``, ``C_k`` is inverse Wishart.  In the M-step this is ``shrinkage`` rows
    at the centre, whose weight is in no other count, and so many observations with a
    scatter: those of the density of ``C_k``, of its factor ``|C_k|^(-1/2)`` in that of
    the mean.  It maximises the likelihood plus `log_penalty` in every family (Fraley
    and Raftery 2007, J. Classification 24:155).

    Where all components have the same covariance, its prior is counted once.

    Attributes
    ----------
    prior : ConjugatePrior
    centre : ndarray of shape (D,)
        Mean of all rows.
    total : ndarray
        Their covariance, in the form `Covariances.for_total`.
    log_determinant : float
        Of that covariance, with the pseudo-observations.
    shared : bool
        Whether all components have the same covariance.
    unit : float
        What an observation of the prior weighs: below one if all rows do.
    """

    prior: object
    centre: np.ndarray
    total: np.ndarray
    log_determinant: float
    shared: bool
    unit: float

    terms = None

    @classmethod
    def on(cls, base, prior, source, family, regular):
        """Return the prior for a family and the rows of a source.

        Parameters
        ----------
        base : PseudoObservations
        prior : ConjugatePrior
        source : source of rows
        family : Family
        regular : Covariances
            The covariance of all rows, with the pseudo-observations.
        """
        prior.degrees_for(len(base.variance))
        centre, scatter = source.total(family.form)
        return cls(
            base.size,
            base.variance,
            base.constant,
            prior,
            centre,
            scatter / source.total_weight,
            float(regular.log_determinants[0]),
            family.shares_all,
            base.size / PSEUDO_OBSERVATIONS,
        )

    def moments(self, statistics):
        """Return the means that are drawn to the centre, and the scatter about them.

        The scatter contains that of the centre.
        """
        count, means = statistics.count, statistics.means()
        kappa = self.unit * self.prior.shrinkage
        if kappa == 0:
            return means, statistics.scatter()
        offsets = means - self.centre
        kept = count / (count + kappa)
        form = statistics.form
        scatter = form.shift_scatter(statistics.scatter(), -kappa * kept, offsets)
        return self.centre + kept[:, np.newaxis] * offsets, scatter

    def estimate(self, family, count, scatter, previous=None, *, times=1.0):
        """Return the covariances of a family, see `PseudoObservations.estimate`."""
        extra, own = self._observations(family.form, len(count))
        return super().estimate(
            family, count + extra, scatter + own, previous, times=times
        )

    def _observations(self, form, n_components):
        """Return the count of a component, and the scatter of all, that are added."""
        prior, n_features = self.prior, len(self.variance)
        count, size = form.inverse_wishart(prior.degrees_for(n_features), n_features)
        size *= prior.scale_for(n_components, n_features)
        if self.shared:
            count, size = count / n_components, size / n_components
        shape = form.shape(n_components, n_features)
        scatter = form.scatter_of(
            np.broadcast_to(self.total, shape), np.full(n_components, self.unit * size)
        )
        return self.unit * (count + (prior.shrinkage > 0)), scatter

    def log_penalty(self, mixture):
        """Return the log-density of the prior over that of the covariance of all rows.

        Up to a constant: with ``a`` observations of the scatter ``A``, ``-1/2 sum_k (a
        log|C_k / T| + tr(C_k^-1 A) + shrinkage (m_k - centre)' C_k^-1 (m_k -
        centre))``; and the penalty of the `PseudoObservations`.
        """
        covariances = mixture.covariances
        form, offsets = type(covariances), mixture.means - self.centre
        count, scatter = self._observations(form, mixture.n_components)
        kappa = np.full(mixture.n_components, self.unit * self.prior.shrinkage)
        distances = covariances.expected_mahalanobis(
            form.shift_scatter(scatter, -kappa, offsets)
        )
        relative = covariances.log_determinants - self.log_determinant
        own = -0.5 * (count * float(relative.sum()) + distances)
        return super().log_penalty(mixture) + own


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

    def moments(self, statistics):
        """Return the means, and the scatter about them."""
        return statistics.means(), statistics.scatter()

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
