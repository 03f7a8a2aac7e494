"""Rows in Dask collections: blocks are summed where they are, and sums meet."""

import copy
import pickle
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import add
from uuid import uuid4

import numpy as np
from sklearn.utils.random import sample_without_replacement

from ._frame import Frame, extremes, power_sums
from ._sources import ArraySource
from ._statistics import Statistics
from ._sums import Sums
from ._threads import inline

# Sums that are added by one task.
_BRANCHES = 8

# Sums after which is looked anew where the blocks lie: workers come and go.
_SUMS_OF_A_LOOK = 20


def is_lazy(X):
    """Tell whether X is an array or a frame of Dask."""
    return hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")


def sample_of(X):
    """Return an empty array or frame with the columns and dtypes of a collection."""
    if hasattr(X, "columns"):
        return X._meta
    return np.empty((0, *X.shape[1:]), X.dtype)


@dataclass(frozen=True, eq=False)
class LazyBlocks:
    """The blocks of a collection, as tasks of Dask.

    Attributes
    ----------
    graph : dict
        Tasks that make the blocks, or futures of blocks that a cluster holds.
    keys : tuple
        One a block.
    """

    graph: dict
    keys: tuple

    @classmethod
    def of(cls, X):
        """Return the blocks of rows of a collection."""
        from dask import optimize
        from dask.core import flatten

        if getattr(X, "ndim", 1) == 2 and hasattr(X, "rechunk"):
            X = X.rechunk({1: -1})
        if hasattr(X, "expr"):  # of frames dask.optimize makes others
            X = X.optimize()
            return cls(dict(X.__dask_graph__()), tuple(flatten(X.__dask_keys__())))
        graph = dict(X.__dask_graph__())
        if not all(map(_is_future, graph.values())):
            (X,) = optimize(X)
            graph = dict(X.__dask_graph__())
        return cls(graph, tuple(flatten(X.__dask_keys__())))

    @classmethod
    def of_arrays(cls, arrays):
        """Return blocks that are sent to a cluster once."""
        from dask import delayed, persist

        parts = persist(*(delayed(array, traverse=False) for array in arrays))
        graph = {key: task for part in parts for key, task in dict(part.dask).items()}
        return cls(graph, tuple(part.key for part in parts))

    def __len__(self):
        return len(self.keys)

    def futures(self):
        """Return the future of each block, or None if no cluster holds it."""
        futures = []
        for key in self.keys:
            while hasattr(task := self.graph.get(key), "target"):  # another name
                key = task.target
            futures.append(task if _is_future(task) else None)
        return futures


