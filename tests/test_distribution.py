"""The fitted mixture as a distribution, against quadrature, SciPy and closed forms."""

import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.optimize import minimize
from scipy.special import log_ndtr, logsumexp
from scipy.stats import multivariate_normal, norm
from strategies import TYPES, Truth, case, cases, in_shape, matrices_of

from skgmm import GaussianMixture
from skgmm.families import NAMES

types = pytest.mark.parametrize("covariance_type", TYPES)
UNITS = np.array([1e-9, 1.0, 1e9, 1e3, 1e-3])


def mixture_of(truth, covariance_type="full", **parameters):
    return GaussianMixture.from_parameters(
        truth.weights,
        truth.means,
        covariances=in_shape(truth.matrices, covariance_type),
        covariance_type=covariance_type,
        **parameters,
    )


def line(weights, means, deviations):
    """Return a mixture of one feature."""
    variances = np.square(deviations, dtype=float)[:, np.newaxis, np.newaxis]
    means = np.asarray(means, dtype=float)[:, np.newaxis]
    return GaussianMixture.from_parameters(weights, means, covariances=variances)


def lines(max_components=4):
    """Draw mixtures of one feature, of any offset and unit."""

    def make(seed, n, offset, unit):
        rng = np.random.default_rng(seed)
        weights, means = rng.uniform(0.1, 1, n), rng.normal(0, 5, n)
        deviations = rng.uniform(0.1, 3, n)
        means, deviations = unit * (offset + means), unit * deviations
        return line(weights / weights.sum(), means, deviations)

    return st.builds(
        make,
        st.integers(0, 2**32 - 1),
        st.integers(1, max_components),
        st.sampled_from([0.0, 1e3, -1e6]),
        st.sampled_from([1e-9, 1.0, 1e12]),
    )


def gaussian(seed, n_features):
    return mixture_of(Truth.random(seed, 1, n_features))


def points_of(mixture, n=5, seed=0):
    return mixture.sample(n, random_state=seed)[0]


# ---- marginal and condition -----------------------------------------------
@types
@given(case=cases(max_features=4), data=st.data())
def test_marginal_has_the_submatrices(covariance_type, case, data):
    mixture = mixture_of(case.truth, covariance_type)
    d = case.X.shape[1]
    kept = data.draw(st.permutations(range(d)))[: data.draw(st.integers(1, d))]
    marginal = mixture.marginal(kept)
    np.testing.assert_array_equal(marginal.means_, mixture.means_[:, kept])
    matrices = matrices_of(mixture)[:, kept][:, :, kept]
    np.testing.assert_allclose(matrices_of(marginal), matrices, rtol=1e-14)
    expected = [
        multivariate_normal(mean[kept], matrix).logpdf(case.X[:5][:, kept])
        for mean, matrix in zip(mixture.means_, matrices, strict=True)
    ]
    log_density = marginal.component_log_density(case.X[:5][:, kept])
    np.testing.assert_allclose(log_density.T, np.reshape(expected, (-1, 5)), 1e-9)


@types
@given(case=cases(max_features=4))
def test_marginal_of_marginal_is_marginal(covariance_type, case):
    mixture = mixture_of(case.truth, covariance_type)
    order = np.random.default_rng(0).permutation(case.X.shape[1])
    twice = mixture.marginal(order).marginal(0)
    once = mixture.marginal(int(order[0]))
    X = case.X[:9, [order[0]]]
    np.testing.assert_allclose(twice.score_samples(X), once.score_samples(X), 1e-10)


