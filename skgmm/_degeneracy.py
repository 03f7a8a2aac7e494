"""Components that are a few rows rather than a part of the density."""

from typing import NamedTuple

import numpy as np


class Degenerate(NamedTuple):
    """A degenerate component.

    Attributes
    ----------
    component : int
    effective_rows : float
        Sum of its responsibilities.
    condition_number : float
        Of its covariance matrix, in the metric of the scatter of all rows.
    """

    component: int
    effective_rows: float
    condition_number: float


# Smallest variances, in the metric of all rows: flat in any case, and flat for so few
# rows that chance may have put them there.
_FLAT, _FLAT_FOR_FEW = 1e-6, 1e-3

# A component of fewer rows is none: no row need belong to it.
_EMPTY = 0.5


def empty(rows):
    """Tell of each component, by its effective rows, whether it has none."""
    return rows < _EMPTY


def degenerate(covariances, metric, count, family, margin=1.0):
    """Return the degenerate components of a mixture.

    The likelihood is unbounded: it grows without end about single rows, and has
    spurious maxima about few rows that chance to lie near a plane (McLachlan and Peel
    2000, Finite Mixture Models, section 3.10).  A component is degenerate with fewer
    than ``D + 2`` effective rows, or if its smallest variance, in the metric of the
    scatter of all rows, is below 1e-6, or below 1e-3 on fewer than ``5 (D + 1)`` rows.
    One that is `empty` is degenerate in any family.

    What components share is made of all rows: where they have the same covariance the
    rows that count are all, where they have the same shape the variance that few rows
    may make small is the volume.

    Parameters
    ----------
    covariances : Covariances
    metric : ndarray
        That of the covariance of all rows, see `Covariances.metric`.
    count : ndarray of shape (K,)
        Effective rows of the components.
    family : Family
    margin : float, default=1
        How many times the rows, and the variance, a healthy component has.

    Returns
    -------
    list of Degenerate
        None where all rows are the same.
    """
    eigenvalues, rank = covariances.relative_eigenvalues(metric)
    if rank == 0:  # all rows are the same
        return []
    smallest, everything = eigenvalues[:, 0], count.sum()
    own_size = family.own_volume or family.own_shape
    few = np.round(everything if family.shares_all else count) < margin * (rank + 2)
    few_for_size = (count if own_size else everything) < 5 * margin * (rank + 1)
    size = smallest
    if family.own_volume and not family.own_shape:
        size = np.exp(np.log(np.maximum(eigenvalues, 1e-300)).mean(axis=1))
    flat = smallest < margin * _FLAT
    flat = flat | (size < margin * _FLAT_FOR_FEW) & few_for_size
    found = flat | few | empty(count)
    if not found.any():
        return []
    condition = eigenvalues[:, -1] / np.maximum(smallest, 1e-200)
    condition = np.broadcast_to(condition, count.shape)
    return [
        Degenerate(int(k), float(count[k]), float(condition[k]))
        for k in np.flatnonzero(found)
    ]
