"""Streams: partial_fit learns what fit learns, batch by batch."""

import pickle
import warnings
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, Truth, case, cases

import skgmm._online
from skgmm import GaussianMixture
from skgmm._online import StepSize
from skgmm._statistics import Statistics
from skgmm.forms import Diag, Full, Spherical, Tied
from skgmm.kernels import reference

types = pytest.mark.parametrize("covariance_type", TYPES)
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Features .* have one value only:UserWarning",
)
FORMS = {"full": Full, "tied": Tied, "diag": Diag, "spherical": Spherical}


@pytest.fixture(autouse=True)
def few_first_rows(monkeypatch):
    """So that streams begin soon."""
    monkeypatch.setattr(skgmm._online, "_FIRST_ROWS", 5000)


def stream(mixture, X, size=1000, sample_weight=None):
    """Show a mixture the rows in batches."""
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        weight = None if sample_weight is None else sample_weight[part]
        mixture.partial_fit(X[part], sample_weight=weight)
    return mixture


def rows(seed, n_components, n_features, n_rows, distance=2.0):
    truth = Truth.random(seed, n_components, n_features, distance)
    X, _ = truth.sample(n_rows, seed)
    return np.random.default_rng(seed).permutation(X)


def parameters(mixture):
    return mixture.weights_, mixture.means_, mixture.covariances_


def assert_close(one, other, **tolerance):
    for mine, theirs in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_allclose(mine, theirs, **tolerance)


# ---- statistics ----
def statistics_of(z, shares, origin, form):
    unit = np.zeros(z.shape[1]), np.ones(z.shape[1])
    sums = reference.moments(z, np.ones(len(z)), *unit, shares, origin, form)
    return Statistics(*sums, origin, form)


@types
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_statistics_about_any_origin_are_the_same_moments(covariance_type, case, seed):
    rng = np.random.default_rng(seed)
    form = FORMS[covariance_type]
    shares = rng.dirichlet(np.ones(case.n_components), size=len(case.X))
    one, other = 3 * rng.normal(size=(2, *case.truth.means.shape))
    moved = statistics_of(case.X, shares, one, form).about(other)
    direct = statistics_of(case.X, shares, other, form)
    size = np.abs(direct.scatter()).max()
    np.testing.assert_allclose(moved.first, direct.first, rtol=1e-9, atol=1e-9 * size)
    np.testing.assert_allclose(moved.means(), direct.means(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        moved.scatter(), direct.scatter(), rtol=1e-9, atol=1e-10 * size
    )
    if form is not Full:  # its sums hold a triangle only
        np.testing.assert_allclose(moved.second, direct.second, atol=1e-7 * size)


# ---- step sizes ----
@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=20))
def test_a_decay_of_one_is_the_plain_average(batches):
    steps, seen, average = StepSize(1.0, 0.0, None), 0.0, 0.0
    for index, batch in enumerate(batches):
        seen += batch
        step = steps.of(seen, batch)
        average = (1 - step) * average + step * index
    assert average == pytest.approx(np.average(range(len(batches)), weights=batches))


@given(st.floats(1, 1e3), st.floats(100, 1e6))
def test_a_half_life_halves(batch, half_life):
    # However many batches it is cut into, and if the decay has made steps small.
    steps = StepSize(1.0, 0.0, half_life)
    left = (1 - steps.of(1e12, batch)) ** (half_life / batch)
    assert left == pytest.approx(0.5)


def test_steps_get_smaller_by_the_decay():
    steps = StepSize(0.7, 10.0, None)
    assert steps.of(1000.0, 1000.0) == pytest.approx(11**-0.7)
    assert steps.of(90_000.0, 1000.0) == pytest.approx(100**-0.7)


# ---- the first rows ----
@types
def test_few_rows_are_fitted_as_by_fit(covariance_type):
    X = case(1, 3, 2, n_rows=400, distance=8.0).X
    mixture = GaussianMixture(3, covariance_type=covariance_type)
    by_parts, whole = stream(clone(mixture), X, 50), mixture.fit(X)
    assert_close(by_parts, whole, rtol=1e-3, atol=1e-3)
    assert by_parts.score(X) == pytest.approx(whole.score(X), abs=1e-5)
    assert by_parts.n_samples_seen_ == whole.n_samples_seen_ == 400
    assert by_parts.converged_


