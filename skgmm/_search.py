"""A grid of models, numbers of components by families, fitted with shared work."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ._em import Fit, StartFailed, em
from ._field import Field, outwards
from ._moves import refined, splits
from ._race import Partitions, first_healthy, winner
from ._random import random_state
from ._starts import (
    PARTITIONS,
    SHARE_OF_MODELS,
    bisect,
    is_large,
    larger_sample,
    one_hot,
    sample_of,
)
from .forms import Full

# What a model may still gain, of what it lacks to be the best, when it is left alone.
LOOSE = 0.01


class Starts:
    """The starts of K components: the same partitions of the rows for every family.

    Parameters
    ----------
    problems : list of Problem
        Of all families; two that differ in `Family.per_feature` have different frames.
    n_components : int
    rng : RandomState
    n_races : int, default=1
        Number of sets of partitions; the first draws the same numbers at any ``rng``.

    Raises
    ------
    StartFailed
        If there are fewer distinct rows than components.
    """

    def __init__(self, problems, n_components, rng, n_races=1):
        self.n_components = n_components
        self._first, self._rng, self._parts = problems[0], rng, {}
        self._sample = sample_of(self._first, n_components, rng, SHARE_OF_MODELS)
        self._fields = {}
        for problem in {p.family.per_feature: p for p in problems}.values():
            part = self._part(self._sample, problem.source)
            self._fields[problem.family.per_feature] = Field.of(problem, part), part
        generators = [random_state(0), *[rng] * (n_races - 1)]
        # In the frame that scales each feature, if a family has it.
        field, part = self._fields[max(self._fields)]
        shared = partitions(field, part, n_components, generators)
        self._labels = {key: list(shared) for key in self._fields}
        if False in self._fields and len(shared) > 1:
            self._labels[False] += in_units(
                self._fields[False][0], shared[0], generators
            )
        self._statistics = {}

    def field(self, problem):
        """Return where the models of a problem race."""
        field, _ = self._fields[problem.family.per_feature]
        part = self._part(self._sample, problem.source)
        return replace(field, problem=problem.on(part))

    def larger_field(self, problem):
        """Return where components are moved: on more rows, if there are many."""
        if self._larger is self._sample:
            return self.field(problem)
        return Field.of(problem, self._part(self._larger, problem.source))

    def _part(self, sample, source):
        """Return a sample as part of a source of all rows: the same each time."""
        key = sample, source
        if key not in self._parts:
            is_whole = sample is self._first.source
            self._parts[key] = source if is_whole else sample.seen_as(source)
        return self._parts[key]

    @cached_property
    def _larger(self):
        return larger_sample(self._first, self._sample, self.n_components, self._rng)

    def climb(self, problem, field, mixture, options, tol):
        """Return the fit to which a model climbs that has won the race in a field."""
        if _is_whole(field, problem):
            return em(field.problem, mixture, tol=tol, **options, fast=True)
        return em(problem, mixture, tol=tol, **options)

    def runs(self, field):
        """Return a run from each partition that can be climbed from."""
        problem = field.problem
        return field.begin(
            [
                problem.with_small_pooled(statistics, len(field.rows))
                for statistics in self._statistics_for(problem.family)
            ]
        )[0]

    def _statistics_for(self, family):
        """Return the statistics of the partitions, the same for all of a form."""
        key = family.per_feature, family.form
        if key not in self._statistics:
            _, part = self._fields[family.per_feature]
            self._statistics[key] = [
                part.class_moments(labels, labels.max() + 1, family.form)
                for labels in self._labels[family.per_feature]
            ]
        return self._statistics[key]


def partitions(field, sample, n_components, generators):
    """Return labels of partitions that favour no family.

    One by bisection; then, for each generator of random numbers, k-means in the metrics
    of the deviations of the features, of the scatter of the rows, and of that within
    the parts of the partition where its determinant is smallest (Friedman and Rubin
    1967, JASA 62:1159).

    Raises
    ------
    StartFailed
        If there are fewer distinct rows than components.
    """
    rows, weight = sample.standardised(), field.weight
    first = PARTITIONS["bisect"](rows, weight, n_components, None, 0)
    first = bisect(rows, weight, first, n_components)
    n_parts = first.max() + 1
    if n_parts < n_components:
        raise StartFailed(
            f"X has only {n_parts} distinct rows, fewer than "
            f"n_components={n_components}"
        )
    if n_components == 1 or is_large(sample, n_components):
        return [first]
    sphered = _sphered(field)
    found = [first]
    order = outwards(sphered, field.coordinates)
    for rng in generators:
        cut = Partitions(weight, order, n_components, rng)
        for z in (field.cloud.standardised, sphered):
            found.append(bisect(rows, weight, cut.kmeans(z), n_components))
        within = min((_within(sphered, weight, labels) for labels in found), key=_size)
        z = Full.sphered(sphered, within)
        found.append(bisect(rows, weight, cut.kmeans(z), n_components))
    return found


def in_units(field, labels, generators):
    """Return partitions by k-means in the user's units, as many as generators."""
    n_components, order = labels.max() + 1, outwards(_sphered(field), field.coordinates)
    found = [
        Partitions(field.weight, order, n_components, rng).kmeans(field.rows)
        for rng in generators
    ]
    return [bisect(field.rows, field.weight, x, n_components) for x in found]


def _sphered(field):
    """Return the rows in the metric of the covariance of all."""
    centred, weight = field.cloud.centred, field.weight
    return Full.sphered(centred, (centred.T * weight) @ centred / weight.sum())


