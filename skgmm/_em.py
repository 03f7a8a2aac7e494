"""Drivers: the EM iteration and its stopping rule."""

from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import cached_property, partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._acceleration import Coordinates, step_length
from ._degeneracy import degenerate, empty
from ._mixture import Mixture, Mixtures
from ._statistics import Statistics
from ._threads import ordered_map, single_threaded_blas, staying_crew
from ._warnings import warn
from .forms import NotPositiveDefinite
from .kernels import LOG_2PI, reference

# The slowest rate of convergence that is reckoned with.
_SLOWEST = 1 - 1e-4

# Where so little of the tolerance seems to be left no leap is worth its pass; before,
# in slow climbs, it still is.
_NEAR = 0.1

# A component of less weight is left to die in peace.
_SMALLEST_WEIGHT = 1e-8

ALL_NOISE = (
    "noise takes all rows, since its density, one over the volume, is above that of "
    "the components everywhere; give a larger volume as noise, or noise=True for that "
    "of the box of the rows"
)


class StartFailed(ValueError):
    """Raised when the iteration cannot go on from a start."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The state of a run of EM.

    Attributes
    ----------
    mixture : Mixture
    objective : float
        Mean (penalised) log-likelihood of an observation under `mixture`.
    statistics : Statistics
        Under `mixture`.
    history : tuple of float
        The objective after every iteration.
    converged : bool
    stopped : bool
        Whether the monitor asked to stop.
    """

    mixture: Mixture
    objective: float
    statistics: Statistics
    history: tuple = ()
    converged: bool = False
    stopped: bool = False

    @property
    def n_iter(self):
        """Number of iterations made."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Problem:
    """What EM climbs: rows, a family, and the regularisation of its covariances.

    Attributes
    ----------
    source : source of rows
    family : Family
    regularisation : PseudoObservations or Ridge
    n_observations : float, optional
        How many the rows stand for, if they are a sample.
    noise : Noise, optional
        With the weight that it begins with.
    """

    source: object
    family: object
    regularisation: object
    n_observations: float | None = None
    noise: object | None = None

    def on(self, sample):
        """Return the same problem on a sample of its rows."""
        if sample is self.source:
            return self
        return replace(self, source=sample, n_observations=self.observations)

    @property
    def observations(self):
        """The number of observations that the rows stand for."""
        return self.n_observations or self.source.n_observations

    def expectation(self, mixture):
        """Return the statistics under a mixture, and the objective there."""
        statistics = self.source.statistics(mixture)
        if statistics.noise > 0 and not statistics.count.any():
            raise StartFailed(ALL_NOISE)
        return statistics, self._objective(mixture, statistics.log_likelihood)

    def log_likelihood(self, fit):
        """Return the log-likelihood of all rows, in the user's units, unpenalised."""
        return self.log_likelihood_of(fit.mixture, fit.objective)

    def log_likelihood_of(self, mixture, objective):
        """Return the log-likelihood of all rows, from the objective of a mixture."""
        total = objective * self.source.total_weight
        return total - self.regularisation.log_penalty(mixture)

    def maximisation(self, statistics, previous=None):
        """Return the mixture of greatest expected likelihood.

        It is no worse than a ``previous`` one, see `Family.maximise`.
        """
        mixture = self.family.maximise(statistics, self.regularisation, previous)
        mass = statistics.noise
        return self.noisy(mixture, mass / (statistics.count.sum() + mass))

    def noisy(self, mixture, share=np.nan):
        """Return a mixture with the noise of the problem, or without if it has none.

        The share of the noise is that given or, if that is NaN, the initial one.
        """
        noise = self.noise
        if noise is not None and not np.isnan(share):
            noise = replace(noise, weight=float(share))
        return mixture if noise is mixture.noise else replace(mixture, noise=noise)

    def projection(self, mixture, near):
        """Return the mixture of the family that is nearest to one."""
        return self.family.projected(mixture, self.regularisation, near)

    def with_small_pooled(self, statistics, n_rows):
        """Return statistics for a start, of so many rows, with components pooled.

        Those with too few rows for a covariance of their own.
        """
        unit = min(1.0, statistics.count.sum() / n_rows)
        least = unit * self.family.rows_needed(statistics.origin.shape[1])
        return statistics.with_small_pooled(least)

    def steps(self, starts, n_steps, *, single=False):
        """Return where plain steps of EM lead from several starts.

        Parameters
        ----------
        starts : Mixtures or list of Statistics
            Statistics are about the means; they stand for what maximises them.
        n_steps : int
        single : bool, default=False
            Whether single precision will do; objectives have six digits then.

        Returns
        -------
        list of (Mixture, list of float)
            Mixtures, and the objectives of the start and after each step; fewer where
            no step gains any more.  None and the error where a step fails.
        """
        ends = [(None, ())] * len(starts)
        of_moments = not isinstance(starts, Mixtures)
        arrays = self._of_moments(starts) if of_moments else starts.arrays
        if self.terms:
            ends = self.source.climb(
                arrays,
                self.family.form,
                self.terms,
                n_steps,
                of_moments=of_moments,
                noise=self.noise,
                single=single,
            )

        trails = [self._per_observation(np.asarray(end[1])).tolist() for end in ends]
        ends = [(end[0], trail) for end, trail in zip(ends, trails, strict=True)]
        short = [r for r, (_, trail) in enumerate(ends) if len(trail) <= n_steps]

        def further(r):
            mixture, trail = ends[r]
            return self._plain_steps(lambda: mixture or starts[r], trail, n_steps)

        work = n_steps * arrays[1].shape[1] * self.source.work
        mapped = ordered_map if work > reference.WORK_OF_A_THREAD else map
        for r, end in zip(short, list(mapped(further, short)), strict=True):
            ends[r] = end
        return ends

    def _plain_steps(self, place, trail, n_steps):
        """Go on one by one from a ``place()`` to which some steps have led, or none."""
        n_steps -= max(len(trail) - 1, 0)
        try:
            start = place()
            if not isinstance(start, Mixture):
                start = self.maximisation(start)
            climb = Climb(self, start, n_steps)
            while climb.goes_on:
                climb.step()
        except (StartFailed, NotPositiveDefinite) as error:
            return None, error
        return climb.fit.mixture, [*(trail or [climb.first]), *climb.fit.history]

    def leaps(self, mixture, tol, n_passes):
        """Return where leaps lead, and the objectives on the way.

        Parameters
        ----------
        mixture : Mixture
        tol : float
            What may be left to gain.
        n_passes : int
            At most.

        Returns
        -------
        mixture : Mixture
        objectives : list of float
            Of the start and after each pass.
        """
        mixture, objectives, converged = self.leaps_in_one_call(mixture, tol, n_passes)
        if converged or len(objectives) > n_passes:
            return mixture, objectives
        climb = Climb(self, mixture)
        finish(climb, tol, n_passes - max(len(objectives) - 1, 0))
        objectives = objectives or [climb.first]
        return climb.fit.mixture, [*objectives, *climb.fit.history]

    def leaps_in_one_call(self, mixture, tol, n_passes):
        """Make `leaps` in one call, as far as that is possible.

        There are no objectives if it is not at all; whether so little is left to gain
        comes third.
        """
        if not (self.terms and self.regularisation.is_penalty):
            return mixture, [], False
        total = tol * self.source.total_weight
        start = mixture.shares, mixture.means, mixture.covariances.values
        data = start, self.family.form, self.terms
        end = self.source.leap(*data, n_passes, total, noise=self.noise)
        return end[0] or mixture, self._per_observation(end[1]).tolist(), end[2]

    def _of_moments(self, several):
        """Return statistics about the means as the kernels take them."""
        count = np.stack([one.count for one in several])
        if self.noise is not None:
            share = self.noise.weight
            of_noise = count.sum(axis=1) * share / (1.0 - share)
            count = np.column_stack([count, of_noise])
        moments = [(one.origin, one.second) for one in several]
        return count, *map(np.stack, zip(*moments, strict=True))

    @cached_property
    def terms(self):
        """What the kernels need to make steps in one call, or None."""
        of_family, of_covariances = self.family.steps, self.regularisation.terms
        if self.noise is not None and not self.source.complete:
            return None
        both = of_family is not None and of_covariances is not None
        return (*of_family, *of_covariances) if both else None

    def rank(self, fit):
        """Return a key by which fits are sorted.

        First comes that with the fewest degenerate components, then the highest.
        """
        return -len(self.degenerate(fit)), fit.objective

    def degenerate(self, fit):
        """Return the degenerate components of a fit."""
        return self.degenerate_of(fit.mixture, fit.statistics.count)

    def degenerate_of(self, mixture, count, margin=1.0):
        """Return the degenerate components of a mixture with such counts.

        With a margin healthy ones need so many times the rows, and the variance.
        """
        rows = self._effective_rows(count)
        return degenerate(mixture.covariances, self._metric, rows, self.family, margin)

    @cached_property
    def _metric(self):
        """The metric of all rows, in which covariances are judged."""
        source, form = self.source, self.family.form
        return form.metric(source.total(form)[1] / source.total_weight)

    def empty(self, count):
        """Tell of each component with such counts whether it has no rows."""
        return empty(self._effective_rows(count))

    def _effective_rows(self, count):
        return count * (self.observations / self.source.total_weight)

    def single_gaussian(self):
        """Return the fit of one Gaussian, that of greatest likelihood.

        No iteration is needed: the responsibilities are one.  The mean and the
        covariance give the likelihood, so the rows are read once.
        """
        n_features = len(self.source.frame.centre)
        unit = self.family.form.unit(1, n_features)
        centre = Mixture(np.ones(1), np.zeros((1, n_features)), unit)
        statistics = self.source.statistics(centre)
        mixture = self.maximisation(statistics)
        covariances, scatter = mixture.covariances, statistics.scatter()
        normaliser = n_features * LOG_2PI + covariances.log_determinants[0]
        distances = covariances.expected_mahalanobis(scatter)
        log_likelihood = -0.5 * (self.source.total_weight * normaliser + distances)
        objective = self._objective(mixture, log_likelihood)
        return Fit(mixture, objective, statistics, (objective,), converged=True)

    def _objective(self, mixture, log_likelihood):
        """Return the penalised log-likelihood per observation, in the user's units."""
        total = log_likelihood + self.regularisation.log_penalty(mixture)
        objective = self._per_observation(total)
        if not np.isfinite(objective):
            raise StartFailed(
                "the starting values give some rows of X no density: expected means "
                "and covariances that cover the data; use wider covariances, or "
                "leave the start to init_params"
            )
        return float(objective)

    def _per_observation(self, total):
        return total / self.source.total_weight - self.source.log_jacobian


