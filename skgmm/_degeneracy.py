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


def degenerate(mixture, total, n_observations, margin=1.0):
    """Return the degenerate components of a mixture.

    The likelihood is unbounded: it grows without end about single rows, and has
    spurious maxima about few rows that chance to lie near a plane (McLachlan and Peel
    2000, Finite Mixture Models, section 3.10).  A component is degenerate with fewer
    than ``D + 2`` effective rows, or if its smallest variance, in the metric of the
    scatter of all rows, is below 1e-6, or below 1e-3 on fewer than ``5 (D + 1)`` rows.

    Parameters
    ----------
    mixture : Mixture
    total : ndarray
        Covariance of all rows, see `Covariances.extreme_eigenvalues`.
    n_observations : float
    margin : float, default=1
        How many times the rows, and the variance, a healthy component has.

    Returns
    -------
    list of Degenerate
        Components of weight zero are not among them: these are dead.
    """
    smallest, largest, rank = mixture.covariances.extreme_eigenvalues(total)
    if rank == 0:  # all rows are the same
        return []
    count = mixture.weights * n_observations
    # A matrix that is shared is made of all rows.
    rows = np.array([n_observations]) if mixture.covariances.shared else count
    flat = smallest < margin * _FLAT
    flat |= (smallest < margin * _FLAT_FOR_FEW) & (rows < 5 * margin * (rank + 1))
    few = np.round(rows) < margin * (rank + 2)
    condition = np.broadcast_to(largest / np.maximum(smallest, 1e-300), count.shape)
    return [
        Degenerate(int(k), float(count[k]), float(condition[k]))
        for k in np.flatnonzero((flat | few) & (mixture.weights > 0))
    ]