@types
@given(case=cases(max_features=4))
def test_conditional_density_is_joint_over_marginal(covariance_type, case):
    mixture, d = mixture_of(case.truth, covariance_type), case.X.shape[1]
    if d == 1:
        return
    known = np.random.default_rng(d).permutation(d)[: d - d // 2]
    left = [j for j in range(d) if j not in known]
    row = case.X[0]
    X = np.repeat(row[np.newaxis], 20, axis=0)
    X[:, left] = case.X[:20, left]
    conditional = mixture.condition(known, row[known])
    difference = mixture.score_samples(X) - mixture.marginal(known).score_samples(
        X[:, known]
    )
    log_density = conditional.score_samples(X[:, left])
    np.testing.assert_allclose(log_density, difference, 1e-9, 1e-9)


@types
def test_conditional_is_that_of_quadrature(covariance_type):
    mixture = mixture_of(Truth.random(3, 3, 2, distance=1.0), covariance_type)
    conditional = mixture.condition(0, 0.7)

    def joint(y, power=0):
        return y**power * np.exp(mixture.score([[0.7, y]]))

    total, first = (quad(joint, -15, 15, (p,), limit=200)[0] for p in (0, 1))
    assert conditional.mean()[0] == pytest.approx(first / total, abs=1e-7)
    density = np.exp(conditional.score([[0.3]]))
    assert density == pytest.approx(joint(0.3) / total, rel=1e-7)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_units_and_offsets_change_nothing(offset):
    truth = Truth.random(4, 3, 5)
    one = mixture_of(truth)
    other = GaussianMixture.from_parameters(
        truth.weights,
        (truth.means + offset) * UNITS,
        covariances=truth.matrices * UNITS * UNITS[:, np.newaxis],
    )
    values = np.array([0.5, -1.0])
    conditional = one.condition([0, 3], values)
    scaled = other.condition([0, 3], (values + offset) * UNITS[[0, 3]])
    left = UNITS[[1, 2, 4]]
    rtol = 1e-10 if offset == 0 else 1e-6  # of means near an offset of 1e6
    np.testing.assert_allclose(scaled.weights_, conditional.weights_, rtol)
    means = scaled.means_ / left - offset
    np.testing.assert_allclose(means, conditional.means_, rtol, 1e-9 + 1e-15 * offset)
    covariances = scaled.covariances_ / left / left[:, np.newaxis]
    np.testing.assert_allclose(covariances, conditional.covariances_, 1e-10, 1e-12)
    modes = other.modes() / UNITS - offset
    np.testing.assert_allclose(modes, one.modes(), 1e-6, 1e-6)
    entropy = other.entropy(random_state=0).value - np.log(UNITS).sum()
    assert entropy == pytest.approx(one.entropy(random_state=0).value, abs=1e-6)


def test_nearly_collinear_features_are_split():
    # The Schur complement of the first by subtraction has no digit left.
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    noise = 1e-7 * rng.normal(size=500)
    mixture = GaussianMixture(reg_covar=0).fit(np.column_stack([x, x + noise]))
    left = mixture.condition(0, 1.0).covariances_[0, 0, 0]
    beta = np.dot(x - x.mean(), noise - noise.mean()) / np.sum((x - x.mean()) ** 2)
    rest = noise - noise.mean() - beta * (x - x.mean())
    assert left == pytest.approx(np.mean(rest**2), rel=1e-4)


@types
def test_the_results_are_fitted_mixtures(covariance_type):
    truth = Truth.random(5, 2, 3)
    frame = pd.DataFrame(truth.sample(200, 1)[0], columns=["a", "b", "c"])
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=3)
    mixture.fit(frame)
    marginal = mixture.marginal(["c", "a"])
    assert marginal.feature_names_in_.tolist() == ["c", "a"]
    assert marginal.covariance_type == covariance_type
    assert marginal.random_state == 3
    marginal.predict(frame[["c", "a"]])  # no warning about names
    conditional = mixture.condition("b", 1.0)
    assert conditional.feature_names_in_.tolist() == ["a", "c"]
    again = conditional.condition("a", 0.5)
    both = mixture.condition(["b", "a"], [1.0, 0.5])
    np.testing.assert_allclose(again.means_, both.means_)
    np.testing.assert_allclose(again.weights_, both.weights_)
    mask = mixture.marginal(np.array([True, False, True]))
    np.testing.assert_array_equal(mask.means_, mixture.means_[:, [0, 2]])
    np.testing.assert_array_equal(mixture.marginal(-1).means_, mixture.means_[:, [2]])


def test_float32_stays_float32():
    X = case(1, 2, 3).X.astype(np.float32)
    mixture = GaussianMixture(2).fit(X)
    assert mixture.condition(0, 1.0).means_.dtype == np.float32
    assert mixture.component_log_density(X).dtype == np.float32
    assert mixture.modes().dtype == mixture.mean().dtype == np.float32


