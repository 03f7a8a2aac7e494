"""Moves of components: splits for what is missed least, halves, random places."""

from dataclasses import dataclass

import numpy as np

from . import kernels
from ._field import MARGIN, SAME, Run
from ._kmeans import draw
from ._mixture import Mixture

# The best of all leaps until so little is left to gain, so that it does not collapse
# later, for so many passes at most.
SETTLED_TOL, SETTLED_PASSES = 1e-7, 500
# Moves that are tried at a time; the steps after each; it is given up where it is so
# far below the best after the first ones, in units of log-likelihood (of a million
# observations and more, where these are less than `SAME`, if it is not above).
TOGETHER, MOVE_STEPS, HOPELESS = 8, (7, 15, 40), 10.0
# Where the halves of a Gaussian lie that is cut through its mean, in deviations.
HALF = float(np.sqrt(2 / np.pi))
# Covariances of two halves of a component, one within the other, over its own: heavy
# tails, and small clusters within large ones, are found so.
NESTED = 1.75, 0.25
# The steps after a component was split, and once more where this gained most; what that
# gains, over what a deletion loses at first sight, below which no swap was ever seen to
# gain.
SPLIT_STEPS, SPLITS, WORTHLESS = 4, 8, 0.02
# Of how many splits, those that gain most, one half takes the place of the component;
# swaps that are tried before, if there are so many.
HALVED, SWAPS = 4, 8
# Products of the features of the rows that are all kept for a moment.
_PAIRS = 2**20


def end(field, path):
    """Return the mixture to which a path leads."""
    return ordered(_settled(field, path).mixture, field.cloud.deviations)


def _settled(field, path):
    """Return the last run of a path at its end, or an earlier one if it collapses."""
    ends = []
    for run in reversed(path):
        ends.append(field.finished(run, SETTLED_TOL, SETTLED_PASSES))
        if field.is_healthy(ends[-1]):
            return ends[-1]
    return field.best(ends)


def ordered(mixture, deviations):
    """Return the mixture with its components in the order of their means.

    By the first feature, then the second ...; differences of less than a millionth of
    a deviation are none.
    """
    steps = np.round(1e6 * (mixture.means / deviations))
    return mixture.take(np.lexsort(steps.T[::-1]))


def refine(field, run, n_swaps):
    """Return the runs, the best one last, that splits and deletions lead to.

    A swap splits a component, deletes one of those that are missed least, or one half
    of what was split, and is kept if EM climbs higher from there (Ueda et al. 2000,
    Neural Comput. 12:2109, merge and split likewise).  The search ends when so many in
    a row have failed.
    """
    path, swaps, failed = [run], None, 0
    while failed < n_swaps:
        swaps = swaps or _Swaps.of(field, path[-1])
        pairs = swaps.pairs[failed : failed + min(TOGETHER, n_swaps - failed)]
        if not pairs:
            break
        failed += len(pairs)
        better = _better(field, swaps.swapped(pairs), path[-1])
        if better:
            path.append(better)
            failed, swaps = 0, None
    return path


def refined(field, mixture, n_swaps):
    """Return the mixture that swaps lead to from one, or None if none is better."""
    if not n_swaps:
        return None
    # What is gained only by going from all rows to a sample is none of swaps.
    path = refine(field, field.finished(_at(field, mixture)), n_swaps)
    return end(field, path) if path[1:] else None


def raced_further(field, mixture, n_swaps):
    """Return what the winner of a race on fewer rows leads to, refined again.

    On all rows it is refined only where it collapses.
    """
    run = field.finished(_at(field, mixture))
    if field.is_sample or field.has_collapsed(run):
        return end(field, refine(field, run, n_swaps))
    return run.mixture


def _at(field, mixture):
    """Return the run that begins at a mixture."""
    return Run(mixture, (field.problem.expectation(mixture)[1],))


def wander(field, won, best, n_moves, rng):
    """Return the mixture that random moves lead to, from the better of two mixtures.

    A move puts a component of random size at a random row, instead of one that is not
    much missed, and is kept if EM climbs higher from there (Zhao et al. 2012, Pattern
    Recognition Letters 33:2120).  The search ends when so many in a row have failed.
    """
    path, failed = [field.best([_at(field, one) for one in (won, best) if one])], 0
    while failed < n_moves:
        mixture = path[-1].mixture
        losses = _losses(_shares(field, mixture), field.weight, mixture.weights)
        size = min(TOGETHER, n_moves - failed)
        failed += size
        moved = [_moved(field, mixture, losses, rng) for _ in range(size)]
        better = _better(field, moved, path[-1])
        if better:
            path.append(better)
            failed = 0
    return end(field, path)


