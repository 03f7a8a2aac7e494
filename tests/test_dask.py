"""Dask collections: the answers of memory, nothing gathered, workers that die."""

import functools
import math
import os
import pickle
import signal
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, case, examples

import skgmm._em
from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm._lazy import Held, LazyRows, _sum
from skgmm._sums import Sums

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
    for name in ("weights_", "covariances_", "lower_bounds_"):
        np.testing.assert_allclose(
            getattr(lazy, name), getattr(memory, name), rtol=1e-10, atol=1e-12
        )
    # Means may chance to lie near zero, compared to how far they are apart.
    for one, other in zip(lazy.means_.T, memory.means_.T, strict=True):
        near = 1e-12 + 1e-11 * np.ptp(other)
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=near)


# ---- the same answers ----
@collections
@types
def test_a_fit_is_that_of_memory(collection, covariance_type):
    assert_same(fitted(collection(), covariance_type), fitted(X, covariance_type))


def several():
    """A frame whose columns are two features and a weight."""
    rows = np.column_stack([X[:, :2], WEIGHT])
    return dd.from_pandas(pd.DataFrame(rows, columns=["a", "b", "w"]), npartitions=4)


pending = pytest.mark.parametrize(
    "expression",
    [
        lambda f: f[f.a > f.a.mean()],
        lambda f: f[["b", "a"]],
        lambda f: f[["a"]],
        lambda f: f * 2.0,
        lambda f: f.map_partitions(lambda part: part.iloc[::2]),
        lambda f: f.repartition(npartitions=2),
        lambda f: f.persist()[["b"]],
        lambda f: f.to_dask_array(lengths=True)[::3] + 1.0,
        lambda f: f.to_dask_array(lengths=True).T.T.rechunk((999, 1)),
    ],
)


@pending
def test_what_is_pending_is_done(expression):
    lazy = expression(several())
    rows = lazy.compute()
    mixture = fitted(lazy, max_iter=2)
    assert mixture.n_samples_seen_ == len(rows)
    assert_same(mixture, fitted(rows, max_iter=2))
    assert mixture.score(lazy) == pytest.approx(mixture.score(rows), rel=1e-10)


def test_rows_and_weights_that_are_columns_of_a_frame():
    table = several()
    lazy = fitted(table[["a", "b"]], sample_weight=table["w"] * 2.0)
    assert_same(lazy, fitted(X[:, :2], sample_weight=2.0 * WEIGHT))


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


# ---- a grid of models ----
def searched(rows, sample_weight=None, **parameters):
    default = {"n_swaps": 0, "random_state": 0}  # that of the sample
    default |= {"covariance_type": ["full", "tied", "VEI"]}
    search = GaussianMixtureIC([1, 2, 3], **(default | parameters))
    return search.fit(rows, sample_weight=sample_weight)


def assert_same_choice(lazy, memory):
    assert lazy.n_components_ == memory.n_components_
    assert lazy.covariance_type_ == memory.covariance_type_
    for name in ("criterion", "log_likelihood"):
        np.testing.assert_allclose(lazy.results_[name], memory.results_[name], 1e-8)
    np.testing.assert_allclose(lazy.means_, memory.means_, rtol=1e-5)


@functools.cache
def searched_in_memory(**parameters):
    return searched(X, **parameters)


@pytest.mark.parametrize(
    ("collection", "criterion"), [(array, "bic"), (frame, "bic"), (unknown, "icl")]
)
def test_a_grid_chooses_as_in_memory(collection, criterion):
    options = {"criterion": criterion, "max_iter": 2000}
    lazy, memory = searched(collection(), **options), searched_in_memory(**options)
    assert_same_choice(lazy, memory)
    assert isinstance(lazy.predict(collection()), da.Array)


def test_a_grid_with_weights_on_a_sample(monkeypatch):
    monkeypatch.setattr("skgmm._starts._SAMPLE", 500)
    lazy = searched(array(), da.from_array(WEIGHT, chunks=701))
    assert_same_choice(lazy, searched(X, WEIGHT))


def test_a_function_as_criterion_gets_the_collection():
    rows, seen = array(), []

    def criterion(mixture, X, sample_weight):
        seen.append(X)
        return mixture.bic(X)

    lazy = GaussianMixtureIC([1, 2], covariance_type="tied", criterion=criterion)
    lazy.fit(rows)
    assert all(X is rows for X in seen)
    assert lazy.criterion_ == pytest.approx(lazy.bic(X), rel=1e-10)


def test_a_grid_gathers_nothing():
    largest = []

    def seen(block):
        largest.append(len(block))
        return block

    searched(array().map_blocks(seen, dtype=float))
    assert max(largest) == 701


