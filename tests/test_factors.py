"""Mixtures of factor analysers against dense matrices, brute force and other codes."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.decomposition import FactorAnalysis
from strategies import case, fitted
from threadpoolctl import threadpool_limits

from skgmm import GaussianMixture
from skgmm._regularisation import PSEUDO_OBSERVATIONS
from skgmm._statistics import Statistics
from skgmm.families import Family, factor_analysers
from skgmm.forms import NotPositiveDefinite, low_rank
from skgmm.forms.factors import LEAST_NOISE, parts


def values_of(seed, k, d, q, smallest=0.2):
    """Return loadings and noise of some components."""
    rng = np.random.default_rng(seed)
    noise = smallest * rng.uniform(1.0, 5.0, size=(k, d, 1))
    return np.concatenate([rng.normal(size=(k, d, q)), noise], axis=2)


def matrices_of(values):
    """Return the covariance matrices."""
    loadings = values[..., :-1]
    diagonals = np.stack([np.diag(row) for row in values[..., -1]])
    return loadings @ np.swapaxes(loadings, 1, 2) + diagonals


def joint_log_densities(X, weights, means, values):
    """Return ``log(weight) + log N(x; mean, matrix)`` by SciPy, shape (K, n)."""
    parts = zip(weights, means, matrices_of(values), strict=True)
    return np.stack(
        [
            np.log(weight) + multivariate_normal(*part, allow_singular=True).logpdf(X)
            for weight, *part in parts
        ]
    )


def rows_of(seed, n, values, distance=3.0):
    """Return rows of as many components, and their labels."""
    rng = np.random.default_rng(seed)
    k, d, _ = values.shape
    labels = np.arange(n) % k
    noise = rng.normal(size=(n, d))
    roots = np.linalg.cholesky(matrices_of(values))
    X = distance * rng.normal(size=(k, d))[labels]
    return X + np.einsum("nij,nj->ni", roots[labels], noise), labels


problems = st.builds(
    lambda seed, k, d, q: (seed, k, d, min(q, d - 1)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(2, 7),
    st.integers(1, 4),
)


# ---- the form -------------------------------------------------------------
@given(problems, st.sampled_from([1e-7, 0.2]))
def test_densities_are_those_of_the_dense_matrices(problem, smallest):
    seed, k, d, q = problem
    values = values_of(seed, k, d, q, smallest)
    X, _ = rows_of(seed, 40, values)
    rng = np.random.default_rng(seed)
    means, weights = rng.normal(size=(k, d)), rng.dirichlet(np.ones(k))
    mixture = GaussianMixture.from_parameters(
        weights, means, covariances=values, covariance_type=factor_analysers(q)
    )
    logs = [
        np.log(weight)
        + multivariate_normal(mean, matrix, allow_singular=True).logpdf(X)
        for weight, mean, matrix in zip(
            weights, means, matrices_of(values), strict=True
        )
    ]
    # SciPy's eigenvalues have the digits of the largest one.
    precise = 1e-10 if smallest > 0.1 else 1e-5
    np.testing.assert_allclose(
        mixture.score_samples(X), logsumexp(logs, axis=0), precise
    )
    np.testing.assert_array_equal(mixture.predict(X), np.argmax(logs, axis=0))


@given(problems)
def test_the_form_agrees_with_its_dense_matrices(problem):
    seed, k, d, q = problem
    form = low_rank(q)(values_of(seed, k, d, q), k, d)
    matrices = matrices_of(form.values)
    inverses = np.linalg.inv(matrices)
    np.testing.assert_allclose(form.dense(), matrices)
    np.testing.assert_allclose(form.log_determinants, np.linalg.slogdet(matrices)[1])
    np.testing.assert_allclose(
        form.variances, np.diagonal(matrices, axis1=1, axis2=2), 1e-12
    )
    np.testing.assert_allclose(
        form.precision_diagonals, np.diagonal(inverses, axis1=1, axis2=2), 1e-9
    )
    explained, precisions = form.precisions[..., :-1], form.precisions[..., -1]
    shown = [np.diag(p) - b @ b.T for p, b in zip(precisions, explained, strict=True)]
    np.testing.assert_allclose(shown, inverses, 1e-9, 1e-9)
    upper = form.precisions_cholesky
    np.testing.assert_allclose(upper @ np.swapaxes(upper, 1, 2), inverses, 1e-9, 1e-9)
    back = type(form).from_precisions(form.precisions, k, d)
    np.testing.assert_allclose(back.dense(), matrices, 1e-9, 1e-9)
    offsets = np.random.default_rng(0).normal(size=(k, d))
    white = form.whiten(offsets)
    distances = np.einsum("kd,kde,ke->k", offsets, inverses, offsets)
    np.testing.assert_allclose(np.sum(white**2, axis=1), distances)
    np.testing.assert_allclose(form.unwhiten(white), offsets, 1e-10, 1e-10)
    for component, matrix in enumerate(matrices):
        root = form.colorize(component, np.eye(d))
        np.testing.assert_allclose(root.T @ root, matrix, 1e-10, 1e-10)
    scale = np.exp(np.random.default_rng(1).normal(size=d))
    other = form.rescaled(scale)
    np.testing.assert_allclose(other.dense(), matrices * np.outer(scale, scale))
    fresh = type(form)(other.values, k, d)
    np.testing.assert_allclose(other.log_determinants, fresh.log_determinants)


@given(problems)
def test_extreme_eigenvalues(problem):
    seed, k, d, q = problem
    form = low_rank(q)(values_of(seed, k, d, q), k, d)
    total = np.random.default_rng(seed).uniform(0.5, 2.0, d)
    total[0] = 0.0 if d > 2 else 1.0
    kept = total > 0
    units = np.sqrt(total[kept])
    matrices = form.dense()[:, kept][:, :, kept] / np.outer(units, units)
    expected = np.linalg.eigvalsh(matrices)[:, [0, -1]]
    actual, rank = form.relative_eigenvalues(total)
    np.testing.assert_allclose(actual, expected, 1e-6)
    assert rank == min(kept.sum(), q + 1)


@given(problems, st.sampled_from([1e-7, 0.2]), st.booleans())
def test_second_moments_are_products_of_the_scatter(problem, smallest, hard):
    """By products of matrices, and by residuals where these would lose digits."""
    seed, k, d, q = problem
    form = low_rank(q)(values_of(seed, k, d, q, smallest), k, d)
    X, _ = rows_of(seed, 50, form.values)
    rng = np.random.default_rng(seed)
    responsibilities = rng.dirichlet(np.ones(k), len(X)).T
    origin = rng.normal(size=(k, d))
    first = np.zeros((k, d))
    second = np.zeros(form.moments_shape(k, d))
    z = np.ascontiguousarray(X.T)
    for block in (slice(0, 20), slice(20, None)):
        part = responsibilities[:, block]
        form.accumulate(z[:, block], part, origin, first, second, hard=hard)
    count = responsibilities.sum(axis=1)
    statistics = Statistics(count, first, second, 0.0, origin, type(form))
    means = responsibilities @ X / count[:, np.newaxis]
    np.testing.assert_allclose(statistics.means(), means, 1e-11, 1e-11)
    residuals = X - means[:, np.newaxis]
    scatter = np.einsum("kn,kni,knj->kij", responsibilities, residuals, residuals)
    extra = rng.uniform(size=(k, d))
    moments = form.add_to_scatter(statistics.scatter(), extra)
    scatter += extra[:, :, np.newaxis] * np.eye(d)
    products, bases, rests, total, squares = parts(moments)
    basis = bases / total[..., np.newaxis]
    size = np.abs(basis).max()
    np.testing.assert_allclose(products / size, scatter @ basis / size, 1e-8, 1e-8)
    diagonals = np.diagonal(scatter, axis1=1, axis2=2)
    np.testing.assert_allclose(squares, diagonals, 1e-9)
    if not hard:
        loadings = form.values[..., :-1]
        left = np.eye(q) - np.swapaxes(loadings, 1, 2) @ np.linalg.solve(
            matrices_of(form.values), loadings
        )
        variances = np.linalg.eigvalsh(left)
        np.testing.assert_allclose(
            np.sort(rests[:, 0] / count[:, np.newaxis]), variances, 1e-6, 1e-6
        )
        expected = np.sum(np.linalg.inv(matrices_of(form.values)) * scatter)
        np.testing.assert_allclose(form.expected_mahalanobis(moments), expected, 1e-7)


@given(problems)
def test_moments_of_covariances_are_a_fixed_point(problem):
    seed, k, d, q = problem
    family = factor_analysers(q)
    values = values_of(seed, k, d, q)
    count = np.arange(1.0, k + 1)
    scatter = family.form.scatter_of(values, count)
    again = family.values(count, scatter, None)
    np.testing.assert_allclose(matrices_of(again), matrices_of(values), 1e-8, 1e-8)


def test_coordinates_do_not_see_rotations():
    base = low_rank(2)(values_of(0, 2, 6, 2), 2, 6)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    values = np.array(base.values)
    values[..., :-1] = values[..., :-1] @ rotation
    turned = low_rank(2)(values, 2, 6)
    own = base.relative_to(base)
    np.testing.assert_allclose(turned.relative_to(base), own, 1e-10, 1e-10)
    np.testing.assert_allclose(base.stretched(own).dense(), base.dense())
    far = low_rank(2)(values_of(1, 2, 6, 2), 2, 6)
    back = base.stretched(far.relative_to(base))
    np.testing.assert_allclose(back.dense(), far.dense())
    with pytest.raises(NotPositiveDefinite):
        base.stretched(np.full_like(own, 1e3))


def test_impossible_precisions():
    with pytest.raises(ValueError, match="component 0 is not"):
        GaussianMixture.from_parameters(
            [1.0],
            [[0.0, 0.0]],
            precisions=[[[2.0, 1.0], [0.0, 1.0]]],
            covariance_type=factor_analysers(1),
        )


# ---- steps of EM ----------------------------------------------------------
def dense_step(X, weights, means, values, size, variance):
    """Return the parameters after a step, by matrices (D, D) and sums over rows.

    The E-step is that of Ghahramani and Hinton; the factors have a covariance, which is
    estimated too and then made part of the loadings (Liu, Rubin and Wu 1998).  Some
    rows of a component have the covariance ``diag(variance)``: ``size`` of them.
    """
    logs = joint_log_densities(X, weights, means, values)
    r = np.exp(logs - logsumexp(logs, axis=0))
    count = r.sum(axis=1)
    new_means = r @ X / count[:, np.newaxis]
    out = []
    for k, value in enumerate(values):
        loadings, noise = value[:, :-1], np.diag(value[:, -1])
        beta = loadings.T @ np.linalg.inv(loadings @ loadings.T + noise)
        z = X - new_means[k]
        cov = ((z.T * r[k]) @ z + size * np.diag(variance)) / (count[k] + size)
        inner = np.eye(loadings.shape[1]) - beta @ loadings + beta @ cov @ beta.T
        new = cov @ beta.T @ np.linalg.inv(inner)
        new_noise = np.diag(np.diag(cov - new @ beta @ cov))
        out.append(new @ inner @ new.T + new_noise)
    return count / len(X), new_means, np.array(out)


@pytest.mark.parametrize("reg_covar", ["auto", 0.0, 0.3])
def test_a_step_is_that_of_the_dense_algorithm(reg_covar):
    k, d, q = 3, 8, 2
    X, labels = rows_of(0, 150, values_of(0, k, d, q), distance=1.0)
    weights = np.array([0.2, 0.3, 0.5])
    means = np.stack([X[labels == j].mean(axis=0) for j in range(k)]) + 0.2
    start = values_of(1, k, d, q)
    mixture = fitted(
        X,
        k,
        covariance_type=factor_analysers(q),
        weights_init=weights,
        means_init=means,
        covariances_init=start,
        reg_covar=reg_covar,
        max_iter=1,
    )
    size = PSEUDO_OBSERVATIONS if reg_covar == "auto" else 0.0
    expected = dense_step(X, weights, means, start, size, X.var(axis=0))
    np.testing.assert_allclose(mixture.weights_, expected[0])
    np.testing.assert_allclose(mixture.means_, expected[1], 1e-10)
    ridge = 0.0 if reg_covar == "auto" else reg_covar
    matrices = expected[2] + ridge * np.eye(d)
    np.testing.assert_allclose(matrices_of(mixture.covariances_), matrices, 1e-9, 1e-10)


@given(problems, st.sampled_from([None, "squarem"]), st.booleans())
def test_the_objective_never_falls(problem, acceleration, few):
    seed, k, d, q = problem
    X, labels = rows_of(seed, (3 if few else 20) * k + d, values_of(seed, k, d, q), 1.0)
    mixture = fitted(
        X,
        k,
        covariance_type=factor_analysers(q),
        init_params=np.roll(labels, 3),
        acceleration=acceleration,
        max_iter=60,
    )
    bounds = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-12 * np.abs(bounds).max())
    assert np.all(mixture.covariances_[..., -1] > 0)


def test_one_component_is_factor_analysis():
    """The likelihood of scikit-learn's, and maximal: no gradient is left."""
    X, _ = rows_of(5, 800, values_of(5, 1, 12, 3))
    mixture = GaussianMixture(covariance_type=factor_analysers(3), tol=1e-12).fit(X)
    other = FactorAnalysis(3, tol=1e-12, max_iter=20000, svd_method="lapack").fit(X)
    assert mixture.score(X) == pytest.approx(other.score(X), abs=1e-8)
    matrix = matrices_of(mixture.covariances_)[0]
    np.testing.assert_allclose(matrix, other.get_covariance(), 1e-3, 1e-3)
    # In the directions of the family: of the loadings and of the noise.
    precision = np.linalg.inv(matrix)
    gradient = precision @ np.cov(X.T, bias=True) @ precision - precision
    assert np.abs(np.diagonal(gradient)).max() < 1e-4
    assert np.abs(gradient @ mixture.covariances_[0, :, :-1]).max() < 1e-4


