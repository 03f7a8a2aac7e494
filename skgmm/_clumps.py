"""Clumps: small dense clusters of rows, which a mixture may have missed."""

import numpy as np

# Rows about which clumps are looked for: a part of all, at least and at most so many.
_PART, _FEWEST, _MOST = 6, 300, 600
# About each of them, within the distance of the nearest of a part of the mirrored rows;
# every so many of these are counted.
_ONE_IN, _COUNTED = 12, 2
# Clumps that are returned, each of several sizes, in multiples of the least.
_CLUMPS, _SIZES = 12, (1, 2, 4)
# Distances that are held at a time.
_PAIRS = 2**18


def clumps(rows, weight, labels, order, least):
    """Return the rows of clumps, the densest first.

    Gaussians are symmetric: about any place there should be as many rows as if each lay
    on the other side of the mean of its component.  Where there are many more a mixture
    has missed something.

    Parameters
    ----------
    rows : ndarray of shape (m, D)
        In a metric in which components are round, on average.
    weight : ndarray of shape (m,)
        1 for each observation.
    labels : ndarray of shape (m,)
        Their components.
    order : ndarray of shape (m,)
        Indices that sort them: in an order that they have wherever they lie in memory.
    least : float
        The weight of the smallest clump.

    Returns
    -------
    list of list of ndarray
        Indices of rows: of each clump some groups, one within the other.
    """
    rows, weight = rows.astype(np.float32), weight.astype(np.float32)
    mirrored = _mirrored(rows, weight, labels)
    centres = _spread(order, weight)
    step = max(1, _PAIRS // len(rows))
    blocks = [centres[begin : begin + step] for begin in range(0, len(centres), step)]
    parts = [_excess(rows, mirrored, weight, order, block) for block in blocks]
    excess, radii = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _nearest(rows, weight, _apart(rows[centres], excess, radii, centres), least)


def _apart(places, excess, radii, centres):
    """Return the centres of the greatest excess, out of the radii of earlier ones."""
    order = np.argsort(-excess, kind="stable")
    order = order[excess[order] > 0]
    places, radii, chosen = places[order], radii[order], []
    free = np.ones(len(order), dtype=bool)
    while free.any() and len(chosen) < _CLUMPS:
        first = int(np.argmax(free))
        chosen.append(first)
        free &= _norms(places - places[first]) >= radii[first]
        free[first] = False
    return centres[order[chosen]]


def _mirrored(rows, weight, labels):
    """Return the rows on the other side of the mean of their component."""
    mass = np.bincount(labels, weight)
    sums = [np.bincount(labels, weight * column) for column in rows.T]
    means = np.transpose(sums) / np.where(mass > 0, mass, 1.0)[:, np.newaxis]
    return (2.0 * means[labels] - rows).astype(np.float32)


def _spread(order, weight):
    """Return some of the rows, evenly spread over the order by weight."""
    count = min(len(order), max(_FEWEST, min(len(order) // _PART, _MOST)))
    cumulated = np.cumsum(weight[order], dtype=float)
    places = (np.arange(count) + 0.5) / count * cumulated[-1]
    return order[np.unique(np.searchsorted(cumulated, places))]


def _excess(rows, mirrored, weight, order, centres):
    """Return how sure it is that there are more rows than mirrored ones, and radii.

    That is the log-likelihood ratio of two Poisson rates to a common one; the radii,
    squared, are those of the places.
    """
    norms = _norms(rows[centres])
    other = _squared_distances(rows[centres], mirrored[order[::_COUNTED]])
    nearest = other[:, :: _ONE_IN // _COUNTED].min(axis=1)
    there = _COUNTED * _within(other, nearest, weight[order[::_COUNTED]])
    there = np.maximum(there, 0.5)
    own = _squared_distances(rows[centres], rows)
    here = np.maximum(_within(own, nearest, weight), 0.5)
    half = 0.5 * (here + there)
    ratio = here * np.log(here / half) + there * np.log(there / half)
    return np.where(here > there, ratio, 0.0), nearest + norms


def _within(distances, bounds, weight):
    """Return the weight of what lies within bounds; distances are overwritten."""
    options = {"out": distances, "casting": "unsafe"}
    return np.less_equal(distances, bounds[:, np.newaxis], **options) @ weight


def _nearest(rows, weight, centres, least):
    """Return groups of the rows nearest to each centre, of several weights."""
    distances = _squared_distances(rows[centres], rows)
    count = min(int(2 * _SIZES[-1] * least / weight.mean()), len(rows) // 2)
    few = np.sort(np.argpartition(distances, count, axis=1)[:, :count], axis=1)
    distances = np.take_along_axis(distances, few, axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    few = np.take_along_axis(few, order, axis=1)
    cumulated = np.cumsum(weight[few], axis=1, dtype=float)
    found = [
        [one[: np.searchsorted(sums, size * least) + 1] for size in _SIZES]
        for one, sums in zip(few, cumulated, strict=True)
    ]
    return [groups for groups in found if len(groups[-1]) < count]


def _squared_distances(some, rows):
    """Return the squared distances (len(some), m), less the squared norms of some."""
    out = (-2.0 * some) @ rows.T
    out += _norms(rows)
    return out


def _norms(rows):
    return np.einsum("ij,ij->i", rows, rows)
