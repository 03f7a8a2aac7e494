"""Dask collections: the answers of memory, nothing gathered, workers that die."""

import os
import signal
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, case

import skgmm._em
from skgmm import GaussianMixture

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

N, D = 3000, 3
CASE = case(1, 3, D, n_rows=N, distance=2.0)
X = CASE.X * [1.0, 1e3, 1e-3] + [1e4, 0.0, 1.0]
WEIGHT = np.random.default_rng(0).integers(0, 3, size=N)
NAMES = ["a", "b", "c"]
types = pytest.mark.parametrize("covariance_type", TYPES)


def array(rows=X, chunks=(701, 2)):
    return da.from_array(rows, chunks=chunks)


def frame(rows=X, npartitions=4):
    return dd.from_pandas(pd.DataFrame(rows, columns=NAMES), npartitions=npartitions)


def unknown(rows=X):
    """An array that does not know the sizes of its blocks, some of them empty."""
    blocks = [frame(rows), frame(rows)[lambda f: f.a > np.inf]]
    return dd.concat(blocks).to_dask_array()


collections = pytest.mark.parametrize("collection", [array, frame, unknown])


def fitted(rows, covariance_type="full", sample_weight=None, **parameters):
    """Fit from a start that leaves nothing to chance, by plain steps."""
    parameters = {"init_params": "bisect", "acceleration": None} | parameters
    parameters = {"max_iter": 5, "random_state": 0} | parameters
    mixture = GaussianMixture(3, covariance_type=covariance_type, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(rows, sample_weight=sample_weight)


def assert_same(lazy, memory):
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        np.testing.assert_allclose(
            getattr(lazy, name), getattr(memory, name), rtol=1e-10, atol=1e-12
        )


# ---- the same answers ----
@collections
@types
def test_a_fit_is_that_of_memory(collection, covariance_type):
    assert_same(fitted(collection(), covariance_type), fitted(X, covariance_type))


@types
@pytest.mark.parametrize("kind", ["memory", "array", "series"])
def test_weights(covariance_type, kind):
    weight = {
        "memory": WEIGHT,
        "array": da.from_array(WEIGHT, chunks=701),
        "series": dd.from_pandas(pd.Series(WEIGHT), npartitions=4),
    }[kind]
    rows = frame() if kind == "series" else array()
    lazy = fitted(rows, covariance_type, sample_weight=weight)
    memory = fitted(X, covariance_type, sample_weight=WEIGHT)
    assert_same(lazy, memory)
    for name in ("score", "bic", "aic", "icl"):
        answer = getattr(lazy, name)(rows, sample_weight=weight)
        expected = getattr(memory, name)(X, sample_weight=WEIGHT)
        assert answer == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_default_fits_find_the_same_optimum(covariance_type):
    lazy = fitted(array(), covariance_type, init_params="auto", max_iter=1000)
    memory = fitted(X, covariance_type, init_params="auto", max_iter=1000)
    assert lazy.lower_bound_ == pytest.approx(memory.lower_bound_, rel=1e-9)
    np.testing.assert_allclose(lazy.means_, memory.means_, rtol=1e-5)


def test_a_sample_is_that_of_memory(monkeypatch):
    monkeypatch.setattr("skgmm._starts._SAMPLE", 500)
    assert_same(fitted(array()), fitted(X))


@pytest.mark.parametrize("start", ["labels", "means", "callable"])
def test_given_starts(start):
    parameters = {
        "labels": {"init_params": CASE.labels},
        "means": {"means_init": X[:3]},
        "callable": {"init_params": lambda X, k, rng: np.arange(len(X)) % k},
    }[start]
    assert_same(fitted(array(), **parameters), fitted(X, **parameters))


@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@collections
def test_lazy_in_lazy_out(collection):
    rows, mixture = collection(), fitted(X)
    for name in ("predict", "predict_proba", "predict_log_proba", "score_samples"):
        answer, expected = getattr(mixture, name)(rows), getattr(mixture, name)(X)
        assert isinstance(answer, da.Array)
        assert answer.dtype == expected.dtype
        assert answer.ndim == expected.ndim
        np.testing.assert_array_equal(answer.compute(), expected)
    for name in ("score", "bic", "aic", "icl"):
        answer, expected = getattr(mixture, name)(rows), getattr(mixture, name)(X)
        assert answer == pytest.approx(expected, rel=1e-12)


def test_lazy_answers_are_of_the_mixture_when_asked():
    mixture = fitted(X)
    expected, answer = mixture.predict(X), mixture.predict(array())
    mixture.means_ = mixture.means_[::-1]
    np.testing.assert_array_equal(answer.compute(), expected)


def test_dtypes():
    lazy = fitted(array(X.astype(np.float32)), max_iter=1)
    assert lazy.means_.dtype == np.float32
    assert lazy.score_samples(array(X.astype(np.float32))).dtype == np.float32
    whole = (10 * CASE.X).astype(int)
    assert_same(fitted(array(whole), max_iter=1), fitted(whole, max_iter=1))


def test_names_of_features():
    mixture = fitted(frame())
    assert mixture.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="feature names"):
        mixture.predict(frame()[["b", "a", "c"]])