def test_many_factors_are_full_matrices():
    """Any matrix, less its smallest eigenvalue times one, has rank D - 1."""
    problem = case(2, 2, 4, n_rows=600, distance=1.0)
    parameters = {
        "init_params": problem.labels,
        "tol": 1e-11,
        "acceleration": "squarem",
    }
    family = factor_analysers(3)
    low = fitted(problem.X, 2, covariance_type=family, max_iter=5000, **parameters)
    full = fitted(problem.X, 2, **parameters)
    assert low.lower_bound_ == pytest.approx(full.lower_bound_, abs=1e-7)
    assert low.bic(problem.X) == pytest.approx(full.bic(problem.X), abs=1e-3)


def test_loadings_are_canonical():
    X, _ = rows_of(3, 300, values_of(3, 2, 10, 3))
    family = factor_analysers(3)
    values = GaussianMixture(2, covariance_type=family).fit(X).covariances_
    loadings, noise = values[..., :-1], values[..., -1:]
    inner = np.swapaxes(loadings, 1, 2) @ (loadings / noise)
    diagonals = np.diagonal(inner, axis1=1, axis2=2)
    expected = diagonals[:, :, np.newaxis] * np.eye(3)
    np.testing.assert_allclose(inner, expected, 1e-9, 1e-9)
    assert np.all(np.diff(diagonals, axis=1) <= 0)
    white = loadings / np.sqrt(noise)
    np.testing.assert_array_equal(white.max(axis=1), np.abs(white).max(axis=1))