def test_rows_one_by_one_give_a_usable_mixture_at_any_time():
    X = case(1, 2, 2, n_rows=200, distance=8.0).X
    mixture = GaussianMixture(2).partial_fit(X[:2])
    for index in range(2, 60):
        mixture.partial_fit(X[[index]])
        assert np.isfinite(mixture.score(X))
    assert mixture.score(X) > GaussianMixture(1).fit(X).score(X)


def test_rows_are_fitted_again_when_there_are_some_more():
    X = case(1, 2, 2, n_rows=1100, distance=8.0).X
    mixture = GaussianMixture(2).partial_fit(X[:1000])
    means = mixture.means_
    mixture.partial_fit(X[1000:1099])
    np.testing.assert_array_equal(mixture.means_, means)
    assert mixture.n_samples_seen_ == 1099
    mixture.partial_fit(X[1099:1100])
    assert np.all(mixture.means_ != means)
    assert_close(mixture, GaussianMixture(2).fit(X), rtol=1e-3, atol=1e-3)


def test_a_new_start_never_replaces_a_better_fit():
    X = rows(2, 6, 2, 2000, distance=3.0)
    gains = []
    for seed in range(6):
        mixture = GaussianMixture(6, init_params="random", random_state=seed)
        before = deepcopy(mixture.partial_fit(X[:1000]))
        mixture.partial_fit(X[1000:])
        anew = clone(mixture).fit(X)
        going_on = clone(mixture).set_params(init_params=before).fit(X)
        best = max(anew, going_on, key=lambda m: (-len(m.degenerate_), m.lower_bound_))
        assert mixture.lower_bound_ == pytest.approx(best.lower_bound_, abs=1e-9)
        gains.append(best is going_on)
    assert 0 < sum(gains) < 6


def test_the_first_batch_needs_a_row_for_each_component():
    mixture = GaussianMixture(3)
    with pytest.raises(ValueError, match=r"Expected n_samples >= n_components"):
        mixture.partial_fit(np.eye(2))
    assert not vars(mixture).keys() & {"_stream", "n_features_in_", "means_"}
    mixture.partial_fit(np.eye(3)).partial_fit(np.eye(3)[:1])


# ---- one pass ----
def excess_lost(X, n_components, covariance_type, size=1000):
    """Return the part of what a mixture gains over a Gaussian that a stream misses."""
    mixture = GaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0
    )
    learnt = stream(clone(mixture), X, size).score(X)
    one = clone(mixture).set_params(n_components=1).fit(X).score(X)
    best = mixture.fit(X).score(X)
    return (best - learnt) / (best - one)


@types
def test_one_pass_is_nearly_as_good_as_a_fit(covariance_type):
    assert excess_lost(rows(0, 5, 5, 30_000), 5, covariance_type) < 0.01


@pytest.mark.parametrize("size", [100, 777, 10_000])
def test_the_size_of_batches_matters_little(size):
    assert excess_lost(rows(0, 3, 3, 30_000), 3, "full", size) < 0.01


@pytest.mark.parametrize(
    ("code", "equal_weights"),
    [
        *((code, False) for code in ("VEI", "VEE", "EVE", "VEV")),
        *((code, True) for code in ("VEI", "EVV")),
    ],
)
def test_streams_of_any_family(code, equal_weights):
    X = rows(4, 3, 3, 25_000, distance=4.0)
    options = {"covariance_type": code, "equal_weights": equal_weights, "n_swaps": 0}
    mixture = stream(GaussianMixture(3, **options), X)
    best = GaussianMixture(3, init_params="kmeans", **options).fit(X)
    assert best.score(X) - mixture.score(X) < 2e-3
    if equal_weights:
        np.testing.assert_array_equal(mixture.weights_, np.full(3, 1 / 3))
    # It has the number of free covariances that the family allows.
    family = mixture._model().family
    covariances = mixture._model().mixture.covariances
    nearest = family.values(
        best.weights_,
        family.form.scatter_of(covariances.values, best.weights_),
        covariances.values,
    )
    np.testing.assert_allclose(nearest, covariances.values, rtol=1e-6, atol=1e-8)


