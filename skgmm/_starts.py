"""Starting points of EM."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._canonical import Canonical
from ._field import Field
from ._kmeans import kmeans, nearest, seeds
from ._mixture import Mixture
from ._moves import ordered, raced_further, wander
from ._race import race
from ._random import random_state
from ._warnings import warn

# Rows of a subsample on which automatic starts are made, and for each K D; the share of
# the former for many models together: the best of them is found all the same.
_SAMPLE, ROWS_OF_A_MEAN, SHARE_OF_MODELS = 5000, 50, 0.5

# Of fewer rows the winner is run to its end on all, and refined there if it collapses:
# a component that is healthy on a sample may shrink to a few other rows.  Of more it
# is refined on a part, so many at most, if these are at least twice those of the race:
# on a small sample optima that differ by hundreds in the log-likelihood of all rows may
# look alike.
_ALL, _SHARE, _MORE, _TIMES = 100_000, 0.1, 50_000, 2

# Random moves of a further start, for each swap that is tried.
MOVES = 8

# Multiplications of a pass above which there is no race: it would take minutes.
_WORK = 1e10


@dataclass(frozen=True, eq=False)
class Start:
    """How to make starting mixtures.

    Attributes
    ----------
    n_components : int
    propose : callable
        ``propose(problem, n_components, rng, index, best) -> Mixture`` in the frame of
        the problem; ``index`` counts the starts of one fit, ``best`` is the mixture
        that the best one before led to, or None.
    given : dict
        Parameters that the user gave, in the user's units: any of ``weights``,
        ``means``, ``covariances``.
    varies : bool
        Whether one start may differ from another.
    """

    n_components: int
    propose: object
    given: dict
    varies: bool

    @classmethod
    def at(cls, mixture):
        """Return the start at a mixture in the user's units."""
        names = "weights", "means", "covariances", "noise"
        given = {name: getattr(mixture, name) for name in names}
        return cls(mixture.n_components, None, given, varies=False)

    def make(self, problem, rng, index, best=None):
        """Return the start number ``index``, in the frame of the problem."""
        if self.given.keys() >= {"weights", "means", "covariances"}:
            return problem.source.frame.inward(Mixture(**self.given))
        propose = self._nearest_means if "means" in self.given else self.propose
        mixture = propose(problem, self.n_components, rng, index, best)
        if not self.given:
            return mixture
        frame = problem.source.frame
        mixture = frame.outward(mixture)
        parts = {
            "weights": mixture.weights,
            "means": mixture.means,
            "covariances": mixture.covariances,
        }
        return frame.inward(Mixture(**(parts | self.given)))

    def _nearest_means(self, problem, n_components, rng, index, best):
        """Propose what the rows nearest to each given mean have."""

        def partition(rows, weight, n_components, rng, index):
            frame = problem.source.frame
            means = (self.given["means"] - frame.centre) / frame.scale
            return nearest(rows, means / frame.unit_deviations)

        return from_partition(partition)(problem, n_components, rng, index)


def from_partition(partition):
    """Return a proposal that cuts (a sample of) the rows into classes.

    ``partition(rows, weight, n_components, rng, index)`` returns labels (m,) of
    standardised rows.
    """

    def propose(problem, n_components, rng, index, best=None):
        sample = sample_of(problem, n_components, rng)
        rows, weight = _standardised(sample)
        labels = partition(rows, weight, n_components, rng, index)
        if not np.bincount(labels, minlength=n_components).all():
            labels = bisect(rows, weight, labels, n_components)
        mixture = problem.maximisation(_moments(problem, sample, labels))
        return _with_copies(mixture, n_components)

    return propose


def from_race(n_swaps):
    """Return a proposal of the winner of a race on (a sample of) the rows.

    Further starts then wander from it, or from the best fit so far if that is higher.
    """

    def propose(problem, n_components, rng, index, best=None):
        sample = sample_of(problem, n_components, rng)
        races = n_components > 1 and not is_large(sample, n_components)
        place = (Canonical.of if races else _in_frame)(problem, sample)
        field = place.field
        rows, weight = field.coordinates, field.weight

        def moments_of(labels):
            if not np.bincount(labels, minlength=n_components).all():
                labels = bisect(rows, weight, labels, n_components)
            return _moments(field.problem, field.problem.source, labels)

        first = _bisected if index == 0 else _kmeans
        labels = first(rows, weight, n_components, rng, index)
        labels = bisect(rows, weight, labels, n_components)
        if not races or labels.max() + 1 < n_components:
            statistics = _moments(field.problem, field.problem.source, labels)
            mixture = place.outward(field.problem.maximisation(statistics))
            return _with_copies(mixture, n_components)
        # The first race draws the same numbers whatever the random state.
        draws = rng if index else random_state(0)
        swaps = 0 if index else n_swaps
        won = race(field, n_components, labels, moments_of, swaps, draws)
        if index:
            won = wander(field, won, place.inward(best), MOVES * n_swaps, rng)
        won, larger = place.outward(won), sample
        if not index:
            larger = larger_sample(problem, sample, n_components, rng)
        if larger is not sample:
            place = Canonical.of(problem, larger, in_order=False)
            won = place.outward(raced_further(place.field, place.inward(won), n_swaps))
        return ordered(won, problem.source.frame.unit_deviations)

    return propose


