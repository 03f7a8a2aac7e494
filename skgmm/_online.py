"""Driver for a stream: each batch is one step of EM, on statistics that are kept.

Stepwise EM (Cappe and Moulines 2009, J. R. Stat. Soc. B 71:593): the statistics of an
observation, ``s``, are averaged over the stream, ``s <- (1 - g) s + g s(batch)``, and
the M-step takes ``s``.  The mixture and its statistics are values; a batch makes new
ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from ._frame import Frame
from ._mixture import Mixture
from ._regularisation import CONSTANT_VARIANCE
from ._sources import ArraySource
from ._starts import ROWS_OF_A_MEAN, sample_size
from ._statistics import Statistics

# Rows that are kept, and fitted together, at the beginning.  Where components overlap,
# EM is slow, and so is a stream that begins far from where it leads: of the gain over
# one Gaussian it missed up to 1.5 % after a million rows with 20,000 of them, and
# 0.22 % with these (measured).
_FIRST_ROWS = 50_000

# Growth of these at which they are fitted again.
_GROWTH = 0.1

# Rows for each number of a row and one below which a component has no covariance of
# its own: it may be estimated from them, but not trusted.
_ENOUGH = 2.0


@dataclass(frozen=True)
class StepSize:
    """How much a batch counts: ``(offset + seen / batch) ** -decay``.

    ``seen`` is the weight of all rows up to and including the batch, so that
    ``seen / batch`` counts batches of this size, and an offset of 0 with a decay of 1
    is the plain average over all rows, however they are cut.  With a half-life a batch
    counts at least so much that older rows lose half of their weight over as many
    observations.
    """

    decay: float
    offset: float
    half_life: float | None

    def of(self, seen, batch):
        """Return the size of the step, in (0, 1]."""
        size = (self.offset + seen / batch) ** -self.decay
        if self.half_life is None:
            return size
        return max(size, -np.expm1(-np.log(2.0) * batch / self.half_life))


@dataclass(frozen=True, eq=False)
class Past:
    """What a stream begins with: a mixture, and what is known of its rows.

    Attributes
    ----------
    model : Model
        In the user's units.
    constant : ndarray of shape (D,)
        The value of features that had one value only; NaN for the others.
    shares : ndarray of shape (K,)
        Of the components in the rows: the weights, unless these are held equal.
    seen, largest : float
        Weight of all rows, and of the heaviest one.
    objective : float
        Mean log-likelihood of an observation; NaN if there was none.
    batches : tuple of (ndarray, ndarray)
        The rows themselves, and their weights, as long as there are few.
    n_rows : int
        Number of these.
    fitted, started : int
        Number of these when they were last fitted, and that from a new start.
    """

    model: object
    constant: np.ndarray
    shares: np.ndarray
    seen: float = 0.0
    largest: float = 0.0
    objective: float = np.nan
    batches: tuple = ()
    n_rows: int = 0
    fitted: int = 0
    started: int = 0

    @classmethod
    def unknown(cls, model):
        """Return the past of a mixture that was given, not fitted."""
        unknown = np.full(model.mixture.n_features, np.nan)
        return cls(model, unknown, model.mixture.weights)

    @classmethod
    def of(cls, model, source, fit):
        """Return the past of a model that was fitted to a source."""
        frame = source.frame
        constant = np.where(frame.deviation == 0, frame.centre, np.nan)
        weights = source.total_weight, source.largest_weight
        count = fit.statistics.count
        return cls(model, constant, count / count.sum(), *weights, fit.objective)

    @property
    def keeps_rows(self):
        """Whether rows are still kept."""
        return bool(self.batches)

    def keeping(self, rows, sample_weight, **numbers):
        """Return the same past with more rows: copies, since the user's may change."""
        batches = *self.batches, (np.array(rows), np.array(sample_weight))
        n_rows = self.n_rows + len(rows)
        return replace(self, batches=batches, n_rows=n_rows, **numbers)

    def with_all(self, rows, sample_weight):
        """Return the rows that are kept and some more, and their weights."""
        parts = zip(*self.batches, (rows, sample_weight), strict=True)
        return [np.concatenate(part) for part in parts]

    def is_due(self, n_rows):
        """Tell whether so many rows are to be fitted again."""
        return n_rows - self.fitted >= _GROWTH * self.fitted

    def stream(self):
        """Return the stream that goes on from here.

        Its statistics are those that give the mixture: what a fit that has converged
        has summed.
        """
        mixture, form = self.model.mixture, self.model.family.form
        varies = np.isnan(self.constant)
        count = self.shares
        scatter = form.scatter_of(mixture.covariances.values, count)
        variance = np.where(varies, _variances(mixture.means, scatter, count, form), 0)
        frame = Frame.of_moments(
            count @ mixture.means, variance, per_feature=self.model.family.per_feature
        )
        mixture = frame.inward(mixture)
        scatter = form.scatter_of(mixture.covariances.values, count)
        held = np.where(varies, 0.0, CONSTANT_VARIANCE)
        scatter = form.add_to_scatter(scatter, -count[:, np.newaxis] * held)
        statistics = Statistics(
            count, np.zeros_like(mixture.means), scatter, 0.0, mixture.means, form
        )
        noise = 1.0 / self.seen if self.seen else 0.0
        return Stream(self, frame, mixture, statistics, self.seen, noise)


