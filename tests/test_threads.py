"""Threads: how many, and that nobody can tell how many there were."""

import multiprocessing
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import get_ident

import joblib
import numpy as np
import pytest
import threadpoolctl
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from strategies import TYPES

import skgmm._sources
from skgmm import GaussianMixture, _threads, kernels

types = pytest.mark.parametrize("covariance_type", TYPES)
# A few iterations are enough here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The best start did not converge:sklearn.exceptions.ConvergenceWarning"
)

CENTRES = 3.0 * np.random.default_rng(0).normal(size=(6, 8))
CLASSES = np.random.default_rng(1).integers(6, size=50_000)
X = CENTRES[CLASSES] + np.random.default_rng(2).normal(size=(50_000, 8))
# Not quite the classes, so that there is something to learn.
LABELS = (CLASSES + (np.random.default_rng(3).random(len(X)) < 0.1)) % 6

PARAMETERS = ("weights_", "means_", "covariances_", "lower_bounds_")


def fitted(covariance_type="full"):
    """Fit all rows, without k-means: that has threads of its own."""
    mixture = GaussianMixture(
        6, covariance_type=covariance_type, init_params=LABELS, tol=0, max_iter=6
    )
    return mixture.fit(X)


def results(mixture):
    """Return what a fit and its methods give."""
    parts = [np.array(getattr(mixture, name)) for name in PARAMETERS]
    parts += [mixture.score_samples(X), mixture.predict_proba(X), mixture.predict(X)]
    return [*parts, np.array(mixture.score(X))]


def assert_identical(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def use_threads(monkeypatch):
    """Return a function that sets the number of threads."""

    def use(n):
        monkeypatch.setattr(_threads, "n_threads", lambda: n)

    return use


def limits_of_blas():
    return [
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    ]


# ---- results ----
@types
def test_results_are_bitwise_the_same_for_any_number(covariance_type, use_threads):
    assert len(_threads.chunks(len(X), CENTRES)) > 2
    use_threads(1)
    expected = results(fitted(covariance_type))
    for n in (2, 16):
        use_threads(n)
        assert_identical(results(fitted(covariance_type)), expected)


@pytest.mark.parametrize("n_rows", [0, 1, 1023, 1024, 1025, 50_000, 10**6, 10**8])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (50, 100), (1000, 1000)])
def test_chunks_cover_all_rows_once(n_rows, shape, use_threads):
    # Of the means only the shape counts: broadcast ones take no memory.
    means = np.broadcast_to(0.0, shape)
    chunks = _threads.chunks(n_rows, means)
    assert chunks[0].start == 0
    assert chunks[-1].stop >= n_rows
    assert all(chunk.step is None for chunk in chunks)
    assert all(one.stop == other.start for one, other in pairwise(chunks))
    assert len(chunks) == 1 or chunks[-1].start < n_rows
    for n in (1, 16):
        use_threads(n)
        assert _threads.chunks(n_rows, np.broadcast_to(7.0, shape)) == chunks


@pytest.mark.parametrize("n", [1, 2, 16])
def test_ordered_map_keeps_the_order_and_not_much_under_way(n, use_threads):
    use_threads(n)
    begun, done, ahead = [], 0, 0
    for square in _threads.ordered_map(
        lambda item: begun.append(item) or item**2, range(100)
    ):
        assert square == done**2
        done += 1
        ahead = max(ahead, len(begun) - done)
    assert done == 100
    assert ahead <= n