def test_values_far_away_choose_the_nearest_component():
    mixture = line([0.5, 0.5], [0.0, 1.0], [1.0, 1.0])
    plane = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0, 0], [1, 5]], covariances=[np.eye(2), 4 * np.eye(2)]
    )
    assert plane.condition(0, 1e160).weights_.tolist() == [0.0, 1.0]
    assert np.isfinite(mixture.component_log_density([[1e100]])).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_form_knows_its_parts(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    mixture = GaussianMixture(2, covariance_type=name).fit(X)
    covariances = mixture._model().mixture.covariances
    matrices = covariances.dense()
    roots = covariances.roots()
    np.testing.assert_array_equal(roots, np.tril(roots))
    np.testing.assert_allclose(roots @ np.swapaxes(roots, 1, 2), matrices, atol=1e-10)
    free, known = [3, 1], [0, 2]
    marginal = covariances.marginal(free)
    blocks = matrices[:, free][:, :, free]
    np.testing.assert_allclose(marginal.dense(), blocks, 1e-12, 1e-12)
    slopes, rest = covariances.split(known, free)
    cross, inner = matrices[:, free][:, :, known], matrices[:, known][:, :, known]
    expected = cross @ np.linalg.inv(inner)
    np.testing.assert_allclose(slopes, expected, 1e-9, 1e-9)
    schur = blocks - expected @ np.swapaxes(cross, 1, 2)
    np.testing.assert_allclose(rest.dense(), schur, 1e-9, 1e-9)
    for part in (marginal, rest):
        determinants = np.linalg.slogdet(part.dense())[1]
        np.testing.assert_allclose(part.log_determinants, determinants, 1e-9, 1e-9)


@pytest.mark.parametrize(
    ("features", "error", "match"),
    [
        (5, ValueError, r"features must be from 0 to 2; got 5"),
        ("a", ValueError, "features must be indices, since X had no names"),
        ([0, 0], ValueError, r"features must be different; got \[0, 0\]"),
        ([], ValueError, r"at least one; got \[\]"),
        ([0.5], TypeError, "whole numbers or names; got 0.5"),
        ([True, False], ValueError, r"mask, must have shape \(3,\); got shape \(2,\)"),
    ],
)
def test_features_that_do_not_exist(features, error, match):
    mixture = gaussian(0, 3)
    with pytest.raises(error, match=match):
        mixture.marginal(features)
    with pytest.raises(error, match=match):
        mixture.condition(features, 1.0)


def test_conditions_that_cannot_be():
    mixture = gaussian(0, 3)
    with pytest.raises(ValueError, match="leave at least one feature without a value"):
        mixture.condition([0, 1, 2], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"one number for each of the 2 features"):
        mixture.condition([0, 1], 1.0)
    with pytest.raises(ValueError, match="values contains NaN"):
        mixture.condition(0, np.nan)
    frame = pd.DataFrame(points_of(mixture, 30), columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"among \['a', 'b', 'c'\]; got 'd'"):
        GaussianMixture().fit(frame).marginal("d")


# ---- densities of components ----------------------------------------------
@types
@given(case=cases())
def test_component_densities_are_those_of_scipy(covariance_type, case):
    mixture = mixture_of(case.truth, covariance_type)
    logs = mixture.component_log_density(case.X)
    matrices = matrices_of(mixture)
    for k, (mean, matrix) in enumerate(zip(mixture.means_, matrices, strict=True)):
        expected = multivariate_normal(mean, matrix).logpdf(case.X)
        np.testing.assert_allclose(logs[:, k], expected, 1e-9, 1e-9)
    total = logsumexp(logs, b=mixture.weights_, axis=1)
    np.testing.assert_allclose(mixture.score_samples(case.X), total, 1e-10, 1e-10)


def test_component_of_weight_zero_has_a_density():
    mixture = line([1.0, 0.0], [0.0, 3.0], [1.0, 1.0])
    expected = norm([0, 3], 1).logpdf(1.0)
    np.testing.assert_allclose(mixture.component_log_density([[1.0]])[0], expected)


# ---- distribution function and quantiles ----------------------------------
@given(mixture=lines())
def test_cdf_of_one_feature_is_quadrature(mixture):
    centre, deviation = mixture.mean()[0], np.sqrt(mixture.covariance()[0, 0])
    for z in (-1.0, 0.1, 2.0):
        x = centre + z * deviation

        def density(u):
            return deviation * np.exp(mixture.score([[centre + u * deviation]]))

        peaks = np.clip((mixture.means_[:, 0] - centre) / deviation, -9, z)
        total, _ = quad(density, -9, z, points=peaks, limit=400)
        assert mixture.cdf([[x]])[0] == pytest.approx(total, abs=1e-7)


def test_cdf_is_exact_in_both_tails():
    mixture = line([0.3, 0.7], [-1.0, 2.0], [1.0, 0.5])
    lower = 0.3 * norm(-1, 1).cdf(-30) + 0.7 * norm(2, 0.5).cdf(-30)
    upper = 0.3 * norm(-1, 1).sf(30) + 0.7 * norm(2, 0.5).sf(30)
    assert mixture.cdf([[-30.0]])[0] == pytest.approx(lower, rel=1e-12)
    probability, error = mixture.cdf([[30.0]], complement=True, return_error=True)
    assert probability[0] == pytest.approx(upper, rel=1e-12)
    assert error[0] == 0
    assert mixture.cdf([[1e300], [-1e300]]).tolist() == [1.0, 0.0]


@types
def test_cdf_of_several_features_is_that_of_scipy(covariance_type):
    mixture = mixture_of(Truth.random(6, 2, 3, distance=1.0), covariance_type)
    X = mixture.sample(8, random_state=1)[0] + 1.0
    probability, error = mixture.cdf(X, return_error=True, random_state=0)
    known = inspect.signature(multivariate_normal.cdf).parameters
    options = {"maxpts": 200_000} | ({"rng": 1} if "rng" in known else {})
    expected = sum(
        weight * multivariate_normal.cdf(X, mean, matrix, **options)
        for weight, mean, matrix in zip(
            mixture.weights_, mixture.means_, matrices_of(mixture), strict=True
        )
    )
    assert np.all(error < 1e-4)
    assert np.all(np.abs(probability - expected) < 5 * error + 3e-5)
    complement = mixture.cdf(X, complement=True, random_state=0)
    np.testing.assert_allclose(complement, 1 - probability, rtol=1e-12)
    if covariance_type in ("diag", "spherical"):
        assert np.all(error < 1e-15)


def test_cdf_of_two_features_is_quadrature():
    mixture = mixture_of(Truth.random(7, 2, 2, distance=1.0))
    x, y = mixture.mean() + 0.5
    total, _ = dblquad(
        lambda v, u: np.exp(mixture.score([[u, v]])), -12, x, -12, y, epsabs=1e-6
    )
    probability, error = mixture.cdf([[x, y]], return_error=True, random_state=0)
    assert abs(probability[0] - total) < 4 * error[0] + 1e-6
    # An orthant probability that has a closed form (Sheppard 1899).
    rho = 0.9
    one = GaussianMixture.from_parameters(
        [1.0], [[5.0, 7.0]], covariances=[[[1, rho], [rho, 1]]]
    )
    probability, error = one.cdf([[5.0, 7.0]], return_error=True, random_state=0)
    exact = 0.25 + np.arcsin(rho) / (2 * np.pi)
    assert abs(probability[0] - exact) < 4 * error[0] < 1e-4


def test_the_error_of_the_cdf_is_of_its_size():
    mixture = mixture_of(Truth.random(8, 2, 5, distance=1.0))
    X = mixture.mean()[np.newaxis] + 1.0
    runs = [mixture.cdf(X, return_error=True, random_state=s) for s in range(20)]
    probabilities, errors = np.array(runs)[:, :, 0].T
    assert 0.4 < np.std(probabilities) / np.sqrt(np.mean(errors**2)) < 2.5


@given(mixture=lines(), seed=st.integers(0, 100))
def test_quantile_is_the_inverse_of_the_cdf(mixture, seed):
    p = np.random.default_rng(seed).uniform(size=20)
    p = np.concatenate([p, [1e-300, 1e-20, 1e-9, 0.5, 1 - 1e-9]])
    x = mixture.quantile(p)
    deviation = np.sqrt(mixture.covariances_).min()
    # How far a rounding of x moves the probability.
    density = np.exp(mixture.score_samples(x[:, np.newaxis]))
    slack = 8 * np.finfo(float).eps * (np.abs(x) + deviation) * density
    z = (x - mixture.means_) / np.sqrt(mixture.covariances_[:, 0])
    log_below = logsumexp(log_ndtr(z), b=mixture.weights_[:, None], axis=0)
    np.testing.assert_array_less(
        np.abs(np.exp(log_below) - p), slack + 1e-14 + 1e-8 * (p < 1e-6) * p
    )
    upper = mixture.quantile(p, complement=True)
    back = mixture.cdf(upper[:, np.newaxis], complement=True)
    density = np.exp(mixture.score_samples(upper[:, np.newaxis]))
    slack = 8 * np.finfo(float).eps * (np.abs(upper) + deviation) * density
    np.testing.assert_array_less(
        np.abs(back - p), slack + 1e-14 + 1e-8 * (p < 1e-6) * p
    )


@given(mixture=lines())
def test_cdf_and_quantile_come_back(mixture):
    x = mixture.sample(50, random_state=0)[0]
    p = mixture.cdf(x)
    back = mixture.quantile(p)
    density = np.exp(mixture.score_samples(x))
    rounding = np.finfo(float).eps * (1 / density + 8 * np.abs(x[:, 0]))
    assert np.all(np.abs(back - x[:, 0]) <= 8 * rounding)


@given(mixture=lines(), n=st.integers(2, 300))
def test_quantile_is_monotone(mixture, n):
    p = np.linspace(0, 1, n)
    x = mixture.quantile(p)
    assert np.all(np.diff(x) >= 0)
    assert x[0] == -np.inf
    assert x[-1] == np.inf
    assert np.all(np.diff(mixture.quantile(p, complement=True)) <= 0)


def test_quantile_across_a_gap():
    # Between the components the distribution function is flat to rounding.
    mixture = line([0.25, 0.75, 0.0], [-1e8, 1e8, 5e9], [1.0, 2.0, 1.0])
    x = mixture.quantile([0.125, 0.25, 0.25 + 0.375])
    assert x[[0, 2]] == pytest.approx([-1e8, 1e8], abs=1e-6)
    assert -1e8 + 5 < x[1] < 1e8 - 5
    assert mixture.quantile(0.125, complement=True) > 1e8
    one = line([1.0], [3.0], [2.0])
    for p in (1e-300, 0.3, 0.99):
        assert one.quantile(p) == pytest.approx(norm(3, 2).ppf(p), rel=1e-14)
    assert np.shape(one.quantile([[0.1, 0.2]])) == (1, 2)


def test_quantiles_that_cannot_be():
    mixture = gaussian(0, 2)
    with pytest.raises(ValueError, match="quantile is of one feature; this mixture"):
        mixture.quantile(0.5)
    with pytest.raises(ValueError, match=r"q must be from 0 to 1; got 1\.5"):
        mixture.marginal(0).quantile([0.2, 1.5])
    with pytest.raises(ValueError, match="q contains NaN"):
        mixture.marginal(0).quantile(np.nan)


# ---- moments --------------------------------------------------------------
@types
def test_moments_are_those_of_a_large_sample(covariance_type):
    mixture = mixture_of(Truth.random(9, 3, 3), covariance_type)
    X = mixture.sample(400_000, random_state=0)[0]
    spread = X.std(axis=0)
    np.testing.assert_allclose(
        mixture.mean() / spread, X.mean(axis=0) / spread, 0, 0.01
    )
    outer = spread * spread[:, np.newaxis]
    np.testing.assert_allclose(
        mixture.covariance() / outer, np.cov(X.T) / outer, 0, 0.02
    )


def test_moments_of_a_fit_are_those_of_the_rows():
    # A law of EM: at the fixed point the total moments are matched.
    X = case(2, 3, 2).X + 1e7
    mixture = GaussianMixture(3, reg_covar=0, tol=1e-12).fit(X)
    np.testing.assert_allclose(mixture.mean() - 1e7, X.mean(axis=0) - 1e7, rtol=1e-6)
    np.testing.assert_allclose(mixture.covariance(), np.cov(X.T, bias=True), rtol=1e-4)


# ---- modes ----------------------------------------------------------------
@given(mixture=lines())
def test_modes_of_one_feature_are_those_of_a_fine_grid(mixture):
    deviation = np.sqrt(mixture.covariances_).min()
    low, high = mixture.means_.min() - deviation, mixture.means_.max() + deviation
    grid = np.linspace(low, high, 40_001)
    density = mixture.score_samples(grid[:, np.newaxis])
    peak = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])
    modes = np.sort(mixture.modes()[:, 0])
    step = grid[1] - grid[0]
    # A grid sees rounding as peaks where the density is flat.
    peaks = grid[1:-1][peak]
    assert all(np.abs(peaks - m).min() < 2 * step + 1e-4 * deviation for m in modes)
    for x in peaks:
        nearest = np.abs(modes - x).min()
        rounded = np.ptp(density[np.abs(grid - x) < 3 * step]) < 1e-9
        assert nearest < 2 * step or rounded