@dataclass(frozen=True, eq=False)
class LazyRows:
    """Weighted rows in the blocks of a collection.

    Attributes
    ----------
    stored : collection
        As the user gave it.
    shape : tuple
        Numbers of rows and of features; before they are counted NaN.
    dtype : dtype
    check : callable
        Checks the rows and the weights of a block.
    blocks, weights : LazyBlocks or None
        The rows, and the weights that go with them.
    facts : tuple
        Of each block: number of rows that have a weight, their weight, the largest one,
        and the smallest and the largest values of the features.
    """

    stored: object
    shape: tuple
    dtype: np.dtype
    check: object
    blocks: LazyBlocks | None = None
    weights: LazyBlocks | None = None
    facts: tuple = ()

    @classmethod
    def of(cls, X, check_block, check_weight):
        """Return the rows of a collection, which nobody has looked at yet."""
        empty = np.asarray(sample_of(X))
        known = empty.dtype in (np.float64, np.float32)
        dtype = empty.dtype if known else np.dtype(np.float64)
        checks = {"check_block": check_block, "check_weight": check_weight}
        check = partial(_checked, dtype=dtype, **checks)
        return cls(X, (np.nan, empty.shape[1]), dtype, check)

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
        rows = replace(self, blocks=LazyBlocks.of(self.stored))
        rows = replace(rows, weights=rows._weights_of(sample_weight))
        facts = tuple(rows._each(partial(_facts, self.check)))
        n_rows = sum(fact[0] for fact in facts)
        return replace(rows, shape=(n_rows, self.shape[1]), facts=facts)

    def _weights_of(self, sample_weight):
        """Return the weights of the blocks."""
        if sample_weight is None:
            return None
        if is_lazy(sample_weight):
            weights = LazyBlocks.of(sample_weight)
            if len(weights) != len(self.blocks):
                raise ValueError(
                    "sample_weight must be cut into blocks as X is; got "
                    f"{len(weights)} blocks for {len(self.blocks)} of X. Rechunk it."
                )
            return weights
        sizes = self._each(_size)
        weight = np.asarray(sample_weight)
        if weight.ndim == 0:
            weight = np.broadcast_to(weight, (sum(sizes),))
        if weight.shape != (sum(sizes),):
            raise ValueError(
                f"sample_weight must have one entry a row, shape ({sum(sizes)},); got "
                f"shape {weight.shape}."
            )
        return LazyBlocks.of_arrays(np.split(weight, np.cumsum(sizes)[:-1]))

    def each(self, function, *arguments, parts=None):
        """Return ``function(rows, weight, *arguments, part)`` of each block.

        ``parts`` are arguments of one block each.
        """
        return self._each(self._call(function, arguments), parts)

    def summed(self, function, *arguments, parts=None):
        """Return the sums of the arrays that a function returns for each block.

        Blocks that a worker holds are summed by one task a thread.  What rounding
        leaves out is carried along, so the sums do not depend on who adds what.
        """
        call, schedule = self._call(function, arguments), self._schedule()
        groups, held = self._holders.now(schedule)
        total = None
        if held:
            total = self._sum_held(schedule, call, groups, held, parts)
        if total is None:  # nobody holds them, or not any more
            self._holders.forget()
            keys = self._keys(parts)
            tasks = [(_sum_of_blocks, [keys[i] for i in group]) for group in groups]
            total = _sum(self._run(schedule, self._graph(), call, tasks, _BRANCHES))
        return total.arrays()

    def summed_by(self, mixture, method):
        """Return what a method of a mixture sums over weighted rows."""
        [sums] = self.summed(_method, mixture, method)
        return sums.tolist()

    def extremes(self):
        """Return the smallest and the largest values of the features."""
        facts = [fact for fact in self.facts if fact[0]]
        low = np.min([fact[3] for fact in facts], axis=0)
        return low, np.max([fact[4] for fact in facts], axis=0)

    def _call(self, function, arguments):
        return partial(_on_rows, function, self.dtype, arguments)

    def _each(self, call, parts=None):
        tasks = [(_on_block, keys) for keys in self._keys(parts)]
        return self._run(self._schedule(), self._graph(), call, tasks)

    def _keys(self, parts):
        """Return what makes the arguments of the blocks."""
        blocks = self.blocks.keys
        weights = self.weights.keys if self.weights else [None] * len(blocks)
        parts = [()] * len(blocks) if parts is None else [(part,) for part in parts]
        return [
            [block, weight, *part]
            for block, weight, part in zip(blocks, weights, parts, strict=True)
        ]

    def _schedule(self):
        from dask.base import get_scheduler

        return get_scheduler(collections=[self.stored])

    def _sum_held(self, schedule, call, groups, held, parts):
        """Return the sum over what workers hold; None if some do not any more."""
        import cloudpickle

        graph = {future.key: future for future in held}
        parts = [parts and [parts[index] for index in group] for group in groups]
        tasks = [
            (_sum_of_held, [future.key, of_group])
            for future, of_group in zip(held, parts, strict=True)
        ]
        call = cloudpickle.dumps(call)  # the scheduler need not look into it
        return _sum(self._run(schedule, graph, call, tasks, _BRANCHES))

    @cached_property
    def _holders(self):
        return Holders(self)

    def held(self, client, groups):
        """Return the futures of groups of blocks, which stay where they are."""
        name, keys = f"skgmm-{uuid4().hex}", self._keys(None)
        graph = self._graph() | {
            (name, index): (Held, [keys[i] for i in group])
            for index, group in enumerate(groups)
        }
        wanted = [(name, index) for index in range(len(groups))]
        return client.get(graph, wanted, sync=False)

    def groups(self, client):
        """Return lists of indices of blocks that lie together: one a thread."""
        futures = self.blocks.futures()
        if client is None or not any(futures):
            return [[index] for index in range(len(futures))]
        holders = client.who_has([future for future in futures if future])
        n_threads, groups, loads = client.nthreads(), [], {}
        for index, future in enumerate(futures):
            there = [
                x for x in holders.get(future and future.key, ()) if x in n_threads
            ]
            if not there:
                groups.append([index])
                continue
            idle = min(there, key=lambda worker: len(loads.get(worker, ())))
            loads.setdefault(idle, []).append(index)
        for worker, load in loads.items():
            threads = min(n_threads[worker], len(load))
            groups += [load[thread::threads] for thread in range(threads)]
        return groups

    def _graph(self):
        """Return what makes the blocks and their weights."""
        return self.blocks.graph | (self.weights.graph if self.weights else {})

    def _run(self, schedule, graph, call, tasks, most=None):
        """Return the results of tasks, added until there are so few at most.

        Tasks are pairs, ``function(call, argument)``.
        """
        name, graph = f"skgmm-{uuid4().hex}", dict(graph)
        if len(tasks) > _BRANCHES:  # it travels once, and from worker to worker
            graph[name, "call"] = call
            call = name, "call"
        keys = [(name, index) for index in range(len(tasks))]
        for key, (function, argument) in zip(keys, tasks, strict=True):
            graph[key] = function, call, argument
        while most is not None and len(keys) > most:
            groups = [keys[at : at + most] for at in range(0, len(keys), most)]
            keys = [(name, len(graph) + index) for index in range(len(groups))]
            graph |= {
                key: (_sum, group) for key, group in zip(keys, groups, strict=True)
            }
        return schedule(graph, keys)