def test_a_stream_knows_how_many_rows_components_have():
    # Though their weights are held equal.
    X = np.concatenate([np.zeros(900), np.full(100, 9.0)])[:, np.newaxis]
    X = X + np.random.default_rng(0).normal(size=X.shape)
    mixture = GaussianMixture(2, covariance_type="E", equal_weights=True).fit(X)
    np.testing.assert_allclose(mixture._stream.shares, [0.9, 0.1], atol=1e-3)


def test_missing_values_are_refused():
    mixture = stream(GaussianMixture(2), X := rows(0, 2, 2, 500))
    before = parameters(mixture)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"X contains NaN; partial_fit .*Imputer"):
        mixture.partial_fit(X)
    np.testing.assert_array_equal(mixture.means_, before[1])
    assert mixture.n_samples_seen_ == 500
    # A fit may have had some.
    mixture = GaussianMixture(2).fit(X).partial_fit(X[10:])
    assert mixture.n_samples_seen_ == 990


def test_equal_weights_of_batches_give_the_mean_and_covariance():
    # One component: with a decay of one the stream is exact.
    X = rows(0, 2, 3, 9000) * [1, 1e3, 1e-3] + [1e6, 0, 1]
    mixture = GaussianMixture(1, learning_decay=1.0, learning_offset=0.0)
    mixture.partial_fit(X[:6000])
    stream(mixture, X[6000:], 100)
    assert_close(mixture, GaussianMixture(1).fit(X), rtol=1e-9)
    expected = np.cov(X.T, bias=True)
    np.testing.assert_allclose(mixture.covariances_[0], expected, rtol=1e-8)


@types
def test_weights_are_repeated_rows(covariance_type):
    X = rows(0, 3, 2, 12_000)
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    mixture = GaussianMixture(3, covariance_type=covariance_type, n_swaps=0)
    one, other = clone(mixture), clone(mixture)
    start = mixture.fit(X[:3000])
    for part in np.split(np.arange(len(X)), 8):
        for m in (one, other):
            if not hasattr(m, "n_samples_seen_"):
                for name, value in zip(
                    ("weights_", "means_", "covariances_"),
                    parameters(start),
                    strict=True,
                ):
                    setattr(m, name, value)
        one.partial_fit(X[part], sample_weight=weight[part])
        other.partial_fit(np.repeat(X[part], weight[part].astype(int), axis=0))
    assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert one.n_samples_seen_ == other.n_samples_seen_ == weight.sum()


@types
def test_shift_and_scale_change_nothing_but_the_units(covariance_type):
    X = rows(0, 3, 2, 12_000)
    scale = np.array([1024.0, 1024.0 if covariance_type == "spherical" else 2.0**-9])
    shift = np.array([2.0**20, -3.0])
    mixture = GaussianMixture(3, covariance_type=covariance_type)
    one, other = stream(clone(mixture), X), stream(clone(mixture), X * scale + shift)
    np.testing.assert_allclose(other.weights_, one.weights_, rtol=1e-5)
    np.testing.assert_allclose(other.means_, one.means_ * scale + shift, rtol=1e-5)


# ---- what may go wrong ----
def test_small_batches_do_not_make_components_collapse():
    X = rows(1, 5, 4, 8000)
    mixture = GaussianMixture(5, half_life=100.0).fit(X[:3000])
    for row in X[3000:3600]:
        mixture.partial_fit(row[np.newaxis])
    eigenvalues = np.linalg.eigvalsh(mixture.covariances_)
    assert eigenvalues.min() > 1e-3
    assert mixture.score(X[3600:]) > GaussianMixture(1).fit(X).score(X) - 1.0


