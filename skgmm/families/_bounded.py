"""Families whose eigenvalues are within a factor of each other.

In the metric of the covariance T of all rows (Rocci, Gattone and Di Mari 2018, Adv.
Data Anal. Classif. 12:235): the eigenvalues of ``T^-1 C_k`` of all components are at
most a factor apart, which linear maps of the features do not change.  So the likelihood
is bounded (Hathaway 1985, Ann. Statist. 13:795; Ingrassia and Rocci 2007, Comput.
Statist. Data Anal. 51:5339).
"""

from dataclasses import dataclass, fields

import numpy as np

from . import _basic
from ._base import Family

# Families of which truncated eigenvalues are the constrained maximum: what is left of
# the constraint after them is none.
_TRUNCATED = (*_basic.UNCONSTRAINED, _basic.tied_diag, _basic.tied_spherical)


@dataclass(frozen=True, eq=False)
class _Truncation:
    """The M-step of a family, its eigenvalues truncated.

    Attributes
    ----------
    family : Family
    total : ndarray
        The covariance of all rows, in the form `Covariances.for_total`.
    ratio : float
    """

    family: Family
    total: np.ndarray
    ratio: float

    def __call__(self, count, scatter):
        values = self.family.covariances(count, scatter)
        eigenvalues, rebuilt = self.family.form.spectra(values, self.total)
        if not np.all(np.isfinite(eigenvalues)):
            return values
        within = truncated(eigenvalues, count, self.ratio)
        return values if within is eigenvalues else rebuilt(within)


class BoundedFamily(Family):
    """A family within such a bound."""

    @classmethod
    def of(cls, family, total, ratio):
        """Return a family with eigenvalues at most ``ratio`` times each other.

        Parameters
        ----------
        family : Family
        total : ndarray
            The metric: the covariance of all rows, see `Covariances.for_total`.
        ratio : float
            At least one.

        Raises
        ------
        ValueError
            If the maximum under this constraint is not known for the family.
        """
        if family.covariances not in _TRUNCATED:
            raise ValueError(
                "max_eigenvalue_ratio is for the covariance types 'full', 'tied', "
                "'diag', 'spherical', 'tied_diag' and 'tied_spherical', for which the "
                f"maximum under it is known; got covariance_type={family.name!r}. Use "
                "one of these, or prior='fraley-raftery'."
            )
        values = {field.name: getattr(family, field.name) for field in fields(Family)}
        return cls(**values | {"covariances": _Truncation(family, total, ratio)})

    def fills_form(self, n_components, n_features):
        """Return False: not all covariances of the form are within the bound."""
        return False


def truncated(eigenvalues, count, ratio):
    """Return the eigenvalues of greatest likelihood within a ratio.

    They are clipped to ``[m, ratio m]`` with the ``m`` that minimises ``sum_kl count_k
    (log e_kl + d_kl / e_kl)`` for the ``e`` that clipping makes of ``d`` (Fritz,
    Garcia-Escudero and Mayo-Iscar 2013, Comput. Statist. Data Anal. 61:124).

    Parameters
    ----------
    eigenvalues : ndarray of shape (K, r) or (1, r)
        Of scatter over counts.
    count : ndarray of shape (K,)
    ratio : float

    Returns
    -------
    ndarray
        The same array if nothing is to be done.
    """
    if eigenvalues.max() <= ratio * eigenvalues.min():
        return eigenvalues
    own = len(eigenvalues) == len(count)
    mass = np.broadcast_to(count[:, np.newaxis] if own else 1.0, eigenvalues.shape)
    least = _least(eigenvalues.ravel(), mass.ravel(), ratio)
    return np.clip(eigenvalues, least, ratio * least)


def _least(eigenvalues, mass, ratio):
    """Return the lower bound ``m`` of greatest likelihood.

    In ``log m`` the sum is convex: its slope times m is ``m (mass below m + mass above
    ratio m)`` less the sums of ``d`` and of ``d / ratio`` there.  Between the points
    where an eigenvalue meets a bound the masses are constant; the last of these at
    which the slope is negative shows where it is zero.
    """
    order = np.argsort(eigenvalues)
    low, mass = eigenvalues[order], mass[order]
    high = low / ratio
    masses, lows = _sums(mass), _sums(mass * low)
    masses_above = _sums(mass[::-1])[::-1]
    highs_above = _sums((mass * high)[::-1])[::-1]
    points = np.sort(np.concatenate([low, high]))

    def terms(below, above):
        weight = masses[below] + masses_above[above]
        return weight, lows[below] + highs_above[above]

    weight, total = terms(
        np.searchsorted(low, points), np.searchsorted(high, points, side="right")
    )
    rises = points * weight >= total
    rises[-1] = True  # where all are below m; by rounding it may not seem so
    end = int(np.argmax(rises))
    # At `end` the slope is no longer negative; just below it these are outside.
    weight, total = terms(
        np.searchsorted(low, points[end]), np.searchsorted(high, points[end])
    )
    return total / weight


def _sums(terms):
    """Return the sums of the first 0, 1, ... terms."""
    return np.concatenate([[0.0], np.cumsum(terms)])