def _moved(field, mixture, losses, rng):
    """Return the run from a mixture with one of its components somewhere else."""
    ranks = np.argsort(np.argsort(losses))
    k = draw(1.0 / (1.0 + ranks), 1, rng)[0]
    weights, means = np.array(mixture.weights), np.array(mixture.means)
    n_components, n_features = means.shape
    # Of the rows of an average component all, or down to as few as are healthy, on as
    # much of its volume.
    least = (n_features + 2) * MARGIN * n_components / len(field.rows)
    share = min(1.0, least) ** rng.uniform()
    weights[k] = share / n_components
    means[k] = field.rows[draw(field.weight, 1, rng)[0]]
    size = share ** (2.0 / n_features)
    covariances = mixture.covariances.with_average(k, mixture.weights, size)
    moved = Mixture(weights / weights.sum(), means, covariances, mixture.noise)
    return Run(moved, (-np.inf,))


def _better(field, runs, best):
    """Return the end of one of the runs if it is better than the best, else None."""
    promising = _promising(field, runs, best)
    if not promising:
        return None
    most = max(promising, key=lambda run: (field.is_healthy(run), run.promise))
    ended = field.finished(most)
    return ended if _is_better(field, ended, best) else None


def _is_better(field, one, other):
    health, objective = field.rank(one)
    health_before, objective_before = field.rank(other)
    higher = objective > objective_before + SAME
    return higher if health == health_before else health > health_before


@dataclass(frozen=True, eq=False)
class _Swaps:
    """The swaps from the mixture of a run.

    Attributes
    ----------
    grown : dict of int to Run
        With one component more, by which component was split.
    pairs : list of tuple (int, int)
        Components to delete, and of which of the grown ones, most promising first; the
        last half of what was split is number K.
    """

    grown: dict
    pairs: list

    @classmethod
    def of(cls, field, run):
        """Return all swaps that may help."""
        mixture, sick = run.mixture, field.sick(run)
        if mixture.n_components < 3 and not sick.any():
            return cls({}, [])
        shares = _shares(field, mixture)
        grown = enumerate(_grown(field, mixture, shares))
        grown = {k: one for k, one in grown if one and not sick[k]}
        total = field.weight.sum()
        gains = {k: total * (one.objective - run.objective) for k, one in grown.items()}
        losses = _losses(shares, field.weight, mixture.weights)
        return cls(grown, _pairs(gains, losses, sick))

    def swapped(self, pairs):
        """Return the runs from swapped mixtures, without empty ones."""
        swapped = (_without(self.grown[k].mixture, j) for j, k in pairs)
        return [Run(mixture, (-np.inf,)) for mixture in swapped if mixture]


def _without(mixture, deleted):
    """Return the mixture without a component, None if it would be empty."""
    kept = np.delete(np.arange(mixture.n_components), deleted)
    return mixture.take(kept) if mixture.weights[kept].any() else None


def _promising(field, runs, best):
    """Return the runs, some steps on, that may end above the best run.

    Those that seem to go back to it are given up.  Where that is not healthy all go on:
    a healthy one may be better though it is lower.
    """
    if not field.is_healthy(best):
        return list(filter(None, field.advance(runs, sum(MOVE_STEPS))))
    least = -HOPELESS / field.problem.observations
    for steps in MOVE_STEPS:
        further = filter(None, field.advance(runs, steps))
        ahead = [(run, run.promise - best.objective) for run in further]
        runs = [run for run, by in ahead if by >= least and abs(by) > SAME]
        least = 0.0
    # What has collapsed by now is no better in the end.
    return [run for run in runs if not field.has_collapsed(run)]


def splits(field, mixture, n_components, most=3):
    """Return runs of K components from a mixture of fewer, components of it in two.

    Of all that may be split those that gain most; where more than one has to be split
    the best run goes on.
    """
    grown = _grown(field, mixture, _shares(field, mixture))
    runs = sorted((run for run in grown if run), key=lambda run: -run.promise)[:most]
    if mixture.n_components + 1 == n_components or not runs:
        return runs
    return splits(field, field.best(runs).mixture, n_components, most)