def test_a_drift_is_followed_if_asked(monkeypatch):
    rng = np.random.default_rng(0)

    def batch(at):
        return rng.normal(size=(500, 2)) + at + 20 * rng.integers(2, size=(500, 1))

    following = GaussianMixture(2, half_life=2000.0)
    lasting = GaussianMixture(2, learning_decay=1.0, learning_offset=0.0)
    batches = [batch(0.1 * step) for step in range(100)]
    for X in batches:
        lasting.partial_fit(X)
    monkeypatch.undo()  # with a half-life, streams begin soon anyway
    for X in batches:
        following.partial_fit(X)
    expected = np.array([[9.9, 9.9], [29.9, 29.9]])
    assert abs(following.means_ - expected).max() < 1.0
    assert abs(lasting.means_ - expected).max() > 3.0


def test_a_half_life_is_one_of_observations():
    X = rows(0, 2, 2, 1000)
    mixture = GaussianMixture(2, half_life=2000.0)
    mixture.partial_fit(X[:150], sample_weight=np.full(150, 100))
    assert mixture.converged_  # too few rows for a stream to begin
    mixture.partial_fit(X[150:250], sample_weight=np.full(100, 100))
    mixture.partial_fit(X[250:300], sample_weight=np.full(50, 100))
    assert not mixture.converged_
    assert mixture.n_samples_seen_ == 30_000


@types
def test_a_feature_that_begins_to_vary(covariance_type):
    X = rows(0, 3, 3, 40_000)
    first = X[:6000].copy()
    first[:, 2] = 5.0
    mixture = GaussianMixture(3, covariance_type=covariance_type).partial_fit(first)
    stream(mixture, X[6000:])
    one = GaussianMixture(1, covariance_type=covariance_type).fit(X).score(X)
    best = GaussianMixture(3, covariance_type=covariance_type).fit(X).score(X)
    assert mixture.score(X) - one > 0.8 * (best - one)


def test_a_feature_that_never_varies_says_nothing():
    X = rows(0, 3, 2, 30_000)
    wide = np.hstack([X, np.full((len(X), 1), 1e3)])
    one, other = (stream(GaussianMixture(3), data) for data in (X, wide))
    # The first fits end within `tol` of the same optimum, and so do the streams.
    constant = 0.5 * np.log(2 * np.pi * 1e-6)
    assert other.score(wide) + constant == pytest.approx(one.score(X), abs=1e-6)
    np.testing.assert_allclose(other.weights_, one.weights_, atol=1e-3)
    np.testing.assert_allclose(other.means_[:, :2], one.means_, atol=1e-2)
    np.testing.assert_allclose(other.covariances_[:, 2, 2], 1e-6, rtol=1e-6)


def test_a_first_batch_far_from_the_others():
    X = rows(0, 3, 2, 40_000)
    first = 1e-3 * X[:6000] + 1e4
    mixture = GaussianMixture(3, half_life=1000.0).partial_fit(first)
    stream(mixture, X)
    single = GaussianMixture(1).fit(X).score(X)
    assert mixture.score(X) > single - 0.01


def test_rows_without_density_are_refused():
    X = rows(0, 2, 2, 6000)
    mixture = GaussianMixture(2).partial_fit(X)
    before = deepcopy(vars(mixture))
    far = X[:10] * 1e200
    with pytest.raises(ValueError, match="rows that are too far away from all before"):
        mixture.partial_fit(far)
    np.testing.assert_array_equal(mixture.means_, before["_fitted_model"].mixture.means)
    assert mixture.n_samples_seen_ == 6000


# ---- life with fit, parameters and pickles ----
def test_it_goes_on_from_fit_and_fit_begins_anew():
    X = rows(0, 3, 2, 8000)
    mixture = GaussianMixture(3).fit(X[:2000])
    means = mixture.means_
    mixture.partial_fit(X[2000:2100])
    assert mixture.n_samples_seen_ == 2100
    assert 0 < abs(mixture.means_ - means).max() < 0.3
    assert not mixture.converged_
    assert mixture.n_iter_ == 1
    again = mixture.fit(X[:2000])
    np.testing.assert_array_equal(again.means_, means)
    assert again.n_samples_seen_ == 2000