@types
def test_modes_are_maxima_of_the_density(covariance_type):
    mixture = mixture_of(Truth.random(10, 4, 3, distance=1.5), covariance_type)
    modes = mixture.modes()
    heights = mixture.score_samples(modes)
    assert np.all(np.diff(heights) <= 0)
    for mode in modes:
        near = mode + 1e-3 * np.random.default_rng(0).normal(size=(200, 3))
        assert np.all(mixture.score_samples(near) < mixture.score([mode]))
    for mean in mixture.means_:
        top = minimize(lambda x: -mixture.score([x]), mean, tol=1e-10).x
        assert np.abs(modes - top).max(axis=1).min() < 1e-4


def test_modes_do_not_end_on_a_saddle():
    # The middle mean is a saddle by symmetry: nothing pulls it off.
    narrow, wide = np.diag([0.1, 0.1]), np.diag([9.0, 9.0])
    mixture = GaussianMixture.from_parameters(
        [0.45, 0.45, 0.1], [[-2, 0], [2, 0], [0, 0]], covariances=[narrow, narrow, wide]
    )
    modes = mixture.modes()
    assert sorted(modes[:, 0].round(1)) in ([-2.0, 2.0], [-2.0, 0.0, 2.0])
    pair = line([0.5, 0.5], [-1.0, 1.0], [0.9, 0.9])
    lone = line([0.4, 0.2, 0.4], [-1.0, 0.0, 1.0], [0.5, 3.0, 0.5])
    assert len(pair.modes()) == 2
    assert sorted(lone.modes()[:, 0].round(1)) == [-1.0, 1.0]
    # Standard deviations of half the distance make one flat top.
    flat = line([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0])
    np.testing.assert_allclose(flat.modes(), [[0.0]], atol=1e-2)


