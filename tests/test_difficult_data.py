"""Data as bad as users have: fit works, and says what a user should know."""

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from strategies import examples

from skgmm import GaussianMixture
from skgmm.families import FAMILIES

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]

CONSTANT = "have one value only"
COPIES = "distinct rows, fewer than"
SINGULAR = "less variance in some direction than reg_covar='auto' adds"
EMPTY = "are empty: their responsibilities sum to less than half a row"
NOT_CONVERGED = "did not converge within"
EXPECTED = {
    CONSTANT: UserWarning,
    COPIES: ConvergenceWarning,
    SINGULAR: ConvergenceWarning,
    EMPTY: ConvergenceWarning,
    NOT_CONVERGED: ConvergenceWarning,
}


def fit(X, sample_weight=None, **parameters):
    """Return the fitted mixture and which of the expected warnings it gave."""
    mixture = GaussianMixture(**parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixture.fit(X, sample_weight=sample_weight)
    given = set()
    for warning in caught:
        [text] = [text for text in EXPECTED if text in str(warning.message)] or [None]
        assert text is not None, f"unexpected warning: {warning.message}"
        assert warning.category is EXPECTED[text]
        given.add(text)
    return mixture, given


def check_sound(mixture, X, sample_weight=None):
    """Check all that must hold of a fit, whatever the data."""
    n, d = X.shape
    k = mixture.n_components
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight)
    rows = X[weight > 0].astype(float)

    for array in (mixture.weights_, mixture.means_, mixture.covariances_):
        assert np.all(np.isfinite(array))
    assert np.all(np.isfinite(mixture.precisions_))
    assert np.all(np.isfinite(mixture.precisions_cholesky_))
    assert mixture.means_.shape == (k, d)
    rounding = float(np.finfo(mixture.weights_.dtype).eps)
    assert np.all(mixture.weights_ >= 0)
    assert np.sum(mixture.weights_, dtype=float) == pytest.approx(1, abs=k * rounding)

    low, high = rows.min(axis=0), rows.max(axis=0)
    slack = 8 * rounding * np.maximum(np.abs(low), np.abs(high))
    slack += 1e-12 * (high - low)
    if not FAMILIES[mixture.covariance_type].per_feature:
        slack = slack.max()  # matrices that may be turned mix the features
    assert np.all(mixture.means_ >= low - slack), "a mean outside the data"
    assert np.all(mixture.means_ <= high + slack), "a mean outside the data"

    check_positive_definite(mixture.covariances_, mixture.covariance_type)

    assert np.isfinite(mixture.lower_bound_)
    bounds = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-12 * np.maximum(1, np.abs(bounds[1:])))
    assert mixture.lower_bound_ == bounds[-1]

    assert np.isfinite(mixture.score(X, sample_weight=sample_weight))
    assert np.all(np.isfinite(mixture.score_samples(rows.astype(X.dtype))))
    shares = mixture.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=(8 + k) * rounding)
    labels = mixture.predict(X)
    assert np.all((labels >= 0) & (labels < k))
    sample, _ = mixture.sample(3)
    assert np.all(np.isfinite(sample))


def check_positive_definite(covariances, covariance_type):
    if FAMILIES[covariance_type].form.kind in ("diag", "spherical"):
        assert np.all(covariances > 0)
    else:
        assert np.array_equal(covariances, np.swapaxes(covariances, -1, -2))
        shown = np.array(covariances, dtype=float)
        if covariances.dtype == np.float32:
            # Rounded to float32 a matrix may lose what kept it from singular.
            diagonal = np.arange(shown.shape[-1])
            d = len(diagonal)
            shown[..., diagonal, diagonal] *= 1 + d * float(np.finfo(np.float32).eps)
        np.linalg.cholesky(shown)


# ---- data ----
@dataclass
class Case:
    """Rows, weights and a number of components."""

    X: np.ndarray
    sample_weight: np.ndarray | None
    n_components: int

    @property
    def rows(self):
        """The rows that count."""
        if self.sample_weight is None:
            return self.X
        return self.X[self.sample_weight > 0]

    def warnings_due(self):
        """Which warnings the data call for, whatever the fit finds."""
        rows, due = self.rows, set()
        constant = np.ptp(rows.astype(float), axis=0) == 0
        if constant.any() and len(rows) > 1:
            due.add(CONSTANT)
        if len(np.unique(rows, axis=0)) < self.n_components:
            due.add(COPIES)
        return due


def normal(rng, n, d):
    return rng.normal(size=(n, d))


def clusters(rng, n, d):
    return rng.normal(size=(n, d)) + 10 * rng.integers(0, 3, size=(n, 1))


