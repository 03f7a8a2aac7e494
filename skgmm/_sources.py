"""Sources: who holds the rows, and sums the passes over them."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod

import numpy as np
from sklearn.utils.random import sample_without_replacement

from . import _noise, _threads, kernels
from ._files import Blocks
from ._frame import Frame, extremes
from ._mixture import Mixture
from ._statistics import Statistics

# Multiplications of a call that does not answer an interrupt: a second or so.
_WORK_OF_A_CALL = 1e10
# Multiplications of starts that threads share: less takes no longer than waking them.
_WORK_OF_A_CREW = 1e7


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Weighted rows in an array or a file, seen through their frame.

    Attributes
    ----------
    rows : ndarray or StoredRows of shape (n, D)
        Of any real dtype and order; never copied.  What is stored is read anew, block
        by block, for every sum.
    sample_weight : ndarray of shape (n,)
        Positive.
    frame : Frame
        Mixtures come and go in its coordinates.
    """

    rows: object
    sample_weight: np.ndarray
    frame: Frame

    complete = True  # rows have no holes

    @classmethod
    def of(cls, rows, sample_weight, *, per_feature=True):
        """Return the source of rows, with a frame that fits them."""
        return cls(
            rows, sample_weight, Frame.of(rows, sample_weight, per_feature=per_feature)
        )

    @cached_property
    def total_weight(self):
        """The number of observations: the sum of the weights."""
        return float(np.sum(self.sample_weight))

    @property
    def n_observations(self):
        """Their number; rows whose weights are all below one are fractions of one."""
        return self.total_weight / min(1.0, self.largest_weight)

    @cached_property
    def largest_weight(self):
        """The weight of the heaviest row."""
        return float(np.max(self.sample_weight))

    @property
    def work(self):
        """Multiplications a component that a pass takes, roughly."""
        n_rows, n_features = self.rows.shape
        return n_rows * n_features * (n_features + 10)

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        return extremes(self.rows)

    @property
    def log_jacobian(self):
        """What ``log p(x)`` of an observation is short of ``log p(z)``, on average."""
        return self.frame.log_jacobian

    def statistics(self, mixture):
        """Return the statistics of all rows: one E-step and its sums."""
        covariances = mixture.covariances
        within = not covariances.follow_from_total(mixture.means)
        statistics = self._expectation(mixture, within)
        if within or mixture.noise is not None:
            return statistics
        return statistics.with_total(*self.total(type(covariances)))

    def _expectation(self, mixture, within):
        """Return the sums of an E-step, second moments among them if `within`."""
        statistics = kernels.statistics if mixture.noise is None else _noise.statistics

        def part(chunk, rows):
            return statistics(*self._part(chunk, rows), mixture, within=within)

        return self._sum(part, mixture.means, type(mixture.covariances))

    def climb(
        self,
        starts,
        form,
        terms,
        n_steps,
        *,
        of_moments=False,
        noise=None,
        single=False,
    ):
        """Make steps of EM from several starts, as far as that is possible.

        For families that the kernels know; see `kernels.reference.climb`.

        Parameters
        ----------
        starts : sequence of ndarray
            Weights (R, ...) of all parts, means (R, K, D) and covariances (R, ...).
        form : type
        terms : tuple
        n_steps : int
        of_moments : bool, default=False
            Whether starts are counts, means, and second moments about these instead.
        noise : Noise, optional
        single : bool, default=False
            Whether single precision will do.

        Returns
        -------
        list of (Mixture or None, ndarray)
            Where each leads, and the penalised log-likelihoods on the way: none if no
            step can be made, as where the rows are not in memory.
        """
        n_starts, means = len(starts[0]), starts[1][0]
        if not self.takes_one_call(means, form, n_steps):
            return [(None, np.zeros(0))] * n_starts
        work = self._work_of_steps(means, form, n_steps)
        data = self._of_steps(form, noise)

        # Threads share the starts, or the passes of the only one.
        n = n_starts if n_starts > 1 else self._n_parts(means)
        n = _threads.crew_size(n if n_starts * work > _WORK_OF_A_CREW else 1)
        ends, size = [], max(n, int(_WORK_OF_A_CALL / max(work, 1)))
        for begin in range(0, n_starts, size):
            some = [array[begin : begin + size] for array in starts]
            options = terms, n_steps, of_moments, single
            call = partial(kernels.climb, data, some, *options)
            ends += _threads.with_crew(call, kernels.Crew, n)
        return [(_mixture(end, form, totals, noise), totals) for end, totals in ends]

    def leap(self, start, form, terms, n_passes, tol, *, noise=None):
        """Make leaps from a start, as far as that is possible: see `climb`.

        Also returns whether so little is left to gain.
        """
        if not self.takes_one_call(start[1], form, n_passes):
            return None, np.zeros(0), False
        data = self._of_steps(form, noise)
        call = partial(kernels.leap, data, start, terms, n_passes, tol)
        n = _threads.crew_size(self._n_parts(start[1]))
        end, totals, converged = _threads.with_crew(call, kernels.Crew, n)
        return _mixture(end, form, totals, noise), totals, converged

    def _n_parts(self, means):
        """Return in how many parts threads share a pass, roughly."""
        return kernels.parts_of(len(self.rows), *means.shape)

    def takes_one_call(self, means, form, n_steps):
        """Tell whether so many steps may be made in one call.

        Not on rows that are read from a file, nor where it would take many seconds, in
        which no interrupt is answered.
        """
        work = self._work_of_steps(means, form, n_steps)
        return isinstance(self.rows, np.ndarray) and work <= _WORK_OF_A_CALL

    def _work_of_steps(self, means, form, n_steps):
        """Return the multiplications, roughly."""
        k, d = means.shape
        factors = 3 * d * prod(form.shape(1, d))  # of a component
        return n_steps * k * (self.work + factors)

    def _of_steps(self, form, noise=None):
        """Return what the kernels that make steps take for data."""
        total = self.total(form) if form.shared else None
        frame = self.frame.centre, self.frame.scale
        log_noise = noise and noise.log_density
        return kernels.Data(
            self.rows, self.sample_weight, *frame, total, log_noise=log_noise
        )

    def total(self, form):
        """Return the mean (D,) and the scatter of all rows.

        The scatter is that of one component in a form: read once, and kept.
        """
        form = form.for_total()
        total = self._totals.get(form)
        if total is None:
            sizes = 1, self.rows.shape[1]
            unit = Mixture(np.ones(1), np.zeros(sizes), form.unit(*sizes))
            single = self.statistics(unit)
            total = self._totals[form] = single.means()[0], single.scatter()[0]
        return total

    @cached_property
    def _totals(self):
        return {}

    def moments(self, responsibilities, form):
        """Return the statistics for given responsibilities.

        Parameters
        ----------
        responsibilities : ndarray of shape (n, K)
        form : type
            The form of covariances whose second moments are wanted.

        Returns
        -------
        Statistics
            About the means that go with the responsibilities.
        """
        shape = responsibilities.shape[1], self.rows.shape[1]
        first = self._moments_about(responsibilities, np.zeros(shape), form)
        return self._moments_about(responsibilities, first.means(), form)

    def _moments_about(self, responsibilities, origin, form):
        def part(chunk, rows):
            hard = responsibilities[chunk]
            return kernels.moments(*self._part(chunk, rows), hard, origin, form)

        return self._sum(part, origin, form)

    def entropy(self, mixture):
        """Return the entropy of the responsibilities of all rows."""
        mixture = self.frame.outward(mixture)
        return mixture.likelihood_and_entropy(self.rows, self.sample_weight)[1]

    def class_moments(self, labels, n_classes, form):
        """Return the statistics of classes of rows, about their means.

        Parameters
        ----------
        labels : ndarray of shape (n,)
        n_classes : int
        form : type
            The form of covariances whose second moments are wanted.
        """
        frame = self.frame.centre, self.frame.scale
        count, means, second = kernels.class_moments(
            self.rows, self.sample_weight, *frame, labels, n_classes, form
        )
        return Statistics(count, np.zeros_like(means), second, 0.0, means, form)

    def seen_as(self, source):
        """Return these rows, a sample, in the frame of another source of all rows."""
        return replace(self, frame=source.frame)

    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, drawn without replacement.

        These are in memory.
        """
        if len(self.rows) <= size:
            rows = np.asarray(self.rows)
            return self if rows is self.rows else replace(self, rows=rows)
        # A permutation only where the sample is no small part of the rows.
        chosen = sample_without_replacement(len(self.rows), size, random_state=rng)
        chosen.sort()
        return ArraySource(self.rows[chosen], self.sample_weight[chosen], self.frame)

    def in_order(self, order):
        """Return a source of the rows in another order, in memory."""
        return replace(
            self, rows=self.rows[order], sample_weight=self.sample_weight[order]
        )

    def in_frame(self):
        """Return the rows in the coordinates of the frame, a new array (n, D)."""
        return (self.rows - self.frame.centre) / self.frame.scale

    def standardised(self):
        """Return the rows with unit variances, as a new float64 array (n, D)."""
        frame = self.frame
        spread = frame.scale * frame.unit_deviations
        return (self.rows - frame.centre) / spread

    def _part(self, chunk, rows):
        frame = self.frame
        return rows, self.sample_weight[chunk], frame.centre, frame.scale

    def _sum(self, statistics, origin, form):
        def part(item):
            sums = statistics(*item)
            return Statistics(*sums[:4], origin, form, *sums[4:])

        chunks = _threads.chunks(len(self.rows), origin)
        blocks = Blocks(self.rows, chunks)
        return Statistics.sum(_threads.ordered_map(part, blocks))


def _mixture(end, form, totals, noise):
    """Return the mixture of parameters to which the kernels came, if they did."""
    if len(totals) < 2:
        return None
    shares, means, values = end
    return Mixture.of_shares(shares, means, form.known(values, *means.shape), noise)