# ---- how many ----
@pytest.fixture
def sixteen_cores(monkeypatch):
    """A machine on which nothing but the environment limits the threads."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    monkeypatch.setattr(_threads._Blas, "limit", lambda self: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.usefixtures("sixteen_cores")
def test_all_cores_by_default():
    assert _threads.n_threads() == 16


@pytest.mark.usefixtures("sixteen_cores")
@pytest.mark.parametrize(
    ("value", "expected"), [("1", 1), ("3", 3), ("99", 16), ("", 16), ("many", 16)]
)
def test_omp_num_threads(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert _threads.n_threads() == expected


@pytest.mark.usefixtures("sixteen_cores")
def test_cores_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    assert _threads.n_threads() == 2


def test_threadpool_limits(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with threadpoolctl.threadpool_limits(3):
        assert _threads.n_threads() == min(3, *limits_of_blas())
        with threadpoolctl.threadpool_limits(1):
            assert _threads.n_threads() == 1


def test_the_limit_of_blas_is_that_outside_of_passes(monkeypatch):
    # Else a fit in one thread would leave a single thread to one in another.
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    outside = _threads.n_threads()
    with _threads._blas.single_threaded():
        assert set(limits_of_blas()) == {1}
        assert _threads.n_threads() == outside
        with _threads._blas.single_threaded():
            assert _threads.n_threads() == outside
        assert set(limits_of_blas()) == {1}
    assert _threads.n_threads() == outside


@pytest.mark.usefixtures("sixteen_cores")
def test_one_in_threads_of_joblib():
    run = joblib.Parallel(n_jobs=2, prefer="threads")
    assert run(joblib.delayed(_threads.n_threads)() for _ in range(4)) == [1] * 4
    assert _threads.n_threads() == 16


def test_one_in_processes_of_joblib():
    run = joblib.Parallel(n_jobs=2, backend="loky")
    assert run(joblib.delayed(_threads.n_threads)() for _ in range(2)) == [1] * 2


# ---- life with others ----
def test_grid_search_in_processes():
    rows = X[:2000]
    grid = {"n_components": [1, 2, 3]}
    searches = [
        GridSearchCV(GaussianMixture(random_state=0), grid, cv=3, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    one, two = (search.fit(rows).cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_allclose(two, one, rtol=1e-9)


def _fit_and_send(connection):
    connection.send((_threads.n_threads(), results(fitted())))
    connection.close()


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("daemon", [False, True])
def test_a_forked_child_can_fit_after_its_parent(monkeypatch, daemon):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(_threads._Blas, "limit", lambda self: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    expected = results(fitted())
    assert _threads.n_threads() == 4
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_fit_and_send, args=(sender,), daemon=daemon)
    child.start()
    try:
        assert receiver.poll(60), "the child hangs"
        n_threads, answer = receiver.recv()
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
    assert n_threads == (1 if daemon else 4)
    assert_identical(answer, expected)


def test_two_fits_at_once(use_threads):
    before = limits_of_blas()
    use_threads(2)
    expected = {name: results(fitted(name)) for name in ("full", "diag")}
    with ThreadPoolExecutor(2) as pool:
        names = ["full", "diag"] * 3
        for name, answer in zip(
            names, pool.map(lambda name: results(fitted(name)), names), strict=True
        ):
            assert_identical(answer, expected[name])
    assert limits_of_blas() == before


def test_threads_leave_their_passes_in_any_order():
    before = limits_of_blas()
    inside, left = threading.Event(), threading.Event()

    def passes():
        with _threads.single_threaded_blas():
            inside.set()
            assert left.wait(60)

    with ThreadPoolExecutor(1) as pool:
        with _threads.single_threaded_blas():
            last = pool.submit(passes)
            assert inside.wait(60)
            assert set(limits_of_blas()) == {1}
        assert set(limits_of_blas()) == {1}
        left.set()
        last.result(60)
        assert limits_of_blas() == before


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
@pytest.mark.parametrize("n", [2, 5])
def test_a_crew_is_dismissed(n):
    for _ in range(20):
        crew = _threads.with_crew(lambda crew: crew, kernels.Crew, n)
        assert isinstance(crew, kernels.Crew)
        with pytest.raises(KeyboardInterrupt):
            _threads.with_crew(_interrupt, kernels.Crew, n)
    # Nobody still helps, or all would: the pools are free.
    for name in ("passes", "crew"):
        done = threading.Barrier(n)
        pool = _threads._pool(n, name)
        for waiting in [pool.submit(done.wait, 60) for _ in range(n)]:
            waiting.result()


def crew_that_was(n):
    """Return the crew of a call by n threads, and the thread that made it."""
    return _threads.with_crew(lambda crew: (crew, get_ident()), kernels.Crew, n)


def wait_until(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
def test_a_crew_stays_for_the_next_call(monkeypatch):
    monkeypatch.setattr(_threads, "_PATIENCE", 60)
    with _threads.staying_crew():
        first, caller = crew_that_was(2)
        assert caller != get_ident()
        assert first.helpers() == 1
        # A helper is awake, so the calling thread works too.
        assert crew_that_was(2) == (first, get_ident())
        assert crew_that_was(4) == (first, get_ident())
        assert first.helpers() == 3
        with _threads.staying_crew():
            assert crew_that_was(2)[0] is first
        assert crew_that_was(1)[0] is None
    wait_until(lambda: first.helpers() == 0)
    assert crew_that_was(2)[0] is not first


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
def test_a_crew_that_waited_long_is_called_again(monkeypatch):
    monkeypatch.setattr(_threads, "_PATIENCE", 1e-4)
    with _threads.staying_crew():
        first, _ = crew_that_was(3)
        wait_until(lambda: first.helpers() == 0)
        crew, caller = crew_that_was(3)
        assert crew is first
        assert caller != get_ident()


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
def test_a_crew_goes_home_from_errors_and_for_passes(monkeypatch):
    monkeypatch.setattr(_threads, "_PATIENCE", 60)
    with _threads.staying_crew():
        first, _ = crew_that_was(2)
        with pytest.raises(KeyboardInterrupt):
            _threads.with_crew(_interrupt, kernels.Crew, 2)
        wait_until(lambda: first.helpers() == 0)
        second, _ = crew_that_was(2)
        assert second is not first
        monkeypatch.setattr(_threads, "n_threads", lambda: 2)
        assert list(_threads.ordered_map(str, [1, 2])) == ["1", "2"]
        wait_until(lambda: second.helpers() == 0)
        assert crew_that_was(2)[0] is not second


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
def test_a_crew_is_no_larger_than_is_of_use(monkeypatch):
    monkeypatch.setattr(_threads, "_PATIENCE", 60)
    monkeypatch.setattr(_threads, "n_threads", lambda: 128)
    with _threads.staying_crew():
        assert crew_that_was(_threads.crew_size(64))[0].helpers() == 15


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
@pytest.mark.parametrize("failing", ["passes", "crew"])
def test_the_work_is_done_where_no_thread_can_be_started(monkeypatch, failing):
    class Pool:
        def submit(self, function, *arguments):
            raise RuntimeError("can't start new thread")

    pool = _threads._pool
    monkeypatch.setattr(
        _threads, "_pool", lambda n, name: Pool() if name == failing else pool(n, name)
    )
    for _ in range(2):
        crew, caller = crew_that_was(3)
        assert crew.helpers() == 0
        assert (caller == get_ident()) == (failing == "passes")
        with pytest.raises(KeyboardInterrupt):
            _threads.with_crew(_interrupt, kernels.Crew, 3)


@pytest.mark.skipif(kernels.Crew is None, reason="a crew is of the compiled kernels")
def test_a_call_within_a_call_has_a_crew_of_its_own(monkeypatch):
    monkeypatch.setattr(_threads, "_PATIENCE", 60)
    with _threads.staying_crew():
        outer, _ = crew_that_was(2)
        within = _threads.with_crew(lambda crew: crew_that_was(2), kernels.Crew, 2)
        assert within[0] is not outer
        assert crew_that_was(2)[0] is outer
    wait_until(lambda: outer.helpers() == 0)
    within[0].dismiss()


def _interrupt(crew):
    raise KeyboardInterrupt


@pytest.fixture
def global_state():
    """Put the limits of BLAS back, lest a failure here makes others fail."""
    with threadpoolctl.threadpool_limits(), warnings.catch_warnings():
        yield


@pytest.mark.usefixtures("global_state")
def test_default_fits_at_once_leave_the_filters_of_warnings_alone():
    # Their starts are k-means; what that does to BLAS is up to scikit-learn.
    filters = list(warnings.filters)
    rows = X[:1000]
    mixtures = [GaussianMixture(k, tol=1, max_iter=5) for k in (2, 3)]
    expected = [mixture.fit(rows).means_ for mixture in mixtures]
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda mixture: clone(mixture).fit(rows).means_, mixtures * 4)
        )
    for index, means in enumerate(answers):
        np.testing.assert_allclose(means, expected[index % 2], rtol=1e-9)
    assert warnings.filters == filters


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("n", [1, 2, 16])
@pytest.mark.parametrize("at", [0, 3, 20])
def test_an_error_in_a_chunk_passes_through(monkeypatch, use_threads, error, n, at):
    use_threads(n)
    before = limits_of_blas()
    expected = results(fitted())
    kernel, calls = skgmm._sources.kernels.statistics, []

    def broken(*arguments, **options):
        calls.append(1)
        if len(calls) == at + 1:
            raise error("in a chunk")
        return kernel(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(skgmm._sources.kernels, "statistics", broken)
        with pytest.raises(error, match="in a chunk"):
            fitted()
    assert limits_of_blas() == before
    assert_identical(results(fitted()), expected)
