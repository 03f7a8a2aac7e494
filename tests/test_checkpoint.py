"""Fits that go on after their process has ended, and models that are saved."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, case

import skgmm._checkpoint
from skgmm import GaussianMixture, _version
from skgmm.families import Family
from skgmm.forms import Diag

X = case(1, 3, 2, n_rows=600, distance=1.5).X
PARAMETERS = {"tol": 1e-10, "random_state": 0, "n_init": 2, "init_params": "kmeans"}


class Killed(BaseException):
    """Ends a fit as nothing else does."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Save at every occasion."""
    monkeypatch.setattr(skgmm._checkpoint, "INTERVAL", 0.0)


def mixture_of(path=None, **parameters):
    return GaussianMixture(3, checkpoint=path, **(PARAMETERS | parameters))


def fit(mixture, rows=X, sample_weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(rows, sample_weight=sample_weight)


def killed_after(n_saves, mixture, monkeypatch, rows=X):
    """Fit until so many checkpoints were saved; return whether it came to that."""
    save, saves = skgmm._checkpoint.Checkpoint.save, []

    def counted(self, state):
        save(self, state)
        saves.append(state)
        if len(saves) == n_saves:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(skgmm._checkpoint.Checkpoint, "save", counted)
        try:
            fit(mixture, rows)
        except Killed:
            return True
    return False


def assert_same(one, other):
    assert one.lower_bounds_ == other.lower_bounds_
    assert one.n_iter_ == other.n_iter_
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# ---- going on ----
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("acceleration", ["squarem", None])
def test_a_fit_goes_on_to_the_same_result(
    path, monkeypatch, covariance_type, acceleration
):
    parameters = {"covariance_type": covariance_type, "acceleration": acceleration}
    parameters["max_iter"] = 40
    expected = fit(mixture_of(**parameters))
    for n_saves in (1, 5, 12):
        if not killed_after(n_saves, mixture_of(path, **parameters), monkeypatch):
            break
        assert path.exists()
        assert_same(fit(mixture_of(path, **parameters)), expected)
        assert list(path.parent.iterdir()) == []
    assert n_saves > 1


OWN = Family("own", "VVI", Diag, lambda n, s: s / n[:, None], lambda k, d: k * d)


@pytest.mark.parametrize("covariance_type", ["EVE", "VEV", OWN])
@pytest.mark.parametrize("equal_weights", [False, True])
def test_fits_of_any_family_go_on(path, monkeypatch, covariance_type, equal_weights):
    parameters = {"covariance_type": covariance_type, "equal_weights": equal_weights}
    assert killed_after(5, mixture_of(path, **parameters), monkeypatch)
    assert_same(fit(mixture_of(path, **parameters)), fit(mixture_of(**parameters)))


def test_fits_to_rows_with_holes_go_on(path, monkeypatch):
    rows = X.copy()
    rows[::7, 0] = rows[1::7, 1] = np.nan
    assert killed_after(5, mixture_of(path), monkeypatch, rows)
    assert_same(fit(mixture_of(path), rows), fit(mixture_of(), rows))


def test_a_fit_may_be_interrupted_again_and_again(path, monkeypatch):
    expected, n_times = fit(mixture_of()), 0
    while killed_after(2, mixture_of(path), monkeypatch):
        n_times += 1
    assert n_times > 5
    assert_same(fit(mixture_of()), expected)


def test_more_iterations_may_be_allowed(path, monkeypatch):
    assert killed_after(3, mixture_of(path, max_iter=7), monkeypatch)
    assert_same(fit(mixture_of(path)), fit(mixture_of()))


def test_a_start_that_failed_is_remembered(path, monkeypatch):
    # The first one has no density at the rows.
    def starts(X, n_components, rng):
        starts.n += 1
        far = starts.n == 1
        return GaussianMixture.from_parameters(
            [0.5, 0.5, 0.0], np.eye(3, 2) + 1e200 * far, covariances=np.ones(3),
            covariance_type="spherical",
        )  # fmt: skip

    starts.n = 0
    parameters = {"init_params": starts, "covariance_type": "spherical"}
    assert killed_after(2, mixture_of(path, **parameters), monkeypatch)
    with (
        pytest.warns(ConvergenceWarning, match="are empty"),
        pytest.warns(ConvergenceWarning, match="1 of the n_init=2 starts failed"),
    ):
        mixture_of(path, **parameters).fit(X)
    assert starts.n == 2


SCRIPT = """
import sys, time, warnings
import numpy as np
import skgmm._checkpoint
from skgmm import GaussianMixture
from skgmm._em import Climb

warnings.simplefilter("ignore")
skgmm._checkpoint.INTERVAL = 0.0
step = Climb.step
Climb.step = lambda self, *a: (time.sleep(0.05), step(self, *a))[1]
rows = np.load(sys.argv[1], mmap_mode="r")
mixture = GaussianMixture(
    3, init_params="bisect", acceleration=None, tol=0, max_iter=10**6,
    checkpoint=sys.argv[2],
)
mixture.fit(rows)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_process_that_is_killed(path, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "rows.npy"), str(path)]
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + 60
        while not path.exists() or path.stat().st_mtime < time.time() - 60:
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    parameters = {"init_params": "bisect", "acceleration": None}
    parameters |= {"tol": 0, "max_iter": 60}
    expected = fit(GaussianMixture(3, **parameters))
    mixture = fit(GaussianMixture(3, checkpoint=str(path), **parameters))
    n = expected.n_iter_
    assert mixture.lower_bounds_[:n] == expected.lower_bounds_


# ---- the file ----
def test_a_half_written_file_is_never_read(path, monkeypatch):
    assert killed_after(3, mixture_of(path), monkeypatch)
    path.with_name("state.part").write_bytes(b"half of a")
    assert_same(fit(mixture_of(path)), fit(mixture_of()))


def test_a_failure_while_writing_leaves_the_last_file(path, monkeypatch):
    assert killed_after(3, mixture_of(path), monkeypatch)
    before = path.read_bytes()
    with monkeypatch.context() as patch:

        def fsync(descriptor):
            raise OSError("the disk is full")

        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="the disk is full"):
            fit(mixture_of(path))
    assert path.read_bytes() == before
    assert_same(fit(mixture_of(path)), fit(mixture_of()))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_file_is_an_error(path, monkeypatch, damage):
    assert killed_after(3, mixture_of(path), monkeypatch)
    content = path.read_bytes()
    flipped = bytes([content[-20] ^ 1])
    path.write_bytes(
        {
            "cut": content[:-100],
            "flipped": content[:-20] + flipped + content[-19:],
            "empty": b"",
            "other": b"something else\n" * 10,
        }[damage]
    )
    with pytest.raises(ValueError, match=r"state is none, or is damaged"):
        mixture_of(path).fit(X)


@pytest.mark.parametrize(
    ("parameters", "rows", "text"),
    [
        ({"reg_covar": 1e-3}, X, "parameters"),
        ({}, X[:-1], "shape of X"),
        ({}, X + 1e-6, "rows or weights"),
    ],
)
def test_the_file_of_another_fit_is_an_error(path, monkeypatch, parameters, rows, text):
    assert killed_after(3, mixture_of(path), monkeypatch)
    with pytest.raises(ValueError, match=f"differs in the {text}"):
        mixture_of(path, **parameters).fit(rows)


def test_nothing_is_written_before_the_interval(path, monkeypatch):
    monkeypatch.setattr(skgmm._checkpoint, "INTERVAL", 60.0)
    assert killed_after(5, mixture_of(path), monkeypatch)
    assert not path.exists()


def test_a_checkpoint_of_a_later_version(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(skgmm._checkpoint, "__version__", "99.0")
        assert killed_after(3, mixture_of(path), monkeypatch)
    with pytest.raises(ValueError, match="state was saved by skgmm 99"):
        mixture_of(path).fit(X)


# ---- saved models ----
@pytest.mark.parametrize("covariance_type", TYPES)
def test_pickle_and_joblib_keep_everything(tmp_path, covariance_type):
    for mixture in (
        fit(mixture_of(covariance_type=covariance_type)),
        mixture_of(covariance_type=covariance_type).partial_fit(X),
        mixture_of(),
    ):
        joblib.dump(mixture, tmp_path / "model")
        for other in (
            pickle.loads(pickle.dumps(mixture)),
            joblib.load(tmp_path / "model"),
        ):
            assert other.get_params() == mixture.get_params()
            assert vars(other).keys() == vars(mixture).keys()
            if hasattr(mixture, "means_"):
                np.testing.assert_array_equal(
                    other.score_samples(X), mixture.score_samples(X)
                )


@pytest.mark.parametrize("covariance_type", ["full", "EVE"])
@pytest.mark.parametrize("equal_weights", [False, True])
def test_skops_keeps_everything(covariance_type, equal_weights):
    skops = pytest.importorskip("skops.io")
    parameters = {"covariance_type": covariance_type, "equal_weights": equal_weights}
    mixture = fit(mixture_of(**parameters))
    content = skops.dumps(mixture)
    trusted = skops.get_untrusted_types(data=content)
    assert all(name.startswith(("skgmm.", "numpy.")) for name in trusted)
    assert not any("lambda" in name for name in trusted)
    other = skops.loads(content, trusted=trusted)
    np.testing.assert_array_equal(other.score_samples(X), mixture.score_samples(X))
    assert other._model().family == mixture._model().family
    other.partial_fit(X)


def test_a_model_of_a_later_version_is_refused(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("skgmm._fitted.__version__", "99.0")
        content = pickle.dumps(fit(mixture_of()))
    with pytest.raises(ValueError, match="GaussianMixture was saved by skgmm 99"):
        pickle.loads(content)
    # Also if it holds what there is not yet.
    content = content.replace(b"skgmm._frame", b"skgmm._later")
    with pytest.raises(ValueError, match="Install that version or a later one"):
        pickle.loads(content)


def test_models_of_earlier_versions_are_read():
    for version in ("0.0.1", _version.__version__):
        _version.check_version(version, "It")