@dataclass(frozen=True)
class Pace:
    """How a run leaps: the longest leap, the lengths of the last, what they left."""

    longest: float = 4.0
    lengths: tuple = ()
    left: tuple = ()


@dataclass(frozen=True, eq=False)
class Rest:
    """Where a run is between steps; it goes on from here as if it had not stopped.

    Attributes
    ----------
    fit : Fit
    pace : Pace or None
        None if it makes plain steps.
    """

    fit: Fit
    pace: Pace | None = Pace()

    @property
    def n_components(self):
        """K."""
        return self.fit.mixture.n_components


@dataclass(frozen=True, eq=False)
class Runs:
    """Where the runs from several starts are.

    Attributes
    ----------
    index : int
        The start of the present run.
    fits : tuple of Fit
        Those that have ended.
    failure : str or None
        What the last start failed with that did.
    random_state : tuple or None
        State of the random numbers after the present start was made.
    rest : Rest or None
        Where the present run is.
    """

    index: int = 0
    fits: tuple = ()
    failure: str | None = None
    random_state: tuple | None = None
    rest: Rest | None = None


def em(
    problem,
    start,
    *,
    tol,
    max_iter,
    monitor,
    accelerated=True,
    pause=None,
    fast=False,
    near=_NEAR,
):
    """Climb from a start by turns of expectation and maximisation.

    Parameters
    ----------
    problem : Problem
    start : Mixture or Rest
    tol : float
        Stop when the gain of the objective still to come is estimated below it.
    max_iter : int
        Largest number of passes over the rows.
    monitor : Monitor
        Is shown each state, and may ask to stop.
    accelerated : bool, default=True
        Whether steps are extrapolated.
    pause : callable, optional
        ``pause(rest)`` is called between steps.
    fast : bool, default=False
        Whether complete rows may be climbed on in one call too: see to it then that
        they are always in memory.
    near : float, optional
        The part of ``tol`` that may seem to be left where leaps end, outside one call.

    Returns
    -------
    Fit
        Its objective is that of the mixture returned.
    """
    one_step = problem.family.form.closed and problem.source.complete
    if start.n_components == 1 and max_iter > 0 and one_step and not problem.noise:
        return problem.single_gaussian()
    # Steps of one call differ in rounding from those one by one, and a fit shall not
    # depend on who is shown it, nor on whether its complete rows lie in a file.
    unseen = not (problem.source.complete or monitor.sees_iterations)
    if accelerated and (fast or unseen):
        start = _in_one_call(problem, start, tol, max_iter, monitor)
    climb = Climb(problem, start, max_iter, monitor, pause)
    if accelerated and climb.pace is not None:
        _leaps(climb, tol, near)
    else:
        _steps(climb, tol)
    return climb.fit


