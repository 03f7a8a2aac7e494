"""k-means for starts: weighted, on the compiled pass."""

import numpy as np

from . import kernels
from ._mixture import Mixture
from .forms import Spherical

# Iterations of Lloyd: starts need no more.
_ITERATIONS = 20


def kmeans(rows, weight, centres):
    """Return the labels (m,) of k-means from given centres.

    Parameters
    ----------
    rows : ndarray of shape (m, D)
    weight : ndarray of shape (m,)
    centres : ndarray of shape (K, D)
        Such as `seeds`; some of the clusters may come out empty.
    """
    return kernels.kmeans(np.ascontiguousarray(rows), weight, centres, _ITERATIONS)


def nearest(rows, centres):
    """Return the index of the centre nearest to each row."""
    k, d = centres.shape
    mixture = Mixture(np.full(k, 1 / k), centres, Spherical.unit(k, d))
    return kernels.labels(rows, mixture)[1]


def seeds(rows, weight, n_seeds, rng):
    """Return rows chosen by greedy k-means++, shape (n_seeds, D).

    Each is the best of a few drawn with probabilities proportional to their weight
    times their squared distance from those chosen before (Arthur and Vassilvitskii
    2007; greedy as in scikit-learn).
    """
    n_trials = 2 + int(np.log(n_seeds))
    norms = np.einsum("ij,ij->i", rows, rows)
    chosen = [draw(weight, 1, rng)[0]]
    distances = _distances(rows, norms, chosen)[0]
    while len(chosen) < n_seeds:
        trials = draw(weight * distances, n_trials, rng)
        new = np.minimum(distances, _distances(rows, norms, trials))
        best = int(np.argmin(new @ weight))
        chosen.append(trials[best])
        distances = new[best]
    return rows[chosen]


def cells(rows, several):
    """Return for each of several sets of rows the index of the nearest one of the set.

    The first one of equals.  Fewer rows than features all have the same distances after
    sphering, so equality is up to rounding.
    """
    norms = np.einsum("ij,ij->i", rows, rows)
    slack = 1e-9 * max(norms.max(), 1e-300)
    sets = (_distances(rows, norms, chosen) for chosen in several)
    return [np.argmax(each <= each.min(axis=0) + slack, axis=0) for each in sets]


def draw(mass, size, rng):
    """Draw indices with probabilities proportional to a mass."""
    cumulated = np.cumsum(mass)
    if not cumulated[-1] > 0:
        return rng.randint(len(mass), size=size)
    drawn = np.searchsorted(cumulated, rng.uniform(size=size) * cumulated[-1], "right")
    return np.minimum(drawn, len(mass) - 1)


def _distances(rows, norms, chosen):
    """Return the squared distances (len(chosen), m) from rows of the data."""
    products = rows[chosen] @ rows.T
    return np.maximum(norms - 2.0 * products + norms[chosen][:, np.newaxis], 0.0)
