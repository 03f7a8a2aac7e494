"""The conjugate prior and the bound on eigenvalues: against formulas and optimisers."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import invwishart, multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from strategies import case, cases, fitted, matrices_of

from skgmm import ConjugatePrior, GaussianMixture
from skgmm._gaussian_mixture import _problem, _source
from skgmm.families import FAMILIES, NAMES
from skgmm.families._bounded import truncated
from skgmm.selection import likelihood_ratio_test

BOUNDED = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
OPTIONS = [{"prior": "fraley-raftery"}, {"max_eigenvalue_ratio": 4.0}]


def problem_of(X, n_components, covariance_type, **parameters):
    """Return the problem that a fit to rows of weight one solves."""
    estimator = GaussianMixture(
        n_components, covariance_type=covariance_type, **parameters
    )
    family = FAMILIES[covariance_type]
    source = _source(X, np.ones(len(X)), 0.0, family, n_components)
    return _problem(estimator, source, family)


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def one_step(X, labels, covariance_type, **parameters):
    """Return the mixture after the M-step of a partition."""
    n_components = labels.max() + 1
    return fitted(
        X,
        n_components,
        covariance_type=covariance_type,
        init_params=labels,
        max_iter=0,
        **parameters,
    )


# ---- the prior -------------------------------------------------------------
@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 3.0])
@pytest.mark.parametrize(
    "covariance_type", ["full", "tied", "diag", "spherical", "tied_spherical"]
)
def test_the_m_step_is_that_of_the_paper(covariance_type, shrinkage):
    # Fraley and Raftery (2007), table 1, in their notation; rows of unit variances, for
    # which our diagonal prior is theirs.
    data = case(3, 3, 4)
    X, k, (n, d) = standardised(data.X), 3, data.X.shape
    prior = ConjugatePrior(shrinkage=shrinkage)
    mixture = one_step(X, data.labels, covariance_type, prior=prior)
    nu, flat = d + 2, shrinkage == 0
    scale = np.cov(X.T, bias=True) / k ** (2 / d)
    average = np.trace(scale) / d
    counts, scatter = [], []
    for j in range(k):
        rows = X[data.labels == j]
        count, offset = len(rows), rows.mean(axis=0) - X.mean(axis=0)
        weight = shrinkage * count / (shrinkage + count)
        counts.append(count)
        inner = (rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0))
        scatter.append(inner + weight * np.outer(offset, offset))
        mean = (rows.sum(axis=0) + shrinkage * X.mean(axis=0)) / (count + shrinkage)
        np.testing.assert_allclose(mixture.means_[j], mean, rtol=1e-10, atol=1e-12)
    counts, scatter = np.array(counts), np.array(scatter)
    traces = np.trace(scatter, axis1=1, axis2=2)
    expected = {
        "full": (scale + scatter) / (counts + nu + d + 2 - flat)[:, None, None],
        "tied": (scale + scatter.sum(axis=0)) / (n + nu + d + 1 + (0 if flat else k)),
        "diag": (average + np.diagonal(scatter, axis1=1, axis2=2))
        / (counts + nu + 3 - flat)[:, None],
        "spherical": (average + traces) / (d * counts + nu + 2 + (0 if flat else d)),
        "tied_spherical": np.full(
            k, (average + traces.sum()) / (d * n + nu + 2 + (0 if flat else k * d))
        ),
    }[covariance_type]
    # The pseudo-observations are a millionth of one.
    np.testing.assert_allclose(mixture.covariances_, expected, rtol=2e-6, atol=1e-7)


def test_the_penalty_is_the_density_of_the_prior():
    data = case(5, 3, 3)
    X, d = data.X, 3
    problem = problem_of(X, 3, "full", prior="fraley-raftery")
    regularisation = replace(problem.regularisation, size=0.0)
    total, centre = np.cov(X.T, bias=True), X.mean(axis=0)

    def log_prior(mixture):
        outside = problem.source.frame.outward(mixture)
        return sum(
            multivariate_normal(centre, matrix / 0.01).logpdf(mean)
            + invwishart(d + 2, total / 3 ** (2 / d)).logpdf(matrix)
            for mean, matrix in zip(
                outside.means, outside.covariances.dense(), strict=True
            )
        )

    start = problem.maximisation(
        problem.source.class_moments(data.labels, 3, problem.family.form)
    )
    other = problem.maximisation(problem.expectation(start)[0])
    ours = regularisation.log_penalty(other) - regularisation.log_penalty(start)
    assert ours == pytest.approx(log_prior(other) - log_prior(start), rel=1e-9)


def perturbed(covariances, size, rng):
    """Return the values of other covariances of the same form."""
    values = covariances.values
    if covariances.kind in ("diag", "spherical"):
        return values * (1 + size * rng.uniform(-1, 1, size=values.shape))
    maps = np.eye(values.shape[-1]) + size * rng.uniform(-1, 1, size=values.shape)
    matrices = maps @ values @ np.swapaxes(maps, -1, -2)
    return (matrices + np.swapaxes(matrices, -1, -2)) / 2


@pytest.mark.parametrize("code", NAMES)
def test_the_m_step_maximises_the_penalised_complete_likelihood(code):
    # No mixture of the family near the one it gives is better.
    data = case(7, 2, 3)
    problem = problem_of(data.X, 2, code, prior=ConjugatePrior(shrinkage=1.0))
    form = problem.family.form
    statistics = problem.source.class_moments(data.labels, 2, form)
    mixture = None
    for _ in range(60):
        mixture = problem.maximisation(statistics, mixture)

    def objective(mixture):
        offsets = statistics.means() - mixture.means
        scatter = form.shift_scatter(statistics.scatter(), -statistics.count, offsets)
        covariances = mixture.covariances
        likelihood = -0.5 * (
            statistics.count @ covariances.log_determinants
            + covariances.expected_mahalanobis(scatter)
        )
        return likelihood + problem.regularisation.log_penalty(mixture)

    best, rng = objective(mixture), np.random.default_rng(0)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(10):
            means = mixture.means + size * rng.normal(size=mixture.means.shape)
            assert objective(replace(mixture, means=means)) < best
            other = form(perturbed(mixture.covariances, size, rng), 2, 3)
            moved = problem.regularisation.project(
                problem.family, np.full(2, 1e9), other, mixture.covariances
            )
            moved = replace(mixture, covariances=moved)
            assert objective(moved) <= best + 1e-9


@pytest.mark.parametrize("code", NAMES)
@pytest.mark.parametrize("acceleration", [None, "squarem"])
@given(case=cases(max_components=3, max_features=4, n_rows=st.just(120)))
def test_the_posterior_never_falls(code, acceleration, case):
    mixture = fitted(
        case.X,
        case.n_components,
        covariance_type=code,
        prior="fraley-raftery",
        acceleration=acceleration,
        max_iter=12,
    )
    bounds = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-11 * np.maximum(1, np.abs(bounds[1:])))


@pytest.mark.parametrize("prior", ["fraley-raftery", ConjugatePrior(scale=0.3)])
def test_one_gaussian_has_the_mode_in_closed_form(prior):
    X = case(2, 1, 3).X
    n, d = X.shape
    mixture = GaussianMixture(1, prior=prior).fit(X)
    scale = prior.scale if isinstance(prior, ConjugatePrior) else 1.0
    expected = (n + scale) * np.cov(X.T, bias=True) / (n + 2 * d + 4)
    np.testing.assert_allclose(mixture.means_[0], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mixture.covariances_[0], expected, rtol=1e-6, atol=1e-6)


# ---- the bound -------------------------------------------------------------
def cost(log_eigenvalues, eigenvalues, count):
    terms = log_eigenvalues + eigenvalues * np.exp(-log_eigenvalues)
    return float(count @ terms.sum(axis=1))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(1, 4),
    st.floats(0.0, 8.0),
    st.booleans(),
)
def test_truncation_is_the_best_of_all_bounds(seed, k, d, log_ratio, ties):
    rng = np.random.default_rng(seed)
    eigenvalues = np.exp(rng.normal(scale=3.0, size=(k, d)))
    if ties:
        eigenvalues = np.round(eigenvalues, 0)  # some are zero
        eigenvalues.flat[0] = 1.0
    count, ratio = rng.uniform(0.1, 50.0, size=k), np.exp(log_ratio)
    within = truncated(eigenvalues, count, ratio)
    if eigenvalues.min() > 0:
        assert within.max() <= ratio * within.min() * (1 + 1e-12)
    if within is eigenvalues:
        return
    best = cost(np.log(within), eigenvalues, count)
    points = np.concatenate([eigenvalues.ravel(), eigenvalues.ravel() / ratio])
    low, high = points[points > 0].min(), points.max()
    for least in np.geomspace(0.5 * low, 2 * high, 2000):
        other = np.clip(eigenvalues, least, ratio * least)
        assert cost(np.log(other), eigenvalues, count) >= best - 1e-9 * abs(best) - 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_the_bounded_m_step_is_that_of_a_general_optimiser(seed):
    # Over eigenvalues and angles of two matrices in two dimensions.
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 2))
    labels = np.repeat([0, 1], [10, 50])
    X[labels == 0] = [5.0, 1.0] + 0.05 * X[labels == 0] * [1.0, 3.0]
    ratio = 5.0
    mixture = one_step(X, labels, "full", max_eigenvalue_ratio=ratio)
    root = np.linalg.cholesky(np.cov(X.T, bias=True))
    white = np.linalg.solve(root, (X - X.mean(axis=0)).T).T
    scatter = [np.cov(white[labels == j].T, bias=True) for j in range(2)]
    count = np.array([10.0, 50.0])

    def matrices(vector):
        logs, angles = vector[:4].reshape(2, 2), vector[4:]
        for log, angle in zip(logs, angles, strict=True):
            c, s = np.cos(angle), np.sin(angle)
            axes = np.array([[c, -s], [s, c]])
            yield (axes * np.exp(log)) @ axes.T

    def objective(vector):
        return sum(
            n * (np.linalg.slogdet(c)[1] + np.trace(np.linalg.solve(c, w)))
            for n, c, w in zip(count, matrices(vector), scatter, strict=True)
        )

    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    bounds = [
        {"type": "ineq", "fun": lambda v, i=i, j=j: np.log(ratio) - v[i] + v[j]}
        for i, j in pairs
    ]
    starts = [np.r_[np.zeros(4), rng.uniform(0, np.pi, size=2)] for _ in range(8)]
    ends = [minimize(objective, v, constraints=bounds, tol=1e-12) for v in starts]
    end = min((e for e in ends if e.success), key=lambda e: e.fun)
    expected = [root @ c @ root.T for c in matrices(end.x)]
    np.testing.assert_allclose(mixture.covariances_, expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("covariance_type", BOUNDED)
@pytest.mark.parametrize("acceleration", [None, "squarem"])
@given(
    case=cases(max_components=3, max_features=4, n_rows=st.just(120)),
    ratio=st.sampled_from([1.0, 2.0, 30.0]),
)
def test_the_bound_holds_and_the_likelihood_never_falls(
    covariance_type, acceleration, case, ratio
):
    mixture = fitted(
        case.X,
        case.n_components,
        covariance_type=covariance_type,
        max_eigenvalue_ratio=ratio,
        acceleration=acceleration,
        max_iter=12,
    )
    bounds = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-11 * np.maximum(1, np.abs(bounds[1:])))
    total = np.cov(case.X.T, bias=True).reshape(2 * [case.X.shape[1]])
    if covariance_type in ("diag", "tied_diag"):
        total = np.diag(np.diag(total))
    if "spherical" in covariance_type:
        total = np.eye(len(total))
    eigenvalues = np.linalg.eigvals(np.linalg.solve(total, matrices_of(mixture))).real
    assert eigenvalues.max() <= ratio * eigenvalues.min() * (1 + 1e-6)


@pytest.mark.parametrize("covariance_type", BOUNDED)
def test_a_loose_bound_changes_nothing(covariance_type):
    data = case(11, 3, 3)
    free = fitted(data.X, 3, covariance_type=covariance_type)
    bounded = fitted(
        data.X, 3, covariance_type=covariance_type, max_eigenvalue_ratio=1e6
    )
    np.testing.assert_allclose(bounded.covariances_, free.covariances_, rtol=1e-9)


# ---- both ------------------------------------------------------------------
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_linear_maps_of_the_features_change_nothing(covariance_type, options):
    data = case(13, 3, 3)
    A = np.array([[1.0, 0.5, 0.0], [0.0, 1.2, 0.3], [-0.2, 0.0, 0.8]])
    options = options | {"covariance_type": covariance_type, "max_iter": 20, "tol": 0}
    one, other = (
        fitted(X, 3, init_params=data.labels, **options)
        for X in (data.X, data.X @ A.T + 100)
    )
    mapped = A @ matrices_of(one) @ A.T
    np.testing.assert_allclose(matrices_of(other), mapped, rtol=1e-4, atol=1e-5)
    jacobian = np.log(abs(np.linalg.det(A)))
    assert other.lower_bound_ == pytest.approx(one.lower_bound_ - jacobian, abs=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("covariance_type", ["diag", "tied_diag"])
def test_units_change_nothing(covariance_type, options):
    data, units = case(17, 2, 3), np.array([1e-3, 1.0, 1e5])
    options = options | {"covariance_type": covariance_type, "max_iter": 20, "tol": 0}
    one, other = (
        fitted(X, 2, init_params=data.labels, **options)
        for X in (data.X, data.X * units)
    )
    np.testing.assert_allclose(
        other.covariances_, one.covariances_ * units**2, rtol=1e-7
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_a_spurious_maximum_is_none_any_more(options):
    # Four rows that happen to lie on a line: a start there is kept by EM.
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 2))
    line = np.linspace(0.0, 0.1, 4)
    X[:4] = 0.5 + np.column_stack([line, line + 1e-6 * rng.normal(size=4)])
    labels = (np.arange(200) < 4).astype(int)
    spurious = fitted(X, 2, init_params=labels)
    assert spurious.degenerate_
    mixture = fitted(X, 2, init_params=labels, **options)
    assert np.linalg.eigvalsh(mixture.covariances_).min() > 1e-3
    assert mixture.degenerate_ == []


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_race_works(covariance_type, options):
    data = case(19, 4, 2, n_rows=400, distance=8.0)
    problem = problem_of(data.X, 4, covariance_type, **options)
    assert problem.terms is None
    mixture = GaussianMixture(4, covariance_type=covariance_type, **options)
    mixture.fit(data.X)
    assert mixture.converged_
    told = clone(mixture).set_params(init_params=data.labels).fit(data.X)
    assert mixture.lower_bound_ > told.lower_bound_ - 1e-6


@pytest.mark.parametrize("options", [*OPTIONS, OPTIONS[0] | OPTIONS[1]])
def test_a_weight_is_a_repeated_row(options):
    data, rng = case(23, 2, 2), np.random.default_rng(0)
    weight = rng.integers(0, 4, size=len(data.X))
    options = options | {"means_init": data.truth.means, "max_iter": 2}
    one = fitted(data.X, 2, sample_weight=weight, **options)
    other = fitted(np.repeat(data.X, weight, axis=0), 2, **options)
    np.testing.assert_allclose(one.covariances_, other.covariances_, rtol=1e-7)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "spherical"])
def test_weights_that_sum_to_one_are_fractions_of_rows(covariance_type, options):
    data = case(41, 2, 2)
    # A few steps: by rounding one more may be made near the end.
    options = options | {"init_params": data.labels, "max_iter": 2}
    options = options | {"covariance_type": covariance_type}
    weight = np.full(len(data.X), 1 / len(data.X))
    one = fitted(data.X, 2, **options)
    other = fitted(data.X, 2, sample_weight=weight, **options)
    np.testing.assert_allclose(one.covariances_, other.covariances_, rtol=1e-9)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("options", OPTIONS)
def test_rows_with_holes_and_features_without_news(options):
    data, rng = case(29, 2, 2, distance=8.0), np.random.default_rng(0)
    X = data.X.copy()
    X[rng.random(X.shape) < 0.1] = np.nan
    mixture = fitted(X, 2, **options)
    bounds = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-11)
    flat = np.column_stack([data.X, np.ones(len(X)), data.X.sum(axis=1)])
    with pytest.warns(UserWarning, match="have one value only"):
        mixture = fitted(flat, 2, **options)
    assert np.all(np.diff(mixture.lower_bounds_) >= -1e-9)


@pytest.mark.parametrize("options", [*OPTIONS, {"prior": ConjugatePrior(1.0, 5, 0.5)}])
def test_estimators_are_copied_and_pickled(options):
    X = case(31, 2, 2).X
    mixture = clone(GaussianMixture(2, **options)).fit(X)
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.covariances_, mixture.covariances_)
    assert again.get_params() == mixture.get_params()
    assert mixture.bic(X) == again.bic(X)


@pytest.mark.parametrize("options", OPTIONS)
def test_tests_refit_with_the_options(options):
    X = case(37, 2, 2, n_rows=80).X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        test = likelihood_ratio_test(
            GaussianMixture(1, **options), X, n_resamples=3, random_state=0
        )
    assert 0 < test.pvalue <= 1


# ---- errors ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"prior": "fraley"}, "among {'fraley-raftery'}.*Got 'fraley'"),
        ({"max_eigenvalue_ratio": 0.5}, r"range \[1.0, inf\) or None. Got 0.5"),
        ({"max_eigenvalue_ratio": np.nan}, "Got nan"),
        (
            {"max_eigenvalue_ratio": 2.0, "covariance_type": "VVE"},
            "max_eigenvalue_ratio is for the covariance types.*got "
            "covariance_type='VVE'. Use one of these, or prior='fraley-raftery'",
        ),
        (
            {"prior": "fraley-raftery", "reg_covar": 0.1},
            "prior='fraley-raftery' needs reg_covar='auto'.*reg_covar=0.1 is a ridge.*"
            "Leave reg_covar at 'auto'",
        ),
        (
            {"max_eigenvalue_ratio": 2.0, "reg_covar": 0},
            "max_eigenvalue_ratio=2.0 needs reg_covar='auto'",
        ),
        (
            {"prior": ConjugatePrior(degrees_of_freedom=1.0)},
            r"must be above D - 1 = 2 for the 3 features of X; got 1.0. Use None",
        ),
    ],
)
def test_bad_options(parameters, text):
    mixture = GaussianMixture(2, **parameters)
    with pytest.raises(ValueError, match=text):
        mixture.fit(case(0, 2, 3).X)
    assert not hasattr(mixture, "n_features_in_")


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"shrinkage": -1}, ValueError, "finite number of at least 0; got -1"),
        ({"scale": 0.0}, ValueError, "scale of a ConjugatePrior .* above 0; got 0.0"),
        ({"degrees_of_freedom": np.inf}, ValueError, "above 0; got inf"),
        ({"scale": "1"}, TypeError, "above 0; got '1'"),
    ],
)
def test_bad_priors(parameters, error, text):
    with pytest.raises(error, match=text):
        ConjugatePrior(**parameters)


@pytest.mark.parametrize(
    "parameters", [{"prior": "fraley-raftery"}, {"max_eigenvalue_ratio": 10.0}]
)
def test_streams_have_neither(parameters):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(
        ValueError, match=f"{next(iter(parameters))}=.*is for fit.*None"
    ):
        GaussianMixture(2, **parameters).partial_fit(X)