def _in_one_call(problem, start, tol, max_iter, monitor):
    """Return where leaps in one call lead, as far as they are possible."""
    mixture, way, converged = problem.leaps_in_one_call(start, tol, max_iter)
    statistics, objective = problem.expectation(mixture)
    way = (*way[:-1], objective)
    if converged and len(way) == 1:  # the pass counts that shows it
        way = objective, objective
    end = Fit(mixture, objective, statistics, way[1:], converged)
    for n_iter, value in enumerate(way if monitor.sees_iterations else ()):
        monitor.iteration(replace(end, objective=value, history=way[1 : n_iter + 1]))
    return Rest(end)


class Climb:
    """The state of a run.

    Attributes
    ----------
    fit : Fit
    first : float
        The objective at the beginning.
    pace : Pace or None
        None while it makes plain steps.
    """

    def __init__(self, problem, start, max_iter=np.inf, monitor=None, pause=None):
        self._problem, self.max_iter, self._monitor = problem, max_iter, monitor
        self._pause = pause
        if isinstance(start, Rest):
            self.fit, self.pace = start.fit, start.pace
            self.first = start.fit.objective
        else:
            self.pace = Pace()
            statistics, self.first = problem.expectation(start)
            self.fit = self._seen(Fit(start, self.first, statistics))

    @property
    def goes_on(self):
        """Whether there is another pass to make."""
        ended = self.fit.converged or self.fit.stopped
        return not ended and self.fit.n_iter < self.max_iter

    def rest(self, pace):
        """Note the pace between steps, where the run may be saved."""
        self.pace = pace
        if self._pause is not None:
            self._pause(Rest(self.fit, pace))

    def next(self):
        """Return the mixture to which EM goes from here."""
        return self._problem.maximisation(self.fit.statistics, self.fit.mixture)

    def step(self, mixture=None):
        """Make a step of EM, to a mixture that `next` gave; end if it is no better."""
        mixture = self.next() if mixture is None else mixture
        # The start may lie outside the family: then the first step may fall.
        first = self.fit.n_iter == 0
        statistics, objective = self._problem.expectation(mixture)
        fell = objective < self.fit.objective and not first
        if fell and self._problem.regularisation.is_penalty:
            # By rounding, since EM cannot: the previous state was the best one.
            self.converge()
        else:
            self._go(mixture, objective, statistics)

    def leap(self, mixture):
        """Go near a mixture if there is one and it is no worse; return whether so.

        It need not be of the family, but that to which the leap leads is.
        """
        if mixture is None:
            return False
        try:
            mixture = self._problem.projection(mixture, self.fit.mixture)
            statistics, objective = self._problem.expectation(mixture)
        except (StartFailed, NotPositiveDefinite):
            objective = -np.inf
        higher = objective >= self.fit.objective
        if higher:
            self._go(mixture, objective, statistics)
        else:  # the pass counts
            self._go(self.fit.mixture, self.fit.objective, self.fit.statistics)
        return higher

    def converge(self):
        """Note that no more is to be gained."""
        self.fit = replace(self.fit, converged=True)

    def _go(self, mixture, objective, statistics):
        history = (*self.fit.history, objective)
        self.fit = self._seen(Fit(mixture, objective, statistics, history))

    def _seen(self, fit):
        stopped = self._monitor is not None and self._monitor.iteration(fit)
        return replace(fit, stopped=bool(stopped))