# ---- missing values ----
def with_nan():
    rows = X.copy()
    rows[-1, 1] = np.nan
    return rows


def holed():
    """Rows with holes; some of which nothing was observed, some of weight zero."""
    rows = X.copy()
    rows[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    rows[:701, 1] = np.nan  # nothing of a feature in a block
    return rows


@pytest.mark.parametrize("covariance_type", ["full", "diag", "VEI", "EEE"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_fit_to_holes_is_that_of_memory(covariance_type, weight):
    rows = holed()
    assert np.isnan(rows).all(axis=1).any()
    lazy = fitted(array(rows), covariance_type, weight)
    memory = fitted(rows, covariance_type, weight)
    assert_same(lazy, memory)
    assert lazy.n_samples_seen_ == memory.n_samples_seen_
    for name in ("score", "bic", "icl"):
        answer = getattr(lazy, name)(array(rows), sample_weight=weight)
        expected = getattr(memory, name)(rows, sample_weight=weight)
        assert answer == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("start", ["auto", "labels", "callable"])
def test_starts_of_holes(start):
    init = {
        "auto": "auto",
        "labels": CASE.labels,
        "callable": lambda X, k, rng: np.arange(len(X)) % k,
    }[start]
    options = {"init_params": init, "sample_weight": WEIGHT}
    options |= {"max_iter": 500} if start == "auto" else {}
    assert_same(fitted(array(holed()), **options), fitted(holed(), **options))


def test_a_sample_of_holes_is_that_of_memory(monkeypatch):
    monkeypatch.setattr("skgmm._starts._SAMPLE", 500)
    monkeypatch.setattr("skgmm._missing._ROWS", 700)
    assert_same(fitted(array(holed())), fitted(holed()))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEI"])
@pytest.mark.parametrize("init_params", ["bisect", CASE.labels], ids=["name", "labels"])
@pytest.mark.parametrize("kind", ["nothing observed", "no weight", "no rows"])
def test_blocks_of_which_no_row_takes_part(covariance_type, init_params, kind):
    rows, weight, block = holed(), None, slice(701, 1402)
    if kind == "nothing observed":
        rows[block] = np.nan
    elif kind == "no weight":
        weight = np.ones(N)
        weight[block] = 0.0
    options = {"init_params": init_params, "sample_weight": weight}
    collection = unknown(rows) if kind == "no rows" else array(rows)
    lazy = fitted(collection, covariance_type, **options)
    assert_same(lazy, fitted(rows, covariance_type, **options))


def test_a_row_without_a_value_and_next_to_no_weight():
    rows, weight = X.copy(), np.ones(N)
    rows[5], weight[5] = np.nan, 1e-17
    lazy = fitted(array(rows), sample_weight=weight)
    assert_same(lazy, fitted(rows, sample_weight=weight))


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_missing_values_of_pandas(kind):
    table = pd.DataFrame(holed(), columns=NAMES).convert_dtypes()
    lazy = dd.from_pandas(table, npartitions=5)
    lazy = lazy if kind == "frame" else lazy.to_dask_array()
    mixture, memory = fitted(lazy, max_iter=3), fitted(holed(), max_iter=3)
    assert_same(mixture, memory)
    assert mixture.score(lazy) == pytest.approx(memory.score(holed()), rel=1e-10)


def test_acceleration_and_noise_with_holes():
    options = {"acceleration": "squarem", "noise": True, "max_iter": 20}
    assert_same(fitted(array(holed()), **options), fitted(holed(), **options))


@pytest.mark.parametrize("rows", [CASE.X, holed()])
def test_starts_that_are_refined_on_more_rows(rows, monkeypatch):
    monkeypatch.setattr("skgmm._starts._SAMPLE", 100)
    monkeypatch.setattr("skgmm._starts._ALL", 200)
    options = {"n_swaps": 4, "init_params": "auto"}
    assert_same(fitted(array(rows), **options), fitted(rows, **options))


def test_a_grid_of_holes():
    options = {"covariance_type": ["full", "VEI"]}
    lazy, memory = searched(array(holed()), **options), searched(holed(), **options)
    assert_same_choice(lazy, memory)


def test_many_patterns_are_warned_of(monkeypatch):
    monkeypatch.setattr("skgmm._missing._WORK", 1.0)
    blocks = np.split(np.isnan(holed()), range(701, N, 701))
    patterns = [np.unique(block, axis=0).sum(axis=1) % D for block in blocks]
    number = sum(np.count_nonzero(one) for one in patterns)  # not all, not nothing
    with pytest.warns(UserWarning, match=rf"X has {number} patterns of missing"):
        fitted(array(holed()), max_iter=1)


def test_labels_are_given_for_rows_of_weight_zero_too():
    weight = WEIGHT * (CASE.labels != 2)
    assert (weight == 0).any()
    labels = np.where(WEIGHT == 1, 2, CASE.labels)
    options = {"init_params": labels, "sample_weight": weight}
    assert_same(fitted(array(), **options), fitted(X, **options))


@examples(1 / 2)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 99), st.booleans())
def test_it_does_not_matter_how_rows_with_holes_are_cut(seed, share, size, weighted):
    rng, rows = np.random.default_rng(seed), X[:200].copy()
    rows[5:][rng.random((195, D)) < share] = np.nan
    weight = rng.integers(0, 3, 200) * 0.4 if weighted else None
    if weighted:
        weight[:5] = 1.0  # something of each feature
    options = {"sample_weight": weight, "init_params": CASE.labels[:200], "max_iter": 2}
    with dask.config.set(scheduler="synchronous"):
        lazy = fitted(array(rows, chunks=(size, 2)), **options)
    assert_same(lazy, fitted(rows, **options))


# ---- errors ----
@pytest.mark.parametrize(
    ("rows", "weight", "text"),
    [
        (np.full((9, D), np.nan), None, r"features \[0, 1, 2\] are NaN in all rows"),
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


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (lambda: array()[:, 0], "two dimensions or a frame; got a collection of 1"),
        (lambda: frame()["a"], "two dimensions or a frame; got a collection of 1"),
        (lambda: array()[:, :, np.newaxis], "two dimensions or a frame; got a .* 3"),
        (lambda: array()[:, :0], "at least 1 feature; got a collection of none"),
    ],
)
def test_collections_of_another_shape(rows, text):
    with pytest.raises(ValueError, match=text):
        GaussianMixture(2).fit(rows())


def test_predictions_take_missing_values():
    mixture, rows = fitted(X), with_nan()
    lazy = mixture.score_samples(array(rows)).compute()
    np.testing.assert_array_equal(lazy, mixture.score_samples(rows))
    assert mixture.score(array(rows)) == pytest.approx(mixture.score(rows), rel=1e-12)


def test_wrong_number_of_features():
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture"):
        fitted(X).predict(array(X[:, :2]))


# ---- sums ----
@given(st.integers(0, 2**32 - 1))
def test_sums_do_not_depend_on_who_adds_what(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(40, 5)) * 10.0 ** rng.integers(-8, 8, size=(40, 1))
    rows = np.concatenate([values, -values[::2]])
    values = [Sums.of([row[0], row[1:].reshape(2, 2)]) for row in rows]

    def total(parts):
        one, others = _sum(parts).arrays()
        assert others.shape == (2, 2)
        return [one, *others.ravel()]

    exact = [math.fsum(column) for column in rows.T]
    np.testing.assert_array_equal(total(values), exact)
    order = rng.permutation(len(values))
    cuts = np.sort(rng.integers(1, len(values), size=5))
    groups = [part for part in np.split(order, cuts) if len(part)]
    parts = [_sum([values[i] for i in part]) for part in groups]
    np.testing.assert_array_equal(total(parts), exact)


def test_sums_that_are_infinite_stay_so():
    [total] = _sum([Sums.of([value]) for value in (1.0, -np.inf, 2.0)]).arrays()
    assert total == -np.inf


# ---- workers: a client is everybody's scheduler from here on ----
workers = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def held(rows=X):
    """Return rows that the workers hold, in 10 blocks."""
    import distributed

    rows = array(rows, chunks=(301, D)).persist()
    distributed.wait(rows)
    return rows


@workers
@pytest.mark.parametrize("few", [8, 0])
@pytest.mark.parametrize("weights", ["none", "memory", "lazy"])
def test_workers_give_the_same_bits(client, weights, few, monkeypatch):
    monkeypatch.setattr(skgmm._lazy, "_FEW_WORKERS", few)
    weight = {
        "none": None,
        "memory": WEIGHT,
        "lazy": da.from_array(WEIGHT, chunks=301),
    }[weights]
    lazy = fitted(held(), sample_weight=weight)
    with dask.config.set(scheduler="threads"):
        threads = fitted(array(chunks=(301, D)), sample_weight=weight)
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        np.testing.assert_array_equal(getattr(lazy, name), getattr(threads, name))
    assert_same(lazy, fitted(X, sample_weight=None if weight is None else WEIGHT))


@workers
def test_workers_give_the_same_bits_for_holes(client):
    lazy = fitted(held(holed()))
    with dask.config.set(scheduler="threads"):
        threads = fitted(array(holed(), chunks=(301, D)))
    np.testing.assert_array_equal(lazy.covariances_, threads.covariances_)
    assert_same(lazy, fitted(holed()))


@workers
def test_a_grid_on_workers(client):
    frame = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=7).persist()
    lazy = searched(frame)
    assert_same_choice(lazy, searched(X))
    assert lazy.feature_names_in_.tolist() == NAMES


