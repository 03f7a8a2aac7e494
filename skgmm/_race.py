"""The race between starts: short runs, of which the best goes on, and is refined."""

from dataclasses import dataclass

import numpy as np

from . import kernels
from ._em import Climb, Problem, StartFailed, finish
from ._kmeans import kmeans, seeds
from .forms import Diag, NotPositiveDefinite

# Steps of EM that all make, and then the better half.
STEPS = (3, 5)
# The winner is run until so little is left to gain, for so many passes at most.
FINISH_TOL, FINISH_PASSES = 1e-6, 300
# The passes after a swap; it is given up where it is so far below the best, in units of
# log-likelihood.
SWAP_TOL, SWAP_PASSES, HOPELESS = 1e-5, (10, 15, 30), 5.0
# Objectives this close are the same optimum's.
SAME = 1e-5


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
    scatter : ndarray of shape (D, D)
        Their covariance.
    """

    problem: Problem
    rows: np.ndarray
    weight: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, problem, sample):
        """Return the field of a problem and a sample of its rows."""
        weight = sample.sample_weight / np.max(sample.sample_weight)
        rows = sample.in_frame()
        centred = rows - weight @ rows / weight.sum()
        scatter = (centred.T * weight) @ centred / weight.sum()
        return cls(problem.on(sample), rows, weight, scatter)

    def rank(self, run):
        """Return a key by which runs are sorted, see `Problem.rank`."""
        return self.problem.rank(run.fit)

    def is_healthy(self, fit):
        """Tell whether a fit has no degenerate component."""
        return not self.problem.degenerate(fit.mixture)

    def start(self, mixture):
        """Return the run from a mixture, some steps on, or None if it fails."""
        try:
            run = Climb(self.problem, mixture)
        except (StartFailed, NotPositiveDefinite):
            return None
        return run if _advance(run, STEPS[0]) else None


def race(field, n_components, partition, mixture_of, n_swaps, rng):
    """Return the mixture that comes first.

    Candidates are a partition that is given, and k-means in the metrics of the standard
    deviations of the features, of the scatter of all rows, and of the scatter within
    the components of the best candidate so far.  The better half makes more steps;
    then the best one without degenerate components is run to its end, and refined.

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
    form, weight = field.problem.family.form, field.weight
    centre = weight @ field.rows / weight.sum()
    order = outwards(field, centre, form)

    def clusters(metric):
        z = np.ascontiguousarray((field.rows[order] - centre) @ metric)
        labels = np.empty(len(z), dtype=np.intp)
        chosen = seeds(z, weight[order], n_components, rng)
        labels[order] = kmeans(z, weight[order], chosen)
        return field.start(mixture_of(labels))

    runs = [field.start(mixture_of(partition))]
    runs.append(clusters(Diag.metric(field.scatter)))
    runs.append(clusters(form.metric(field.scatter)))
    runs = [run for run in runs if run is not None]
    if not runs:
        raise StartFailed("no start of the race could be climbed from")
    best = max(runs, key=field.rank).fit.mixture
    within = np.tensordot(best.weights, best.covariances.dense(), 1)
    runs += [run for run in [clusters(form.metric(within))] if run is not None]
    return settled(field, runs, n_swaps)