def test_batches_of_a_stream():
    mixture = GaussianMixture(3).fit(X)
    mixture.partial_fit(array()[:500])
    assert mixture.n_samples_seen_ == N + 500


def test_nothing_is_gathered():
    # Blocks that remember how much of them was together.
    largest = []

    def seen(block):
        largest.append(len(block))
        return block

    fitted(array().map_blocks(seen, dtype=float), max_iter=2)
    assert max(largest) == 701


# ---- errors ----
def with_nan():
    rows = X.copy()
    rows[-1, 1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("rows", "weight", "text"),
    [
        (with_nan(), None, "X contains NaN.*Load them into an array"),
        (X, -WEIGHT, "must not be negative"),
        (X, 0 * WEIGHT, "all zero weights"),
        (X, WEIGHT[:-1], r"shape \(3000,\); got shape \(2999,\)"),
        (X, da.from_array(WEIGHT, chunks=500), "6 blocks for 5 of X. Rechunk it"),
        (X[:2], None, r"Expected n_samples >= n_components"),
    ],
)
def test_errors(rows, weight, text):
    mixture = fitted(X)
    before = mixture.means_
    with pytest.raises(ValueError, match=text):
        mixture.fit(array(rows), sample_weight=weight)
    np.testing.assert_array_equal(mixture.means_, before)


def test_predictions_take_missing_values():
    mixture, rows = fitted(X), with_nan()
    lazy = mixture.score_samples(array(rows)).compute()
    np.testing.assert_array_equal(lazy, mixture.score_samples(rows))
    assert mixture.score(array(rows)) == pytest.approx(mixture.score(rows), rel=1e-12)


def test_wrong_number_of_features():
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture"):
        fitted(X).predict(array(X[:, :2]))


# ---- workers ----
@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_costs_nothing_but_time(monkeypatch):
    distributed = pytest.importorskip("distributed")
    memory = fitted(X)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        rows = array(chunks=(301, D)).persist()
        distributed.wait(rows)
        workers = client.run(os.getpid)
        step, steps = skgmm._em.Climb.step, []

        def deadly(self, *arguments):
            steps.append(1)
            if len(steps) == 3:
                os.kill(next(iter(workers.values())), signal.SIGKILL)
            return step(self, *arguments)

        monkeypatch.setattr(skgmm._em.Climb, "step", deadly)
        lazy = fitted(rows)
        assert len(steps) == 5
        assert client.run(os.getpid) != workers
        labels = lazy.predict(rows).compute()
    assert_same(lazy, memory)
    np.testing.assert_array_equal(labels, memory.predict(X))
