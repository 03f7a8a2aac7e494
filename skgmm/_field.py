"""The field of a race: rows on which runs are compared, and where these are."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from . import kernels
from ._em import Problem, still_to_gain
from ._mixture import Mixture, Mixtures

# Steps of EM that all candidates make.
FIRST_STEPS = 10
# What is chosen leaps until so little is left to gain, for so many passes at most.
FINISH_TOL, FINISH_PASSES = 5e-7, 300
# The slowest rate of convergence that promises are made of: what slower climbs still
# gain, and growing gains, a few steps do not tell.
_RATE = 0.9
# In the race a component needs so many times the rows and the variance that keep it
# from being degenerate: with just these it might collapse in the end.
MARGIN = 1.5
# Rows from which steps in single precision take less time.
SINGLE_FROM = 500
# Objectives this close are the same optimum's.
SAME = 1e-5
# The part of the differences in a feature, of rows one after another, that rounding may
# take away.
_LOST = 0.01


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
    def mean(self):
        """Of the rows (D,)."""
        return self.weight @ self.rows / self.weight.sum()

    @cached_property
    def centred(self):
        """The rows about their mean."""
        return self.rows - self.mean

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
    is_ordered : bool, default=False
        Whether the rows are in an order of their own.  They stay apart in single
        precision then.
    """

    problem: Problem
    cloud: Cloud
    is_ordered: bool = False

    @classmethod
    def of(cls, problem, sample):
        """Return the field of a problem and a sample of its rows."""
        weight = sample.sample_weight / np.max(sample.sample_weight)
        rows = np.ascontiguousarray(sample.in_frame())
        return cls(problem.on(sample), Cloud(rows, weight))

    def in_order(self):
        """Return a field `is_single` with its rows in an order of their own."""
        order = self.order
        problem = self.problem.on(self.problem.source.in_order(order))
        cloud = Cloud(self.rows[order], self.weight[order])
        return Field(problem, cloud, is_ordered=True)

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
    def is_single(self):
        """Whether steps may be made in single precision.

        They only tell which runs are worth to be finished: what is kept is led to its
        end in double.
        """
        problem, enough = self.problem, len(self.rows) >= SINGLE_FROM
        one_call = kernels.SINGLE and problem.terms and problem.source.complete
        possible = bool(enough and one_call) and problem.noise is None
        if self.is_ordered:  # it was asked before
            return possible
        return possible and stay_apart(self.rows, self.rows.astype(np.float32))

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

    @property
    def axes(self):
        """The map (D, r) of the centred rows on axes that no linear map changes.

        And their tails (r,).
        """
        data = self.cloud.centred, self._covariance, self.weight
        return self.problem.family.form.axes(*data)

    @cached_property
    def order(self):
        """An index of the rows in an order that they had before: see `outwards`."""
        if self.is_ordered:
            return slice(None)
        return outwards(self.sphered, self.coordinates)

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

    def sick(self, run):
        """Tell of each component whether it is degenerate, if others are not, or empty.

        Returns
        -------
        ndarray of shape (K,), bool
        """
        count = self._count(run.mixture)
        sick = self.problem.empty(count)
        degenerate = self.problem.degenerate_of(run.mixture, count)
        if len(degenerate) < len(sick):
            sick[[one.component for one in degenerate]] = True
        return sick

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
        # Of rows in another order the sum of the weights may be rounded otherwise.
        here = self.problem.source.n_observations
        return not math.isclose(self.problem.observations, here)

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
        ends = self._steps(starts, FIRST_STEPS)
        errors = [error for mixture, error in ends if not mixture]
        return [Run(*end) for end in ends if end[0]], errors

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
        ends = self._steps(mixtures, n_steps)
        return [Run(*end) if end[0] else None for end in ends]

    def _steps(self, starts, n_steps):
        """Return where steps lead, and trails that show where there is no more."""
        if not len(starts):
            return []
        ends = self.problem.steps(starts, n_steps, single=self.is_single)
        return [
            (mixture, [*trail, trail[-1], trail[-1]])
            if mixture and len(trail) <= n_steps
            else (mixture, trail)
            for mixture, trail in ends
        ]

    def finished(self, run, tol=FINISH_TOL, passes=FINISH_PASSES):
        """Return a run at its end, or nearly, in double precision."""
        mixture, objectives = self.problem.leaps(run.mixture, tol, passes)
        return Run(mixture, (*run.trail[:-1], *objectives))


def stay_apart(rows, rounded):
    """Tell whether rows do not become the same when they are rounded.

    One value far from all others would make these one.
    """
    # A feature at a time: there may be many rows.
    for one, other in zip(rows.T, rounded.T, strict=True):
        lost = (np.diff(other) == 0) & (np.diff(one) != 0)
        if np.count_nonzero(lost) > _LOST * len(rows):
            return False
    return True


def outwards(sphered, coordinates):
    """Return the order of the rows by their distance from the centre.

    In it draws depend neither on the order of the rows in memory, nor on linear maps of
    the features where distances do not; where these agree the others decide.
    """
    first, second = (
        np.einsum("ij,ij->i", rows, rows) for rows in (sphered, coordinates)
    )
    unit = max(1e-6 * first.mean(), np.finfo(float).tiny)  # rows may all be the same
    return np.lexsort((second, np.round(first / unit)))