def _in_frame(problem, sample):
    return Canonical(Field.of(problem, sample))


def sample_size(n_components, n_features, share=1.0):
    """Return the number of rows on which automatic starts are made at most.

    It is a share of what most data need, or more where there are many means.
    """
    return max(int(share * _SAMPLE), ROWS_OF_A_MEAN * n_components * n_features)


def sample_of(problem, n_components, rng, share=1.0):
    """Return a source of the rows that starts are made on.

    A share of rows that are all used otherwise is always the same.
    """
    source = problem.source
    sizes = n_components, len(source.frame.centre)
    size = sample_size(*sizes, share)
    if size < len(source.rows) <= sample_size(*sizes):
        rng = random_state(0)
    return source.sample(size, rng)


def larger_sample(problem, sample, n_components, rng):
    """Return a larger sample to go on with, or the one of the race."""
    source, least = problem.source, 1
    n_rows = len(source.rows)
    if n_rows >= _ALL:
        n_rows, least = int(min(n_rows * _SHARE, _MORE)), _TIMES
    times = n_rows / len(sample.rows)
    if times == 1 or times < least or is_large(sample, times * n_components):
        return sample
    return source.sample(n_rows, rng)


def is_large(sample, n_components):
    """Tell whether a race would take minutes."""
    return n_components * sample.work > _WORK


def _standardised(sample):
    return sample.standardised(), sample.sample_weight / np.max(sample.sample_weight)


def _moments(problem, sample, labels):
    """Return the statistics of the classes of a sample."""
    statistics = sample.class_moments(labels, labels.max() + 1, problem.family.form)
    return problem.with_small_pooled(statistics, len(labels))


def from_responsibilities(responsibilities):
    """Return a proposal that takes the moments of given responsibilities (n, K)."""

    def propose(problem, n_components, rng, index, best=None):
        form = problem.family.form
        return problem.maximisation(problem.source.moments(responsibilities, form))

    return propose


def from_mixture(mixture):
    """Return a proposal of a mixture in the user's units."""

    def propose(problem, n_components, rng, index, best=None):
        return problem.source.frame.inward(mixture)

    return propose


def one_hot(labels, n_components):
    """Return the responsibilities (n, K) of hard labels (n,)."""
    return (labels[:, np.newaxis] == np.arange(n_components)).astype(float)


# ---- partitions -----------------------------------------------------------
def _bisected(rows, weight, n_components, rng, index):
    """Bisect along the best axes, then k-means: the same for any order of rows."""
    labels = bisect(rows, weight, np.zeros(len(rows), dtype=int), n_components)
    hard = one_hot(labels, labels.max() + 1) * weight[:, np.newaxis]
    centres = hard.T @ rows / hard.sum(axis=0)[:, np.newaxis]
    return kmeans(rows, weight, centres)


def _kmeans(rows, weight, n_components, rng, index):
    return kmeans(rows, weight, seeds(rows, weight, n_components, rng))


def _kmeans_plusplus(rows, weight, n_components, rng, index):
    return nearest(rows, seeds(rows, weight, n_components, rng))


def _random_from_data(rows, weight, n_components, rng, index):
    chosen = rng.choice(len(rows), n_components, False, weight / weight.sum())
    return nearest(rows, rows[chosen])


def _random(rows, weight, n_components, rng, index):
    return nearest(rows, rng.standard_normal((n_components, rows.shape[1])))


PARTITIONS = {
    "bisect": _bisected,
    "kmeans": _kmeans,
    "k-means++": _kmeans_plusplus,
    "random": _random,
    "random_from_data": _random_from_data,
}
NAMES = {"auto", *PARTITIONS}