def _within(rows, weight, labels):
    """Return the covariance within the parts, not quite singular."""
    hard = one_hot(labels, labels.max() + 1) * weight[:, np.newaxis]
    means = (hard.T @ rows) / hard.sum(axis=0)[:, np.newaxis]
    z = rows - means[labels]
    scatter = (z.T * weight) @ z
    return scatter / weight.sum() + 1e-9 * np.eye(rows.shape[1])


def _size(matrix):
    return np.linalg.slogdet(matrix)[1]


def fit_model(problem, starts, before, *, n_swaps, tol, **options):
    """Return the fit of one model.

    Parameters
    ----------
    problem : Problem
    starts : Starts
    before : Fit or None
        The same family with fewer components.
    n_swaps : int
    tol : float
    **options
        Those of `em`.

    Raises
    ------
    ValueError
        If there is nothing to climb from.
    """
    if starts.n_components == 1:
        return _single(problem, options, tol)
    field, runs = _begun(problem, starts, before)
    fit = starts.climb(problem, field, winner(field, runs, n_swaps), options, tol)
    return _no_worse(problem, fit, before)


def _single(problem, options, tol):
    single = problem.single_gaussian().mixture
    return em(problem, problem.noisy(single), tol=tol, **options)


def _begun(problem, starts, before):
    """Return where a model races, and the runs that have begun."""
    field = starts.field(problem)
    runs = starts.runs(field)
    if before is not None:
        runs += splits(field, before.mixture, starts.n_components)
    if not runs:
        raise StartFailed("no start could be climbed from")
    return field, runs


@dataclass(frozen=True)
class Outlook:
    """How far one model of several is from being the best of them.

    Attributes
    ----------
    bound : callable
        ``bound(log_likelihood)``: the least value that the criterion may have.  It
        falls by no more than two where the log-likelihood grows by one.
    best : float
        The value of the best model so far.
    surprise : float
        How far a log-likelihood may end above what the start of the race promises.
    """

    bound: callable
    best: float
    surprise: float

    def behind(self, log_likelihood):
        """Return what the log-likelihood lacks for the model to be the best."""
        return 0.5 * (self.bound(log_likelihood) - self.best)

    def is_hopeless(self, promised):
        """Tell whether a model cannot be the best whose race promises so much."""
        return self.behind(promised) > self.surprise


def fit_one_of_many(problem, starts, before, outlook, *, tol, **options):
    """Return the fit of one model as far as it may be the best, and a surprise.

    What does not promise to be the best takes part in no race: the first healthy run
    goes on until it has no more to gain than `LOOSE` times what it lacks.  It has not
    converged then, if that is more than ``tol``.

    Parameters
    ----------
    problem, starts, before
        See `fit_model`.
    outlook : Outlook
    tol : float
    **options
        Those of `em`.

    Returns
    -------
    fit : Fit
    surprise : float
        How far above the promise it has ended, in log-likelihood; minus infinity if it
        took part in no race.

    Raises
    ------
    ValueError
        If there is nothing to climb from.
    """
    if starts.n_components == 1:
        return _single(problem, options, tol), -np.inf
    field, runs = _begun(problem, starts, before)
    runs = sorted(runs, key=lambda run: -run.promise)
    promised = _promised(problem, field, runs[0])
    if not outlook.is_hopeless(promised):
        fit = starts.climb(problem, field, winner(field, runs, 0), options, tol)
        fit = _no_worse(problem, fit, before)
        return fit, problem.log_likelihood(fit) - promised
    left = LOOSE * outlook.behind(promised) / problem.source.total_weight
    mixture = first_healthy(field, runs, max(tol, left)).mixture
    # Nothing depends on the last digit of what is left.
    options |= {"near": 1.0} if left > tol else {}
    fit = starts.climb(problem, field, mixture, options, max(tol, left))
    fit = _no_worse(problem, fit, before)
    return replace(fit, converged=fit.converged and left <= tol), -np.inf


def move_components(problem, starts, fit, *, n_swaps, tol, max_iter, **options):
    """Return a fit of one model that swaps of components lead to, or the one given.

    That is climbed to its end, if it was left before.  See `refine`; options are those
    of `em`.
    """
    field = starts.larger_field(problem) if n_swaps else starts.field(problem)
    options |= {"max_iter": max_iter}
    try:
        mixture = refined(field, fit.mixture, n_swaps)
        if mixture is None and (fit.converged or fit.n_iter >= max_iter):
            return fit
        other = starts.climb(problem, field, mixture or fit.mixture, options, tol)
    except ValueError:  # there is a fit already
        return fit
    return max(fit, other, key=lambda one: (problem.rank(one), one.converged))


def _is_whole(field, problem):
    """Tell whether a race takes place on all rows of a problem."""
    return field.problem.source.total_weight == problem.source.total_weight


def _promised(problem, field, run):
    """Return the log-likelihood of all rows that a run in a field promises.

    Its objective on a sample is too high: it has adapted to these rows.
    """
    objective = run.objective
    if not _is_whole(field, problem):
        objective = problem.expectation(run.mixture)[1]
    promise = objective + run.promise - run.objective
    return problem.log_likelihood_of(run.mixture, promise)


def _no_worse(problem, fit, before):
    """Return the fit, or one with fewer components, some of them twice, if better.

    So the likelihood never falls with the number of components.
    """
    if before is None:
        return fit
    rank = problem.rank(fit)
    if rank >= (0, before.objective) or rank >= problem.rank(before):
        return fit
    k, mixture = before.mixture.n_components, before.mixture
    heaviest = np.argsort(-mixture.weights, kind="stable")
    extra = np.resize(heaviest, fit.mixture.n_components - k)
    twins = mixture.take([*range(k), *extra])
    statistics, objective = problem.expectation(twins)
    copies = Fit(twins, objective, statistics, (objective,), before.converged)
    return max(fit, copies, key=problem.rank)
