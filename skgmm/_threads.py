"""A plain thread pool for the blocks of a pass."""

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache

import joblib
import threadpoolctl

# Rows of a block of the compiled pass.
_BLOCK = 256

# Numbers in the rows of a chunk at most.
_NUMBERS = 2**19

# Seconds for which who helps waits for the next call, awake; how many threads share a
# call at most, as many as there are parts of a pass.
_PATIENCE, _CREW = 0.003, 16


def ordered_map(function, items, *, pool="passes"):
    """Yield ``function(item)`` of each item, in order, computed by several threads.

    Items have a length and an order.  As many threads as `n_threads` allows, and not
    much more is under way than they need; a single item, or a single thread, is
    computed in place.  BLAS runs on one thread meanwhile: its threads and ours would
    get in each other's way.

    Items that take long, while their results are used in ways that wait for passes,
    need a ``pool`` of their own: passes would queue behind them.
    """
    if len(items) <= 1:
        yield from map(function, items)
        return
    threads = min(n_threads(), len(items))
    with single_threaded_blas():
        if threads <= 1:
            yield from map(function, items)
            return
        _send_home(getattr(_here, "crew", None))
        under_way = deque()
        try:
            for item in items:
                under_way.append(_pool(threads, pool).submit(_inside, function, item))
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:  # after an error or an interrupt
                future.cancel()


def with_crew(function, make_crew, n):
    """Return ``function(crew)``, computed by n threads that share its work.

    There is no crew if that is a single one.  Helpers stay for the next call where the
    crew does (`staying_crew`).  Before there are any the calling thread sleeps while
    one of the pool runs the function: where it went on, others that were woken would
    often wait for its core, milliseconds (measured).  Where no thread can be started
    there are fewer.

    Parameters
    ----------
    function : callable
    make_crew : callable or None
        See `kernels.Crew`.
    n : int
        See `crew_size`.
    """
    if n == 1 or make_crew is None:
        return function(None)
    stays = hasattr(_here, "crew")
    crew = (stays and _here.crew) or make_crew()
    if stays:
        _here.crew = None  # whoever interrupts this call has another one
    under_way = None
    try:
        missing = n - 1 - crew.helpers()
        with suppress(RuntimeError):  # no thread can be started
            if missing == n - 1:
                # Before its helpers: who helps waits for nobody who is not under way.
                under_way = _pool(n, "passes").submit(_inside, function, crew)
            for _ in range(missing):
                _pool(n, "crew").submit(crew.help, _PATIENCE)
                crew.call()
        result = under_way.result() if under_way else function(crew)
    except BaseException:  # an error, or an interrupt
        stays = False
        raise
    finally:
        if stays:
            _here.crew = crew
        else:
            _send_home(crew)
            if under_way:
                under_way.cancel()
    return result


def crew_size(n):
    """Return how many threads share n parts of a call."""
    return at_most(min(n, _CREW))


@contextmanager
def staying_crew():
    """Let the threads that share calls in the block wait for the next one, awake."""
    if hasattr(_here, "crew"):
        yield
        return
    _here.crew = None
    try:
        yield
    finally:
        _send_home(vars(_here).pop("crew", None))


def _send_home(crew):
    """Dismiss a crew, if there is one: its threads would take the cores from others."""
    if crew:
        crew.dismiss()
    if hasattr(_here, "crew"):
        _here.crew = None


def chunks(n_rows, means):
    """Return slices of rows for `ordered_map`: they depend on n, D and K only.

    A chunk is work for about half a millisecond at least, so that handing it out costs
    nothing, and for a fraction of a second at most, so that an interrupt is
    answered.  It is whole blocks of the compiled pass, and a few megabytes at most,
    which rows that are read from a file need in memory.  There are enough for several
    threads, but where there is one in any case (`inline`).
    """
    n_components, n_features = means.shape
    work = n_components * (n_features * (n_features + 10) + 20)  # per row
    n_chunks = 1 if getattr(_here, "whole", False) else 32
    size = min(max(-(-n_rows // n_chunks), 10_000_000 // work), 5_000_000_000 // work)
    size = min(size, _NUMBERS // n_features)
    size = max(-(-size // _BLOCK) * _BLOCK, 1024)
    return [slice(start, start + size) for start in range(0, max(n_rows, 1), size)]


def n_threads():
    """Return the number of threads that the environment allows.

    The least of: the cores that the process may use (affinity, cgroup and
    ``LOKY_MAX_CPU_COUNT``), ``OMP_NUM_THREADS``, and the limit on BLAS threads, which
    `threadpoolctl.threadpool_limits` sets.  One inside a worker of joblib or a
    daemonic process, where the cores are taken already, and in threads of our own.
    """
    if getattr(_here, "inline", False):
        return 1
    backend, _ = joblib.parallel.get_active_backend()
    if (backend.nesting_level or 0) > 0 or multiprocessing.current_process().daemon:
        return 1
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    limit = os.environ.get("LOKY_MAX_CPU_COUNT")
    limits = [_n_cores(joblib.cpu_count, limit, frozenset(affinity)), _blas.limit()]
    openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if openmp.isdigit():
        limits.append(int(openmp))
    return max(1, min(limits))


def at_most(n):
    """Return n, or the number of threads if that is less; at least one."""
    return max(1, min(n, n_threads())) if n > 1 else 1


_here = threading.local()


@contextmanager
def inline():
    """Use one thread in the block: whoever calls has others for other work."""
    before = vars(_here).copy()
    _here.inline = _here.whole = True
    try:
        yield
    finally:
        vars(_here).clear()
        vars(_here).update(before)


@cache
def _n_cores(count, *inputs):
    """Return joblib's count, which reads files: asked again when its inputs change."""
    return count()


def _inside(function, item):
    _here.inline = True  # these threads do nothing else
    return function(item)


@cache
def _pool(threads, name):
    return ThreadPoolExecutor(threads, thread_name_prefix=f"skgmm {name}")


class _Blas:
    """The threads of BLAS, limited to one while any pass runs in the process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._passes = 0
        self._allowed = []

    def limit(self):
        """Return the number of threads that BLAS may use outside passes."""
        with self._lock:
            counts = self._allowed if self._passes else _counts()
        return min(counts) if counts else joblib.cpu_count()

    @contextmanager
    def single_threaded(self):
        with self._lock:
            if self._passes == 0:
                self._allowed = _counts()
                _set_counts([1] * len(self._allowed))
            self._passes += 1
        try:
            yield
        finally:
            with self._lock:
                self._passes -= 1
                if self._passes == 0:
                    _set_counts(self._allowed)


def _counts():
    """Return the number of threads of each library."""
    return [library.num_threads for library in _libraries()]


def _set_counts(counts):
    for library, count in zip(_libraries(), counts, strict=True):
        _free(library)
        library.set_num_threads(count)
        _free(library)


def _free(library):
    """Let any thread set the number: the first one in a pass may not be the last.

    Since threadpoolctl 3.8 a thread that has set that of OpenBLAS is otherwise the only
    one that can, as long as it lives.
    """
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)


@cache
def _libraries():
    return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers


_blas = _Blas()


def single_threaded_blas():
    """Return a context in which BLAS runs on one thread, in the whole process."""
    return _blas.single_threaded()


def _forget():
    """Start anew in a forked child: its parent's threads are not there."""
    global _blas
    _pool.cache_clear()
    vars(_here).pop("crew", None)
    _blas = _Blas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
