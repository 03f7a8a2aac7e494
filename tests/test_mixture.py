"""Densities, responsibilities, samples and state of a mixture."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import given
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from strategies import TYPES, Truth, case, cases, fitted, in_shape, matrices_of

from skgmm import GaussianMixture

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
ROW_METHODS = ("score_samples", "predict_proba", "predict_log_proba", "predict")

types = pytest.mark.parametrize("covariance_type", TYPES)


def mixture_of(truth, covariance_type, **parameters):
    return GaussianMixture.from_parameters(
        truth.weights,
        truth.means,
        covariances=in_shape(truth.matrices, covariance_type),
        covariance_type=covariance_type,
        **parameters,
    )


def log_joint(mixture, X):
    """Return log-weights plus log-densities (n, K), by SciPy."""
    parameters = zip(
        mixture.weights_, mixture.means_, matrices_of(mixture), strict=True
    )
    return np.column_stack(
        [
            np.log(weight) + multivariate_normal(mean, matrix).logpdf(X)
            for weight, mean, matrix in parameters
        ]
    )


# ---- densities ------------------------------------------------------------
@types
@given(case=cases())
def test_density_and_responsibilities_are_those_of_scipy(covariance_type, case):
    mixture = mixture_of(case.truth, covariance_type)
    X = np.concatenate([case.X, 10 * case.X, 1e3 + case.X])
    joint = log_joint(mixture, X)
    density = logsumexp(joint, axis=1)
    logs = joint - density[:, np.newaxis]
    np.testing.assert_allclose(mixture.score_samples(X), density, 1e-10, 1e-10)
    np.testing.assert_allclose(mixture.score(X), density.mean(), 1e-10, 1e-10)
    # A difference of log-densities is as exact as they are.
    atol = 1e-11 * np.abs(joint).max()
    np.testing.assert_allclose(mixture.predict_log_proba(X), logs, 1e-10, atol)
    proba = mixture.predict_proba(X)
    np.testing.assert_allclose(proba, np.exp(logs), 1e-8, 1e-10)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(mixture.predict(X), proba.argmax(axis=1))


@types
def test_density_integrates_to_one(covariance_type):
    line = mixture_of(Truth.random(1, 3, 1), covariance_type)
    ends = line.means_.min() - 20, line.means_.max() + 20
    total, _ = quad(lambda x: np.exp(line.score([[x]])), *ends, limit=200)
    assert total == pytest.approx(1, abs=1e-8)

    plane = mixture_of(Truth.random(2, 2, 2, distance=1.0), covariance_type)
    low, high = plane.means_.min() - 12, plane.means_.max() + 12
    grid = np.linspace(low, high, 401)
    # The trapezoidal rule is exact to rounding for smooth functions that vanish.
    X = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    total = np.exp(plane.score_samples(X)).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1, abs=1e-12)


@types
@pytest.mark.parametrize("size", [1e4, 1e8, 1e100, 1e160, 1e300])
def test_rows_far_away_have_responsibilities(covariance_type, size):
    """The widest component has them, or, of equal ones, the nearest.

    From 1e16 on the differences of squares are rounded away for equal ones, and any
    responsibilities will do that sum to one.
    """
    matrices = np.array([1.0, 2.0, 3.0])[:, np.newaxis, np.newaxis] * np.eye(2)
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.3, 0.2],
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]],
        covariances=in_shape(matrices, covariance_type),
        covariance_type=covariance_type,
    )
    X = size * np.array([[1.0, 0.0], [-1.0, 0.0]])
    proba = mixture.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(mixture.predict(X), proba.argmax(axis=1))
    if covariance_type != "tied" or size < 1e16:
        chosen = [2, 0] if covariance_type == "tied" else [2, 2]
        np.testing.assert_allclose(proba, np.eye(3)[chosen], atol=1e-12)
    density = mixture.score_samples(X)
    assert np.all(density < -1e7)
    assert not np.any(np.isnan(density))


@types
def test_a_component_of_weight_zero_is_not_there(covariance_type):
    truth = Truth.random(3, 3, 2)
    weights = np.array([0.4, 0.0, 0.6])
    mixture = mixture_of(Truth(weights, truth.means, truth.matrices), covariance_type)
    kept = [0, 2]
    matrices = matrices_of(mixture)[kept]
    other = GaussianMixture.from_parameters(
        weights[kept], truth.means[kept], covariances=matrices
    )
    X = np.concatenate([truth.means, 1e160 * np.eye(2)])
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(
            mixture.score_samples(X), other.score_samples(X), 1e-12
        )
    np.testing.assert_array_equal(mixture.predict_proba(X)[:, 1], 0)
    np.testing.assert_array_equal(mixture.predict_log_proba(X)[:, 1], -np.inf)
    assert 1 not in mixture.predict(X)
    assert np.isfinite(mixture.icl(truth.means))
    _, labels = mixture.sample(100, random_state=0)
    assert 1 not in labels


# ---- samples --------------------------------------------------------------
@types
def test_sample_repeats_with_the_seed(covariance_type):
    mixture = mixture_of(Truth.random(4, 3, 2), covariance_type)
    X, y = mixture.sample(50, random_state=7)
    assert X.shape == (50, 2)
    assert y.shape == (50,)
    np.testing.assert_array_equal(X, mixture.sample(50, random_state=7)[0])
    assert not np.array_equal(X, mixture.sample(50, random_state=8)[0])
    # The seed of the estimator stands in, as in scikit-learn.
    seeded = mixture_of(Truth.random(4, 3, 2), covariance_type, random_state=7)
    np.testing.assert_array_equal(X, seeded.sample(50)[0])
    np.testing.assert_array_equal(X, seeded.sample(50)[0])


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_goes_on(make):
    mixture = mixture_of(Truth.random(4, 3, 2), "full")
    rng = make(0)
    one, two = (mixture.sample(5, random_state=rng)[0] for _ in range(2))
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(one, mixture.sample(5, random_state=make(0))[0])


def test_sample_shuffles_only_if_asked():
    mixture = mixture_of(Truth.random(4, 3, 2), "full")
    _, ordered = mixture.sample(100, random_state=0, shuffle=False)
    _, mixed = mixture.sample(100, random_state=0)
    assert np.all(np.diff(ordered) >= 0)
    assert np.any(np.diff(mixed) < 0)
    np.testing.assert_array_equal(np.bincount(ordered), np.bincount(mixed))


@types
def test_moments_of_samples(covariance_type):
    """Each within five standard errors, from 200000 rows."""
    truth = Truth.random(5, 3, 2)
    mixture = mixture_of(truth, covariance_type)
    X, y = mixture.sample(200_000, random_state=0)
    counts = np.bincount(y)
    errors = np.sqrt(truth.weights * (1 - truth.weights) * len(X))
    assert np.all(np.abs(counts - truth.weights * len(X)) < 5 * errors)
    for k, matrix in enumerate(matrices_of(mixture)):
        rows = X[y == k]
        variances = matrix.diagonal()
        error = np.sqrt(variances / len(rows))
        assert np.all(np.abs(rows.mean(axis=0) - truth.means[k]) < 5 * error)
        error = np.sqrt((np.outer(variances, variances) + matrix**2) / len(rows))
        assert np.all(np.abs(np.cov(rows.T) - matrix) < 5 * error)
        # And the tail is Gaussian.
        white = np.linalg.solve(np.linalg.cholesky(matrix), (rows - truth.means[k]).T)
        tail = np.mean((white**2).sum(axis=0) > chi2(2).isf(0.01))
        assert tail == pytest.approx(0.01, abs=5 * np.sqrt(0.01 / len(rows)))


@pytest.mark.parametrize("n_samples", [0, -1])
def test_sample_of_nothing(n_samples):
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        mixture_of(Truth.random(4, 3, 2), "full").sample(n_samples)


# ---- state ----------------------------------------------------------------
def by_joblib(mixture, path):
    joblib.dump(mixture, path / "mixture.joblib")
    return joblib.load(path / "mixture.joblib")


def by_mapped_joblib(mixture, path):
    joblib.dump(mixture, path / "mixture.joblib")
    return joblib.load(path / "mixture.joblib", mmap_mode="r")


COPIES = {
    "pickle": lambda mixture, path: pickle.loads(pickle.dumps(mixture)),
    "copy": lambda mixture, path: copy.copy(mixture),
    "deepcopy": lambda mixture, path: copy.deepcopy(mixture),
    "joblib": by_joblib,
    "joblib, mapped": by_mapped_joblib,
}


def assert_same_answers(one, other, X):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ROW_METHODS:
        np.testing.assert_array_equal(getattr(one, name)(X), getattr(other, name)(X))
    for name in ("score", "aic", "bic", "icl"):
        assert getattr(one, name)(X) == getattr(other, name)(X)


@types
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_copy_gives_the_same_answers(covariance_type, how, dtype, tmp_path):
    X = case(1, 3, 2).X.astype(dtype)
    mixture = fitted(X, 3, covariance_type=covariance_type)
    other = COPIES[how](mixture, tmp_path)
    assert_same_answers(other, mixture, X)
    assert other.get_params() == mixture.get_params()
    for name in ARRAYS:
        assert getattr(other, name).dtype == dtype
        assert not getattr(other, name).flags.writeable
    assert other.n_iter_ == mixture.n_iter_
    assert other.lower_bounds_ == mixture.lower_bounds_
    with pytest.raises(ValueError, match="read-only"):
        other._model().mixture.means[0] = 0


@types
def test_a_clone_is_not_fitted_but_fits_the_same(covariance_type):
    X = case(1, 3, 2).X
    mixture = fitted(X, 3, covariance_type=covariance_type)
    other = clone(mixture)
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert_same_answers(other.fit(X), mixture, X)


@types
def test_arrays_are_read_only(covariance_type):
    mixture = fitted(case(1, 3, 2).X, 3, covariance_type=covariance_type)
    for name in ARRAYS:
        array = getattr(mixture, name)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1


def assert_agrees_with_itself(mixture, X):
    """Tell that all of the parameters are those that the methods use."""
    model = GaussianMixture.from_parameters(
        mixture.weights_,
        mixture.means_,
        covariances=mixture.covariances_,
        covariance_type=mixture.covariance_type,
    )
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(mixture, name), getattr(model, name), 1e-12)
        assert not getattr(mixture, name).flags.writeable
    for name in ROW_METHODS:
        np.testing.assert_allclose(
            getattr(mixture, name)(X), getattr(model, name)(X), 1e-10, 1e-12
        )


CHANGES = {
    "weights_": lambda value: value[::-1],
    "means_": lambda value: value + 1,
    "covariances_": lambda value: 2 * value,
    "precisions_": lambda value: 2 * value,
    "precisions_cholesky_": lambda value: 2 * value,
}


@types
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_assigned_is_used_everywhere(covariance_type, name):
    X = case(1, 3, 2).X
    mixture = fitted(X, 3, covariance_type=covariance_type)
    before = {n: np.array(getattr(mixture, n)) for n in ARRAYS}
    value = np.array(CHANGES[name](before[name]))
    setattr(mixture, name, value)
    np.testing.assert_allclose(getattr(mixture, name), value, rtol=1e-12)
    assert_agrees_with_itself(mixture, X)
    kept = value.copy()
    value[...] = np.nan  # the array stays the caller's
    np.testing.assert_allclose(getattr(mixture, name), kept, rtol=1e-12)
    for other in ("weights_", "means_"):
        if other != name:
            # Weights are divided by their sum, which may be off by rounding.
            np.testing.assert_allclose(getattr(mixture, other), before[other], 1e-15)


@types
@pytest.mark.parametrize(
    "last", ["covariances_", "precisions_", "precisions_cholesky_"]
)
def test_assigning_to_an_unfitted_estimator(covariance_type, last):
    truth = Truth.random(2, 3, 2)
    expected = mixture_of(truth, covariance_type)
    mixture = GaussianMixture(3, covariance_type=covariance_type)
    mixture.weights_ = truth.weights
    mixture.means_ = truth.means
    with pytest.raises(NotFittedError, match="covariances_"):
        mixture.predict(truth.means)
    setattr(mixture, last, np.array(getattr(expected, last)))
    for name in ARRAYS:
        actual = getattr(mixture, name)
        np.testing.assert_allclose(actual, getattr(expected, name), 1e-12, 1e-14)
    assert_agrees_with_itself(mixture, truth.means)


@types
def test_assigning_another_number_of_components(covariance_type):
    small, large = Truth.random(2, 2, 2), Truth.random(3, 4, 3)
    expected = mixture_of(large, covariance_type)
    mixture = mixture_of(small, covariance_type)
    for name in ("weights_", "means_", "covariances_"):
        setattr(mixture, name, getattr(expected, name))
    np.testing.assert_array_equal(
        mixture.sample(10, random_state=0)[0], expected.sample(10, random_state=0)[0]
    )


@types
@pytest.mark.parametrize("name", ["covariances", "precisions"])
def test_from_parameters_owns_its_arrays(covariance_type, name):
    truth = Truth.random(2, 3, 2)
    arrays = {
        "weights": truth.weights.copy(),
        "means": truth.means.copy(),
        name: np.array(in_shape(truth.matrices, covariance_type)),
    }
    mixture = GaussianMixture.from_parameters(**arrays, covariance_type=covariance_type)
    before = {attribute: np.array(getattr(mixture, attribute)) for attribute in ARRAYS}
    for array in arrays.values():
        array *= 2
    for attribute, value in before.items():
        np.testing.assert_array_equal(getattr(mixture, attribute), value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights_", [0.9, 0.9, 0.9], "weights_ must be non-negative and sum to one"),
        ("weights_", [0.5, 0.5], r"weights_ must have shape \(3,\)"),
        ("means_", [[0.0, 0.0]], "must have shape"),
        ("means_", [1.0, 2.0], r"means_ must have shape \(n_components, n_features\)"),
        ("means_", np.full((3, 2), np.nan), "means_ contains NaN"),
        ("covariances_", -np.ones((3, 2, 2)), "covariances_ must be positive definite"),
        ("covariances_", np.ones((3, 2)), "covariances_ must have shape"),
        ("covariances_", [[[1, 0.5], [0, 1]]] * 3, "covariances_ must be symmetric"),
        ("precisions_", -np.ones((3, 2, 2)), "precisions_ must be positive definite"),
        ("precisions_", np.ones((3, 2)), "precisions_ must have shape"),
        ("precisions_cholesky_", np.ones((3, 2)), "precisions_cholesky_ must have"),
    ],
)
def test_what_is_assigned_is_checked(name, value, message):
    mixture = mixture_of(Truth.random(2, 3, 2), "full")

    def assign_and_use():
        setattr(mixture, name, value)
        mixture.predict([[0.0, 0.0]])

    with pytest.raises(ValueError, match=message):
        assign_and_use()