def duplicated(rng, n, d):
    return rng.normal(size=(max(1, n // 3), d))[rng.integers(0, max(1, n // 3), n)]


def small_integers(rng, n, d):
    return rng.integers(0, 3, size=(n, d)).astype(float)


def one_hot(rng, n, d):
    return np.eye(d)[rng.integers(0, d, n)]


def singleton(rng, n, d):
    """One row far from all others, which agree."""
    X = np.zeros((n, d))
    X[rng.integers(n)] = 1e6
    return X


def all_equal(rng, n, d):
    return np.full((n, d), rng.normal())


def heavy_tails(rng, n, d):
    return rng.standard_cauchy(size=(n, d)) ** 3


def unchanged(rng, X):
    return X


def constant_column(rng, X):
    X[:, rng.integers(X.shape[1])] = rng.normal() * 10.0 ** rng.integers(-5, 6)
    return X


def collinear(rng, X):
    X[:, -1] = X[:, 0] * 3.0 + 1.0
    return X


def offset(rng, X):
    """Far away: 1e12 standard deviations for features of unit variance."""
    return X + 1e12 * rng.choice([-1, 0, 1], X.shape[1])


def tiny(rng, X):
    return X * 1e-140


def huge(rng, X):
    """Largest entries near 1e140, whatever they were."""
    return X / max(1e-300, np.abs(X).max()) * 1e140


def mixed_scales(rng, X):
    return X * 10.0 ** rng.integers(-12, 12, X.shape[1])


SHAPES = [
    normal,
    clusters,
    duplicated,
    small_integers,
    one_hot,
    singleton,
    all_equal,
    heavy_tails,
]
CHANGES = [unchanged, constant_column, collinear, offset, tiny, huge, mixed_scales]


def float32(X):
    """As float32 where that can hold the squares of the spread."""
    spread = np.ptp(X, axis=0)
    able = np.all((spread == 0) | ((spread > 1e-9) & (spread < 1e15)))
    return X.astype(np.float32) if able and np.abs(X).max() < 1e30 else X


def integers(X):
    return X.astype(np.int64) if np.abs(X).max() < 1e15 else X


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def strided(X):
    return np.repeat(X, 2, axis=1)[:, ::2]


LAYOUTS = [np.ascontiguousarray, np.asfortranarray, read_only, strided]
LAYOUTS += [float32, integers]


@st.composite
def cases(draw):
    n = draw(st.integers(1, 25), label="n")
    d = draw(st.integers(1, 6), label="d")
    rng = np.random.default_rng(draw(st.integers(0, 2**16), label="seed"))
    X = draw(st.sampled_from(SHAPES))(rng, n, d)
    X = draw(st.sampled_from(CHANGES))(rng, X)
    X = draw(st.sampled_from(LAYOUTS))(X)
    weighting = draw(st.sampled_from(["none", "none", "counts", "real"]))
    sample_weight = None
    if weighting == "counts":
        sample_weight = rng.integers(0, 4, n).astype(float)
        sample_weight[rng.integers(n)] = 1.0
    elif weighting == "real":
        sample_weight = rng.exponential(size=n) * 10.0 ** rng.integers(-3, 4)
    kept = n if sample_weight is None else int((sample_weight > 0).sum())
    # As many components as rows is the worst case, and drawn often.
    n_components = draw(st.one_of(st.integers(1, min(kept, 5)), st.just(kept)))
    return Case(X, sample_weight, n_components)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@examples(1)
@given(case=cases())
def test_any_data_can_be_fitted(covariance_type, case):
    mixture, said = fit(
        case.X,
        case.sample_weight,
        n_components=case.n_components,
        covariance_type=covariance_type,
    )
    check_sound(mixture, case.X, case.sample_weight)
    due = case.warnings_due()
    assert said & {CONSTANT, COPIES} == due


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_every_kind_of_data_can_be_fitted(covariance_type, shape, change):
    """The same with the kinds of data named, and the number of rows ordinary."""
    rng = np.random.default_rng(0)
    case = Case(change(rng, shape(rng, 30, 3)), None, 3)
    parameters = {"n_components": 3, "covariance_type": covariance_type, "n_swaps": 0}
    mixture, said = fit(case.X, **parameters)
    check_sound(mixture, case.X)
    assert said & {CONSTANT, COPIES} == case.warnings_due()


# ---- what a user should know ----
def rows_of(shape, n=60, d=3):
    return shape(np.random.default_rng(0), n, d)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_constant_features_are_named_once(covariance_type):
    X = np.c_[rows_of(clusters), np.full(60, 7.0), np.full(60, -1e6)]
    mixture = GaussianMixture(3, covariance_type=covariance_type, tol=1e-12)
    match = r"Features \[3, 4\] of X have one value only.*Leave them out"
    with pytest.warns(UserWarning, match=match) as caught:
        mixture.fit(X)
    assert len(caught) == 1
    np.testing.assert_array_equal(mixture.means_[:, 3:], [[7.0, -1e6]] * 3)
    if covariance_type == "spherical":
        return  # Its variance is over all features: constant ones make it smaller.
    without = clone(mixture).fit(X[:, :3])
    np.testing.assert_allclose(
        mixture.predict_proba(X), without.predict_proba(X[:, :3])
    )


@pytest.mark.parametrize(
    ("covariance_type", "X", "n_components"),
    [
        ("full", rows_of(normal, 3, 5), 1),
        ("full", rows_of(one_hot), 1),
        ("full", collinear(None, rows_of(normal)), 2),
        ("full", np.repeat(rows_of(normal, 3), 20, axis=0), 2),
        ("tied", collinear(None, rows_of(normal)), 2),
        ("tied", np.repeat(rows_of(normal, 3), 20, axis=0), 3),
        ("diag", np.repeat(rows_of(normal, 3), 20, axis=0), 3),
        ("spherical", np.repeat(rows_of(normal, 3), 20, axis=0), 3),
        ("diag", rows_of(normal, 4), 4),
        ("spherical", rows_of(normal, 4), 4),
    ],
)
def test_singular_components_are_named(covariance_type, X, n_components):
    mixture, said = fit(X, n_components=n_components, covariance_type=covariance_type)
    check_sound(mixture, X)
    assert said == {SINGULAR}
    everyone = re.escape(str(list(range(n_components))))
    match = (
        rf"Components {everyone} have less variance in some direction than "
        "reg_covar='auto' adds there: their rows span fewer dimensions than X.*Use "
        "fewer components, a simpler covariance_type, or a small float as reg_covar"
    )
    with pytest.warns(ConvergenceWarning, match=match):
        GaussianMixture(n_components, covariance_type=covariance_type).fit(X)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("shape", [normal, clusters])
@pytest.mark.parametrize("change", [unchanged, offset, tiny, huge, mixed_scales])
def test_good_data_give_no_warning(covariance_type, shape, change):
    X = change(np.random.default_rng(1), rows_of(shape, 200))
    _, said = fit(X, n_components=2, covariance_type=covariance_type)
    assert said == set()


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_tight_clusters_far_apart_keep_their_spread(covariance_type):
    # Two bursts of events a year apart, each of 60 seconds.
    rng = np.random.default_rng(0)
    t = np.concatenate([rng.normal(0, 60, 300), rng.normal(3.15e7, 60, 300)])
    parameters = {"n_components": 2, "covariance_type": covariance_type}
    # By default a millionth of an observation has the variance of all rows, a year.
    _, said = fit(t[:, np.newaxis], **parameters)
    assert said == {SINGULAR}
    mixture, said = fit(t[:, np.newaxis], **parameters, reg_covar=1e-3)
    np.testing.assert_allclose(np.sqrt(np.ravel(mixture.covariances_)), 60, rtol=0.05)
    assert said == set()


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_an_outlier_leaves_the_others_their_spread(covariance_type):
    X = np.r_[np.random.default_rng(0).normal(size=(299, 1)), [[1e6]]]
    parameters = {"n_components": 2, "covariance_type": covariance_type}
    _, said = fit(X, **parameters)
    assert said == {SINGULAR}
    mixture, said = fit(X, **parameters, reg_covar=1e-6)
    assert said == set()
    most = np.argmax(mixture.weights_)
    variances = np.broadcast_to(np.ravel(mixture.covariances_), 2)
    assert variances[most] == pytest.approx(np.var(X[:-1]), rel=0.01)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("far", [1e2, 1e5, 1e8, 1e12, 1e100, 1e150, 1e200, 1.7e308])
def test_responsibilities_of_far_rows_sum_to_one(covariance_type, far):
    # Twins: their log-densities are equal, and large.
    mixture = GaussianMixture.from_parameters(
        [0.25, 0.25, 0.5],
        [[0.0, 0], [0, 0], [-5, 0]],
        covariances={
            "full": [np.eye(2)] * 3,
            "tied": np.eye(2),
            "diag": np.ones((3, 2)),
            "spherical": np.ones(3),
        }[covariance_type],
        covariance_type=covariance_type,
    )
    shares = mixture.predict_proba([[far, 0.0]])
    assert shares.sum() == pytest.approx(1, abs=1e-14)
    assert mixture.predict([[far, 0.0]]) in ([0], [1])


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_float32_model_of_singular_data_can_be_used_again(covariance_type):
    # Its covariances, rounded to float32, need not be positive definite.
    X = collinear(None, rows_of(normal)).astype(np.float32)
    mixture, _ = fit(X, covariance_type=covariance_type)
    again, _ = fit(X, covariance_type=covariance_type, init_params=mixture)
    np.testing.assert_allclose(again.score(X), mixture.score(X), rtol=1e-4)
    back = GaussianMixture.from_sklearn(mixture.to_sklearn())
    np.testing.assert_allclose(back.score(X), mixture.score(X), rtol=1e-2)
