"""The race between starts: short runs, of which the best goes on, and is refined."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import kernels
from ._em import Climb, Problem, StartFailed, finish, has_converged, still_to_gain
from ._kmeans import kmeans, seeds
from ._mixture import Mixture
from ._threads import ordered_map
from .forms import NotPositiveDefinite

# Steps of EM that all candidates make, and then the better half of them.
STEPS = (5, 10)
# Further candidates where the first ones disagree.
N_MORE = 4
# The winner is run until so little is left to gain, for so many passes at most: by
# plain steps, which are compiled, and then by leaps.
FINISH_TOL, FINISH_STEPS, FINISH_PASSES = 1e-6, 100, 200
# Swaps that are tried at a time; the steps after each; it is given up where it is so
# far below the best, in units of log-likelihood.
SWAPS, SWAP_STEPS, HOPELESS = 4, (10, 20, 40), 5.0
# Objectives this close are the same optimum's.
SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Run:
    """Where a candidate has come to.

    Attributes
    ----------
    mixture : Mixture
    trail : tuple of float
        The objective of the start and after each step.
    """

    mixture: Mixture
    trail: tuple

    @property
    def objective(self):
        """The objective here."""
        return self.trail[-1]

    @property
    def promise(self):
        """The objective that is to be expected in the end."""
        return self.objective + still_to_gain(self.trail)


@dataclass(frozen=True, eq=False)
class Field:
    """Where the race takes place.

    Attributes
    ----------
    problem : Problem
        With the rows that are raced on.
    rows : ndarray of shape (m, D)
        These rows in their frame.
    weight : ndarray of shape (m,)
        Their weights, the largest one 1.
    """

    problem: Problem
    rows: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, problem, sample):
        """Return the field of a problem and a sample of its rows."""
        weight = sample.sample_weight / np.max(sample.sample_weight)
        return cls(problem.on(sample), sample.in_frame(), weight)

    @cached_property
    def centre(self):
        """The mean of the rows."""
        return self.weight @ self.rows / self.weight.sum()

    @cached_property
    def deviations(self):
        """The standard deviations of the features; 1 for constant ones."""
        squares = self.weight @ (self.rows - self.centre) ** 2 / self.weight.sum()
        return np.sqrt(np.where(squares > 0, squares, 1.0))

    @cached_property
    def standardised(self):
        """The rows, centred, with unit variances."""
        return (self.rows - self.centre) / self.deviations

    @cached_property
    def sphered(self):
        """The rows in the metric of the scatter of all, as the form has it."""
        source, form = self.problem.source, self.problem.family.form
        _, scatter = source.total(form)
        return form.sphered(self.rows - self.centre, scatter / source.total_weight)

    def rank(self, run):
        """Return a key by which runs are sorted, see `Problem.rank`."""
        return self.problem.rank(run)

    def is_healthy(self, run):
        """Tell whether a run has no degenerate component."""
        return not self.problem.degenerate(run.mixture)

    def start(self, mixture):
        """Return the run from a mixture, some steps on, or None if it fails."""
        return self.advance(Run(mixture, (-np.inf,)), STEPS[0])

    def advance(self, run, n_steps):
        """Return a run some steps further, or None if it fails."""
        try:
            mixture, objectives = self.problem.steps(run.mixture, n_steps)
        except (StartFailed, NotPositiveDefinite):
            return None
        return Run(mixture, (*run.trail[:-1], *objectives))

    def finished(self, run):
        """Return a run at its end, or nearly."""
        for _ in range(FINISH_STEPS // 20):
            further = self.advance(run, 20)
            if further is None:
                return run
            run = further
            if has_converged(run.trail, FINISH_TOL):
                return run
        climb = Climb(self.problem, run.mixture)
        finish(climb, FINISH_TOL, FINISH_PASSES)
        return Run(climb.fit.mixture, (*run.trail, *climb.fit.history))


def race(field, n_components, partition, mixture_of, n_swaps, rng):
    """Return the mixture that comes first.

    Candidates are a partition that is given, and k-means in the metrics of the standard
    deviations of the features, of the scatter of all rows, and of the scatter within
    the components of the best candidate so far.  If they do not agree there are more
    of them.  The better half makes more steps; then the best one without degenerate
    components is run to its end, and refined.

    Parameters
    ----------
    field : Field
    n_components : int
    partition : ndarray of shape (m,)
        Labels of the first candidate.
    mixture_of : callable
        ``mixture_of(labels) -> Mixture``: moments of the parts.
    n_swaps : int
    rng : RandomState

    Raises
    ------
    StartFailed
        If no candidate can be climbed from.
    """
    order = _outwards(field)

    def clusters(rows):
        z = np.ascontiguousarray(rows[order])
        labels = np.empty(len(z), dtype=np.intp)
        chosen = seeds(z, field.weight[order], n_components, rng)
        labels[order] = kmeans(z, field.weight[order], chosen)
        return labels

    def starts(partitions):
        runs = ordered_map(lambda labels: field.start(mixture_of(labels)), partitions)
        return [run for run in runs if run is not None]

    runs = starts([partition, clusters(field.standardised), clusters(field.sphered)])
    if not runs:
        raise StartFailed("no start of the race could be climbed from")
    best = max(runs, key=field.rank).mixture
    within = best.covariances.average(best.weights)
    metric = field.problem.family.form.sphered(field.rows - field.centre, within)
    runs += starts([clusters(metric)])
    if not _agree(field, runs):
        metrics = metric, field.standardised, field.sphered
        runs += starts([clusters(metrics[i % 3]) for i in range(N_MORE)])
    runs.sort(key=field.rank, reverse=True)
    half = runs[: (len(runs) + 1) // 2]
    runs = [
        further or run
        for run, further in zip(
            half,
            ordered_map(lambda run: field.advance(run, STEPS[1]), half),
            strict=True,
        )
    ]
    runs.sort(key=field.rank, reverse=True)
    ended = []
    for run in runs:
        ended.append(field.finished(run))
        if field.is_healthy(ended[-1]):  # most are: the others need not be finished
            break
    best = max(ended, key=field.rank)
    return _ordered(field, refine(field, best, n_swaps).mixture)


def _agree(field, runs):
    """Tell whether all runs seem to lead to the same optimum."""
    ends = [run.promise for run in runs]
    return max(ends) - min(ends) < SAME


def _outwards(field):
    """Return the order of the rows by their distance from the centre.

    In it draws depend neither on the order of the rows in memory, nor on linear maps of
    the features where distances do not; where these agree the deviations decide.
    """
    first, second = (
        np.einsum("ij,ij->i", rows, rows)
        for rows in (field.sphered, field.standardised)
    )
    return np.lexsort((second, np.round(1e6 * first / first.mean())))


def _ordered(field, mixture):
    """Return the mixture with its components in the order of their means.

    By the first feature, then the second ...; differences of less than a millionth of
    a deviation are none.
    """
    steps = np.round(1e6 * (mixture.means / field.deviations))
    return mixture.take(np.lexsort(steps.T[::-1]))


def refine(field, run, n_swaps):
    """Return the best run after moving components to where they are missed.

    A swap deletes one of the components that are missed least and splits one of those
    that fit worst, and is kept if EM climbs higher from there (Ueda et al. 2000,
    Neural Comput. 12:2109, merge and split likewise).
    """
    tried = set()
    while n_swaps > 0:
        pairs = [p for p in _pairs(field, run.mixture) if p not in tried]
        pairs = pairs[: min(SWAPS, n_swaps)]
        if not pairs:
            break
        tried.update(pairs)
        n_swaps -= len(pairs)
        others = ordered_map(lambda pair, best=run: _swapped(field, best, *pair), pairs)
        others = [other for other in others if other is not None]
        if not others:
            continue
        other = max(others, key=lambda one: (field.rank(one)[0], one.promise))
        other = field.finished(other)
        if _is_better(field, other, run):
            run, tried = other, set()
    return run


def _is_better(field, one, other):
    health, objective = field.rank(one)
    health_before, objective_before = field.rank(other)
    higher = objective > objective_before + SAME
    return higher if health == health_before else health > health_before


def _pairs(field, mixture):
    """Return pairs of components to delete and to split, the most promising first."""
    if mixture.n_components < 3:
        return []
    shares, distances = _shares(field, mixture)
    weight = field.weight
    count = np.maximum(weight @ shares, 1e-300)
    # What the log-likelihood loses at least when a component is taken away.
    loss = -weight @ np.log(np.maximum(1.0 - shares, 1e-300))
    loss += weight.sum() * np.log(np.maximum(1.0 - mixture.weights, 1e-300))
    # Squared distances within a Gaussian have variance 2 D.
    mass = (weight[:, np.newaxis] * shares).T
    mean = (mass * distances).sum(axis=1) / count
    spread = (mass * (distances - mean[:, np.newaxis]) ** 2).sum(axis=1)
    misfit = np.abs(spread / (2.0 * mixture.n_features) - count)
    deleted, split = np.argsort(loss)[:4], np.argsort(-misfit)[:4]
    pairs = [
        (a + b, int(j), int(k))
        for a, j in enumerate(deleted)
        for b, k in enumerate(split)
        if j != k
    ]
    return [pair[1:] for pair in sorted(pairs)]


def _shares(field, mixture):
    """Return the responsibilities (m, K) and squared distances (K, m) of the rows."""
    densities, logs = kernels.log_responsibilities(field.rows, mixture)
    logs[~np.isfinite(densities)] = -np.inf
    columns = np.ascontiguousarray(field.rows.T)
    return np.exp(logs), mixture.covariances.mahalanobis(columns, mixture.means)


def _swapped(field, best, deleted, split):
    """Return the run without one component and with another in two, or None."""
    problem = field.problem
    shares, _ = _shares(field, best.mixture)
    shares[:, deleted] = 0.0
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    shares[total[:, 0] == 0, split] = 1.0
    right = _right_of_centre(field.rows, shares[:, split] * field.weight)
    shares[right, deleted] = shares[right, split]
    shares[right, split] = 0.0
    try:
        statistics = problem.source.moments(shares, problem.family.form)
        unit = min(1.0, problem.source.total_weight / len(field.rows))
        mixture = problem.maximisation(statistics.with_small_pooled(unit))
    except (StartFailed, NotPositiveDefinite):
        return None
    run = Run(mixture, (-np.inf,))
    slack = HOPELESS / problem.n_observations
    healthy = field.is_healthy(best)  # if not, a lower one may be better
    for steps in SWAP_STEPS:
        run = field.advance(run, steps)
        if run is None or (healthy and run.promise < best.objective - slack):
            return None
        slack = 0.0
    return run


def _right_of_centre(rows, weight):
    """Tell which rows are beyond the mean along the longest axis of weighted rows."""
    centred = rows - weight @ rows / max(weight.sum(), 1e-300)
    axis = np.linalg.eigh((centred.T * weight) @ centred).eigenvectors[:, -1]
    return centred @ axis > 0
