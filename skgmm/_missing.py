"""Rows with holes: NaN stands for a value that is missing at random.

A hole adds nothing to the likelihood; to the moments of a component it adds its
conditional mean and covariance, given what was observed of the row.
"""

import sys
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.utils.random import sample_without_replacement

from . import _noise, _threads, kernels
from ._frame import Frame, extremes
from ._mixture import Mixture
from ._regularisation import PseudoObservations
from ._sources import ArraySource
from ._statistics import Statistics
from ._warnings import warn
from .families import FAMILIES
from .forms import Covariances, frozen
from .kernels import Patterns

# The one Gaussian that completes rows for starts: of so many rows, by so many steps at
# most, until so little is gained an observation.
_ROWS, _STEPS, _TOL = 20_000, 100, 1e-4

# Multiplications of a pass, for factors, of which to warn: they take a minute or so.
_WORK = 1e11


@dataclass(frozen=True, eq=False)
class HolesSource:
    """Weighted rows with holes, seen through their frame; see `ArraySource`.

    The starts, which work on complete rows, see each row completed by its conditional
    mean under one Gaussian, which EM fits to the rows.

    Attributes
    ----------
    rows : ndarray of shape (n, D)
        Of each something was observed.
    sample_weight : ndarray of shape (n,)
        Positive.
    frame : Frame
        Mixtures come and go in its coordinates.
    form : type
        The form of their covariances.
    empty_weight : float, default=0
        Weight of the rows that were left out, since nothing was observed of them: they
        are observations, with log-density zero.
    parent : HolesSource, optional
        Of which these rows are a sample.
    """

    rows: np.ndarray
    sample_weight: np.ndarray
    frame: Frame
    form: type[Covariances]
    empty_weight: float = 0.0
    parent: "HolesSource | None" = None

    complete = False

    @classmethod
    def of(cls, rows, sample_weight, form, empty_weight=0.0, *, per_feature=True):
        """Return the source of rows, with a frame that fits what was observed."""
        frame = Frame.of(rows, sample_weight, per_feature=per_feature, holes=True)
        return cls(rows, sample_weight, frame, form, empty_weight)

    @classmethod
    def knowing(cls, rows, sample_weight, frame, gaussian):
        """Return the source of rows of which the one Gaussian is known."""
        form = type(gaussian.covariances)
        source = cls(rows, sample_weight, frame, form)
        source._gaussians[form.for_total()] = gaussian
        return source

    @cached_property
    def total_weight(self):
        """The number of observations: the sum of the weights."""
        return float(np.sum(self.sample_weight)) + self.empty_weight

    @property
    def n_observations(self):
        """Their number; rows whose weights are all below one are fractions of one."""
        return self.total_weight / min(1.0, self.largest_weight)

    @cached_property
    def largest_weight(self):
        """The weight of the heaviest row."""
        return float(np.max(self.sample_weight))

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        return extremes(self.rows, holes=True)

    @cached_property
    def log_jacobian(self):
        """What ``log p(x)`` of an observation is short of ``log p(z)``, on average."""
        complete, (_, weight, patterns) = self._sorted
        logs = np.log(self.frame.scale)
        sums = np.add.reduceat(weight, patterns.offsets[:-1])
        total = complete.total_weight * logs.sum() + sums @ (patterns.observed @ logs)
        return float(total / self.total_weight)

    @cached_property
    def _order(self):
        """The order in which rows are sorted by patterns, and these."""
        return Patterns.of(self.rows)

    @cached_property
    def _sorted(self):
        """The complete rows as a source, and the others: rows, weights, patterns."""
        order, patterns = self._order
        rows, weight = self.rows[order], self.sample_weight[order]
        first = patterns.n_complete
        complete = ArraySource(rows[:first], weight[:first], self.frame)
        return complete, (rows[first:], weight[first:], patterns.incomplete())

    @property
    def n_patterns(self):
        """Number of different sets of features that are observed."""
        return len(self._sorted[1][2].observed)

    @cached_property
    def factors(self):
        """Multiplications a component that a pass takes for factors, roughly."""
        n_missing = np.sum(~self._sorted[1][2].observed, axis=1)
        return float(np.sum(n_multiplications(n_missing, self._d, self.form)))

    @property
    def work(self):
        """Multiplications a component that a pass takes, roughly.

        One for factors takes as long as two of the others.
        """
        return len(self.rows) * self._d * (self._d + 10) + 2 * self.factors

    def statistics(self, mixture):
        """Return the statistics of all rows: one E-step and its sums."""
        complete, (rows, weight, patterns) = self._sorted
        general = mixture.general()
        frame, varies = self.frame, ~self.frame.constant
        form, origin = type(mixture.covariances), mixture.means
        passes = kernels if mixture.noise is None else _noise

        def part(chunk):
            count, first, second, *others = passes.statistics_with_holes(
                rows[chunk],
                weight[chunk],
                frame.centre,
                frame.scale,
                general,
                patterns.of_slice(chunk),
                varies,
            )
            moments = count, first, form.from_general(second)
            return Statistics(*moments, others[0], origin, form, *others[1:])

        some = len(complete.rows) or not len(rows)  # of no rows at all: zeros
        parts = [complete.statistics(mixture)] if some else []
        chunks = _threads.chunks(len(rows), origin) if len(rows) else []
        parts += _threads.ordered_map(part, chunks)
        return Statistics.sum(iter(parts))

    # ---- steps in one call ------------------------------------------------
    climb = ArraySource.climb
    leap = ArraySource.leap
    _n_parts = ArraySource._n_parts
    takes_one_call = ArraySource.takes_one_call
    _work_of_steps = ArraySource._work_of_steps

    def _of_steps(self, form, noise=None):
        complete, (rows, weight, patterns) = self._sorted
        with_holes = rows, weight, patterns, ~self.frame.constant
        return replace(complete._of_steps(form), with_holes=with_holes)

    # ---- one Gaussian -----------------------------------------------------
    def total(self, form):
        """Return the mean (D,) and the scatter of one component, see `ArraySource`.

        As EM estimates them from (a sample of) the rows.
        """
        gaussian = self.gaussian(form)
        return gaussian.means[0], gaussian.covariances.values[0] * self.total_weight

    def gaussian(self, form):
        """Return the mixture of one Gaussian that fits the rows, in the frame."""
        if self.parent is not None:
            return self.parent.gaussian(form)
        form = form.for_total()
        known = self._gaussians.get(form)
        if known is None:
            sample = self.sample(_ROWS, np.random.RandomState(0))
            known = self._gaussians[form] = sample._fitted_gaussian(form)
        return known

    @cached_property
    def _gaussians(self):
        return {}

    @property
    def _d(self):
        return self.rows.shape[1]

    def _fitted_gaussian(self, form):
        sizes, family = (1, self._d), FAMILIES[form.kind]
        penalty = PseudoObservations.of(self.frame, self.largest_weight)
        start = np.ones(1), np.zeros(sizes), form.unit(*sizes)
        terms, tol = (*family.steps, *penalty.terms), _TOL * self.total_weight
        arrays = *start[:2], start[2].values
        mixture, _, converged = self.leap(arrays, form, terms, _STEPS, tol)
        mixture, before = mixture or Mixture(*start), -np.inf
        for _ in range(0 if converged else _STEPS):
            statistics = self.statistics(mixture)
            if statistics.log_likelihood - before < tol:
                break
            before = statistics.log_likelihood
            mixture = family.maximise(statistics, penalty)
        return mixture

    # ---- for starts -------------------------------------------------------
    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, drawn without replacement."""
        if len(self.rows) <= size:
            alone = not self.empty_weight
            return self if alone else replace(self, empty_weight=0.0, parent=self)
        chosen = sample_without_replacement(len(self.rows), size, random_state=rng)
        chosen.sort()
        rows, weight = self.rows[chosen], self.sample_weight[chosen]
        return HolesSource(rows, weight, self.frame, self.form, parent=self)

    def seen_as(self, source):
        """Return these rows, a sample, in the frame of another source of all rows."""
        if source is self:
            return self
        return replace(self, frame=source.frame, form=source.form, parent=source)

    def in_frame(self):
        """Return the rows in the coordinates of the frame, completed (n, D)."""
        return self._completed

    @cached_property
    def _completed(self):
        z = (self.rows - self.frame.centre) / self.frame.scale
        return frozen(self.gaussian(self.form).completed(z))

    def standardised(self):
        """Return the rows with unit variances, completed, as a new array (n, D)."""
        return self.in_frame() / self.frame.unit_deviations

    entropy = ArraySource.entropy

    def class_moments(self, labels, n_classes, form):
        """Return the statistics of classes of rows, see `ArraySource`."""
        statistics = self._as_complete().class_moments(labels, n_classes, form)
        hard = labels[:, np.newaxis] == np.arange(n_classes)
        return self._with_conditional(statistics, hard)

    # Of the completed rows; holes have the conditional covariances of the Gaussian.
    moments = ArraySource.moments

    def _moments_about(self, responsibilities, origin, form):
        complete = self._as_complete()
        statistics = complete._moments_about(responsibilities, origin, form)
        return self._with_conditional(statistics, responsibilities)

    def _as_complete(self):
        """Return the completed rows as a source."""
        unit = np.ones(self._d)
        frame = Frame(0.0 * unit, unit, self.frame.variance, unit)
        return ArraySource(self.in_frame(), self.sample_weight, frame)

    def _with_conditional(self, statistics, responsibilities):
        """Return statistics of completed rows with what is not known of the holes."""
        form, (order, patterns) = statistics.form, self._order
        parts = (responsibilities * self.sample_weight[:, np.newaxis])[order]
        counts = np.add.reduceat(parts, patterns.offsets[:-1], axis=0)
        gaussian = self.gaussian(form).general()
        second = form.from_general(
            kernels.conditional_scatter(
                gaussian, patterns, counts, ~self.frame.constant
            )
        )
        return replace(statistics, second=statistics.second + second)


def with_nan(X):
    """Return X with NaN where a frame or an array of objects has pandas' NA."""
    pandas = sys.modules.get("pandas")
    if pandas is None:  # nobody can have any
        return X
    if isinstance(X, pandas.DataFrame) and X.select_dtypes("object").size:
        return X.mask(X.isna(), np.nan)
    if isinstance(X, np.ndarray) and X.dtype == object:
        return np.where(pandas.isna(X), np.nan, X)
    return X


def n_multiplications(n_missing, n_features, form):
    """Return the multiplications for the factors of patterns of so many holes."""
    sizes = np.where(2 * n_missing <= n_features, n_missing, n_features)
    general = form.unit(1, n_features).general
    return sizes.astype(float) ** 2 * (general.whiteners.size / n_features)


def warn_of_many_patterns(source, n_components):
    """Warn if the factors of the patterns make each pass take minutes."""
    work = n_components * source.factors
    if work > _WORK:
        warn(
            f"X has {source.n_patterns} patterns of missing values: each iteration "
            f"factorises that many matrices a component, about {work:.0e} "
            "multiplications. Leave out features that are often missing, or use "
            "covariance_type='diag'.",
            UserWarning,
        )