def _steps(climb, tol):
    """Climb by plain steps of EM."""
    while climb.goes_on:
        climb.rest(None)
        climb.step()
        if has_converged(climb.fit.history[-4:], tol):
            climb.converge()


def _leaps(climb, tol, near=_NEAR):
    """Climb by SQUAREM: two steps of EM show where to leap, and a third one lands.

    A leap is taken where the objective is not below that of the first step, and is at
    most as long as leaps have lately succeeded (Varadhan and Roland 2008).  There is
    none where the end seems near: a second step shows whether it is.
    """
    longest, lengths, left = astuple(climb.pace)
    while climb.goes_on:
        climb.rest(Pace(longest, lengths, left))
        base = climb.fit
        climb.step()
        first = climb.fit
        if not climb.goes_on:
            return
        second = climb.next()
        mixtures = base.mixture, first.mixture, second
        if min(mixture.shares.min() for mixture in mixtures) < _SMALLEST_WEIGHT:
            # A component that dies has no logarithm, nor a rate to be guessed from.
            _steps(climb, tol)
            return
        leap = _Leap(*mixtures)
        lengths = (*lengths[-2:], leap.length)
        gain = first.objective - base.objective
        left = (*left[-1:], _left_after(gain, lengths))
        nothing = abs(gain) <= _rounding(first.objective)
        if nothing or (len(left) == 2 and max(left) <= tol):
            climb.converge()
            return
        at_end = left[-1] <= near * tol
        length = 1.0 if at_end else min(max(1.0, leap.length), longest)
        landed = length == 1.0 or climb.leap(leap.mixture(length))
        if landed:
            longest *= 2.0 if length == longest else 1.0
        else:
            longest = max(1.0, 0.5 * length)
        if climb.goes_on:
            climb.step(second if length == 1.0 or not landed else None)
            later = climb.fit.objective - first.objective
            if at_end and _still_to_gain(abs(gain), abs(later)) <= tol:
                climb.converge()