# ---- laws -----------------------------------------------------------------
def same_models(one, other, scale=1.0, rtol=1e-8):
    """Assert that two fits have the same parameters, but for a scale."""
    np.testing.assert_allclose(one.weights_, other.weights_, rtol, rtol)
    expected = matrices_of(other.covariances_) * np.outer(scale, scale)
    np.testing.assert_allclose(
        matrices_of(one.covariances_), expected, rtol, rtol * np.abs(expected).max()
    )


def test_weights_are_repetitions():
    X, labels = rows_of(7, 90, values_of(7, 2, 6, 2))
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    parameters = {"covariance_type": factor_analysers(2), "max_iter": 30}
    weighted = fitted(X, 2, sample_weight=weight, init_params=labels, **parameters)
    rows, repeated = np.repeat(X, weight, axis=0), np.repeat(labels, weight)
    same_models(weighted, fitted(rows, 2, init_params=repeated, **parameters))


def test_shift_and_powers_of_two_change_nothing():
    X, labels = rows_of(8, 120, values_of(8, 2, 6, 2))
    scale = np.exp2(np.arange(-3.0, 3.0))
    parameters = {"covariance_type": factor_analysers(2), "init_params": labels}
    one, other = fitted(X, 2, **parameters), fitted(X * scale + 64, 2, **parameters)
    same_models(other, one, scale)
    np.testing.assert_allclose(other.means_, one.means_ * scale + 64)
    jacobian = np.log(scale).sum()
    assert other.lower_bound_ + jacobian == pytest.approx(one.lower_bound_, abs=1e-10)