def test_a_batch_of_no_news_changes_next_to_nothing():
    X = rows(0, 3, 2, 8000)
    for parameters in ({}, {"reg_covar": 1e-6}):
        mixture = GaussianMixture(3, tol=1e-12, **parameters).fit(X)
        before = deepcopy(mixture)
        assert_close(mixture.partial_fit(X), before, rtol=1e-4, atol=1e-4)


def test_it_goes_on_from_given_parameters():
    X = rows(0, 3, 2, 8000)
    fit = GaussianMixture(3).fit(X)
    given = GaussianMixture.from_parameters(
        fit.weights_, fit.means_, covariances=fit.covariances_
    )
    given.partial_fit(X[:1000])
    assert given.n_samples_seen_ == 1000
    assert abs(given.score(X) - fit.score(X)) < 0.01
    given.means_ = fit.means_
    given.partial_fit(X[:1000])
    assert given.n_samples_seen_ == 1000


def test_pickles_and_copies_go_on_alike():
    X = rows(0, 3, 2, 9000)
    for seen in (3000, 7000):
        mixture = stream(GaussianMixture(3, random_state=0), X[:seen])
        others = [pickle.loads(pickle.dumps(mixture)), deepcopy(mixture)]
        mixture.partial_fit(X[seen:])
        for other in others:
            other.partial_fit(X[seen:])
            assert_close(other, mixture, rtol=0)
            assert other.n_samples_seen_ == mixture.n_samples_seen_ == 9000


def test_batches_of_a_file(tmp_path):
    X = rows(0, 3, 2, 7000)
    np.save(tmp_path / "rows.npy", X)
    file = np.load(tmp_path / "rows.npy", mmap_mode="r")
    mixture = GaussianMixture(3, random_state=0)
    one, other = stream(clone(mixture), X), stream(clone(mixture), file)
    assert_close(one, other, rtol=0)


def test_the_dtype_is_that_of_the_batches():
    X = rows(0, 3, 2, 7000).astype(np.float32)
    mixture = stream(GaussianMixture(3), X)
    assert mixture.means_.dtype == np.float32
    mixture.partial_fit(X.astype(float))
    assert mixture.means_.dtype == np.float64


@pytest.mark.parametrize("n_rows", [200, 6000])
def test_errors_leave_the_mixture_as_it_was(n_rows):
    X = rows(0, 3, 2, n_rows)
    mixture = GaussianMixture(3).partial_fit(X)
    before = vars(mixture).copy()
    bad = [
        ({"X": X[:, :1]}, "X has 1 features, but GaussianMixture is expecting 2"),
        ({"X": np.full((3, 2), np.nan)}, "contains NaN"),
        ({"X": X, "sample_weight": -np.ones(n_rows)}, "must not be negative"),
        ({"X": X, "sample_weight": np.zeros(n_rows)}, "all zero weights"),
    ]
    for arguments, text in bad:
        with pytest.raises(ValueError, match=text):
            mixture.partial_fit(**arguments)
        assert vars(mixture) == before
    mixture.set_params(n_components=4)
    with pytest.raises(ValueError, match=r"n_components was 3 and is now 4\. Call fit"):
        mixture.partial_fit(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_decay", 0.5),
        ("learning_decay", 1.1),
        ("learning_offset", -1.0),
        ("half_life", 0.0),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        GaussianMixture(**{name: value}).partial_fit(np.eye(3))


def test_a_ridge_of_zero_and_rows_on_a_line():
    # So many features that rounding cannot make up for all that are missing.
    line = np.arange(6000.0)[:, np.newaxis] * np.ones(10)
    mixture = GaussianMixture(1, reg_covar=0.0)
    mixture.partial_fit(line + np.random.default_rng(0).normal(size=line.shape))
    mixture.set_params(learning_decay=1.0, learning_offset=0.0, half_life=1e-3)
    with pytest.raises(ValueError, match="Fitting failed: The covariance of component"):
        mixture.partial_fit(line)


def test_no_warnings_of_an_ordinary_stream():
    X = rows(0, 3, 2, 9000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        stream(GaussianMixture(3), X)