def _shares(field, mixture):
    """Return the responsibilities (m, K) of the rows."""
    densities, logs = kernels.log_responsibilities(field.rows, mixture)
    logs[~np.isfinite(densities)] = -np.inf
    if mixture.noise is not None:
        _, gaussian, _ = mixture.noise.mixed(field.rows, densities)
        logs += gaussian[:, np.newaxis]
    return np.exp(logs)


def _grown(field, mixture, shares):
    """Return the runs from a mixture with one component in two, where these gain most.

    One for each component, the higher one of two: its halves lie side by side, or one
    within the other.  The second half comes last.  None where it gains little, or
    where that fails.
    """
    mass, k = shares * field.weight[:, np.newaxis], mixture.n_components
    offsets = HALF * _longest_axes(field.rows, field.coordinates, mass)
    begun = enumerate(field.climbed(mixture.in_two(offsets, NESTED), SPLIT_STEPS))
    ahead = sorted((run.objective, r, run) for r, run in begun if run)[-SPLITS:]
    further = field.advance([run for *_, run in ahead], SPLIT_STEPS)
    grown = [None] * k
    for (_, r, _), run in zip(ahead, further, strict=True):
        if run and (grown[r % k] is None or run.objective > grown[r % k].objective):
            grown[r % k] = run
    return grown


def _losses(shares, weight, weights):
    """Return what the log-likelihood loses at least without each component."""
    losses = -weight @ np.log(np.maximum(1.0 - shares, 1e-300))
    return losses + weight.sum() * np.log(np.maximum(1.0 - weights, 1e-300))


def _pairs(gains, losses, sick):
    """Return pairs of what to delete and what to add, the most promising first.

    What is ``sick`` is deleted for anything.  After `SWAPS` of them, or less if there
    are less, come halves where nothing is sick: the first or the last half of what was
    split is deleted, which comes after all others.
    """
    losses, n_components = np.where(sick, -np.inf, losses), len(losses)
    added = sorted(gains, key=lambda k: -gains[k])[:6]
    ranked = [
        (a + b, int(j), k)
        for a, j in enumerate(np.argsort(losses)[:6])
        for b, k in enumerate(added)
        if j != k and gains[k] > WORTHLESS * losses[j]
    ]
    pairs = [pair[1:] for pair in sorted(ranked)]
    halved = [] if sick.any() else added
    halved = [k for k in halved if gains[k] > WORTHLESS * losses[k]][:HALVED]
    halves = [(half, k) for k in halved for half in (k, n_components)]
    return pairs[:SWAPS] + halves + pairs[SWAPS:]


def _longest_axes(rows, metric, mass):
    """Return the longest semi-axes (K, D) of the scatters of weighted rows.

    They are the longest ones in a ``metric``: the same rows in other coordinates.  The
    masses (m, K) are those of K components; the axis of one that has none is zero.
    """
    weight = np.array(mass.T, order="C")
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    along, means = _directions(metric, weight), weight @ metric
    places = along @ metric.T
    places -= np.sum(along * means, axis=1, keepdims=True)
    shares = weight * places
    sizes = np.sqrt(np.einsum("km,km->k", shares, places))[:, np.newaxis]
    # They sum to zero: what the mean has does not count.
    total = shares.sum(axis=1, keepdims=True)
    return (shares @ rows - total * (weight @ rows)) / np.where(sizes > 0, sizes, 1.0)


def _directions(rows, weight):
    """Return the first principal axes (K, D) for weights (K, m) that sum to one."""
    (m, d), means = rows.shape, weight @ rows
    if m * d**2 <= _PAIRS:
        pairs = (rows[:, :, np.newaxis] * rows[:, np.newaxis, :]).reshape(m, -1)
        outer = means[:, :, np.newaxis] * means[:, np.newaxis, :]
        scatters = (weight @ pairs).reshape(-1, d, d) - outer
        return np.linalg.eigh(scatters).eigenvectors[:, :, -1]
    centred = ((rows - mean, own) for mean, own in zip(means, weight, strict=True))
    return np.stack([_direction(z, own) for z, own in centred])


def _direction(rows, weight):
    """Return the first principal axis (D,) of rows about zero."""
    if len(rows) < rows.shape[1]:  # nothing of size (D, D)
        roots = np.sqrt(weight)[:, np.newaxis]
        return np.linalg.svd(roots * rows, full_matrices=False)[2][0]
    return np.linalg.eigh((rows.T * weight) @ rows).eigenvectors[:, -1]