class _Leap:
    """The way along two steps of EM, and beyond."""

    def __init__(self, base, first, second):
        self._coordinates = Coordinates(base)
        points = [self._coordinates.of(m) for m in (base, first, second)]
        self._origin = points[0]
        self.length, self._r, self._q = step_length(*points)

    def mixture(self, length):
        """Return the mixture at a length, or None if there is none."""
        vector = self._origin + 2 * length * self._r + length**2 * self._q
        try:
            return self._coordinates.mixture(vector)
        except NotPositiveDefinite:
            return None


def finish(climb, tol, passes):
    """Climb on by leaps until little is to gain, for so many passes at most."""
    climb.max_iter = climb.fit.n_iter + passes
    with suppress(StartFailed, NotPositiveDefinite):  # it stays where it is
        _leaps(climb, tol)


def best_run(problem, start, rng, *, n_starts, monitor, checkpoint=None, **options):
    """Return the best of the runs from several starts; those that fail are left out.

    With a `Checkpoint` it goes on from the `Runs` that this holds, and saves its own.

    Raises
    ------
    StartFailed, NotPositiveDefinite
        What the last start failed with, if all did.
    """
    runs = (checkpoint.load() if checkpoint else None) or Runs()
    fits, rest = list(runs.fits), runs.rest
    failure = None if runs.failure is None else StartFailed(runs.failure)
    if rest is not None:
        rng.set_state(runs.random_state)
    for index in range(runs.index, n_starts):
        monitor.begin(index)
        try:
            # Threads of BLAS, still awake after a product in the M-step, would take
            # the cores from those of the pass.
            with single_threaded_blas(), staying_crew():
                best = max(fits, key=problem.rank, default=None)
                beginning = rest or _beginning(problem, start, rng, index, best)
                rest, why = None, failure and str(failure)
                pause = None
                if checkpoint:
                    now = Runs(index, tuple(fits), why, rng.get_state())
                    pause = partial(_save, checkpoint, now)
                fit = em(problem, beginning, monitor=monitor, pause=pause, **options)
        except (StartFailed, NotPositiveDefinite) as error:
            failure = error
            monitor.failed(error)
        else:
            fits.append(fit)
            monitor.end(fit)
    if not fits:
        raise failure
    if failure is not None:
        warn(
            f"{n_starts - len(fits)} of the n_init={n_starts} starts failed and were "
            f"left out. The last one: {failure}",
            ConvergenceWarning,
        )
    return max(fits, key=problem.rank) if len(fits) > 1 else fits[0]