def test_a_single_gaussian_has_its_mean_as_mode():
    mixture = gaussian(11, 4)
    np.testing.assert_allclose(mixture.modes(), mixture.means_)


# ---- entropy and divergence -----------------------------------------------
@types
def test_entropy_is_quadrature_within_its_error(covariance_type):
    mixture = mixture_of(Truth.random(12, 3, 1, distance=1.5), covariance_type)

    def integrand(x):
        log = mixture.score([[x]])
        return -np.exp(log) * log

    exact, _ = quad(integrand, -20, 20, limit=400)
    estimate = mixture.entropy(random_state=0)
    assert abs(estimate.value - exact) < 4 * estimate.standard_error < 0.02
    assert estimate.lower <= exact <= estimate.upper


@given(case=cases())
def test_entropy_of_samples_is_within_bounds(case):
    mixture = mixture_of(case.truth)
    estimate = mixture.entropy(2000, random_state=0)
    assert estimate.lower <= estimate.value <= estimate.upper
    X = mixture.sample(20_000, random_state=1)[0]
    logs = mixture.score_samples(X)
    error = np.hypot(logs.std() / np.sqrt(len(X)), estimate.standard_error)
    assert abs(estimate.value + logs.mean()) < 5 * error
    assert estimate.standard_error < 1.1 * logs.std() / np.sqrt(2000) + 1e-12