def first_rows(n_components, n_features, half_life=None):
    """Return the number of rows with which a stream begins.

    With a half-life, in rows, not many more than that, if they are enough for a start.
    """
    most = max(_FIRST_ROWS, sample_size(n_components, n_features))
    if half_life is None:
        return most
    return min(most, max(half_life, ROWS_OF_A_MEAN * n_components * n_features))


@dataclass(frozen=True, eq=False)
class Stream:
    """A mixture that learns from batches.

    Attributes
    ----------
    past : Past
        With the model as it is now.
    frame : Frame
        In which all that follows is.  It stays that of the beginning, since moments are
        about the current means and lose no digits far from its centre.
    mixture : Mixture
    statistics : Statistics
        Of one observation, about the means.
    seen : float
        Weight of all rows.
    noise : float
        One over the number of observations that the statistics are worth.
    n_steps : int
    """

    past: Past
    frame: Frame
    mixture: Mixture
    statistics: Statistics
    seen: float
    noise: float
    n_steps: int = 0

    keeps_rows = False

    @property
    def model(self):
        """The model of the mixture."""
        return self.past.model

    def learn(self, rows, sample_weight, step_size, regularise):
        """Return the stream after a batch of rows.

        Parameters
        ----------
        rows : ndarray of shape (n, D)
        sample_weight : ndarray of shape (n,)
        step_size : StepSize
        regularise : callable
            ``regularise(frame, largest_weight)`` returns a regularisation.

        Raises
        ------
        ValueError
            If the rows are so far away that they have no density.
        """
        past = self._past_with(rows, sample_weight)
        total = float(sample_weight.sum())
        seen = self.seen + total
        step = step_size.of(seen, total)
        noise = (1 - step) ** 2 * self.noise + step**2 / total

        source = ArraySource(rows, sample_weight, self.frame)
        present = self._widened(rows, sample_weight, past)
        batch = source.statistics(present)
        _check_finite(batch)
        statistics = self.statistics.scaled(1 - step) + batch.about(
            self.statistics.origin
        ).scaled(step / total)
        statistics = statistics.about(statistics.means())

        objective = batch.log_likelihood / total - self.frame.log_jacobian
        if not np.isnan(past.objective):
            objective = (1 - step) * past.objective + step * objective
        family = past.model.family
        unit = min(1.0, past.largest)
        least = _ENOUGH * unit * family.rows_needed(len(past.constant))
        mixture = family.maximise(
            statistics.scaled(1 / noise).with_small_pooled(least),
            regularise(_frame_now(self.frame, statistics, past), past.largest),
            present,
        )
        dtype = np.promote_types(past.model.dtype, rows.dtype)
        model = replace(past.model, mixture=self.frame.outward(mixture), dtype=dtype)
        past = replace(past, model=model, objective=objective)
        frame, n_steps = self.frame, self.n_steps + 1
        return Stream(past, frame, mixture, statistics, seen, noise, n_steps)

    def _past_with(self, rows, sample_weight):
        """Return the past with the heaviest row and the features that vary by now."""
        past = self.past
        known = ~np.isnan(past.constant)
        same = np.all(np.asarray(rows[:, known]) == past.constant[known], axis=0)
        constant = past.constant.copy()
        constant[np.flatnonzero(known)[~same]] = np.nan
        largest = max(past.largest, float(np.max(sample_weight)))
        return replace(past, constant=constant, largest=largest)

    def _widened(self, rows, sample_weight, past):
        """Return the mixture, wide enough for features that vary for the first time.

        They had the same variance in all components, which was next to nothing.
        """
        new = np.isnan(past.constant) & ~np.isnan(self.past.constant)
        if not new.any():
            return self.mixture
        offsets = (np.asarray(rows)[:, new] - self.past.constant[new]) / (
            self.frame.scale[new]
        )
        squares = np.zeros(len(new))
        squares[new] = sample_weight @ offsets**2 / sample_weight.sum()
        covariances, form = self.mixture.covariances, type(self.mixture.covariances)
        values = form.add_to_values(covariances.values, squares)
        wider = form(values, *self.mixture.means.shape)
        return replace(self.mixture, covariances=wider)


def _frame_now(frame, statistics, past):
    """Return the frame with the variances that the stream has now."""
    count, means = statistics.count, statistics.origin
    variance = _variances(means, statistics.second, count, statistics.form)
    variance = np.where(np.isnan(past.constant), variance, 0.0)
    if not past.model.family.per_feature:
        variance = np.full_like(variance, variance.mean())
    return replace(frame, variance=variance)


def _variances(means, scatter, count, form):
    """Return the variances of all rows (D,), from statistics of one observation."""
    centre = count @ means
    within = form.diagonal_sums(scatter, means.shape[1])
    return within + count @ (means - centre) ** 2


def _check_finite(batch):
    parts = batch.count, batch.first, batch.second, batch.log_likelihood
    if not all(np.all(np.isfinite(part)) for part in parts):
        raise ValueError(
            "X must have rows to which the mixture gives some density; got rows that "
            "are too far away from all before. Remove rows with absurd values, or fit "
            "anew to rows of the right size."
        )
