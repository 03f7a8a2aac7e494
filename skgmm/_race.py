"""The race between starts: short runs, of which the best goes on, and is refined."""

import numpy as np

from ._em import ALL_NOISE, StartFailed
from ._field import FINISH_TOL, SAME
from ._kmeans import cells, draw, kmeans, seeds
from ._moves import end, refine
from .forms import NotPositiveDefinite

# Steps of EM that the best third of the candidates makes then, and its third.
STEPS, LEFT = (20, 40), 3
# Further candidates where the first ones disagree.
N_MORE = 8


def race(field, n_components, partition, moments_of, n_swaps, rng):
    """Return the mixture that comes first.

    Candidates are a partition that is given, and k-means in the coordinates of the
    field, in the metric of the scatter of all rows, and in that of the scatter within
    the components of the best candidate so far.  If the best two do not agree, or
    components are too few for swaps, the cells of random rows join them, half as many
    if all agree.  Then see `winner`.

    Parameters
    ----------
    field : Field
    n_components : int
    partition : ndarray of shape (m,)
        Labels of the first candidate.
    moments_of : callable
        ``moments_of(labels) -> Statistics``: of the parts, about their means.
    n_swaps : int
    rng : RandomState

    Raises
    ------
    StartFailed, NotPositiveDefinite
        If no candidate can be climbed from.
    """
    cut = Partitions(field.weight, field.order, n_components, rng)

    def starts(partitions):
        return field.begin([moments_of(labels) for labels in partitions])

    metrics = field.coordinates, field.sphered
    runs, errors = starts([partition, *map(cut.kmeans, metrics)])
    if not runs:
        raise _no_start(field, errors)
    best = field.best(runs).mixture
    within = best.covariances.average(best.weights)
    rows = field.problem.family.form.sphered(field.cloud.centred, within)
    runs += starts([cut.kmeans(rows)])[0]
    if n_components < 3 or _n_agreeing(runs) < 2:
        all_agree = 1 < _n_agreeing(runs) == len(runs)
        runs += starts(cut.cells(*metrics, N_MORE // 2 if all_agree else N_MORE))[0]
    return winner(field, runs, n_swaps)


class Partitions:
    """Random partitions of weighted rows that are taken in an order of their own.

    Parameters
    ----------
    weight : ndarray of shape (m,)
    order : ndarray of shape (m,)
        Indices of the rows.
    n_components : int
    rng : RandomState
    """

    def __init__(self, weight, order, n_components, rng):
        self._order, self._weight = order, weight[order]
        self._n_components, self._rng = n_components, rng

    def kmeans(self, rows):
        """Return the labels (m,) of k-means."""
        z, weight = self._ordered(rows), self._weight
        return self._back(kmeans(z, weight, seeds(z, weight, *self._draws)))

    def cells(self, rows, others, n_partitions):
        """Return partitions by the nearest of some random rows, in metrics by turns.

        They are more diverse than those of k-means.
        """
        drawn = [draw(self._weight, *self._draws) for _ in range(n_partitions)]
        labels = [None] * n_partitions
        labels[::2] = cells(self._ordered(rows), drawn[::2])
        labels[1::2] = cells(self._ordered(others), drawn[1::2])
        return map(self._back, labels)

    @property
    def _draws(self):
        return self._n_components, self._rng

    def _ordered(self, rows):
        return np.ascontiguousarray(rows[self._order])

    def _back(self, labels):
        out = np.empty(len(labels), dtype=np.intp)
        out[self._order] = labels
        return out


def _no_start(field, errors):
    """Return the error that no candidate can be climbed from."""
    singular = [one for one in errors if isinstance(one, NotPositiveDefinite)]
    if singular:
        return singular[0]
    reason = "no start of the race could be climbed from"
    if field.problem.noise is not None:
        reason = f"{reason}, perhaps because {ALL_NOISE}"
    return StartFailed(reason)


def winner(field, runs, n_swaps):
    """Return the mixture of the best of some runs that have just begun.

    The best third makes more steps, and its best third again; then the best one without
    degenerate components is run to its end, and refined.
    """
    left = []
    for steps in STEPS:
        runs = _distinct(runs)
        if len(runs) == 1:
            break
        n_best = -(-len(runs) // LEFT)
        runs, left = runs[:n_best], runs[n_best:] + left
        further = field.advance(runs, steps)
        runs = [more or run for run, more in zip(runs, further, strict=True)]
    path = refine(field, first_healthy(field, _distinct(runs) + left), n_swaps)
    return end(field, path)


def first_healthy(field, runs, tol=FINISH_TOL):
    """Return the first of some runs that is healthy at its end, there.

    Those that are degenerate already hardly ever recover.
    """
    ended = []
    for run in filter(field.is_healthy, runs):
        ended.append(field.finished(run, tol))
        if field.is_healthy(ended[-1]):  # most are: the others need not be finished
            return ended[-1]
    return field.best(ended or [field.finished(field.best(runs), tol)])


def _n_agreeing(runs):
    """Return how many of the runs seem to lead to the same optimum as the best one."""
    ends = [run.promise for run in runs]
    return sum(max(ends) - end < SAME for end in ends)


def _distinct(runs):
    """Return the runs by what they promise, without those that seem to be the same."""
    kept = []
    for run in sorted(runs, key=lambda run: -run.promise):
        if not kept or kept[-1].promise - run.promise > SAME:
            kept.append(run)
    return kept