class Held:
    """Blocks, each with its weights, that one thread of a worker sums.

    The worker keeps them for as long as the driver keeps the future: so a sum is a task
    a thread that depends on one thing, and not on every block.  They are those that the
    worker has in memory anyhow.  What travels elsewhere is empty, as the rows should
    stay where they are.
    """

    def __init__(self, blocks=()):
        self.blocks = blocks

    def __reduce__(self):
        return Held, ()


class Holders:
    """Who holds the blocks of rows, as it was lately: workers come and go."""

    def __init__(self, rows):
        self._rows = rows
        self._latest = None
        self.forget()

    def forget(self):
        """Look anew at the next sum."""
        self._sums = 0

    def now(self, schedule):
        """Return groups of indices of blocks, and the futures of `Held`, if any."""
        if self._sums % _SUMS_OF_A_LOOK == 0:
            client = getattr(schedule, "__self__", None)
            groups = self._rows.groups(client)
            held = []
            if client is not None and all(self._rows.blocks.futures()):
                held = self._rows.held(client, groups)
            self._latest = groups, held
        self._sums += 1
        return self._latest


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
            lambda *arguments: rows.summed(_powers, *arguments)[0],
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
        n_rows = len(self.rows)
        chosen = np.arange(n_rows)
        if n_rows > size:
            chosen = sample_without_replacement(n_rows, size, random_state=rng)
            chosen.sort()
        starts = np.cumsum([0, *(fact[0] for fact in self.rows.facts)])
        bounds = np.searchsorted(chosen, starts)
        parts = [
            chosen[low:high] - start
            for start, low, high in zip(
                starts[:-1], bounds[:-1], bounds[1:], strict=True
            )
        ]
        taken = self.rows.each(_taken, parts=parts)
        rows, weight = (np.concatenate(part) for part in zip(*taken, strict=True))
        return ArraySource(rows, weight, self.frame)

    def entropy(self, mixture):
        """Return the entropy of the responsibilities of all rows."""
        mixture = self.frame.outward(mixture)
        return self.rows.summed_by(mixture, "likelihood_and_entropy")[1]

    def _expectation(self, mixture, within):
        sums = self.rows.summed(_statistics, self.frame, mixture, within)
        form = type(mixture.covariances)
        return Statistics(*sums[:4], mixture.means, form, *sums[4:])

    def _moments_about(self, responsibilities, origin, form):
        sizes = [fact[0] for fact in self.rows.facts]
        parts = np.split(responsibilities, np.cumsum(sizes)[:-1])
        sums = self.rows.summed(_moments, self.frame, origin, form, parts=parts)
        return Statistics(*sums[:4], origin, form)


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


def _on_block(call, arguments):
    with inline():
        return call(*arguments)


def _on_rows(function, dtype, shared, block, weight, *part):
    return function(*_joined(block, weight, dtype), *shared, *part)


def _sum_of_blocks(call, blocks):
    return reduce(add, (Sums.of(_on_block(call, arguments)) for arguments in blocks))


def _sum_of_held(call, argument):
    held, parts = argument
    if not held.blocks:
        return None
    more = [[]] * len(held.blocks) if parts is None else [[part] for part in parts]
    pairs = zip(held.blocks, more, strict=True)
    return _sum_of_blocks(
        pickle.loads(call), [[*block, *part] for block, part in pairs]
    )


def _sum(parts):
    """Return the sum of `Sums`; None if one of them is."""
    return None if any(part is None for part in parts) else reduce(add, parts)


def _size(block, weight):
    return len(block)


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
    # What came in a message may lie anywhere.
    weight = np.require(sample_weight, np.float64, "A")
    present = weight > 0
    return (rows, weight) if present.all() else (rows[present], weight[present])


def _facts(check, block, sample_weight):
    rows, weight = check(block, sample_weight)
    if len(rows) == 0:
        nothing = np.zeros(rows.shape[1])
        return 0, 0.0, 0.0, nothing, nothing
    return len(rows), float(weight.sum()), float(weight.max()), *extremes(rows)


def _statistics(rows, sample_weight, frame, mixture, within):
    return _arrays(
        ArraySource(rows, sample_weight, frame)._expectation(mixture, within)
    )


def _moments(rows, sample_weight, frame, origin, form, responsibilities):
    source = ArraySource(rows, sample_weight, frame)
    return _arrays(source._moments_about(responsibilities, origin, form))


def _arrays(sums):
    return sums.count, sums.first, sums.second, sums.log_likelihood, sums.noise


def _taken(rows, sample_weight, indices):
    return rows[indices], sample_weight[indices]


def _method(rows, sample_weight, mixture, name):
    return [getattr(mixture, name)(rows, sample_weight)]


def _powers(*arguments):
    return [power_sums(*arguments)]


def _is_future(task):
    return hasattr(task, "add_done_callback")
