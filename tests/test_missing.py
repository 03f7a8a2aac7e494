"""Rows with holes: against brute force, and the laws of complete rows."""

import warnings
from functools import partial

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, Truth, case, cases, dense, examples, fitted, matrices_of
from test_laws import as_far, assert_same_fit

import skgmm._gaussian_mixture
from skgmm import GaussianMixture, kernels
from skgmm._frame import Frame
from skgmm._missing import HolesSource
from skgmm._mixture import Mixture
from skgmm._progress import Monitor
from skgmm._sources import ArraySource
from skgmm.families import FAMILIES
from skgmm.forms import Full, _matrices
from skgmm.kernels import Patterns, holes

types = pytest.mark.parametrize("covariance_type", TYPES)
seeds = st.integers(0, 2**32 - 1)


def punched(X, fraction, seed):
    """Return rows with a fraction of holes: some rows complete, some empty."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(X.shape) < fraction, np.nan, X)


def quietly(X, n_components, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(n_components, **parameters).fit(X)


# ---- brute force ----------------------------------------------------------
def brute_log_joint(X, weights, means, matrices):
    """Return the log joint densities (n, K), row by row, by SciPy's marginals."""
    out = np.tile(np.log(weights), (len(X), 1))
    for i, x in enumerate(X):
        o = ~np.isnan(x)
        for k in range(len(weights)) if o.any() else ():
            marginal = multivariate_normal(means[k][o], matrices[k][np.ix_(o, o)])
            out[i, k] += marginal.logpdf(x[o])
    return out


def brute_moments(X, responsibilities, means, matrices):
    """Return counts, first and second moments (K, D, D) about zero, row by row."""
    first, second = np.zeros_like(means), np.zeros_like(matrices)
    for x, parts in zip(X, responsibilities, strict=True):
        o, m = ~np.isnan(x), np.isnan(x)
        for k, part in enumerate(parts):
            S = matrices[k]
            G = S[np.ix_(m, o)] @ np.linalg.inv(S[np.ix_(o, o)])
            filled = x.copy()
            filled[m] = means[k][m] + G @ (x[o] - means[k][o])
            first[k] += part * filled
            second[k] += part * np.outer(filled, filled)
            second[k][np.ix_(m, m)] += part * (S[np.ix_(m, m)] - G @ S[np.ix_(o, m)])
    return responsibilities.sum(axis=0), first, second


def brute_step(X, sample_weight, weights, means, matrices, covariance_type):
    """Return the log-likelihood and the parameters after a step of EM."""
    joint = brute_log_joint(X, weights, means, matrices)
    density = np.logaddexp.reduce(joint, axis=1)
    parts = np.exp(joint - density[:, None]) * sample_weight[:, None]
    count, first, second = brute_moments(X, parts, means, matrices)
    means = first / count[:, None]
    outer = means[:, :, None] * means[:, None, :]
    matrices = second / count[:, None, None] - outer
    weights = count / count.sum()
    if covariance_type == "tied":
        matrices[:] = np.tensordot(weights, matrices, 1)
    if covariance_type in ("diag", "spherical"):
        variances = np.diagonal(matrices, axis1=1, axis2=2)
        if covariance_type == "spherical":
            variances = np.broadcast_to(variances.mean(axis=1)[:, None], means.shape)
        matrices = variances[:, :, None] * np.eye(means.shape[1])
    return sample_weight @ density / sample_weight.sum(), weights, means, matrices