def settled(field, runs, n_swaps):
    """Return the mixture of the best of some runs that have just begun.

    The better half makes more steps; then the best one without degenerate components is
    run to its end, and refined.
    """
    runs = sorted(runs, key=field.rank, reverse=True)
    for run in runs[: len(runs) // 2]:
        _advance(run, STEPS[1])
    runs.sort(key=field.rank, reverse=True)
    for run in runs:
        finish(run, FINISH_TOL, FINISH_PASSES)
        if field.is_healthy(run.fit):  # most are: the others need not be finished
            break
    best = max(runs, key=field.rank)
    return _ordered(field, refine(field, best, n_swaps).fit.mixture)


def outwards(field, centre, form):
    """Return the order of the rows by their distance from the centre.

    In it draws depend neither on the order of the rows in memory, nor on linear maps of
    the features where distances do not; where these agree the deviations decide.
    """
    rows = field.rows - centre
    metrics = (
        form.metric(field.scatter),
        Diag.metric(field.scatter),
    )
    first, second = (np.square(rows @ metric).sum(axis=1) for metric in metrics)
    return np.lexsort((second, np.round(1e6 * first / first.mean())))


def _ordered(field, mixture):
    """Return the mixture with its components in the order of their means.

    By the first feature, then the second ...; differences of less than a millionth of
    a deviation are none.
    """
    steps = np.round(1e6 * (mixture.means @ Diag.metric(field.scatter)))
    return mixture.take(np.lexsort(steps.T[::-1]))


def refine(field, run, n_swaps):
    """Return the best run after moving components to where they are missed.

    A swap deletes one of the components that are missed least and splits one of those
    that fit worst, and is kept if EM climbs higher from there (Ueda et al. 2000,
    Neural Comput. 12:2109, merge and split likewise).
    """
    tried = set()
    for _ in range(n_swaps):
        pairs = [p for p in _pairs(field, run.fit.mixture) if p not in tried]
        if not pairs:
            break
        tried.add(pairs[0])
        other = _swapped(field, run.fit, *pairs[0])
        if other is not None and _is_better(field, other, run):
            finish(other, FINISH_TOL, FINISH_PASSES)
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
    # What the log-likelihood loses at least when a component is taken away.
    loss = -weight @ np.log(np.maximum(1.0 - shares, 1e-300))
    loss += weight.sum() * np.log(np.maximum(1.0 - mixture.weights, 1e-300))
    misfit = _misfit(field, mixture, shares, distances)
    deleted, split = np.argsort(loss)[:4], np.argsort(-misfit)[:4]
    pairs = [
        (a + b, int(j), int(k))
        for a, j in enumerate(deleted)
        for b, k in enumerate(split)
        if j != k
    ]
    return [pair[1:] for pair in sorted(pairs)]


def _misfit(field, mixture, shares, distances):
    """Return how far components are from Gaussian: for how many rows, shape (K,)."""
    mass = (field.weight[:, np.newaxis] * shares).T
    count = np.maximum(mass.sum(axis=1), 1e-300)
    # Squared distances within a Gaussian have variance 2 D.
    mean = (mass * distances).sum(axis=1) / count
    spread = (mass * (distances - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return np.abs(spread / (2.0 * mixture.n_features) - count)


def splits(field, mixture, n_components, most=3):
    """Return runs of K components from a mixture of fewer, components of it in two.

    Those that fit worst are tried, one after the other; where more than one has to be
    split the best run goes on.
    """
    shares, distances = _shares(field, mixture)
    misfit = _misfit(field, mixture, shares, distances)
    runs = [_split(field, shares, k) for k in np.argsort(-misfit)[:most]]
    runs = [run for run in runs if run is not None and _advance(run, STEPS[0])]
    if mixture.n_components + 1 == n_components or not runs:
        return runs
    best = max(runs, key=field.rank)
    return splits(field, best.fit.mixture, n_components, most)


def _split(field, shares, split):
    """Return the run with one component in two, or None."""
    shares = np.hstack([shares, np.zeros((len(shares), 1))])
    return _run_of(field, _halved(field, shares, split, -1))


def _halved(field, shares, split, into):
    """Return responsibilities, those beyond the centre of a component given away."""
    right = _right_of_centre(field.rows, shares[:, split] * field.weight)
    shares[right, into] = shares[right, split]
    shares[right, split] = 0.0
    return shares


def _run_of(field, shares):
    """Return the run from responsibilities, or None if it fails."""
    problem = field.problem
    try:
        statistics = problem.source.moments(shares, problem.family.form)
        unit = min(1.0, problem.source.total_weight / len(field.rows))
        return Climb(problem, problem.maximisation(statistics.with_small_pooled(unit)))
    except (StartFailed, NotPositiveDefinite):
        return None


def _shares(field, mixture):
    """Return the responsibilities (m, K) and squared distances (K, m) of the rows."""
    densities, logs = kernels.log_responsibilities(field.rows, mixture)
    logs[~np.isfinite(densities)] = -np.inf
    columns = np.ascontiguousarray(field.rows.T)
    return np.exp(logs), mixture.covariances.mahalanobis(columns, mixture.means)


def _swapped(field, fit, deleted, split):
    """Return the run without one component and with another in two, or None."""
    problem = field.problem
    shares, _ = _shares(field, fit.mixture)
    shares[:, deleted] = 0.0
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    shares[total[:, 0] == 0, split] = 1.0
    run = _run_of(field, _halved(field, shares, split, deleted))
    if run is None:
        return None
    hopeless = fit.objective - HOPELESS / problem.n_observations
    healthy = field.is_healthy(fit)  # if not, a lower one may be better
    for passes in SWAP_PASSES:
        finish(run, SWAP_TOL, passes)
        if healthy and run.fit.objective < hopeless:
            return None
    return run


def _right_of_centre(rows, weight):
    """Tell which rows are beyond the mean along the longest axis of weighted rows."""
    centred = rows - weight @ rows / max(weight.sum(), 1e-300)
    axis = np.linalg.eigh((centred.T * weight) @ centred).eigenvectors[:, -1]
    return centred @ axis > 0


def _advance(run, steps):
    """Make some steps; return whether they succeeded."""
    try:
        for _ in range(steps):
            if run.goes_on:
                run.step()
    except (StartFailed, NotPositiveDefinite):
        return False
    return True