def named(name, n_swaps):
    """Return the proposal of that name."""
    return from_race(n_swaps) if name == "auto" else from_partition(PARTITIONS[name])


def bisect(rows, weight, labels, n_clusters):
    """Split clusters in two until there are ``n_clusters``, or all rows agree.

    The cluster with the greatest sum of squares is next; it is cut at its mean,
    across the axis that takes most of it away (Su and Dy 2007, Intell. Data Anal.
    11:319, cut across the first principal axis).  No random numbers are used and
    the order of the rows does not matter.

    Returns
    -------
    ndarray of shape (m,)
        Labels from 0 without gaps.
    """
    _, labels = np.unique(labels, return_inverse=True)
    if labels.max() + 1 >= n_clusters:
        return labels
    clusters = [
        _Cluster.of(rows, weight, np.flatnonzero(labels == k))
        for k in range(labels.max() + 1)
    ]
    while len(clusters) < n_clusters:
        widest = max(range(len(clusters)), key=lambda k: clusters[k].spread)
        cluster = clusters[widest]
        if not cluster.spread > 0:
            break
        right = _half(cluster.centred, cluster.weight)
        if right.all() or not right.any():
            clusters[widest] = replace(cluster, spread=0.0)
            continue
        halves = cluster.members[~right], cluster.members[right]
        labels[halves[1]] = len(clusters)
        clusters[widest], other = (_Cluster.of(rows, weight, half) for half in halves)
        clusters.append(other)
    return labels


@dataclass(frozen=True, eq=False)
class _Cluster:
    """Some rows about their mean, and their sum of squares."""

    members: np.ndarray
    centred: np.ndarray
    weight: np.ndarray
    spread: float

    @classmethod
    def of(cls, rows, weight, members):
        rows, weight = rows[members], weight[members]
        centred = rows - weight @ rows / weight.sum()
        spread = float(weight @ np.einsum("ij,ij->i", centred, centred))
        # Rounding moves rows that are all the same from their mean.
        if np.all(rows[-1] == rows[0]) and np.all(rows == rows[0]):
            spread = 0.0
        return cls(members, centred, weight, spread)


def _half(centred, weight):
    """Tell which rows lie on the far side of the best cut through the mean."""
    # On the features, and on principal axes.
    axes, n_features = _principal_axes(centred, weight), centred.shape[1]
    projections = np.empty((n_features + axes.shape[1], len(centred)))
    projections[:n_features] = centred.T
    np.matmul(axes.T, centred.T, out=projections[n_features:])
    sizes = np.abs(projections)
    right = projections > 1e-9 * sizes.max(axis=1, keepdims=True, initial=0.0)
    upper = right.astype(float) @ weight
    # About the mean both sides have the same sum.
    sums = 0.5 * (sizes @ weight)
    lower = weight.sum() - upper
    possible = (upper > 0) & (lower > 0)
    gains = np.where(possible, sums**2 / np.where(possible, upper * lower, 1.0), 0.0)
    # Of gains that differ by rounding only, the first: any order of rows agrees.
    return right[np.argmax(gains >= (1 - 1e-9) * gains.max())]


def _principal_axes(centred, weight):
    """Return principal axes as columns, each with a sign of its own.

    Of many features only the first one, by power iteration: nothing is of size (D, D).
    """
    if centred.shape[1] <= 32:
        scatter = (centred.T * weight) @ centred
        axes = np.linalg.eigh(scatter).eigenvectors[:, ::-1]
    else:
        axis = np.zeros(centred.shape[1])
        axis[np.argmax(weight @ centred**2)] = 1.0
        for _ in range(30):
            axis = (weight * (centred @ axis)) @ centred
            axis /= np.linalg.norm(axis)
        axes = axis[:, np.newaxis]
    sizes = np.abs(axes)
    largest = np.argmax(sizes >= (1 - 1e-6) * sizes.max(axis=0), axis=0)
    return axes * np.sign(axes[largest, np.arange(axes.shape[1])])


def _with_copies(mixture, n_components):
    """Return a mixture of K components although the rows have fewer values."""
    missing = n_components - mixture.n_components
    if not missing:
        return mixture
    warn(
        f"X has only {mixture.n_components} distinct rows, fewer than "
        f"n_components={n_components}: some components are copies of others. "
        "Use fewer components.",
        ConvergenceWarning,
    )
    extra = np.resize(np.argsort(-mixture.weights, kind="stable"), missing)
    return mixture.take([*range(mixture.n_components), *extra])