@types
@pytest.mark.parametrize(("n_features", "fraction"), [(1, 0.3), (3, 0.3), (5, 0.5)])
def test_steps_of_em_equal_brute_force(covariance_type, n_features, fraction):
    problem = case(n_features, 3, n_features, n_rows=90, distance=1.5)
    X = punched(problem.X, fraction, seed=1)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(X))
    start = problem.truth.start(covariance_type)
    one = fitted(
        X,
        3,
        sample_weight=weight,
        covariance_type=covariance_type,
        reg_covar=0.0,
        max_iter=3,
        tol=0.0,
        **start,
    )
    means = start["means_init"]
    precisions = dense(start["precisions_init"], covariance_type, *means.shape)
    state = start["weights_init"], means, np.linalg.inv(precisions)
    known = ~np.isnan(X).all(axis=1)  # EM leaves the others out: they tell nothing
    for _ in range(3):
        _, *state = brute_step(X[known], weight[known], *state, covariance_type)
    density = np.logaddexp.reduce(brute_log_joint(X, *state), axis=1)
    objective = weight @ density / weight.sum()
    np.testing.assert_allclose(one.weights_, state[0], rtol=1e-10)
    np.testing.assert_allclose(one.means_, state[1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(matrices_of(one), state[2], rtol=1e-10, atol=1e-10)
    assert one.lower_bound_ == pytest.approx(objective, rel=1e-12)
    assert one.score(X, sample_weight=weight) == pytest.approx(objective, rel=1e-12)


@pytest.fixture
def mixture():
    return fitted(case(3, 3, 4).X, 3)


@types
def test_predictions_marginalise(covariance_type):
    problem = case(3, 3, 4, distance=1.0)
    one = fitted(problem.X, 3, covariance_type=covariance_type)
    X = punched(problem.X, 0.4, seed=1)
    joint = brute_log_joint(X, one.weights_, one.means_, matrices_of(one))
    density = np.logaddexp.reduce(joint, axis=1)
    np.testing.assert_allclose(one.score_samples(X), density, rtol=1e-10, atol=1e-12)
    logs = joint - density[:, None]
    np.testing.assert_allclose(one.predict_log_proba(X), logs, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(one.predict_proba(X), np.exp(logs), atol=1e-10)
    np.testing.assert_array_equal(one.predict(X), joint.argmax(axis=1))
    assert one.score(X) == pytest.approx(density.mean())
    parameters = one._model().n_parameters()
    bic = -2 * density.sum() + parameters * np.log(len(X))
    assert one.bic(X) == pytest.approx(bic)
    assert one.aic(X) == pytest.approx(-2 * density.sum() + 2 * parameters)
    entropy = -np.sum(np.exp(logs) * logs)
    assert one.icl(X) == pytest.approx(bic + 2 * entropy)


def test_empty_rows_have_density_one_and_the_prior(mixture):
    X = np.full((3, 4), np.nan)
    np.testing.assert_array_equal(mixture.score_samples(X), np.zeros(3))
    prior = np.tile(mixture.weights_, (3, 1))
    np.testing.assert_allclose(mixture.predict_proba(X), prior, rtol=1e-15)
    assert set(mixture.predict(X)) == {mixture.weights_.argmax()}


def test_complete_rows_do_not_notice_the_others(mixture):
    X = case(3, 3, 4).X
    mixed = X.copy()
    mixed[::3, 1] = np.nan
    whole = np.flatnonzero(~np.isnan(mixed).any(axis=1))
    for method in ("score_samples", "predict_log_proba", "predict"):
        one, other = getattr(mixture, method)(mixed), getattr(mixture, method)(X[whole])
        np.testing.assert_array_equal(one[whole], other)


def test_far_rows_with_holes_go_to_the_nearest_component(mixture):
    X = np.array([[1e200, np.nan, 0, 0], [-1e200, np.nan, 0, 0], [1e200] * 4])
    assert np.all(mixture.score_samples(X) == -np.inf)
    parts = mixture.predict_proba(X)
    np.testing.assert_array_equal(parts.sum(axis=1), np.ones(3))
    np.testing.assert_array_equal(mixture.predict(X), parts.argmax(axis=1))
    without = [np.delete(np.delete(m, 1, 0), 1, 1) for m in mixture.covariances_]
    residual = np.array([1.0, 0.0, 0.0])
    distances = [residual @ np.linalg.inv(m) @ residual for m in without]
    assert mixture.predict(X)[0] == np.argmin(distances)


# ---- kernels --------------------------------------------------------------
def holes_problem(seed, n_components, n_features, n_rows, dtype, fraction=0.4):
    problem = case(seed, n_components, n_features, n_rows)
    X = punched(problem.X, fraction, seed).astype(dtype)
    order, patterns = Patterns.of(X)  # the last one is empty
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2.0, len(X))
    matrices = problem.truth.matrices
    form = Full(matrices, *problem.truth.means.shape)
    full = Mixture(problem.truth.weights, problem.truth.means, form)
    frame = rng.normal(size=n_features), rng.uniform(0.5, 2.0, n_features)
    varies = rng.random(n_features) < 0.8
    return X[order], weight, frame, full, patterns, varies


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 300), (3, 2, 700), (2, 5, 3000), (9, 12, 300)]
)
def test_compiled_pass_equals_numpy(monkeypatch, shape, kind, dtype):
    compiled = pytest.importorskip("skgmm.kernels.compiled")
    X, weight, frame, mixture, patterns, varies = holes_problem(1, *shape, dtype)
    if kind == "diag":
        sizes = mixture.means.shape
        values = np.diagonal(mixture.covariances.values, axis1=1, axis2=2)
        covariances = FAMILIES["diag"].form(values, *sizes)
        mixture = Mixture(mixture.weights, mixture.means, covariances)
    arguments = weight, *frame, mixture, patterns, varies
    expected = holes.statistics(X, *arguments)
    for isa in compiled.SUPPORTED:
        monkeypatch.setattr(compiled, "instruction_set", isa)
        for rows in (X, np.asfortranarray(X)):
            sums = compiled.statistics_with_holes(rows, *arguments)
            for actual, wanted in zip(sums, expected, strict=True):
                if np.ndim(actual) == 3:
                    actual, wanted = np.tril(actual), np.tril(wanted)
                atol = 1e-12 * np.abs(wanted).max()
                np.testing.assert_allclose(actual, wanted, 1e-12, atol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "shape", [(1, 1, 300), (3, 2, 700), (2, 5, 3000), (9, 12, 300)]
)
def test_compiled_densities_equal_numpy(monkeypatch, shape, dtype):
    compiled = pytest.importorskip("skgmm.kernels.compiled")
    X, _, _, mixture, patterns, _ = holes_problem(2, *shape, dtype)
    weights = np.append(0.0, mixture.weights[1:]) if shape[0] > 1 else mixture.weights
    mixture = Mixture(weights / weights.sum(), mixture.means, mixture.covariances)
    expected = holes.log_responsibilities(X, mixture, patterns)
    for isa in compiled.SUPPORTED:
        monkeypatch.setattr(compiled, "instruction_set", isa)
        for rows in (X, np.asfortranarray(X)):
            answer = compiled.log_responsibilities_with_holes(rows, mixture, patterns)
            for actual, wanted in zip(answer, expected, strict=True):
                np.testing.assert_allclose(actual, wanted, 1e-11, 1e-11)
    if dtype is np.float64:  # too far for any density
        X[0] = np.where(np.isnan(X[0]), np.nan, 1e200)
        answer = compiled.log_responsibilities_with_holes(X, mixture, patterns)
        assert answer[0][0] == -np.inf
        assert np.all(answer[0][1:] > -np.inf)


