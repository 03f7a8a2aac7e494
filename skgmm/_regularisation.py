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
    ``diag(variance)``, so that it is estimated as
    ``(scatter + size * diag(variance)) / (count + size)``.  This maximises the
    likelihood plus `log_penalty`, so EM never lowers that sum, and a component
    that dies gets the total variances (Chen and Tan 2009, J. Multivariate Anal.
    100:1367).

    A feature with one value only carries no information: its variance is held at
    the same constant in all components, which leaves the responsibilities alone.

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

    def estimate(self, form, sizes, covariances, count, scatter):
        """Return the regularised covariances of a family: never fails."""
        _, _, held, _ = self.terms
        extra = self.size * self.variance + count[:, np.newaxis] * held
        values = covariances(count + self.size, form.add_to_scatter(scatter, extra))
        try:
            return form(values, *sizes)
        except NotPositiveDefinite:
            return form.repaired(values, *sizes)

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

    def held_up(self, mixture, total_weight):
        """Tell of each component whether the penalty makes most of some variance.

        In a direction in which its rows do not vary, its variance is
        ``size / (count + size)`` of the total one.
        """
        covariances = mixture.covariances
        ratios = self.variance * covariances.precision_diagonals
        ratios = np.broadcast_to(ratios, mixture.means.shape)[:, ~self.constant]
        count = mixture.weights * total_weight
        if covariances.shared:
            count = np.full_like(count, total_weight / len(count))
        return (ratios.sum(axis=1) * self.size > 0.5 * count) & (count > 0)


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

    def estimate(self, form, sizes, covariances, count, scatter):
        """Return the covariances of a family with the ridge added."""
        values = covariances(np.maximum(count, np.finfo(float).tiny), scatter)
        return form(form.add_to_values(values, self.value), *sizes)

    @property
    def terms(self):
        """See `PseudoObservations.terms`."""
        zero = np.zeros_like(self.value)
        return 0.0, zero, zero, self.value

    def log_penalty(self, mixture):
        """Return zero: a ridge is no penalty of the likelihood."""
        return 0.0

    def held_up(self, mixture, total_weight):
        """Tell of no component that it is singular: the user chose the ridge."""
        return np.zeros(mixture.n_components, dtype=bool)
