"""The race between starts: short runs, of which the best goes on, and is refined."""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from . import kernels
from ._clumps import clumps
from ._em import ALL_NOISE, Problem, StartFailed, still_to_gain
from ._kmeans import cells, draw, kmeans, seeds
from ._mixture import Mixture, Mixtures
from ._statistics import Statistics
from .forms import NotPositiveDefinite

# Steps of EM that all candidates make, then the best third of them, and its third.
STEPS, LEFT = (10, 20, 40), 3
# Further candidates where the first ones disagree.
N_MORE = 8
# The winner leaps until so little is left to gain, for so many passes at most.
FINISH_TOL, FINISH_PASSES = 1e-6, 300
# And the best of all, so that it does not collapse later.
SETTLED_TOL, SETTLED_PASSES = 1e-7, 500
# Swaps that are tried at a time; the steps after each; it is given up where it is so
# far below the best, in units of log-likelihood.
SWAPS, SWAP_STEPS, HOPELESS = 4, (10, 20, 40), 5.0
# Where the halves of a Gaussian lie that is cut through its mean, in deviations.
HALF = float(np.sqrt(2 / np.pi))
# Covariances of two halves of a component, one within the other, over its own: heavy
# tails, and small clusters within large ones, are found so.
NESTED = 1.75, 0.25
# The steps after a component was split, and once more where this gained most; what that
# gains, over what a deletion loses at first sight, below which no swap was ever seen to
# gain.
SPLIT_STEPS, SPLITS, WORTHLESS = 4, 8, 0.02
# Rows from which clumps are looked for: fewer hide none from splits; how many of them a
# component is put on, where it gains most at first sight; and how many times as much it
# has to gain on a sample.
CLUMPS_FROM, CLUMPS, ON_SAMPLE = 500, 6, 3.0
# The slowest rate of convergence that promises are made of: what slower climbs still
# gain, and growing gains, a few steps do not tell.
_RATE = 0.9
# In the race a component needs so many times the rows and the variance that keep it
# from being degenerate: with just these it might collapse in the end.
MARGIN = 1.5
# Rows from which steps in single precision, and those of the best run once more in
# double, take less time than all in double.
SINGLE_FROM = 500
# Products of the features of the rows that are all kept for a moment.
_PAIRS = 2**20
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
    begin_again : callable, optional
        ``begin_again() -> Mixture or Statistics``: where it began, if steps led here.
    """

    mixture: Mixture
    trail: tuple
    begin_again: object = None

    @property
    def objective(self):
        """The objective here."""
        return self.trail[-1]

    @cached_property
    def promise(self):
        """The objective that is to be expected in the end, if no gains grow."""
        return self.objective + still_to_gain(self.trail, slowest=_RATE)

    @cached_property
    def health(self):
        """Its health by field: what a field has found is asked several times."""
        return {}


@dataclass(frozen=True, eq=False)
class Cloud:
    """Weighted rows in their frame, and how they look in metrics of all of them.

    Attributes
    ----------
    rows : ndarray of shape (m, D)
    weight : ndarray of shape (m,)
        The largest one is 1.
    """

    rows: np.ndarray
    weight: np.ndarray

    @cached_property
    def centred(self):
        """The rows about their mean."""
        return self.rows - self.weight @ self.rows / self.weight.sum()

    @cached_property
    def deviations(self):
        """The standard deviations of the features; 1 for constant ones."""
        squares = self.weight @ self.centred**2 / self.weight.sum()
        return np.sqrt(np.where(squares > 0, squares, 1.0))

    @cached_property
    def standardised(self):
        """The rows, centred, with unit variances."""
        return self.centred / self.deviations

    @cached_property
    def coordinates(self):
        """By form and source: coordinates along which clusters are looked for."""
        return {}


@dataclass(frozen=True, eq=False)
class Field:
    """Where the race takes place.

    Attributes
    ----------
    problem : Problem
        With the rows that are raced on.
    cloud : Cloud
        These rows.
    """

    problem: Problem
    cloud: Cloud

    @classmethod
    def of(cls, problem, sample):
        """Return the field of a problem and a sample of its rows."""
        weight = sample.sample_weight / np.max(sample.sample_weight)
        return cls(problem.on(sample), Cloud(sample.in_frame(), weight))

    @property
    def rows(self):
        """The rows in their frame, (m, D)."""
        return self.cloud.rows

    @property
    def weight(self):
        """Their weights (m,), the largest one 1."""
        return self.cloud.weight

    @property
    def _covariance(self):
        """The covariance of all rows, as the form has it."""
        source = self.problem.source
        return source.total(self.problem.family.form)[1] / source.total_weight

    @cached_property
    def _single(self):
        """Whether steps may be made in single precision.

        They only tell which runs are worth to be finished: what is kept is led to its
        end in double.
        """
        problem, enough = self.problem, len(self.rows) >= SINGLE_FROM
        one_call = kernels.SINGLE and problem.terms and problem.source.complete
        return bool(enough and one_call) and problem.noise is None

    @cached_property
    def sphered(self):
        """The rows in the metric of the covariance of all, as the form has it."""
        return self.problem.family.form.sphered(self.cloud.centred, self._covariance)

    @property
    def coordinates(self):
        """The rows in coordinates along which clusters are looked for."""
        form, known = self.problem.family.form, self.cloud.coordinates
        found = known.get((form, self.problem.source))
        if found is None:
            data = self.cloud.centred, self._covariance, self.weight
            found = known[form, self.problem.source] = form.coordinates(*data)
        return found

    @cached_property
    def order(self):
        """An order of the rows that they had before: see `outwards`."""
        return outwards(self, self.sphered)

    @property
    def own_weight(self):
        """The weights (m,) of the rows, 1 for each observation among them."""
        return self.weight * (self.problem.source.n_observations / self.weight.sum())

    def rank(self, run):
        """Return a key: the fewest degenerate components first, then the highest."""
        return self._health(run), run.objective

    def best(self, runs):
        """Return the highest of the runs with the fewest degenerate components."""
        descending = sorted(runs, key=lambda run: -run.objective)
        healthy = (run for run in descending if self.is_healthy(run))
        return next(healthy, None) or max(runs, key=self.rank)

    def is_healthy(self, run):
        """Tell whether a run has no component that is degenerate, or nearly so."""
        return self._health(run) == (0, True)

    def has_collapsed(self, run):
        """Tell whether a run has a degenerate component, such as a fit reports."""
        return bool(self.problem.degenerate_of(run.mixture, self._count(run.mixture)))

    def empty(self, run):
        """Tell of each component whether it has no rows."""
        return self.problem.empty(self._count(run.mixture))

    def _health(self, run):
        """Return minus the number of degenerate components, and whether there are none.

        The number is that by what the rows of a sample stand for; whether there are
        none is told by these rows alone, to which a component may have adapted.
        """
        if self not in run.health:
            count = self._count(run.mixture)
            numbers = [
                len(problem.degenerate_of(run.mixture, count, MARGIN))
                for problem in self._judges
            ]
            run.health[self] = -numbers[0], numbers[-1] == 0
        return run.health[self]

    @property
    def is_sample(self):
        """Whether there are other rows than these."""
        return self.problem.observations != self.problem.source.n_observations

    @cached_property
    def _judges(self):
        """The problem and, where it is on a sample, the same on these rows alone."""
        alone = [replace(self.problem, n_observations=None)] if self.is_sample else []
        return [self.problem, *alone]

    def _count(self, mixture):
        problem = self.problem
        if problem.family.equal_weights:
            return problem.expectation(mixture)[0].count
        return mixture.shares[: mixture.n_components] * problem.source.total_weight

    def begin(self, starts):
        """Return the runs from some starts, and the errors of those that fail.

        Parameters
        ----------
        starts : Mixtures or list of Statistics
            See `Problem.steps`.
        """
        ends = self._steps(starts, STEPS[0])
        runs = [
            Run(*end, partial(starts.__getitem__, r))
            for r, end in enumerate(ends)
            if end[0]
        ]
        return runs, [error for mixture, error in ends if not mixture]

    def advance(self, runs, n_steps):
        """Return runs some steps further, None for each that fails."""
        mixtures = Mixtures.of([run.mixture for run in runs]) if runs else ()
        further = self.climbed(mixtures, n_steps)
        return [
            more
            and replace(run, mixture=more.mixture, trail=(*run.trail[:-1], *more.trail))
            for run, more in zip(runs, further, strict=True)
        ]

    def climbed(self, mixtures, n_steps):
        """Return the runs from mixtures after some steps, None for each that fails."""
        return [
            Run(*end, partial(mixtures.__getitem__, r)) if end[0] else None
            for r, end in enumerate(self._steps(mixtures, n_steps))
        ]

    def again(self, run):
        """Return where a run leads, if need be once more in double precision."""
        start = run.begin_again() if self._single and run.begin_again else None
        if start is None:
            return run.mixture
        starts = Mixtures.of([start]) if isinstance(start, Mixture) else [start]
        return self.problem.steps(starts, len(run.trail) - 1)[0][0] or run.mixture

    def _steps(self, starts, n_steps):
        """Return where steps lead, and trails that show where there is no more."""
        if not len(starts):
            return []
        ends = self.problem.steps(starts, n_steps, single=self._single)
        return [
            (mixture, [*trail, trail[-1], trail[-1]])
            if mixture and len(trail) <= n_steps
            else (mixture, trail)
            for mixture, trail in ends
        ]

    def finished(self, run, tol=FINISH_TOL, passes=FINISH_PASSES):
        """Return a run at its end, or nearly."""
        mixture, objectives = self.problem.leaps(self.again(run), tol, passes)
        return Run(mixture, (*run.trail[:-1], *objectives))


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
    order = field.order

    def partitioned(rows, into_parts):
        z = np.ascontiguousarray(rows[order])
        labels = np.empty(len(z), dtype=np.intp)
        labels[order] = into_parts(z, field.weight[order], n_components, rng)
        return labels

    def starts(partitions):
        return field.begin([moments_of(labels) for labels in partitions])

    metrics = field.coordinates, field.sphered
    runs, errors = starts(
        [partition, *(partitioned(rows, _clusters) for rows in metrics)]
    )
    if not runs:
        raise _no_start(field, errors)
    best = field.best(runs).mixture
    within = best.covariances.average(best.weights)
    rows = field.problem.family.form.sphered(field.cloud.centred, within)
    runs += starts([partitioned(rows, _clusters)])[0]
    if n_components < 3 or _n_agreeing(runs) < 2:
        all_agree = 1 < _n_agreeing(runs) == len(runs)
        n_more = N_MORE // 2 if all_agree else N_MORE
        more = [partitioned(metrics[i % 2], _cells) for i in range(n_more)]
        runs += starts(more)[0]
    return winner(field, runs, n_swaps)


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
    for steps in STEPS[1:]:
        runs = _distinct(runs)
        if len(runs) == 1:
            break
        n_best = -(-len(runs) // LEFT)
        runs, left = runs[:n_best], runs[n_best:] + left
        further = field.advance(runs, steps)
        runs = [more or run for run, more in zip(runs, further, strict=True)]
    path = refine(field, first_healthy(field, _distinct(runs) + left), n_swaps)
    return _end(field, path)


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


def _end(field, path):
    """Return the mixture to which a path leads."""
    return _ordered(field, _settled(field, path).mixture)


def _settled(field, path):
    """Return the last run of a path at its end, or an earlier one if it collapses."""
    ends = []
    for run in reversed(path):
        ends.append(field.finished(run, SETTLED_TOL, SETTLED_PASSES))
        if field.is_healthy(ends[-1]):
            return ends[-1]
    return field.best(ends)


def _clusters(rows, weight, n_components, rng):
    """Return the labels of k-means."""
    return kmeans(rows, weight, seeds(rows, weight, n_components, rng))


def _cells(rows, weight, n_components, rng):
    """Return the nearest of some random rows: more diverse than k-means."""
    return cells(rows, draw(weight, n_components, rng))


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


def outwards(field, sphered):
    """Return the order of the rows by their distance from the centre.

    In it draws depend neither on the order of the rows in memory, nor on linear maps of
    the features where distances do not; where these agree the deviations decide.
    """
    first, second = (
        np.einsum("ij,ij->i", rows, rows) for rows in (sphered, field.coordinates)
    )
    return np.lexsort((second, np.round(1e6 * first / first.mean())))


def _ordered(field, mixture):
    """Return the mixture with its components in the order of their means.

    By the first feature, then the second ...; differences of less than a millionth of
    a deviation are none.
    """
    steps = np.round(1e6 * (mixture.means / field.cloud.deviations))
    return mixture.take(np.lexsort(steps.T[::-1]))


def refine(field, run, n_swaps):
    """Return the runs, the best one last, that splits and deletions lead to."""
    return [run, *_swap(field, run, n_swaps, _split)]


def _swap(field, run, n_swaps, grow):
    """Return the better runs that swaps lead to.

    A swap grows the mixture by a component, deletes one of those that are missed least,
    and is kept if EM climbs higher from there (Ueda et al. 2000, Neural Comput.
    12:2109, merge and split likewise).  The search ends when so many in a row have
    failed.
    """
    path, swaps, failed = [], None, 0
    while failed < n_swaps:
        swaps = swaps or _Swaps.of(field, run, grow)
        pairs = swaps.pairs[failed : failed + min(SWAPS, n_swaps - failed)]
        if not pairs:
            break
        failed += len(pairs)
        others = swaps.swapped(pairs)
        if not others:
            continue
        other = _best_end(field, others)
        if _is_better(field, other, run):
            path.append(other)
            run, failed, swaps = other, 0, None
    return path


def _split(field, run):
    """Return the runs from a mixture with a component in two, and what each loses.

    See `_grown` and `_losses`.
    """
    mixture, empty = run.mixture, field.empty(run)
    if mixture.n_components < 3 and not empty.any():
        return [], []
    shares = _shares(field, mixture)
    grown = _grown(field, mixture, shares)
    grown = [None if none else one for one, none in zip(grown, empty, strict=True)]
    return grown, _losses(shares, field.weight, mixture.weights)


def _with_clumps(field, run):
    """Return the runs from a mixture with one more, on a clump; what each loses."""
    mixture, family = run.mixture, field.problem.family
    if len(field.rows) < CLUMPS_FROM or not family.own_volume:
        return [], []
    densities, shares = _responsibilities(field, mixture)
    within = mixture.covariances.average(mixture.weights)
    rows = family.form.sphered(field.cloud.centred, within)
    least = MARGIN * (family.rows_needed(mixture.n_features) + 1)
    labels = np.argmax(shares, axis=1)
    found = clumps(rows, field.own_weight, labels, field.order, least)
    losses = _losses(shares, field.weight, mixture.weights)
    try:
        parts = _best_parts(field, found, densities, WORTHLESS * losses.min())
    except NotPositiveDefinite:
        parts = []
    more = [_beside(mixture, part) for part in parts]
    grown = field.climbed(Mixtures.of(more), 2 * SPLIT_STEPS) if more else []
    least = run.objective + _noise(field, mixture) / field.own_weight.sum()
    return [one if one and one.objective > least else None for one in grown], losses


def _noise(field, mixture):
    """Return what a component more has to gain, else it may well fit noise.

    Half its parameters is what it gains on noise, on average; what chance has made in a
    sample is not there in other rows.
    """
    family, (k, d) = field.problem.family, mixture.means.shape
    gain = 0.5 * (family.n_parameters(k + 1, d) - family.n_parameters(k, d))
    return gain * (ON_SAMPLE if field.is_sample else 1.0)


def _best_parts(field, found, densities, least):
    """Return a component on that group of rows of each clump on which it gains most.

    Mixtures of one, with its weight among all rows; of those that gain at least so much
    at first sight, the best.
    """
    if not found:
        return []
    source, form = field.problem.source, field.problem.family.form
    groups = [group for of_clump in found for group in of_clump]
    which = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    rows, weight = field.rows[which], source.sample_weight[which]
    frame = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    sums = kernels.class_moments(rows, weight, *frame, labels, len(groups), form)
    count, means, second = sums
    statistics = Statistics(count, np.zeros_like(means), second, 0.0, means, form)
    parts, weights = field.problem.maximisation(statistics), count / source.total_weight
    parts = replace(parts, weights=weights)
    together, logs = kernels.log_responsibilities(rows, parts)
    own = together + logs[np.arange(len(rows)), labels]
    gains = np.bincount(labels, field.weight[which] * (own - densities[which]))
    clump = np.repeat(np.arange(len(found)), [len(of_clump) for of_clump in found])
    best = [max(np.flatnonzero(clump == c), key=gains.item) for c in range(len(found))]
    best = sorted((b for b in best if gains[b] > least), key=lambda b: -gains[b])
    return [replace(parts.take([b]), weights=weights[[b]]) for b in best[:CLUMPS]]


def _beside(mixture, part):
    """Return a mixture with one component more."""
    share = part.weights[0]
    weights = np.append((1.0 - share) * mixture.weights, share)
    means = np.concatenate([mixture.means, part.means])
    covariances = mixture.covariances
    values = np.concatenate([covariances.values, part.covariances.values])
    covariances = covariances.known(values, *means.shape)
    return Mixture(weights, means, covariances, mixture.noise)


def refined(field, mixture, n_swaps):
    """Return the mixture that swaps lead to from one, or None if none is better."""
    # What is gained only by going from all rows to a sample is none of swaps.
    path = _path_from(field, mixture, n_swaps) if n_swaps else []
    return _end(field, path) if path[1:] else None


def raced_further(field, mixture, n_swaps, *, always=True):
    """Return what the winner of a race on fewer rows leads to, refined again.

    If not ``always``, it is refined only where it collapses.
    """
    run = field.finished(_at(field, mixture))
    if always or field.has_collapsed(run):
        return _end(field, refine(field, run, n_swaps))
    return _ordered(field, run.mixture)


def _path_from(field, mixture, n_swaps):
    """Return the runs that swaps lead to from a mixture, which is climbed on first."""
    return refine(field, field.finished(_at(field, mixture)), n_swaps)


def _at(field, mixture):
    """Return the run that begins at a mixture."""
    return Run(mixture, (field.problem.expectation(mixture)[1],))


def wander(field, won, best, n_moves, rng):
    """Return the mixture that random moves lead to, from the better of two mixtures.

    A move puts a component at a random row, with the average covariance or a quarter
    of it, instead of one that is not much missed, and is kept if EM climbs higher from
    there (Zhao et al. 2012, Pattern Recognition Letters 33:2120).  The search ends when
    so many in a row have failed.  Before, components are moved to clumps.
    """
    run = field.best([_at(field, one) for one in (won, best) if one])
    path = [run, *_swap(field, run, min(SWAPS, n_moves), _with_clumps)]
    run, failed = path[-1], 0
    while failed < n_moves:
        losses = _losses(_shares(field, run.mixture), field.weight, run.mixture.weights)
        size = min(SWAPS, n_moves - failed)
        moved = [_moved(field, run.mixture, losses, rng) for _ in range(size)]
        failed += size
        others = _promising(field, moved, run)
        other = _best_end(field, others) if others else run
        if _is_better(field, other, run):
            path.append(other)
            run, failed = other, 0
    return _end(field, path)


def _moved(field, mixture, losses, rng):
    """Return the run from a mixture with one of its components somewhere else."""
    ranks = np.argsort(np.argsort(losses))
    k = draw(1.0 / (1.0 + ranks), 1, rng)[0]
    weights, means = np.array(mixture.weights), np.array(mixture.means)
    weights[k] = 1.0 / len(weights)
    means[k] = field.rows[draw(field.weight, 1, rng)[0]]
    size = (1.0, 0.25)[rng.randint(2)]
    covariances = mixture.covariances.with_average(k, mixture.weights, size)
    moved = Mixture(weights / weights.sum(), means, covariances, mixture.noise)
    return Run(moved, (-np.inf,), lambda: moved)


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
    field : Field
    run : Run
    grown : list of Run or None
        With one component more.
    pairs : list of tuple (int, int)
        Components to delete, and which of the grown ones, most promising first.
    """

    field: Field
    run: Run
    grown: list
    pairs: list

    @classmethod
    def of(cls, field, run, grow):
        """Return the swaps with what ``grow(field, run)`` gives."""
        grown, losses = grow(field, run)
        gains = [one.objective - run.objective if one else -np.inf for one in grown]
        gains = field.weight.sum() * np.array(gains)
        pairs = _pairs(gains, losses, field.empty(run)) if any(grown) else []
        if grow is _split:
            pairs = [pair for pair in pairs if pair[0] != pair[1]]
        return cls(field, run, grown, pairs)

    def swapped(self, pairs):
        """Return runs from swapped mixtures, those that promise something."""
        begun = [self._begun(*pair) for pair in pairs]
        return _promising(self.field, [run for run in begun if run], self.run)

    def _begun(self, deleted, added):
        """Return the run from the swapped mixture, None if this would be empty."""
        mixture = _without(self.grown[added].mixture, deleted)
        begin_again = partial(self._begin_again, deleted, added)
        return mixture and Run(mixture, (-np.inf,), begin_again)

    def _begin_again(self, deleted, added):
        return _without(self.field.again(self.grown[added]), deleted)


