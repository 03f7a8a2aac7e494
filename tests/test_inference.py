"""Standard errors, against numerical derivatives, simulation, and closed forms."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError
from strategies import TYPES, case, dense, fitted

from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm.families import FAMILIES, NAMES
from skgmm.forms import NotPositiveDefinite
from skgmm.inference import observed_information, standard_errors

LINEAR = TYPES  # without a constraint that is not linear


def unpacked(theta, covariance_type, k, d):
    """Return weights, means and matrices (K, D, D) of a vector of parameters."""
    weights, means, free = np.split(theta, [k, k + k * d])
    if covariance_type in ("full", "tied"):
        copies = k if covariance_type == "full" else 1
        i, j = np.triu_indices(d)
        matrices = np.empty((copies, d, d))
        matrices[:, i, j] = matrices[:, j, i] = free.reshape(copies, -1)
        return weights, means.reshape(k, d), np.broadcast_to(matrices, (k, d, d))
    shape = (k, d) if covariance_type == "diag" else (k,)
    matrices = dense(free.reshape(shape), covariance_type, k, d)
    return weights, means.reshape(k, d), matrices


def packed(mixture, covariance_type):
    values = mixture.covariances_
    if covariance_type in ("full", "tied"):
        i, j = np.triu_indices(values.shape[-1])
        values = values[..., i, j]
    return np.concatenate(
        [np.ravel(a) for a in (mixture.weights_, mixture.means_, values)]
    )


def log_likelihood(theta, covariance_type, k, X, weight):
    weights, means, matrices = unpacked(theta, covariance_type, k, X.shape[1])
    logs = [
        np.log(p) + multivariate_normal.logpdf(X, m, c)
        for p, m, c in zip(weights, means, matrices, strict=True)
    ]
    return weight @ logsumexp(np.reshape(logs, (k, len(X))), axis=0)


def numerical_hessian(function, theta, steps):
    """Return the Hessian by central differences of fourth order."""
    size = len(theta)
    offsets = np.array([-2, -1, 1, 2])
    factors = np.array([1, -8, 8, -1]) / 12
    out = np.empty((size, size))
    for a in range(size):
        for b in range(a + 1):
            total = 0.0
            for u, f in zip(offsets, factors, strict=True):
                for v, g in zip(offsets, factors, strict=True):
                    point = theta.copy()
                    point[a] += u * steps[a]
                    point[b] += v * steps[b]
                    total += f * g * function(point)
            out[a, b] = out[b, a] = total / (steps[a] * steps[b])
    return out


@pytest.mark.parametrize("covariance_type", LINEAR)
@pytest.mark.parametrize("sizes", [(1, 2), (2, 1), (2, 3)])
def test_information_against_a_numerical_hessian(covariance_type, sizes):
    # At a point that is no maximum: every term counts.
    k, d = sizes
    problem = case(7, k, d, n_rows=60, distance=1.0)
    weight = np.random.default_rng(0).uniform(0.5, 2, 60)
    mixture = fitted(problem.X, k, covariance_type=covariance_type)
    mixture.means_ = mixture.means_ + 0.1
    theta = packed(mixture, covariance_type)
    halves = [(problem.X[:20], weight[:20]), (problem.X[20:], weight[20:])]
    information = observed_information(mixture._model().mixture, halves)

    def function(theta):
        return log_likelihood(theta, covariance_type, k, problem.X, weight)

    steps = 0.01 / np.sqrt(np.diagonal(information))
    expected = -numerical_hessian(function, theta, steps)
    size = np.sqrt(np.abs(np.diagonal(expected)))
    np.testing.assert_allclose(
        information / size / size[:, np.newaxis],
        expected / size / size[:, np.newaxis],
        rtol=1e-4,
        atol=1e-6,
    )


def test_one_gaussian_in_closed_form():
    rng = np.random.default_rng(0)
    X = 1e6 + rng.normal(size=(500, 3)) * [1.0, 1e-3, 1e4]
    mixture = GaussianMixture(1, reg_covar=0.0).fit(X)
    errors = standard_errors(mixture, X)
    [c] = mixture.covariances_
    assert errors.weights == pytest.approx([0.0], abs=1e-12)
    np.testing.assert_allclose(errors.means, np.sqrt([np.diagonal(c) / 500]), rtol=1e-6)
    variances = (np.diagonal(c) * np.diagonal(c)[:, np.newaxis] + c**2) / 500
    np.testing.assert_allclose(errors.covariances[0], np.sqrt(variances), rtol=1e-6)
    assert errors.covariance_matrix.shape == (10, 10)


@pytest.mark.parametrize("covariance_type", LINEAR)
def test_units_only_scale_the_errors(covariance_type):
    X = case(3, 2, 2, distance=2.0).X
    scale = 1e4 if covariance_type == "spherical" else np.array([1e-3, 1e4])
    one, other = (
        standard_errors(fitted(Z, 2, covariance_type=covariance_type, tol=1e-12), Z)
        for Z in (X, 1e5 + X * scale)
    )
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-4)
    np.testing.assert_allclose(other.means, one.means * scale, rtol=1e-4)
    assert one.covariances.shape == other.covariances.shape


@pytest.mark.parametrize("method", ["information", "bootstrap", "weighted"])
def test_errors_are_those_of_simulated_fits(method):
    truth = case(3, 2, 2, distance=4.0).truth
    fits = []
    for seed in range(100):
        X, _ = truth.sample(400, seed)
        parameters = truth.start("diag") | {"covariance_type": "diag"}
        fits.append(GaussianMixture(2, **parameters).fit(X))
    X, _ = truth.sample(400, 1000)
    mixture = GaussianMixture(2, **parameters).fit(X)
    errors = standard_errors(mixture, X, method=method, n_resamples=100, random_state=0)
    for name in ("weights", "means", "covariances"):
        spread = np.std([getattr(fit, name + "_") for fit in fits], axis=0, ddof=1)
        np.testing.assert_allclose(getattr(errors, name), spread, rtol=0.45)


@pytest.mark.parametrize("covariance_type", NAMES)
@pytest.mark.parametrize("method", ["bootstrap", "weighted"])
def test_bootstraps_of_all_families(method, covariance_type, monkeypatch):
    X = case(3, 2, 2, distance=3.0).X
    mixture = fitted(X, 2, covariance_type=covariance_type)
    arguments = {"method": method, "n_resamples": 4, "random_state": 0}
    errors = standard_errors(mixture, X, **arguments)
    assert errors.means.shape == mixture.means_.shape
    assert errors.covariances.shape == mixture.covariances_.shape
    assert np.all(errors.means > 0)
    assert np.all(errors.covariances > 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # several threads change nothing
    again = standard_errors(mixture, X, **arguments)
    np.testing.assert_array_equal(again.covariance_matrix, errors.covariance_matrix)


@pytest.mark.parametrize("method", ["information", "bootstrap", "weighted"])
def test_weights_are_repeated_rows(method):
    X = case(3, 2, 2, distance=3.0).X
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    rows = np.repeat(X, weight, axis=0)
    mixture = fitted(rows, 2)
    arguments = {"method": method, "n_resamples": 100, "random_state": 0}
    one = standard_errors(mixture, X, sample_weight=weight, **arguments)
    other = standard_errors(mixture, rows, **arguments)
    rtol = 1e-8 if method == "information" else 0.4
    np.testing.assert_allclose(one.means, other.means, rtol=rtol)
    np.testing.assert_allclose(one.covariances, other.covariances, rtol=rtol, atol=0.02)


def test_the_weights_have_no_error_together():
    X = case(3, 3, 2, distance=3.0).X
    errors = standard_errors(fitted(X, 3, tol=1e-10), X)
    together = errors.covariance_matrix[:3, :3].sum()
    assert together == pytest.approx(0.0, abs=1e-12)
    assert errors.weights[0] ** 2 == pytest.approx(errors.covariance_matrix[0, 0])


def test_a_search_has_errors_too():
    X = case(3, 2, 2, distance=3.0).X
    search = GaussianMixtureIC([2], covariance_type="tied").fit(X)
    errors = standard_errors(search, X)
    expected = standard_errors(search.best_mixture_, X)
    np.testing.assert_array_equal(errors.means, expected.means)


# ---- what it cannot do ----------------------------------------------------
def test_bad_arguments():
    X = case(3, 2, 2).X
    mixture = fitted(X, 2)
    with pytest.raises(ValueError, match="mixture must be a fitted mixture of skgmm; "):
        standard_errors(mixture.to_sklearn(), X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        standard_errors(GaussianMixture(2), X)
    with pytest.raises(ValueError, match=r"method must be one of \['bootstrap', 'info"):
        standard_errors(mixture, X, method="jackknife")
    with pytest.raises(ValueError, match="n_resamples must be a whole number of at le"):
        standard_errors(mixture, X, method="bootstrap", n_resamples=1)


def test_no_maximum_no_errors():
    X = case(3, 2, 2).X
    mixture = fitted(X, 1)
    twins = GaussianMixture.from_parameters(
        [0.5, 0.5],
        np.repeat(mixture.means_, 2, axis=0),
        covariances=np.repeat(mixture.covariances_, 2, axis=0),
    )
    with pytest.raises(ValueError, match="information is not positive definite"):
        standard_errors(twins, X)
    dead = GaussianMixture.from_parameters(
        [1.0, 0.0], twins.means_, covariances=twins.covariances_
    )
    with pytest.raises(ValueError, match="Component 1 has weight zero"):
        standard_errors(dead, X)


def test_constraints_that_are_not_linear_have_no_closed_form(monkeypatch):
    from dataclasses import replace

    family = replace(FAMILIES["full"], n_covariance_parameters=lambda k, d: 1)
    X = case(3, 2, 2).X
    mixture = fitted(X, 2)
    mixture._set_model(replace(mixture._model(), family=family))
    with pytest.raises(ValueError, match="needs covariances without a constraint"):
        standard_errors(mixture, X)


def test_resamples_that_fail_are_left_out(monkeypatch):
    import skgmm.inference

    X = case(3, 2, 2, distance=3.0).X
    mixture, em, calls = fitted(X, 2), skgmm.inference.em, []

    def failing(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            raise NotPositiveDefinite(0)
        return em(*args, **options)

    monkeypatch.setattr(skgmm.inference, "em", failing)
    with pytest.warns(UserWarning, match="1 of the 3 fits to resamples failed"):
        standard_errors(mixture, X, method="weighted", n_resamples=3)