def moments_of_a_block(rows, weight):
    return weight.sum(), weight @ rows


@workers
@pytest.mark.parametrize("few", [8, 0])
def test_what_has_moved_is_summed_all_the_same(client, few, monkeypatch):
    monkeypatch.setattr(skgmm._lazy, "_FEW_WORKERS", few)
    source = LazyRows.of(held(), lambda rows: None, None).weighted(None)
    count, first = source.summed(moments_of_a_block)
    holders = source._holders
    groups, futures = holders._latest
    assert 0 < len(futures) <= 2
    holders._latest = groups, client.scatter([Held()] * len(futures))
    again, again_first = source.summed(moments_of_a_block)
    assert (again, again_first.tolist()) == (count, first.tolist())
    assert count == len(X)
    assert pickle.loads(pickle.dumps(Held([(X, None)]))).blocks == ()


def fails(rows, weight):
    raise ArithmeticError("of a block")


@workers
@pytest.mark.parametrize("few", [8, 0])
def test_errors_of_workers_are_raised(client, few, monkeypatch):
    monkeypatch.setattr(skgmm._lazy, "_FEW_WORKERS", few)
    source = LazyRows.of(held(), lambda rows: None, None).weighted(None)
    with pytest.raises(ArithmeticError, match="of a block"):
        source.summed(fails)