def _without(mixture, deleted):
    """Return the mixture without a component, None if it would be empty."""
    kept = np.delete(np.arange(mixture.n_components), deleted)
    return mixture.take(kept) if mixture.weights[kept].any() else None


def _promising(field, runs, best):
    """Return the runs, some steps on, that may end above the best run.

    Where that is not healthy they go on anyway: a healthy one may be better though it
    is lower.
    """
    slack, healthy = HOPELESS / field.problem.observations, field.is_healthy(best)
    for steps in SWAP_STEPS:
        further = filter(None, field.advance(runs, steps))
        least = best.objective - slack if healthy else -np.inf
        runs = [run for run in further if run.promise >= least]
        slack = 0.0
    # What has collapsed by now is no better in the end.
    return [run for run in runs if not (healthy and field.has_collapsed(run))]


def _best_end(field, runs):
    """Return the run that promises most, healthy ones first, at its end."""
    most = max(runs, key=lambda run: (field.is_healthy(run), run.promise))
    return field.finished(most)


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
    return _responsibilities(field, mixture)[1]


def _responsibilities(field, mixture):
    """Return the log-densities (m,) and the responsibilities (m, K) of the rows."""
    densities, logs = kernels.log_responsibilities(field.rows, mixture)
    logs[~np.isfinite(densities)] = -np.inf
    if mixture.noise is not None:
        densities, gaussian, _ = mixture.noise.mixed(field.rows, densities)
        logs += gaussian[:, np.newaxis]
    return densities, np.exp(logs)


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