def exact_log_density(x, mean, matrix):
    """Return the log-density of what is observed of a row, in long doubles."""
    o = ~np.isnan(x)
    a = matrix[np.ix_(o, o)].astype(np.longdouble)
    e = (x - mean)[o].astype(np.longdouble)
    log_determinant = distance = np.longdouble(0)
    for i in range(len(e)):  # elimination
        log_determinant += np.log(a[i, i])
        distance += e[i] ** 2 / a[i, i]
        e[i + 1 :] -= a[i + 1 :, i] / a[i, i] * e[i]
        a[i + 1 :] -= np.outer(a[i + 1 :, i] / a[i, i], a[i])
    return float(-0.5 * (distance + log_determinant + o.sum() * np.log(2 * np.pi)))


@pytest.mark.parametrize("closeness", [1e-1, 1e-3, 1e-5])
def test_digits_of_nearly_collinear_features(closeness):
    """What was observed is not collinear: no digit is lost."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(8, 8))
        mixing[7] = mixing[0] + mixing[1] + closeness * rng.normal(size=8)
        mixing = mixing[rng.permutation(8)]
        matrix = mixing @ mixing.T
        X = punched(rng.normal(size=(40, 8)) @ mixing.T, 0.25, seed=1)
        one = Mixture(np.ones(1), np.zeros((1, 8)), Full(matrix[np.newaxis], 1, 8))
        for x, found in zip(X, one.log_density(X), strict=True):
            o = ~np.isnan(x)
            if o.any() and np.linalg.cond(matrix[np.ix_(o, o)]) < 1e4:
                expected = exact_log_density(x, np.zeros(8), matrix)
                assert found == pytest.approx(expected, rel=1e-12)


def test_compiled_pass_checks_shapes():
    pytest.importorskip("skgmm.kernels.compiled")
    X, weight, frame, mixture, patterns, varies = holes_problem(1, 2, 3, 50, float)
    beyond = Patterns(patterns.offsets + 1, patterns.observed)
    fewer = Patterns(patterns.offsets, patterns.observed[1:])
    for wrong in (beyond, fewer):
        with pytest.raises(ValueError, match="shape mismatch"):
            kernels.compiled.statistics_with_holes(
                X, weight, *frame, mixture, wrong, varies
            )
        with pytest.raises(ValueError, match="shape mismatch"):
            kernels.compiled.log_responsibilities_with_holes(X, mixture, wrong)


def test_matrices_that_rounding_made_singular_are_repaired():
    values = np.array([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    assert kernels.whiteners(values)[1] == 0
    assert np.all(np.isfinite(_matrices.safe_whiteners(np.repeat(values, 3, 0))))
    # A form whose factors were given may have such values: the passes go on.
    form = Full.from_factors(values, np.eye(3)[np.newaxis], 1, 3)
    X = np.array([[0.1, 0.1, np.nan], [0.2, np.nan, 1.0]])
    order, patterns = Patterns.of(X)
    one = Mixture(np.ones(1), np.zeros((1, 3)), form)
    zero, unit = np.zeros(3), np.ones(3)
    sums = kernels.statistics_with_holes(
        X[order], unit[:2], zero, unit, one, patterns, unit > 0
    )
    assert all(np.all(np.isfinite(part)) for part in sums)


@pytest.mark.parametrize("n_features", [1, 7, 20, 70])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_patterns_are_sorted_with_the_complete_rows_first(n_features, layout):
    X = punched(np.ones((100, n_features)), 1 / n_features, seed=1)
    X[5], X[7] = 1.0, np.nan
    X = layout(X)
    order, patterns = Patterns.of(X)
    seen = ~np.isnan(X[order])
    np.testing.assert_array_equal(
        order[: patterns.n_complete], np.sort(np.flatnonzero(~np.isnan(X).any(axis=1)))
    )
    assert np.isnan(X[order[-1]]).all()
    sizes = np.diff(patterns.offsets)
    np.testing.assert_array_equal(np.repeat(patterns.observed, sizes, axis=0), seen)
    assert len(np.unique(patterns.observed, axis=0)) == len(patterns.observed)
    part = patterns.of_slice(slice(10, 90))
    repeated = np.repeat(part.observed, np.diff(part.offsets), axis=0)
    np.testing.assert_array_equal(repeated, seen[10:90])


@given(seeds, st.integers(1, 70), st.integers(1, 4))
def test_batches_hold_every_row_once(seed, n_features, n_components):
    rng = np.random.default_rng(seed)
    X = punched(np.ones((rng.integers(1, 400), n_features)), rng.random(), seed)
    _, patterns = Patterns.of(X)
    found = []
    for chosen, rows, present in patterns.batches(n_components, n_features**2):
        found.append(rows[present])
        owner = np.searchsorted(patterns.offsets, rows, "right") - 1
        np.testing.assert_array_equal(owner, np.tile(chosen[:, None], rows.shape[1]))
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(len(X)))


# ---- the source -----------------------------------------------------------
def source_of(X, covariance_type, kind=HolesSource):
    family = FAMILIES[covariance_type]
    frame = Frame.of(X, np.ones(len(X)), per_feature=family.per_feature, holes=True)
    if kind is ArraySource:
        return ArraySource(X, np.ones(len(X)), frame)
    return HolesSource(X, np.ones(len(X)), frame, family.form)


@types
def test_without_holes_both_sources_agree(covariance_type):
    problem = case(5, 3, 3)
    one, other = (
        source_of(problem.X, covariance_type, kind)
        for kind in (HolesSource, ArraySource)
    )
    parts = np.eye(3)[problem.labels]
    form = FAMILIES[covariance_type].form
    here, there = (source.moments(parts, form) for source in (one, other))
    np.testing.assert_allclose(here.scatter(), there.scatter(), rtol=1e-12, atol=1e-12)
    for actual, wanted in zip(one.total(form), other.total(form), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(one.in_frame(), other.in_frame())


def test_moments_of_starts_keep_the_variance_of_holes():
    X = case(5, 1, 3, n_rows=4000).X
    source = source_of(punched(X, 0.4, seed=1), "full")
    statistics = source.moments(np.ones((len(X), 1)), Full)
    matrix = statistics.scatter()[0] / len(X)
    scale = source.frame.scale
    np.testing.assert_allclose(
        matrix * scale * scale[:, None], np.cov(X.T), rtol=0.1, atol=0.1
    )


@types
def test_results_do_not_depend_on_threads(covariance_type):
    problem = case(5, 3, 6, n_rows=12000)
    source = source_of(punched(problem.X, 0.3, seed=1), covariance_type)
    start = source.gaussian(FAMILIES[covariance_type].form)
    sums = []
    for limit in (1, 2):
        with threadpoolctl.threadpool_limits(limit):
            sums.append(source.statistics(start))
    one, other = sums
    assert one.log_likelihood == other.log_likelihood
    for name in ("count", "first", "second"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# ---- laws -----------------------------------------------------------------
def test_complete_rows_never_meet_this_code(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("rows without holes took the path of those with holes")

    monkeypatch.setattr(skgmm._gaussian_mixture, "HolesSource", refuse)
    monkeypatch.setattr(kernels, "statistics_with_holes", refuse)
    monkeypatch.setattr(Mixture, "_with_holes", refuse)
    X = case(1, 2, 3).X
    one = GaussianMixture(2).fit(X)
    one.predict(X), one.score(X), one.bic(X), one.icl(X), one.predict_proba(X)


@types
def test_holes_in_rows_of_weight_zero_change_no_bit(covariance_type):
    X = case(1, 2, 3).X
    more = np.vstack([X, np.full((5, 3), np.nan), [[np.nan, 1.0, 2.0]]])
    weight = np.r_[np.ones(len(X)), np.zeros(6)]
    one = GaussianMixture(2, covariance_type=covariance_type)
    one.fit(X, sample_weight=np.ones(len(X)))
    other = GaussianMixture(2, covariance_type=covariance_type)
    other.fit(more, sample_weight=weight)
    np.testing.assert_array_equal(one.means_, other.means_)
    np.testing.assert_array_equal(one.covariances_, other.covariances_)
    assert one.lower_bounds_ == other.lower_bounds_


@examples(1 / 2)
@types
@given(cases(max_components=3, max_features=4, n_rows=st.just(80)), st.floats(0, 0.6))
def test_the_objective_never_falls(covariance_type, case, fraction):
    X = punched(case.X, fraction, seed=case.n_components)
    X[0] = case.X[0]
    one = quietly(X, case.n_components, covariance_type=covariance_type, max_iter=60)
    steps = np.diff(one.lower_bounds_)
    assert np.all(steps >= -1e-11 * np.maximum(1.0, np.abs(one.lower_bound_)))
    assert np.all(np.isfinite(one.means_))


@types
@pytest.mark.parametrize("max_iter", [1, 7, 1000])
def test_steps_in_one_call_are_those_one_by_one(covariance_type, max_iter, monkeypatch):
    """Those of a run that nobody can watch are made in one call."""
    X = punched(case(2, 2, 3).X, 0.3, seed=1)
    labels = np.arange(len(X)) % 2
    options = {"covariance_type": covariance_type, "max_iter": max_iter}
    one = quietly(X, 2, init_params=labels, **options)
    monkeypatch.setattr(Monitor, "sees_iterations", False)
    other = quietly(X, 2, init_params=labels, **options)
    assert one.n_iter_ == other.n_iter_ == len(other.lower_bounds_)
    assert one.converged_ == other.converged_ == (max_iter == 1000)
    np.testing.assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=1e-8)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-3, atol=1e-3)
    assert other.lower_bound_ == other.lower_bounds_[-1]
    assert other.lower_bound_ == pytest.approx(other.score(X), abs=1e-3)


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_fit_that_is_watched_is_the_same(verbose):
    X = punched(case(2, 2, 3).X, 0.3, seed=1)
    one, other = (quietly(X, 2, random_state=0, verbose=v) for v in (0, verbose))
    assert one.lower_bounds_ == other.lower_bounds_
    np.testing.assert_array_equal(one.means_, other.means_)


@types
@given(cases(max_components=2, max_features=4, n_rows=st.just(80)), seeds)
def test_integer_weights_equal_repeated_rows(covariance_type, case, seed):
    X = punched(case.X, 0.3, seed=seed)
    X[0] = case.X[0]
    count = np.random.default_rng(seed).integers(0, 3, len(X))
    count[0] = 1
    start = case.truth.start(covariance_type)
    options = start | {"covariance_type": covariance_type}
    repeated = np.repeat(X, count, axis=0)
    one, other = as_far(
        partial(fitted, X, case.n_components, sample_weight=count, **options),
        partial(fitted, repeated, case.n_components, **options),
    )
    assert_same_fit(one, other)
    assert one.bic(X, sample_weight=count) == pytest.approx(other.bic(repeated))


@types
@given(cases(max_components=2, max_features=3, n_rows=st.just(80)), seeds)
def test_shift_and_scale(covariance_type, case, seed):
    X = punched(case.X, 0.3, seed=seed)
    X[0] = case.X[0]
    rng = np.random.default_rng(seed)
    n_features = X.shape[1]
    per_feature = FAMILIES[covariance_type].per_feature
    scale = np.exp2(rng.integers(-20, 20, n_features if per_feature else 1) * 1.0)
    shift = 1e4 * rng.integers(-5, 5, n_features) * scale
    options = {"covariance_type": covariance_type, "max_iter": 5, "tol": 0.0}
    one = fitted(X, case.n_components, **options)
    other = fitted(X * scale + shift, case.n_components, **options)
    logs = np.log(np.broadcast_to(scale, n_features))
    seen = (~np.isnan(X)).mean(axis=0)
    assert other.lower_bound_ == pytest.approx(one.lower_bound_ - seen @ logs, rel=1e-7)
    moved = one.means_ * scale + shift
    np.testing.assert_allclose((other.means_ - moved) / scale, 0, atol=1e-6)


def test_float32_and_order_of_memory():
    X = punched(case(1, 2, 3).X, 0.3, seed=1).astype(np.float32)
    wide = fitted(X.astype(np.float64), 2)
    for rows in (X, np.asfortranarray(X)):
        one = fitted(rows, 2)
        assert one.means_.dtype == np.float32
        np.testing.assert_allclose(one.means_, wide.means_, rtol=1e-6)
        assert one.score_samples(rows).dtype == np.float32


def test_many_rows_start_from_a_sample():
    problem = case(2, 2, 2, n_rows=8000, distance=8.0)
    X = punched(problem.X, 0.3, seed=1)
    one = GaussianMixture(2, random_state=0).fit(X)
    order = np.argsort(one.means_[:, 0])
    truth = problem.truth.means[np.argsort(problem.truth.means[:, 0])]
    np.testing.assert_allclose(one.means_[order], truth, atol=0.2)


# ---- statistics -----------------------------------------------------------
@pytest.mark.parametrize("n_components", [1, 2])
def test_parameters_are_recovered_where_imputed_means_fail(n_components):
    """30 % missing, of the last feature the more often the larger the first is."""
    truth = Truth(
        np.full(n_components, 1 / n_components),
        np.array([[0.0, 0.0, 0.0], [9.0, -9.0, 0.0]])[:n_components],
        np.tile(
            [[1.0, 0.6, 0.8], [0.6, 1.0, 0.5], [0.8, 0.5, 1.0]], (n_components, 1, 1)
        ),
    )
    n = 6000
    X, labels = truth.sample(n, seed=4)
    rng = np.random.default_rng(5)
    local = X[:, 0] - truth.means[labels, 0]
    holes = rng.random(X.shape) < [0.0, 0.3, 0.0]
    holes[:, 2] = rng.random(n) < np.where(local > 0, 0.5, 0.1)
    holed = np.where(holes, np.nan, X)
    one = GaussianMixture(n_components).fit(holed)
    order = np.argsort(one.means_[:, 0])
    # Five standard errors of what about half of the rows tell.
    error = 5 / np.sqrt(0.5 * n / n_components)
    np.testing.assert_allclose(one.means_[order], truth.means, atol=error)
    deviation = np.abs(matrices_of(one)[order] - truth.matrices)
    assert np.all(deviation < 1.5 * error)
    # The mean of what is observed is off by far more, and so is the covariance.
    filled = np.where(holes, np.nanmean(holed, axis=0), X)
    naive = GaussianMixture(n_components).fit(filled)
    order = np.argsort(naive.means_[:, 0])
    assert np.abs(naive.means_[order] - truth.means).max() > error
    assert np.abs(matrices_of(naive)[order] - truth.matrices).max() > 1.5 * error


# ---- starts ---------------------------------------------------------------
@types
@pytest.mark.parametrize(
    "init", ["auto", "bisect", "kmeans", "k-means++", "random", "random_from_data"]
)
def test_named_starts(covariance_type, init):
    X = punched(case(1, 3, 3).X, 0.3, seed=1)
    one = quietly(
        X, 3, covariance_type=covariance_type, init_params=init, random_state=0
    )
    assert np.all(np.isfinite(one.means_))
    assert one.lower_bound_ == pytest.approx(one.score(X), abs=1e-3)


def test_starts_that_are_given():
    problem = case(1, 3, 3, distance=8.0)
    X = punched(problem.X, 0.3, seed=1)
    X[4] = np.nan
    options = {"max_iter": 50, "reg_covar": 0.0}
    parts = np.eye(3)[problem.labels]
    model = fitted(problem.X, 3)
    best = quietly(X, 3, **options).lower_bound_
    for init in (problem.labels, parts, lambda X, k, rng: parts, model):
        one = quietly(X, 3, init_params=init, **options)
        assert one.lower_bound_ == pytest.approx(best, abs=1e-5)
    one = quietly(X, 3, means_init=problem.truth.means, **options)
    assert one.lower_bound_ == pytest.approx(best, abs=1e-5)
    warm = quietly(X, 3, warm_start=True, **options)
    assert warm.fit(X).n_iter_ <= 5


# ---- at the edge ----------------------------------------------------------
@types
def test_one_row(covariance_type):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = GaussianMixture(covariance_type=covariance_type).fit([[1.0, 2.0]])
        more = GaussianMixture(covariance_type=covariance_type)
        more.fit([[1.0, 2.0], [np.nan, np.nan]])
    np.testing.assert_allclose(more.means_, one.means_)
    np.testing.assert_allclose(more.covariances_, one.covariances_)


@types
def test_empty_rows_tell_nothing(covariance_type):
    X = punched(case(1, 2, 3).X, 0.2, seed=1)
    X = X[~np.isnan(X).all(axis=1)]
    more = np.insert(X, [0, 7, 7], np.nan, axis=0)
    options = {"covariance_type": covariance_type, "max_iter": 10, "tol": 0.0}
    one, other = fitted(X, 2, **options), fitted(more, 2, **options)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-10)
    total = one.lower_bound_ * len(X), other.lower_bound_ * len(more)
    assert total[0] == pytest.approx(total[1])
    assert other.lower_bound_ == pytest.approx(other.score(more), abs=1e-6)


@types
def test_constant_features_with_holes(covariance_type):
    X = punched(case(1, 2, 3).X, 0.3, seed=1)
    X[:, 1] = np.where(np.isnan(X[:, 1]), np.nan, 5.0)
    with pytest.warns(UserWarning, match=r"Features \[1\] of X have one value only"):
        one = quietly(X, 2, covariance_type=covariance_type)
    assert np.all(np.diff(one.lower_bounds_) > -1e-11)
    np.testing.assert_allclose(one.means_[:, 1], 5.0)
    if covariance_type in ("full", "diag"):
        variances = matrices_of(one)[:, 1, 1]
        np.testing.assert_allclose(variances, variances[0], rtol=1e-9)


def test_features_that_are_combinations_of_others():
    X = case(1, 2, 2).X
    X = np.column_stack([X, X.sum(axis=1)])
    one = quietly(punched(X, 0.2, seed=1), 2)
    assert np.all(np.diff(one.lower_bounds_) > -1e-9)
    assert np.all(np.isfinite(matrices_of(one)))


def test_pandas_na():
    pd = pytest.importorskip("pandas")
    X = punched(np.round(case(1, 2, 2, distance=20.0).X), 0.2, seed=1)
    one = fitted(X, 2)
    frame = pd.DataFrame(X, columns=["a", "b"])
    for other in (
        frame,
        frame.convert_dtypes(),
        frame.astype(object).where(frame.notna(), None),
        frame.astype(object).where(frame.notna(), pd.NA),
        frame.convert_dtypes().to_numpy(dtype=object, na_value=pd.NA),
    ):
        again = fitted(other, 2)
        np.testing.assert_array_equal(again.means_, one.means_)
        np.testing.assert_array_equal(again.predict(other), one.predict(X))


def test_a_feature_without_any_value():
    X = case(1, 2, 3).X
    X[:, 1] = np.nan
    match = r"observed value of each feature; features \[1\] are NaN.*Leave these"
    mixture = GaussianMixture(2)
    with pytest.raises(ValueError, match=match):
        mixture.fit(X)
    assert vars(mixture) == vars(GaussianMixture(2))
    X[0, 1] = 1.0
    with pytest.raises(ValueError, match=match):
        mixture.fit(X, sample_weight=np.arange(len(X)) > 0)
    with pytest.raises(ValueError, match="each feature"):
        mixture.fit(np.full((5, 2), np.nan))


def test_infinities_are_refused_beside_holes(mixture):
    X = np.array([[np.nan, 1.0, 2.0, np.inf]])
    for method in (mixture.fit, mixture.predict, mixture.score_samples):
        with pytest.raises(ValueError, match="X contains infinity"):
            method(X)


def test_too_few_rows_of_which_something_is_known():
    X = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, np.nan]])
    with pytest.raises(ValueError, match="n_components=3 and n_samples=2"):
        GaussianMixture(3).fit(X)


def test_warning_of_many_patterns(monkeypatch):
    monkeypatch.setattr("skgmm._missing._WORK", 1e2)
    X = punched(case(1, 2, 4).X, 0.4, seed=1)
    with pytest.warns(UserWarning, match=r"\d+ patterns of missing values.*'diag'"):
        GaussianMixture(2).fit(X)


def test_the_tag():
    assert GaussianMixture().__sklearn_tags__().input_tags.allow_nan
