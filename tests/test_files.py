"""Rows in files: the same answers, little memory, errors that pass through."""

import subprocess
import sys
import threading
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES

import skgmm._files
import skgmm._starts
from skgmm import GaussianMixture
from skgmm._em import Problem
from skgmm._files import Blocks, StoredRows, is_stored
from skgmm._mixture import Mixtures
from skgmm._regularisation import PseudoObservations
from skgmm._sources import ArraySource
from skgmm.families import FAMILIES

N, D = 12_000, 4
RNG = np.random.default_rng(0)
X = 3.0 * RNG.integers(3, size=(N, 1)) + RNG.normal(size=(N, D))
WEIGHT = RNG.integers(0, 3, size=N)
types = pytest.mark.parametrize("covariance_type", TYPES)


class Table:
    """Rows that can be sliced, and nothing else."""

    def __init__(self, rows, chunks=None, fail_at=np.inf):
        self.rows, self.fail_at, self.reads = rows, fail_at, []
        self.shape, self.dtype = rows.shape, rows.dtype
        if chunks is not None:
            self.chunks = chunks

    def __getitem__(self, part):
        assert isinstance(part, slice)
        self.reads.append(part)
        if len(self.reads) > self.fail_at:
            raise OSError("the disk is gone")
        return self.rows[part]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of few rows, so that there are many of them."""
    monkeypatch.setattr(skgmm._files, "_BLOCK", 3001)


@pytest.fixture
def mapped(tmp_path):
    """Return a function that writes rows to a file, and maps it."""

    def write(rows, order="C", offset=0, mode="r"):
        arguments = {"shape": rows.shape, "order": order, "offset": offset}
        file = np.memmap(tmp_path / "rows", rows.dtype, "w+", **arguments)
        file[:] = rows
        file.flush()
        return np.memmap(tmp_path / "rows", rows.dtype, mode, **arguments)

    return write


def fitted(rows, covariance_type="full", **parameters):
    weight = parameters.pop("sample_weight", None)
    parameters = {"random_state": 0, "n_swaps": 0, "max_iter": 5} | parameters
    mixture = GaussianMixture(3, covariance_type=covariance_type, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(rows, sample_weight=weight)


def assert_same(rows, array, covariance_type="full", **parameters):
    """Assert that rows give what the array gives, to the last bit."""
    one = fitted(rows, covariance_type, **parameters)
    other = fitted(array, covariance_type, **parameters)
    assert one.lower_bounds_ == other.lower_bounds_
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    for name in ("predict", "predict_proba", "score_samples", "score", "bic", "icl"):
        answer, expected = getattr(one, name)(rows), getattr(other, name)(array)
        np.testing.assert_array_equal(answer, expected)
        assert np.asarray(answer).dtype == np.asarray(expected).dtype


# ---- the same answers ----
@types
def test_a_mapped_file_gives_what_memory_gives(mapped, covariance_type):
    assert_same(mapped(X), X, covariance_type)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", ">f4", "f2", "i2", "u8"])
def test_any_order_and_dtype(mapped, order, dtype):
    rows = np.asarray(10 * abs(X), dtype=dtype, order=order)
    file = mapped(rows, order)
    assert is_stored(file)
    assert_same(file, rows, max_iter=1)


def test_starts_that_are_refined_on_more_rows(mapped, monkeypatch):
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 300)
    assert_same(mapped(X), X, n_swaps=4)


def test_parts_of_a_file(mapped):
    file = mapped(X, offset=1000)
    assert_same(file[3000:9000], X[3000:9000])
    assert_same(file[::2, 1:], X[::2, 1:])
    assert_same(file[::-1], X[::-1])


def test_changes_of_a_private_map_are_kept(mapped):
    file = mapped(X, mode="c")
    file += 1.0
    assert_same(file, X + 1.0, max_iter=1)
    np.testing.assert_array_equal(file, X + 1.0)


@types
def test_weights_of_zero_leave_rows_out(mapped, covariance_type, small_blocks):
    assert_same(mapped(X), X, covariance_type, sample_weight=WEIGHT)
    one = fitted(mapped(X), covariance_type)
    assert one.score(mapped(X), sample_weight=WEIGHT) == pytest.approx(
        one.score(np.repeat(X, WEIGHT, axis=0)), rel=1e-12
    )


@pytest.mark.parametrize("init_params", ["labels", "callable", "means"])
def test_any_start(mapped, init_params):
    labels = np.arange(N) % 3
    parameters = {
        "labels": {"init_params": labels},
        "callable": {"init_params": lambda X, k, rng: np.argmax(X[:, :3], axis=1)},
        "means": {"means_init": X[:3]},
    }[init_params]
    assert_same(mapped(X), X, max_iter=1, **parameters)


def test_files_smaller_than_a_sample(mapped):
    assert_same(mapped(X[:50]), X[:50])


@pytest.mark.parametrize(
    "chunks", [None, (1, D), (777, 2), (N, D), (10 * N, D), ((N,), (D,))]
)
def test_anything_that_slices(chunks, small_blocks):
    assert_same(Table(X, chunks), X, max_iter=1, sample_weight=WEIGHT)


def test_rows_stored_together_are_read_together():
    table = Table(X, (777, D))
    fitted(table, max_iter=1)
    assert {part.start % 777 for part in table.reads} == {0}


@pytest.mark.parametrize("code", ["EVE", "VEI"])
def test_any_family(code):
    assert_same(Table(X), X, code, equal_weights=True)


@types
def test_steps_without_the_compiled_call(covariance_type):
    # It needs rows in memory.
    family, weight = FAMILIES[covariance_type], np.ones(N)
    start, trails = fitted(X, covariance_type, init_params="random", max_iter=0), []
    for rows in (X, StoredRows.of(Table(X))):
        source = ArraySource.of(rows, weight, per_feature=family.per_feature)
        penalty = PseudoObservations.of(source.frame, 1.0)
        inward = source.frame.inward(start._model().mixture)
        [(_, trail)] = Problem(source, family, penalty).steps(Mixtures.of([inward]), 4)
        trails.append(trail)
    assert len(trails[1]) == 5
    np.testing.assert_allclose(trails[1], trails[0], rtol=1e-12)


@pytest.mark.parametrize("module", ["h5py", "zarr"])
def test_arrays_of_libraries(module, tmp_path):
    library = pytest.importorskip(module)
    if module == "h5py":
        with library.File(tmp_path / "rows.h5", "w") as file:
            rows = file.create_dataset("rows", data=X, chunks=(1000, D))
            assert_same(rows, X)
    else:
        rows = library.create_array(
            tmp_path / "rows.zarr", shape=X.shape, dtype=X.dtype, chunks=(1000, D)
        )
        rows[:] = X
        assert_same(rows, X)


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=20),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
)
def test_pieces_are_cut_anew(pieces, sizes):
    rows = np.arange(sum(pieces))
    ends = np.cumsum(pieces)
    bounds = [0]
    while bounds[-1] < len(rows):
        bounds.append(bounds[-1] + sizes[len(bounds) % len(sizes)])
    slices = [slice(*pair) for pair in pairwise(bounds)]
    cut = skgmm._files._recut(iter(np.split(rows, ends[:-1])), slices, len(rows))
    for part, piece in zip(slices, cut, strict=True):
        np.testing.assert_array_equal(piece, rows[part])


# ---- what is no file ----
@pytest.mark.parametrize(
    "array",
    [X, X[0], X.tolist(), Table(X[0]), Table(X[:0]), Table(X.astype(str)), None],
)
def test_what_is_not_stored(array):
    assert not is_stored(array)


# ---- errors ----
def spoilt(value):
    rows = X.copy()
    rows[-5, 1] = value
    return rows


def test_bad_rows_are_an_error_of_any_method(mapped, small_blocks):
    mixture = fitted(X)
    before = mixture.means_
    rows = spoilt(np.inf)
    for method in ("fit", "predict", "score_samples", "score", "icl"):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            getattr(mixture, method)(mapped(rows))
    np.testing.assert_array_equal(mixture.means_, before)


def test_a_fit_to_blocks_takes_no_missing_values(small_blocks):
    mixture = fitted(X)
    before = mixture.means_
    with pytest.raises(ValueError, match=r"X contains NaN.*got a file.*Load it into"):
        mixture.fit(Table(spoilt(np.nan)))
    np.testing.assert_array_equal(mixture.means_, before)


def test_a_mapped_file_with_missing_values_is_an_array(mapped, small_blocks):
    # As the one that joblib hands to a worker.
    rows = spoilt(np.nan)
    there, here = fitted(mapped(rows)), fitted(rows)
    np.testing.assert_array_equal(there.means_, here.means_)
    np.testing.assert_array_equal(there.covariances_, here.covariances_)


def test_predictions_for_a_file_take_missing_values(mapped, small_blocks):
    mixture, rows = fitted(X), spoilt(np.nan)
    rows[7] = np.nan
    for method in ("predict", "predict_proba", "score_samples"):
        here, there = getattr(mixture, method)(rows), getattr(mixture, method)
        np.testing.assert_array_equal(there(mapped(rows)), here)
    for method in ("score", "bic", "icl"):
        here, there = getattr(mixture, method)(rows), getattr(mixture, method)
        assert there(mapped(rows)) == here


def test_what_needs_rows_in_memory_loads_them(mapped):
    mixture, few = fitted(X), X[:20]
    for method in ("component_log_density", "in_highest_density_region"):
        options = {"random_state": 0} if method.startswith("in_") else {}
        arguments = (0.5,) if options else ()
        here = getattr(mixture, method)(few, *arguments, **options)
        there = getattr(mixture, method)(mapped(few), *arguments, **options)
        np.testing.assert_array_equal(there, here)


def test_wrong_number_of_features(mapped):
    with pytest.raises(
        ValueError, match="X has 3 features, but GaussianMixture is exp"
    ):
        fitted(X).predict(mapped(X[:, :3]))


@pytest.mark.parametrize("at", [1, 30, 150])
def test_an_error_of_reading_passes_through(at, small_blocks):
    threads = threading.active_count()
    table = Table(X, (500, D), fail_at=at)
    mixture = fitted(X)
    before = mixture.means_
    with pytest.raises(OSError, match="the disk is gone"):
        mixture.fit(table)
    assert mixture.means_ is not None
    np.testing.assert_array_equal(mixture.means_, before)
    names = [thread.name for thread in threading.enumerate()]
    assert not any("skgmm-read" in name for name in names), threads


def test_a_reader_ends_when_nobody_wants_more():
    blocks = iter(
        Blocks(StoredRows.of(Table(X)), [slice(i, i + 100) for i in range(0, N, 100)])
    )
    next(blocks)
    blocks.close()
    assert not any("skgmm-read" in thread.name for thread in threading.enumerate())


# ---- memory ----
SCRIPT = """
import re, sys, warnings
import numpy as np
from skgmm import GaussianMixture

def resident(name):
    text = open("/proc/self/status").read()
    return int(re.search(name + r":\\s+(\\d+)", text)[1]) / 1000

warnings.simplefilter("ignore")
mixture = GaussianMixture(2, covariance_type=sys.argv[2], max_iter=1, random_state=0)
mixture.fit(np.random.default_rng(0).normal(size=(500, 10)))
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
rows = np.load(sys.argv[1], mmap_mode="r")
mixture.fit(rows)
mixture.score(rows), mixture.bic(rows)
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_fit_takes_less_memory_than_the_file(tmp_path, order):
    shape = 3_000_000, 10  # 120 MB
    values = np.random.default_rng(0).normal(size=30_000).astype("f4")
    rows = np.resize(values, shape).reshape(shape, order=order)
    np.save(tmp_path / "rows.npy", rows)
    del rows
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "rows.npy"), "diag"]
    peak = float(subprocess.check_output(command, text=True))
    assert peak < 60
