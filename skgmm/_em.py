"""Drivers: the EM iteration and its stopping rule."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._mixture import Mixture
from ._threads import single_threaded_blas
from ._warnings import warn
from .forms import NotPositiveDefinite
from .kernels import LOG_2PI


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
    history : tuple of float
        The objective after every iteration.
    converged : bool
    stopped : bool
        Whether the monitor asked to stop.
    """

    mixture: Mixture
    objective: float
    history: tuple = ()
    converged: bool = False
    stopped: bool = False

    @property
    def n_iter(self):
        """Number of iterations made."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Problem:
    """What EM climbs: rows, a family, and the regularisation of its covariances."""

    source: object
    family: object
    regularisation: object

    def expectation(self, mixture):
        """Return the statistics under a mixture, and the objective there."""
        statistics = self.source.statistics(mixture)
        return statistics, self._objective(mixture, statistics.log_likelihood)

    def maximisation(self, statistics):
        """Return the mixture of greatest expected likelihood."""
        return self.family.maximise(statistics, self.regularisation)

    def single_gaussian(self):
        """Return the one Gaussian of greatest likelihood, and the objective there.

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
        return mixture, self._objective(mixture, log_likelihood)

    def _objective(self, mixture, log_likelihood):
        """Return the penalised log-likelihood per observation, in the user's units."""
        total = log_likelihood + self.regularisation.log_penalty(mixture)
        objective = total / self.source.total_weight - self.source.frame.log_jacobian
        if not np.isfinite(objective):
            raise StartFailed(
                "the starting values give some rows of X no density: expected means "
                "and covariances that cover the data; use wider covariances, or "
                "leave the start to init_params"
            )
        return float(objective)


def em(problem, start, *, tol, max_iter, monitor):
    """Climb from a start by turns of expectation and maximisation.

    Parameters
    ----------
    problem : Problem
    start : Mixture
    tol : float
        Stop when the gain of the objective still to come is estimated below it.
    max_iter : int
    monitor : Monitor
        Is shown each state, and may ask to stop.

    Returns
    -------
    Fit
        Its objective is that of the mixture returned.
    """
    # Threads of BLAS, still awake after a product in the M-step, would take the cores
    # from those of the pass.
    with single_threaded_blas():
        return _climb(problem, start, tol, max_iter, monitor)


def _climb(problem, start, tol, max_iter, monitor):
    if start.n_components == 1 and max_iter > 0:
        mixture, objective = problem.single_gaussian()
        return Fit(mixture, objective, (objective,), converged=True)
    statistics, objective = problem.expectation(start)
    fit = Fit(start, objective)
    trail = [objective]
    monitor.iteration(fit)
    while fit.n_iter < max_iter and not (fit.converged or fit.stopped):
        mixture = problem.maximisation(statistics)
        statistics, objective = problem.expectation(mixture)
        fell = fit.n_iter and objective < fit.objective
        if fell and problem.regularisation.is_penalty:
            # By rounding, since EM cannot: the previous state was the best one.
            return replace(fit, converged=True)
        trail = [*trail[-3:], objective]
        history = (*fit.history, objective)
        fit = Fit(mixture, objective, history, has_converged(trail, tol))
        fit = replace(fit, stopped=monitor.iteration(fit))
    return fit


def best_run(problem, start, rng, *, n_starts, tol, max_iter, monitor):
    """Return the best of the runs from several starts; those that fail are left out.

    Raises
    ------
    StartFailed, NotPositiveDefinite
        What the last start failed with, if all did.
    """
    fits, failure = [], None
    for index in range(n_starts):
        monitor.begin(index)
        try:
            mixture = start.make(problem, rng, index)
            fit = em(problem, mixture, tol=tol, max_iter=max_iter, monitor=monitor)
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
    return max(fits, key=lambda fit: fit.objective)


def has_converged(trail, tol):
    """Tell whether hardly anything is left to gain, from the last objectives.

    EM converges linearly: its gains shrink by a rate that two of them show, and
    what is left is the tail of a geometric series (Aitken's extrapolation;
    Boehning et al. 1994, Ann. Inst. Statist. Math. 46:373).  Two such estimates in
    a row must be below ``tol``.  With a ridge the objective may also fall towards
    the fixed point, so sizes are compared.
    """
    gains = np.abs(np.diff(trail))
    if gains[-1] <= 8 * np.finfo(float).eps * max(1.0, abs(trail[-1])):
        return True
    if len(gains) < 3:
        return False
    return all(_still_to_gain(*pair) <= tol for pair in (gains[-3:-1], gains[-2:]))


def _still_to_gain(earlier, later):
    """Return the sum of the gains that follow two gains."""
    slowest = 1 - 1e-4
    rate = min(max(later / earlier, 0.0), slowest) if earlier > 0 else slowest
    return later * rate / (1 - rate)
