"""The race between starts: many short runs, of which the best go on."""

import numpy as np

from . import kernels
from ._em import Climb, Problem, StartFailed, finish
from ._kmeans import kmeans
from .forms import NotPositiveDefinite

# Candidates by k-means in each metric.
NUMBERS = (3, 2, 3)

# Steps of EM that all make, and then the better half.
STEPS = (3, 5)
# How many are run to their end, and what counts as that.
FINALISTS = 3
FINISH_TOL, FINISH_PASSES = 1e-5, 100
# How many swaps of components are tried in vain, and the passes of each.
SWAPS, SWAP_PASSES = 4, 50
# Objectives this close are the same optimum's.
SAME = 1e-5


def race(problem, sample, n_components, partition, mixture_of, rng):
    """Return the mixture that comes first.

    Candidates are a partition that needs no random numbers, and k-means in the metrics
    of the standard deviations of the features, of the scatter of all rows, and of the
    scatter within the components of the best candidate so far.

    Parameters
    ----------
    problem : Problem
    sample : source
        The rows that are raced on.
    n_components : int
    partition : ndarray of shape (m,)
        Labels of the first candidate.
    mixture_of : callable
        ``mixture_of(labels) -> Mixture``: moments of the parts of the sample.
    rng : RandomState
    """
    field = Problem(sample, problem.family, problem.regularisation)
    form = problem.family.form
    weight = sample.sample_weight / np.max(sample.sample_weight)
    rows = sample.in_frame()
    rows -= weight @ rows / weight.sum()
    scatter = (rows.T * weight) @ rows / weight.sum()
    # From the centre outwards: draws do not depend on the order of the rows.
    radius = np.square(rows @ form.metric(scatter)).sum(axis=1)
    order = np.argsort(radius, kind="stable")
    rows, weight = rows[order], weight[order]

    def clusters(metric, number):
        z = np.ascontiguousarray(rows @ metric)
        for _ in range(number):
            labels = np.empty(len(rows), dtype=np.intp)
            labels[order] = kmeans(z, weight, n_components, rng)
            yield labels

    def within():
        best = max(runs, key=_height).fit.mixture
        return np.tensordot(best.weights, best.covariances.dense(), 1)

    runs = _started(field, mixture_of, [partition])
    runs += _started(field, mixture_of, clusters(features(scatter), NUMBERS[0]))
    runs += _started(field, mixture_of, clusters(form.metric(scatter), NUMBERS[1]))
    if not runs:
        raise StartFailed("no start of the race could be climbed from")
    runs += _started(field, mixture_of, clusters(form.metric(within()), NUMBERS[2]))
    runs = _best(runs, -(-len(runs) // 2))
    for run in runs:
        _advance(run, STEPS[1])
    runs = _best(runs, FINALISTS)
    for run in runs:
        finish(run, FINISH_TOL, FINISH_PASSES)
    return refine(field, max(runs, key=_height), SWAPS).fit.mixture


def _best(runs, number):
    """Return the best runs, of those that agree only one."""
    kept = []
    for run in sorted(runs, key=_height, reverse=True):
        if not any(abs(_height(run) - _height(other)) < SAME for other in kept):
            kept.append(run)
    return kept[:number]


def refine(field, run, swaps):
    """Return the best run after moving components to where they are missed.

    A swap deletes one of the components that are missed least and splits one of those
    that fit worst, and is kept if EM climbs higher from there (Ueda et al. 2000,
    Neural Comput. 12:2109, merge and split likewise).
    """
    tried = set()
    for _ in range(swaps):
        pair = next(iter(p for p in _pairs(field, run.fit.mixture) if p not in tried), None)
        if pair is None:
            break
        tried.add(pair)
        other = _swapped(field, run.fit.mixture, *pair)
        if other is not None and _height(other) > _height(run) + SAME:
            run, tried = other, set()
    return run


def _pairs(field, mixture):
    """Return pairs of components to delete and to split, the most promising first."""
    if mixture.n_components < 3:
        return []
    shares, distances = _shares(field, mixture)
    weight = field.source.sample_weight
    count = weight @ shares
    # What the log-likelihood loses at least when a component is taken away.
    left = np.maximum(1.0 - shares, 1e-300)
    loss = -weight @ np.log(left)
    loss += count.sum() * np.log(np.maximum(1.0 - mixture.weights, 1e-300))
    # Squared distances of a Gaussian have variance 2 D.
    mass = (weight[:, np.newaxis] * shares).T
    mean = (mass * distances).sum(axis=1) / np.maximum(count, 1e-300)
    spread = (mass * (distances - mean[:, np.newaxis]) ** 2).sum(axis=1)
    misfit = np.abs(spread / (2.0 * mixture.n_features) - count)
    deleted, split = np.argsort(loss), np.argsort(-misfit)
    pairs = [
        (a + b, int(deleted[a]), int(split[b]))
        for a in range(min(4, len(deleted)))
        for b in range(min(4, len(split)))
        if deleted[a] != split[b]
    ]
    return [pair[1:] for pair in sorted(pairs)]


def _shares(field, mixture):
    """Return the responsibilities (m, K) and squared distances (K, m) of the rows."""
    rows = field.source.in_frame()
    _, logs = kernels.log_responsibilities(rows, mixture)
    columns = np.ascontiguousarray(rows.T)
    return np.exp(logs), mixture.covariances.mahalanobis(columns, mixture.means)


def _swapped(field, mixture, deleted, split):
    """Return the run without one component and with another in two, or None."""
    source = field.source
    shares, _ = _shares(field, mixture)
    shares[:, deleted] = 0.0
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    shares[total[:, 0] == 0, split] = 1.0
    own = shares[:, split] * source.sample_weight
    rows = source.in_frame()
    rows -= own @ rows / max(own.sum(), 1e-300)
    axis = np.linalg.eigh((rows.T * own) @ rows).eigenvectors[:, -1]
    right = rows @ axis > 0
    shares[right, deleted] = shares[right, split]
    shares[right, split] = 0.0
    try:
        statistics = source.moments(shares, field.family.form)
        run = Climb(field, field.maximisation(statistics.with_small_pooled(1.0)))
    except (StartFailed, NotPositiveDefinite):
        return None
    finish(run, FINISH_TOL, SWAP_PASSES)
    return run


def features(scatter):
    variances = np.diagonal(scatter)
    return np.diag(1.0 / np.sqrt(np.where(variances > 0, variances, 1.0)))


def _started(field, mixture_of, partitions):
    """Return the runs from partitions, some steps on; those that fail are left out."""
    runs = []
    for labels in partitions:
        try:
            run = Climb(field, mixture_of(labels))
        except (StartFailed, NotPositiveDefinite):
            continue
        if _advance(run, STEPS[0]):
            runs.append(run)
    return runs


def _advance(run, steps):
    """Make some steps; return whether they succeeded."""
    try:
        for _ in range(steps):
            if run.goes_on:
                run.step()
    except (StartFailed, NotPositiveDefinite):
        return False
    return True


def _height(run):
    return run.fit.objective
