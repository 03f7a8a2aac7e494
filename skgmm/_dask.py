"""Rows in Dask collections: blocks are summed where they are, sums meet in a tree."""

import copy
import operator
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce

import numpy as np
from sklearn.utils.random import sample_without_replacement

from ._frame import Frame, extremes, power_sums
from ._sources import ArraySource
from ._threads import inline

# Sums that are added by one task.
_BRANCHES = 8


def is_lazy(X):
    """Tell whether X is an array or a frame of Dask."""
    return hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")


def sample_of(X):
    """Return an empty array or frame with the columns and dtypes of a collection."""
    if hasattr(X, "columns"):
        return X._meta
    return np.empty((0, *X.shape[1:]), X.dtype)


@dataclass(frozen=True, eq=False)
class LazyRows:
    """Weighted rows in the blocks of a collection.

    Attributes
    ----------
    stored : collection
        As the user gave it.
    blocks : tuple of Delayed
        Of pairs: rows (m, D) that have a weight, and their weights (m,).
    shape : tuple
        Numbers of rows and of features; before they are counted NaN.
    dtype : dtype
    check : callable
        Checks the rows and the weights of a block.
    facts : tuple
        Of each block: number of rows, their weight, the largest one, and the smallest
        and the largest values of the features.
    """

    stored: object
    blocks: tuple
    shape: tuple
    dtype: np.dtype
    check: object
    facts: tuple = ()

    @classmethod
    def of(cls, X, check_block, check_weight):
        """Return the rows of a collection, which nobody has looked at yet."""
        empty = np.asarray(sample_of(X))
        known = empty.dtype in (np.float64, np.float32)
        dtype = empty.dtype if known else np.dtype(np.float64)
        checks = {"check_block": check_block, "check_weight": check_weight}
        check = partial(_checked, dtype=dtype, **checks)
        return cls(X, _blocks_of(X), (np.nan, empty.shape[1]), dtype, check)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        return self  # rows of weight zero are left out already

    @property
    def total_weight(self):
        """The sum of the weights."""
        return float(sum(fact[1] for fact in self.facts))

    @property
    def largest_weight(self):
        """The weight of the heaviest row."""
        return max((fact[2] for fact in self.facts), default=0.0)

    def weighted(self, sample_weight):
        """Return the same rows with weights, checked and counted: in one reading."""
        from dask import compute, delayed

        weights = self._weights_of(sample_weight)
        checked = delayed(self.check), delayed(_joined)
        # The rows are checked now, and only put together whenever they are used.
        facts = compute(
            *(
                delayed(_facts)(checked[0](block, weight))
                for block, weight in zip(self.blocks, weights, strict=True)
            )
        )
        joined = tuple(
            checked[1](block, weight, self.dtype)
            for block, weight in zip(self.blocks, weights, strict=True)
        )
        facts = tuple(facts)
        n_rows = sum(fact[0] for fact in facts)
        return replace(self, blocks=joined, shape=(n_rows, self.shape[1]), facts=facts)

    def _weights_of(self, sample_weight):
        """Return the weights of each block."""
        if sample_weight is None:
            return [None] * len(self.blocks)
        if is_lazy(sample_weight):
            weights = _blocks_of(sample_weight)
            if len(weights) != len(self.blocks):
                raise ValueError(
                    "sample_weight must be cut into blocks as X is; got "
                    f"{len(weights)} blocks for {len(self.blocks)} of X. Rechunk it."
                )
            return weights
        from dask import compute, delayed

        sizes = compute(*(delayed(len)(block) for block in self.blocks))
        weight = np.asarray(sample_weight)
        if weight.ndim == 0:
            weight = np.broadcast_to(weight, (sum(sizes),))
        if weight.shape != (sum(sizes),):
            raise ValueError(
                f"sample_weight must have one entry a row, shape ({sum(sizes)},); got "
                f"shape {weight.shape}."
            )
        parts = np.split(weight, np.cumsum(sizes)[:-1])
        return [delayed(part, traverse=False) for part in parts]

    def mapped(self, function, *arguments):
        """Return delayed ``function(rows, weight, *arguments)`` of each block."""
        from dask import delayed

        shared = [delayed(argument, traverse=False) for argument in arguments]
        task = delayed(_inline)
        return [task(function, block, *shared) for block in self.blocks]

    def summed(self, function, *arguments):
        """Return the sum of these, added up in an order that is always the same."""
        from dask import delayed

        parts = self.mapped(function, *arguments)
        while len(parts) > 1:
            parts = [
                delayed(_added)(parts[start : start + _BRANCHES])
                for start in range(0, len(parts), _BRANCHES)
            ]
        return parts[0].compute()

    def summed_by(self, mixture, method):
        """Return what a method of a mixture sums over weighted rows."""
        return self.summed(_method, mixture, method).tolist()

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        facts = [fact for fact in self.facts if fact[0]]
        low = np.min([fact[3] for fact in facts], axis=0)
        return low, np.max([fact[4] for fact in facts], axis=0)

    def split(self, array):
        """Return the parts of an array (n, ...) that go with the blocks."""
        sizes = [fact[0] for fact in self.facts]
        return np.split(array, np.cumsum(sizes)[:-1])


