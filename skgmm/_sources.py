"""Sources: who holds the rows, and sums the passes over them."""

import operator
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from sklearn.utils.random import sample_without_replacement

from . import _threads, kernels
from ._frame import Frame
from ._statistics import Statistics


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Weighted rows in an array, seen through their frame.

    Attributes
    ----------
    rows : ndarray of shape (n, D)
        Of any real dtype and order; never copied.
    sample_weight : ndarray of shape (n,)
        Positive.
    frame : Frame
        Mixtures come and go in its coordinates.
    """

    rows: np.ndarray
    sample_weight: np.ndarray
    frame: Frame

    @cached_property
    def total_weight(self):
        """The number of observations: the sum of the weights."""
        return float(np.sum(self.sample_weight))

    def statistics(self, mixture):
        """Return the statistics of all rows: one E-step and its sums."""
        origin, form = mixture.means, type(mixture.covariances)
        return self._sum(
            lambda chunk: kernels.statistics(*self._part(chunk), mixture), origin, form
        )

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

        def about(origin):
            return self._sum(
                lambda chunk: kernels.moments(
                    *self._part(chunk), responsibilities[chunk], origin, form
                ),
                origin,
                form,
            )

        shape = responsibilities.shape[1], self.rows.shape[1]
        return about(about(np.zeros(shape)).means())

    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, drawn without replacement."""
        if len(self.rows) <= size:
            return self
        # Unlike a permutation this needs no memory that grows with the rows.
        chosen = sample_without_replacement(
            len(self.rows), size, method="tracking_selection", random_state=rng
        )
        chosen.sort()
        return ArraySource(self.rows[chosen], self.sample_weight[chosen], self.frame)

    def standardised(self):
        """Return the rows with unit variances, as a new float64 array (n, D)."""
        frame = self.frame
        spread = frame.scale * frame.unit_deviations
        return (self.rows - frame.centre) / spread

    def _part(self, chunk):
        frame = self.frame
        return self.rows[chunk], self.sample_weight[chunk], frame.centre, frame.scale

    def _sum(self, statistics, origin, form):
        def part(chunk):
            return Statistics(*statistics(chunk), origin, form)

        chunks = _threads.chunks(len(self.rows), origin)
        return reduce(operator.add, _threads.ordered_map(part, chunks))