def _pairs(gains, losses, empty):
    """Return pairs of what to delete and what to add, the most promising first.

    What is ``empty`` is deleted for anything.
    """
    losses = np.where(empty, -np.inf, losses)
    added = [k for k in np.argsort(-gains)[:6] if np.isfinite(gains[k])]
    pairs = [
        (a + b, int(j), int(k))
        for a, j in enumerate(np.argsort(losses)[:6])
        for b, k in enumerate(added)
        if gains[k] > WORTHLESS * losses[j]
    ]
    return [pair[1:] for pair in sorted(pairs)]


def _longest_axes(rows, metric, mass):
    """Return the longest semi-axes (K, D) of the scatters of weighted rows.

    They are the longest ones in a ``metric``: the same rows in other coordinates.  The
    masses (m, K) are those of K components; the axis of one that has none is zero.
    """
    weight = (mass / np.maximum(mass.sum(axis=0), 1e-300)).T
    along, means = _directions(metric, weight), weight @ metric
    places = along @ metric.T - np.sum(along * means, axis=1, keepdims=True)
    shares = weight * places
    sizes = np.sqrt(np.sum(shares * places, axis=1, keepdims=True))
    shares /= np.where(sizes > 0, sizes, 1.0)
    # They sum to zero: what the mean has does not count.
    return shares @ rows - shares.sum(axis=1, keepdims=True) * (weight @ rows)


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