def dies_once(rows, weight, marker):
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return moments_of_a_block(rows, weight)
    os.kill(os.getpid(), signal.SIGKILL)


@workers
@pytest.mark.parametrize("few", [8, 0])
@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_worker_that_dies_in_a_sum(client, few, monkeypatch, tmp_path):
    monkeypatch.setattr(skgmm._lazy, "_FEW_WORKERS", few)
    source = LazyRows.of(held(), lambda rows: None, None).weighted(None)
    expected = source.summed(moments_of_a_block)
    sums = source.summed(dies_once, tmp_path / "died")
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(sums[1], expected[1])


def fitted_there(rows):
    import distributed

    client = distributed.get_client()
    with dask.config.set(scheduler=client):
        return fitted(client.persist(array(rows, chunks=(301, D)))).means_


@workers
def test_a_fit_may_be_a_task(client):
    """Its thread may be the only one of the worker that has the rows."""
    means = client.submit(fitted_there, X, pure=False).result(timeout=60)
    np.testing.assert_array_equal(means, fitted(held()).means_)


@workers
def test_few_workers_are_asked_without_tasks(client, monkeypatch):
    source = LazyRows.of(held(), lambda rows: None, None).weighted(None)
    expected = source.summed(moments_of_a_block)
    monkeypatch.delattr(LazyRows, "_run")
    np.testing.assert_array_equal(source.summed(moments_of_a_block)[1], expected[1])


@workers
def test_a_worker_sums_its_blocks_in_one_task(client):
    source = LazyRows.of(held(), lambda rows: None, None).weighted(None)
    groups = source.groups(client)
    assert sorted(index for group in groups for index in group) == list(range(10))
    assert len(groups) <= 2
    holders = client.who_has(source.stored)
    for group in groups:  # some worker has all of them, and others may have copies
        assert set.intersection(
            *(set(holders[source.blocks.keys[index]]) for index in group)
        )
    lazy = LazyRows.of(array(), lambda rows: None, None).weighted(None)
    assert lazy.groups(client) == [[index] for index in range(5)]


@workers
@pytest.mark.parametrize("few", [8, 0])
@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_worker_that_dies_costs_nothing_but_time(client, few, monkeypatch):
    monkeypatch.setattr(skgmm._lazy, "_FEW_WORKERS", few)
    rows, memory = held(), fitted(X)
    undisturbed, pids = fitted(rows), client.run(os.getpid)
    step, steps = skgmm._em.Climb.step, []

    def deadly(self, *arguments):
        steps.append(1)
        if len(steps) == 3:
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        return step(self, *arguments)

    monkeypatch.setattr(skgmm._em.Climb, "step", deadly)
    lazy = fitted(rows)
    assert len(steps) == 5
    assert client.run(os.getpid) != pids
    labels = lazy.predict(rows).compute()
    assert_same(lazy, memory)
    np.testing.assert_array_equal(lazy.covariances_, undisturbed.covariances_)
    np.testing.assert_array_equal(labels, memory.predict(X))