def test_any_units_have_the_same_optimum():
    X, _ = rows_of(9, 400, values_of(9, 2, 8, 2))
    scale = np.exp(np.random.default_rng(0).normal(scale=4.0, size=8))
    parameters = {"covariance_type": factor_analysers(2), "tol": 1e-11}
    one = GaussianMixture(2, **parameters).fit(X)
    other = GaussianMixture(2, **parameters).fit(X * scale)
    jacobian = np.log(scale).sum()
    assert other.lower_bound_ + jacobian == pytest.approx(one.lower_bound_, abs=1e-7)


def test_threads_change_no_bit():
    X, labels = rows_of(1, 5000, values_of(1, 2, 10, 2))
    parameters = {"covariance_type": factor_analysers(2), "init_params": labels}
    many = fitted(X, 2, max_iter=3, **parameters)
    with threadpool_limits(1):
        one = fitted(X, 2, max_iter=3, **parameters)
    np.testing.assert_array_equal(many.covariances_, one.covariances_)


# ---- difficult data -------------------------------------------------------
def test_fewer_rows_than_features():
    X, labels = rows_of(4, 60, values_of(4, 2, 80, 2))
    mixture = GaussianMixture(2, covariance_type=factor_analysers(2)).fit(X)
    assert mixture.converged_
    assert mixture.degenerate_ == []
    agree = np.mean(mixture.predict(X) == labels)
    assert max(agree, 1 - agree) == 1.0
    assert np.all(np.diff(mixture.lower_bounds_) >= -1e-10)


