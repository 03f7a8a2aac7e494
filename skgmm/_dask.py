"""Dask collections: the sources of their rows, and lazy predictions."""

import copy
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from sklearn.utils.random import sample_without_replacement

from ._frame import Frame, power_sums
from ._missing import HolesSource, n_multiplications
from ._sources import ArraySource
from ._statistics import Statistics
from ._threads import inline
from .forms import Covariances


@dataclass(frozen=True, eq=False)
class DaskSource(ArraySource):
    """Weighted rows in a Dask collection, seen through their frame.

    Each sum is one round trip: the mixture goes out, statistics come back.  ``rows``
    are `LazyRows`; their weights are with them, and ``sample_weight`` is None.
    """

    @classmethod
    def of(cls, rows, *others, per_feature=True):
        """Return the source of rows that have been counted."""
        whole = rows.whole
        frame = Frame.of_sums(
            whole.low,
            whole.high,
            whole.observed,
            lambda *arguments: rows.summed(_powers, whole.holes, *arguments)[0],
            per_feature=per_feature,
        )
        return cls(rows, None, frame, *others)

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        return self.rows.whole.low, self.rows.whole.high

    @property
    def total_weight(self):
        """The number of observations: the sum of the weights."""
        return self.rows.total_weight

    @property
    def largest_weight(self):
        """The weight of the heaviest row."""
        return self.rows.whole.largest

    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, in memory: those an array gives."""
        return ArraySource(*self._sample(size, rng), self.frame)

    def _sample(self, size, rng):
        """Return rows and their weights."""
        n_rows = len(self.rows)
        chosen = np.arange(n_rows)
        if n_rows > size:
            chosen = sample_without_replacement(n_rows, size, random_state=rng)
            chosen.sort()
        starts = np.cumsum([0, *(fact.n_rows for fact in self.rows.facts)])
        bounds = np.searchsorted(chosen, starts)
        parts = [
            chosen[low:high] - start
            for start, low, high in zip(
                starts[:-1], bounds[:-1], bounds[1:], strict=True
            )
        ]
        taken = self.rows.each(_taken, parts=parts)
        return tuple(np.concatenate(part) for part in zip(*taken, strict=True))

    def entropy(self, mixture):
        """Return the entropy of the responsibilities of all rows."""
        mixture = self.frame.outward(mixture)
        return self.rows.summed_by(mixture, "likelihood_and_entropy")[1]

    def _expectation(self, mixture, within):
        sums = self.rows.summed(_expectation, self.frame, mixture, within)
        return _statistics(sums, mixture.means, type(mixture.covariances))

    def _moments_about(self, responsibilities, origin, form):
        arguments = self.frame, origin, form
        sums = self.rows.summed(_moments, *arguments, by_row=responsibilities)
        return _statistics(sums, origin, form)


@dataclass(frozen=True, eq=False)
class DaskHolesSource(DaskSource):
    """Weighted rows with holes in a Dask collection; see `HolesSource`.

    Attributes
    ----------
    form : type
        The form of their covariances.
    """

    form: type[Covariances]

    complete = False

    @cached_property
    def log_jacobian(self):
        """What ``log p(x)`` of an observation is short of ``log p(z)``, on average."""
        total = self.rows.whole.observed @ np.log(self.frame.scale)
        return float(total / self.total_weight)

    @property
    def n_patterns(self):
        """Number of different sets of features that are observed, in each block."""
        return int(self.rows.whole.patterns[1:].sum())

    @property
    def factors(self):
        """Multiplications a component that a pass takes for factors, roughly."""
        patterns = self.rows.whole.patterns
        n_missing = np.arange(len(patterns))
        each = n_multiplications(n_missing, len(patterns) - 1, self.form)
        return float(patterns[1:] @ each[1:])

    def statistics(self, mixture):
        """Return the statistics of all rows: one E-step and its sums."""
        sums = self.rows.summed(_expectation_with_holes, self.frame, mixture)
        return _statistics(sums, mixture.means, type(mixture.covariances))

    total = HolesSource.total
    gaussian = HolesSource.gaussian
    _gaussians = HolesSource._gaussians
    parent = None

    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, in memory: those an array gives."""
        sample = self._sample(size, rng)
        return HolesSource(*sample, self.frame, self.form, parent=self)

    def _moments_about(self, responsibilities, origin, form):
        gaussian = self.gaussian(form)
        arguments = self.frame, gaussian, origin, form
        sums = self.rows.summed(
            _moments_with_holes, *arguments, by_row=responsibilities
        )
        return _statistics(sums, origin, form)


# ---- predictions ----
def apply(estimator, method, X):
    """Return a lazy array of what a method gives for the rows of a collection."""
    model, rows = estimator._model(), X
    if hasattr(X, "columns"):
        rows = X.to_dask_array()
    rows = rows.rechunk({1: -1})
    known = rows.dtype in (np.float64, np.float32)
    dtype = rows.dtype if known else np.dtype(np.float64)
    call = partial(_called, _light(estimator), method)
    if method in ("predict", "score_samples"):
        dtype = np.dtype(np.intp) if method == "predict" else dtype
        meta = np.empty((0,), dtype)
        return rows.map_blocks(call, drop_axis=1, dtype=dtype, meta=meta)
    n_columns = len(model.mixture.shares)
    chunks = rows.chunks[0], (n_columns,)
    meta = np.empty((0, n_columns), dtype)
    return rows.map_blocks(call, chunks=chunks, dtype=dtype, meta=meta)


def _light(estimator):
    """Return a copy that predicts, without names of features and streams."""
    light = copy.copy(estimator)
    for name in ("feature_names_in_", "_stream"):
        vars(light).pop(name, None)
    return light


# ---- what tasks do ----
def _called(estimator, method, block):
    if len(block) == 0:
        return getattr(estimator, method)(np.zeros((1, block.shape[1]), block.dtype))[
            :0
        ]
    with inline():
        return getattr(estimator, method)(block)


def _expectation(rows, sample_weight, frame, mixture, within):
    return _arrays(
        ArraySource(rows, sample_weight, frame)._expectation(mixture, within)
    )


def _expectation_with_holes(rows, sample_weight, frame, mixture):
    source = HolesSource(rows, sample_weight, frame, type(mixture.covariances))
    return _arrays(source.statistics(mixture))


def _moments(rows, sample_weight, frame, origin, form, responsibilities):
    source = ArraySource(rows, sample_weight, frame)
    return _arrays(source._moments_about(responsibilities, origin, form))


def _moments_with_holes(
    rows, sample_weight, frame, gaussian, origin, form, responsibilities
):
    source = HolesSource.knowing(rows, sample_weight, frame, gaussian)
    return _arrays(source._moments_about(responsibilities, origin, form))


def _arrays(sums):
    return sums.count, sums.first, sums.second, sums.log_likelihood, sums.noise


def _statistics(arrays, origin, form):
    """Return the statistics of sums of `_arrays`."""
    return Statistics(*arrays[:4], origin, form, *arrays[4:])


def _taken(rows, sample_weight, indices):
    return rows[indices], sample_weight[indices]


def _powers(rows, sample_weight, holes, *arguments):
    return [power_sums(rows, sample_weight, *arguments, holes)]