def _beginning(problem, start, rng, index, best):
    mixture = start.make(problem, rng, index, best and best.mixture)
    share = np.nan if mixture.noise is None else mixture.noise.weight
    if share < _SMALLEST_WEIGHT:  # it could never grow again
        share = np.nan
    return problem.noisy(mixture, share)


def _save(checkpoint, runs, rest):
    checkpoint.save(replace(runs, rest=rest))


def has_converged(trail, tol):
    """Tell whether hardly anything is left to gain, from the last objectives.

    EM converges linearly: its gains shrink by a rate that two of them show, and
    what is left is the tail of a geometric series (Aitken's extrapolation;
    Boehning et al. 1994, Ann. Inst. Statist. Math. 46:373).  Two such estimates in
    a row must be below ``tol``.  With a ridge the objective may also fall towards
    the fixed point, so sizes are compared.
    """
    gains = np.abs(np.diff(trail))
    if len(gains) and gains[-1] <= _rounding(trail[-1]):
        return True
    if len(gains) < 3:
        return False
    return all(_still_to_gain(*pair) <= tol for pair in (gains[-3:-1], gains[-2:]))


def still_to_gain(trail, slowest=_SLOWEST):
    """Return what is left to gain, from the last objectives of plain steps."""
    if len(trail) < 3:
        return np.inf
    before, earlier, now = trail[-3:]
    return _still_to_gain(abs(earlier - before), abs(now - earlier), slowest)


def _rounding(objective):
    return 8 * np.finfo(float).eps * max(1.0, abs(objective))


def _still_to_gain(earlier, later, slowest=_SLOWEST):
    """Return the sum of the gains that follow two gains."""
    rate = min(max(later / earlier, 0.0), slowest) if earlier > 0 else slowest
    return later * rate / (1 - rate)


def _left_after(gain, lengths):
    """Return the sum of the gains that follow one, from the lengths of leaps.

    The distance to the optimum shrinks by ``1 - 1 / length`` at a step, and the gains
    by the square of that.
    """
    rate = min(1.0 - 1.0 / max(2.0, *lengths), _SLOWEST) ** 2
    return abs(gain) * rate / (1 - rate)