@dataclass(frozen=True, eq=False)
class DaskSource(ArraySource):
    """Weighted rows in a Dask collection, seen through their frame.

    Each sum is one round trip: the mixture goes out, statistics come back.  ``rows``
    are `LazyRows`; their weights are with them, and ``sample_weight`` is None.
    """

    @classmethod
    def of(cls, rows, sample_weight=None, *, per_feature=True):
        """Return the source of rows that have been counted."""
        frame = Frame.of_sums(
            *rows.extremes(),
            rows.total_weight,
            lambda *arguments: rows.summed(power_sums, *arguments),
            per_feature=per_feature,
        )
        return cls(rows, None, frame)

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        return self.rows.extremes()

    @cached_property
    def total_weight(self):
        """The number of observations: the sum of the weights."""
        return self.rows.total_weight

    @property
    def largest_weight(self):
        """The weight of the heaviest row."""
        return self.rows.largest_weight

    def sample(self, size, rng):
        """Return a source of at most ``size`` rows, in memory: those an array gives."""
        from dask import compute, delayed

        n_rows = len(self.rows)
        chosen = np.arange(n_rows)
        if n_rows > size:
            chosen = sample_without_replacement(
                n_rows, size, method="tracking_selection", random_state=rng
            )
            chosen.sort()
        starts = np.cumsum([0, *(fact[0] for fact in self.rows.facts)])
        bounds = np.searchsorted(chosen, starts)
        parts = compute(
            *(
                delayed(_taken)(block, chosen[low:high] - start)
                for block, start, low, high in zip(
                    self.rows.blocks, starts[:-1], bounds[:-1], bounds[1:], strict=True
                )
            )
        )
        rows, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
        return ArraySource(rows, weight, self.frame)

    def _expectation(self, mixture, within):
        return self.rows.summed(_statistics, self.frame, mixture, within)

    def _moments_about(self, responsibilities, origin, form):
        from dask import delayed

        parts = [
            delayed(_moments)(block, self.frame, part, origin, form)
            for block, part in zip(
                self.rows.blocks, self.rows.split(responsibilities), strict=True
            )
        ]
        return delayed(_added)(parts).compute()


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


def _inline(function, block, *arguments):
    with inline():
        return function(*block, *arguments)


def _checked(block, sample_weight, *, dtype, check_block, check_weight):
    rows = np.asarray(block)
    if rows.dtype.kind not in "fiub":
        rows = rows.astype(np.float64)
    check_block(rows)
    if sample_weight is not None:
        sample_weight = check_weight(np.asarray(sample_weight), len(rows))
    return _joined(rows, sample_weight, dtype)


def _joined(block, sample_weight, dtype):
    """Return the rows that have a weight, and their weights."""
    rows = np.asarray(block, dtype=dtype)
    if sample_weight is None:
        return rows, np.broadcast_to(1.0, (len(rows),))
    weight = np.asarray(sample_weight, dtype=np.float64)
    present = weight > 0
    return (rows, weight) if present.all() else (rows[present], weight[present])


def _facts(block):
    rows, weight = block
    if len(rows) == 0:
        nothing = np.zeros(rows.shape[1])
        return 0, 0.0, 0.0, nothing, nothing
    return len(rows), float(weight.sum()), float(weight.max()), *extremes(rows)


def _statistics(rows, sample_weight, frame, mixture, within):
    return ArraySource(rows, sample_weight, frame)._expectation(mixture, within)


def _moments(block, frame, responsibilities, origin, form):
    source = ArraySource(*block, frame)
    with inline():
        return source._moments_about(responsibilities, origin, form)


def _taken(block, indices):
    return tuple(part[indices] for part in block)


def _method(rows, sample_weight, mixture, name):
    return np.array(getattr(mixture, name)(rows, sample_weight))


def _added(parts):
    return reduce(operator.add, parts)


def _blocks_of(X):
    """Return the blocks of rows of a collection."""
    if hasattr(X, "columns") or not hasattr(X, "rechunk"):  # a frame, or one column
        return tuple(X.to_delayed())
    if X.ndim == 2:
        X = X.rechunk({1: -1})
    return tuple(X.to_delayed().ravel())