def test_entropy_and_divergence_of_gaussians_are_exact():
    p, q = gaussian(13, 3), gaussian(14, 3)
    scipy = multivariate_normal(p.means_[0], p.covariances_[0])
    estimate = p.entropy(100)
    assert estimate.value == pytest.approx(scipy.entropy(), rel=1e-12)
    assert estimate.standard_error < 1e-12
    inverse = np.linalg.inv(q.covariances_[0])
    offset = q.means_[0] - p.means_[0]
    exact = 0.5 * (
        np.trace(inverse @ p.covariances_[0])
        + offset @ inverse @ offset
        - 3
        - np.linalg.slogdet(inverse @ p.covariances_[0])[1]
    )
    estimate = p.kl_divergence(q, 100)
    assert estimate.value == pytest.approx(exact, rel=1e-10)
    assert estimate.standard_error < 1e-10 * exact
    assert estimate.lower <= exact * (1 + 1e-12)
    assert estimate.upper >= exact * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_divergence_is_quadrature_within_its_error(seed):
    p = mixture_of(Truth.random(seed, 3, 1, distance=1.5))
    q = mixture_of(Truth.random(seed + 50, 2, 1, distance=1.5))

    def integrand(x):
        log = p.score([[x]])
        return np.exp(log) * (log - q.score([[x]]))

    exact, _ = quad(integrand, -20, 20, limit=400)
    estimate = p.kl_divergence(q, random_state=seed)
    assert abs(estimate.value - exact) < 4 * estimate.standard_error
    assert estimate.lower <= exact <= estimate.upper


