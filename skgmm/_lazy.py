"""Rows in the blocks of Dask collections: summed where they are, and sums meet."""

import asyncio
import pickle
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import add
from uuid import uuid4

import numpy as np

from ._frame import extremes
from ._missing import with_nan
from ._sums import Sums
from ._threads import inline
from .kernels import Patterns, has_holes

# Sums that are added by one task.
_BRANCHES = 8

# Workers up to which each answers the driver itself; sums of more meet in a tree.
_FEW_WORKERS = 8

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
class Facts:
    """What is known of a block, or of all of them.

    Attributes
    ----------
    n_stored : int
        Number of rows.
    n_rows : int
        Number of those that take part: they have a weight, and something was observed.
    weight, largest : float
        The sum of the weights of these, and the largest one.
    observed : ndarray of shape (D,)
        The sums of the weights of what was observed of the features.
    low, high : ndarray of shape (D,)
        The smallest and the largest values of the features; NaN if there is none.
    empty : float
        The weight of the rows of which nothing was observed.
    patterns : ndarray of shape (D + 1,)
        Numbers of patterns of holes of so many features, in each block.
    """

    n_stored: int
    n_rows: int
    weight: float
    largest: float
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    empty: float
    patterns: np.ndarray

    @classmethod
    def of(cls, n_stored, rows, weight):
        """Return the facts of the rows of a block that have a weight."""
        n_features, empty = rows.shape[1], 0.0
        patterns = np.zeros(n_features + 1, dtype=int)
        observed = np.full(n_features, weight.sum())
        if has_holes(rows):
            nothing = np.isnan(rows).all(axis=1)
            empty = float(weight[nothing].sum())
            rows, weight = rows[~nothing], weight[~nothing]
            observed = weight @ ~np.isnan(rows)
            n_missing = np.sum(~Patterns.of(rows)[1].observed, axis=1)
            patterns = np.bincount(n_missing, minlength=n_features + 1)
        low = high = np.full(n_features, np.nan)
        if len(rows):
            low, high = extremes(rows, holes=True)
        sizes = n_stored, len(rows), float(weight.sum()), float(weight.max(initial=0.0))
        return cls(*sizes, observed, low, high, empty, patterns)

    def __add__(self, other):
        """Return the facts of two blocks."""
        return Facts(
            self.n_stored + other.n_stored,
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            max(self.largest, other.largest),
            self.observed + other.observed,
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.empty + other.empty,
            self.patterns + other.patterns,
        )

    @property
    def holes(self):
        """Whether there are any."""
        return self.empty > 0 or bool(self.patterns[1:].any())


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
    facts : tuple of Facts
        Of each block.
    observed_only : bool
        Whether rows are left out of which nothing was observed.
    """

    stored: object
    shape: tuple
    dtype: np.dtype
    check: object
    blocks: LazyBlocks | None = None
    weights: LazyBlocks | None = None
    facts: tuple = ()
    observed_only: bool = False

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
        """Return the rows that take part in a fit, for any index of these."""
        shape = self.whole.n_rows, self.shape[1]
        return replace(self, shape=shape, observed_only=self.whole.holes)

    @cached_property
    def whole(self):
        """The `Facts` of all blocks together."""
        return reduce(add, self.facts)

    @property
    def total_weight(self):
        """The sum of the weights."""
        return self.whole.weight + self.whole.empty

    def weighted(self, sample_weight):
        """Return the same rows with weights, checked and counted: in one reading."""
        rows = replace(self, blocks=LazyBlocks.of(self.stored))
        rows = replace(rows, weights=rows._weights_of(sample_weight))
        facts = tuple(rows._each(partial(_facts, self.check)))
        rows = replace(rows, facts=facts)
        return replace(rows, shape=(rows.whole.n_stored, self.shape[1]))

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

    def summed(self, function, *arguments, by_row=None):
        """Return the sums of the arrays that a function returns for each block.

        The function gets what ``each`` gives it; ``by_row`` is an array with an entry
        for each row that is stored, of which it gets those of its rows.  Blocks that a
        worker holds are summed by one task a thread.  What rounding leaves out is
        carried along, so the sums do not depend on who adds what.
        """
        call, parts = self._call(function, arguments), None
        if by_row is not None:
            call = partial(call, by_row=True)
            sizes = np.cumsum([fact.n_stored for fact in self.facts])
            parts = np.split(by_row, sizes[:-1])
        schedule = self._schedule()
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

    def _call(self, function, arguments):
        return partial(_on_rows, function, self.dtype, self.observed_only, arguments)

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

        call = cloudpickle.dumps(call)  # the scheduler need not look into it
        if parts is None and self._holders.are_few:
            return _answers(schedule.__self__, call, [future.key for future in held])
        graph = {future.key: future for future in held}
        parts = [parts and [parts[index] for index in group] for group in groups]
        tasks = [
            (_sum_of_held, [future.key, of_group])
            for future, of_group in zip(held, parts, strict=True)
        ]
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
    """Who holds the blocks of rows, as it was lately: workers come and go.

    Attributes
    ----------
    are_few : bool
        Whether the cluster has so few workers that each may answer the driver itself;
        not so where the driver is a task.
    """

    def __init__(self, rows):
        self._rows = rows
        self._latest = None
        self.are_few = False
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
                few = len(client.nthreads()) <= _FEW_WORKERS
                self.are_few = few and not _is_in_a_task()
                if self.are_few:  # they are asked for what they have
                    _wait(held)
            self._latest = groups, held
        self._sums += 1
        return self._latest


def _answers(client, call, names):
    """Return the sum over each `Held`, None if no worker has one of them (any more).

    Workers are asked beside the scheduler's queue: a round trip takes 2 ms that way and
    13 ms as tasks (two workers, one machine), which is much beside 100 ms of sums.
    """
    answers = client.run(_sum_of_all_held, call, names, on_error="return")
    found, total = [], []
    for answer in answers.values():
        if isinstance(answer, OSError):  # of the connection: the worker is gone
            continue
        if isinstance(answer, Exception):
            raise answer
        found += answer[0]
        total += answer[1:]
    return _sum(total) if sorted(found) == sorted(names) else None


def _wait(futures):
    from distributed import wait

    wait(futures)


def _is_in_a_task():
    """Tell whether a worker of Dask runs this: to wait would keep its thread."""
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


# ---- what workers do ----
async def _sum_of_all_held(call, names, dask_worker):
    """Return the names that this worker holds, and the sum over these, if any.

    Its threads make the sums.
    """
    data, pool = dask_worker.data, dask_worker.executors["default"]
    held = {name: data[name] for name in names if name in data and data[name].blocks}
    on_a_thread = partial(asyncio.get_running_loop().run_in_executor, pool)
    sums = [on_a_thread(_sum_of_held, call, (each, None)) for each in held.values()]
    if not sums:
        return ([],)
    return list(held), await on_a_thread(_sum, await asyncio.gather(*sums))


def _on_block(call, arguments):
    with inline():
        return call(*arguments)


def _on_rows(
    function, dtype, observed_only, shared, block, weight, *part, by_row=False
):
    rows, weight, present = _joined(block, weight, dtype, observed_only)
    if by_row:
        part = [array[present] for array in part]
    return function(rows, weight, *shared, *part)


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
    """Return the rows and the weights of a block as they are used, if they can be."""
    rows = _numbers(block)
    if rows.dtype.kind not in "fiub":
        rows = rows.astype(np.float64)
    check_block(rows)
    if sample_weight is not None:
        sample_weight = check_weight(np.asarray(sample_weight), len(rows))
    return _joined(rows, sample_weight, dtype)[:2]


def _numbers(block):
    """Return a block as an array, pandas' NA as NaN."""
    return with_nan(np.asarray(block))


def _joined(block, sample_weight, dtype, observed_only=False):
    """Return the rows that take part, their weights, and which these are."""
    rows, present = np.asarray(_numbers(block), dtype=dtype), slice(None)
    if sample_weight is None:
        weight = np.broadcast_to(1.0, (len(rows),))
    else:  # what came in a message may lie anywhere
        weight = np.require(sample_weight, np.float64, "A")
        present = weight > 0
    if observed_only:
        present = (weight > 0) & ~np.isnan(rows).all(axis=1)
    if isinstance(present, slice) or present.all():
        return rows, weight, slice(None)
    return rows[present], weight[present], present


def _facts(check, block, sample_weight):
    return Facts.of(len(block), *check(block, sample_weight))


def _method(rows, sample_weight, mixture, name):
    return [getattr(mixture, name)(rows, sample_weight)]


def _is_future(task):
    return hasattr(task, "add_done_callback")