def test_noise_of_a_heywood_case_is_held():
    """Two features are the same: one factor explains both wholly."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    X[:, 1] = X[:, 0]
    mixture = fitted(X, 1, covariance_type=factor_analysers(1), max_iter=500)
    noise = mixture.covariances_[0, :, -1]
    assert noise.min() >= 0.2 * LEAST_NOISE
    assert np.all(np.diff(mixture.lower_bounds_) >= -1e-10)
    assert np.isfinite(mixture.score_samples(X)).all()


def test_constant_features_are_left_out():
    X, labels = rows_of(2, 200, values_of(2, 2, 6, 2))
    wide = np.insert(X, 3, 7.0, axis=1)
    parameters = {"covariance_type": factor_analysers(2), "max_iter": 50}
    with pytest.warns(UserWarning, match="one value only"):
        mixture = fitted(wide, 2, init_params=labels, **parameters)
    values = mixture.covariances_
    np.testing.assert_array_equal(values[:, 3, :-1], 0.0)
    assert np.ptp(values[:, 3, -1]) == 0.0
    assert np.isfinite(mixture.lower_bound_)


def test_nothing_grows_with_the_square_of_the_features():
    X, _ = rows_of(0, 60, values_of(0, 3, 20, 2))
    X = np.tile(X, (1, 200)) + np.random.default_rng(0).normal(size=(60, 4000))
    mixture = GaussianMixture(3, covariance_type=factor_analysers(2))
    tracemalloc.start()
    try:
        mixture.fit(X).predict(X)
        mixture.sample(10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 4000**2  # one matrix, besides what is linear


# ---- the estimator --------------------------------------------------------
def fit_of_two():
    """Return a fit and its rows."""
    X, _ = rows_of(6, 200, values_of(6, 2, 6, 2))
    return GaussianMixture(2, covariance_type=factor_analysers(2)).fit(X), X


def test_parameters_are_counted():
    mixture, X = fit_of_two()
    k, d, q = 2, 6, 2
    n_parameters = k - 1 + k * d + k * (d * q - q * (q - 1) // 2 + d)
    total = mixture.score_samples(X).sum()
    expected = -2 * total + n_parameters * np.log(len(X))
    assert mixture.bic(X) == pytest.approx(expected)
    # No more than matrices have.
    assert factor_analysers(5).n_parameters(1, 6) == 6 + 21


def test_marginals_and_conditionals_are_those_of_matrices():
    mixture, X = fit_of_two()
    full = GaussianMixture.from_parameters(
        mixture.weights_, mixture.means_, covariances=matrices_of(mixture.covariances_)
    )
    some = [4, 1, 0]
    np.testing.assert_allclose(
        mixture.marginal(some).score_samples(X[:, some]),
        full.marginal(some).score_samples(X[:, some]),
    )
    one, other = (m.condition([0, 3], [1.0, -2.0]) for m in (mixture, full))
    np.testing.assert_allclose(one.means_, other.means_)
    np.testing.assert_allclose(one.covariances_, other.covariances_)
    np.testing.assert_allclose(mixture.to_sklearn().score(X), mixture.score(X))
    holes = X.copy()
    holes[:, 2] = np.nan
    np.testing.assert_allclose(mixture.score_samples(holes), full.score_samples(holes))


def test_samples_have_the_moments():
    mixture, _ = fit_of_two()
    one = mixture.marginal(range(6))
    rows, labels = mixture.sample(40000, random_state=np.random.default_rng(0))
    for k, matrix in enumerate(one.covariances_):
        actual = np.cov(rows[labels == k].T)
        assert np.abs(actual - matrix).max() < 0.05 * np.abs(matrix).max()


def test_copies_and_pickles():
    mixture, X = fit_of_two()
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.score_samples(X), mixture.score_samples(X))
    np.testing.assert_array_equal(again.covariances_, mixture.covariances_)
    assert again.covariance_type == mixture.covariance_type
    assert clone(mixture).covariance_type is mixture.covariance_type
    family = factor_analysers(2, equal_weights=True)
    assert pickle.loads(pickle.dumps(family)) == family
    assert repr(family) == "<Family factor_analysers(2), equal_weights=True>"
    assert isinstance(family, Family)


def test_parameters_can_be_assigned():
    mixture, X = fit_of_two()
    mixture.covariances_ = 1.0 * mixture.covariances_
    before = mixture.score(X)
    mixture.precisions_ = 1.0 * mixture.precisions_
    assert mixture.score(X) == pytest.approx(before)


def test_warm_start_goes_on():
    mixture, X = fit_of_two()
    before = mixture.lower_bound_
    again = mixture.set_params(warm_start=True, max_iter=5).fit(X)
    assert again.lower_bound_ >= before - 1e-12


def test_equal_weights():
    X, _ = rows_of(6, 200, values_of(6, 2, 6, 2))
    family = factor_analysers(2)
    mixture = GaussianMixture(2, covariance_type=family, equal_weights=True).fit(X)
    np.testing.assert_array_equal(mixture.weights_, 0.5)


@pytest.mark.parametrize("n_factors", [0, -1, 1.5, "2", None])
def test_bad_numbers_of_factors(n_factors):
    with pytest.raises(
        ValueError, match="n_factors must be a whole number, at least 1"
    ):
        factor_analysers(n_factors)


def test_more_factors_than_features():
    with pytest.raises(
        ValueError, match=r"factor_analysers\(3\) needs at least 4 feat"
    ):
        GaussianMixture(covariance_type=factor_analysers(3)).fit(np.eye(3))


def test_holes_are_refused():
    X, _ = rows_of(6, 50, values_of(6, 2, 6, 2))
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"cannot be fitted to rows with missing val"):
        GaussianMixture(2, covariance_type=factor_analysers(2)).fit(X)


def test_streams_are_refused():
    X, _ = rows_of(6, 50, values_of(6, 2, 6, 2))
    with pytest.raises(ValueError, match=r"cannot be learnt from a stream.*Use fit"):
        GaussianMixture(2, covariance_type=factor_analysers(2)).partial_fit(X)


def test_a_prior_is_refused():
    X, _ = rows_of(6, 50, values_of(6, 2, 6, 2))
    mixture = GaussianMixture(
        2, covariance_type=factor_analysers(2), prior="fraley-raftery"
    )
    with pytest.raises(ValueError, match=r"prior is not for covariance_type=.*None"):
        mixture.fit(X)