def test_divergence_from_itself_is_zero():
    p = mixture_of(Truth.random(15, 3, 2))
    estimate = p.kl_divergence(p, 1000)
    assert estimate.value == estimate.standard_error == 0
    assert estimate.lower == 0
    other = p.kl_divergence(gaussian(1, 2), 1000, random_state=0)
    again = p.kl_divergence(gaussian(1, 2), 1000, random_state=0)
    assert other == again


def test_divergences_that_cannot_be():
    p = gaussian(0, 2)
    with pytest.raises(TypeError, match="fitted mixture of skgmm; got int"):
        p.kl_divergence(3)
    with pytest.raises(ValueError, match="other must have 2 features"):
        p.kl_divergence(gaussian(0, 3))
    with pytest.raises(ValueError, match="n_samples must be at least 2; got 1"):
        p.entropy(1)
    with pytest.raises(TypeError, match=r"n_samples must be a whole number; got 2\.5"):
        p.kl_divergence(p, 2.5)


@types
def test_overlap_is_quadrature(covariance_type):
    mixture = mixture_of(Truth.random(16, 3, 1, distance=1.0), covariance_type)
    overlap = mixture.overlap()
    for j in range(3):
        for k in range(3):

            def integrand(x, j=j, k=k):
                return np.exp(mixture.component_log_density([[x]])[0, [j, k]].mean())

            exact, _ = quad(integrand, -15, 15, limit=200)
            assert overlap[j, k] == pytest.approx(exact, abs=1e-7)


def test_overlap_is_symmetric_and_at_most_one():
    overlap = mixture_of(Truth.random(17, 4, 3, distance=0.5)).overlap()
    np.testing.assert_allclose(overlap, overlap.T, rtol=1e-12)
    assert np.all(overlap <= 1)
    assert np.all(np.diagonal(overlap) == 1)


# ---- regions of highest density -------------------------------------------
def test_highest_density_region_of_a_gaussian_is_exact():
    mixture = gaussian(18, 1)
    mean, deviation = mixture.means_[0, 0], np.sqrt(mixture.covariances_[0, 0, 0])
    level = mixture.highest_density_level(0.95)
    edge = norm(mean, deviation).ppf(0.975)
    assert level == pytest.approx(norm(mean, deviation).logpdf(edge), rel=1e-10)
    X = mean + deviation * np.array([[-1.97], [-1.95], [0.0], [1.95], [1.97]])
    inside = mixture.in_highest_density_region(X, 0.95)
    assert inside.tolist() == [False, True, True, True, False]


@types
def test_highest_density_region_has_its_content(covariance_type):
    mixture = mixture_of(Truth.random(19, 3, 2), covariance_type)
    X = mixture.sample(100_000, random_state=1)[0]
    contents = np.array([0.1, 0.5, 0.9, 0.99])
    levels = mixture.highest_density_level(contents, random_state=2)
    assert np.all(np.diff(levels) < 0)
    found = (mixture.score_samples(X)[:, np.newaxis] >= levels).mean(axis=0)
    error = np.sqrt(2 * contents * (1 - contents) / 100_000)
    assert np.all(np.abs(found - contents) < 4 * error)
    inside = mixture.in_highest_density_region(X[:100], 0.5, random_state=2)
    np.testing.assert_array_equal(inside, mixture.score_samples(X[:100]) >= levels[1])


def test_contents_that_cannot_be():
    mixture = gaussian(0, 2)
    with pytest.raises(ValueError, match="content must be between 0 and 1; got 1"):
        mixture.highest_density_level(1.0)
    with pytest.raises(ValueError, match="content must be one probability; got 2"):
        mixture.in_highest_density_region([[0.0, 0.0]], [0.5, 0.9])
