"""Laws: each is one line of mathematics."""

import dataclasses
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, Truth, case, cases, dense, fitted, in_shape, matrices_of

from skgmm import GaussianMixture, kernels
from skgmm._em import Problem
from skgmm._frame import Frame
from skgmm._regularisation import PSEUDO_OBSERVATIONS, PseudoObservations
from skgmm._sources import ArraySource
from skgmm._starts import PARTITIONS, from_partition
from skgmm._statistics import Statistics
from skgmm.families import FAMILIES

types = pytest.mark.parametrize("covariance_type", TYPES)
seeds = st.integers(0, 2**32 - 1)


def assert_same_fit(one, other, *, rtol=1e-9, order=None):
    """Compare two fits relative to the sizes of the arrays."""
    order = slice(None) if order is None else order
    pairs = {
        "weights": (one.weights_[order], other.weights_),
        "means": (one.means_[order], other.means_),
        "covariances": (matrices_of(one)[order], matrices_of(other)),
        "objective": (one.lower_bound_, other.lower_bound_),
    }
    for name, (actual, expected) in pairs.items():
        atol = rtol * np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol, atol, err_msg=name)


def as_far(fit_one, fit_other, max_iter=10):
    """Fit both, as far as either goes: at the end rounding decides which stops first.

    Where they stop the gain is rounding, 1e-15, so the parameters are off by 1e-8.
    """
    n_iter = min(
        fit(max_iter=max_iter, tol=0.0).n_iter_ for fit in (fit_one, fit_other)
    )
    return [fit(max_iter=n_iter, tol=0.0) for fit in (fit_one, fit_other)]


def problem_of(X, sample_weight, covariance_type):
    """Return the problem that a fit with ``reg_covar='auto'`` solves."""
    family = FAMILIES[covariance_type]
    frame = Frame.of(X, sample_weight, per_feature=family.per_feature)
    source = ArraySource(X, sample_weight, frame)
    penalty = PseudoObservations.of(frame, float(np.max(sample_weight)))
    return Problem(source, family, penalty)


def start_of(problem, n_components):
    propose = from_partition(PARTITIONS["bisect"])
    return propose(problem, n_components, np.random.RandomState(0), 0)


# ---- statistics add up ----------------------------------------------------
def assert_same_statistics(one, other):
    for field in dataclasses.fields(one):
        actual, expected = (getattr(s, field.name) for s in (one, other))
        if field.name == "form":
            assert actual is expected
            continue
        if field.name == "second" and one.form.kind in ("full", "tied"):
            # Of matrices the lower triangle counts.
            actual, expected = np.tril(actual), np.tril(expected)
        # Rows are of size one in their frame; first moments cancel to zero.
        atol = 1e-12 * other.count.sum()
        np.testing.assert_allclose(actual, expected, 1e-12, atol, err_msg=field.name)


def statistics_of(problem, mixture, rows):
    source = problem.source
    part = ArraySource(source.rows[rows], source.sample_weight[rows], source.frame)
    return part.statistics(mixture)


@types
@given(case=cases(), seed=seeds)
def test_statistics_of_parts_add_up(covariance_type, case, seed):
    n_rows = len(case.X)
    rng = np.random.default_rng(seed)
    problem = problem_of(case.X, rng.uniform(0.1, 3, n_rows), covariance_type)
    mixture = start_of(problem, case.n_components)
    parts = np.split(
        rng.permutation(n_rows), np.sort(rng.choice(range(1, n_rows), 2, False))
    )
    a, b, c = (statistics_of(problem, mixture, p) for p in parts)
    everything = problem.source.statistics(mixture)
    assert_same_statistics(a + b + c, everything)
    assert_same_statistics(a + (b + c), everything)
    assert_same_statistics(c + a + b, everything)


@types
def test_statistics_of_no_rows_are_zero(covariance_type):
    X = case(1, 2, 3).X
    problem = problem_of(X, np.ones(len(X)), covariance_type)
    mixture = start_of(problem, 2)
    nothing = statistics_of(problem, mixture, slice(0))
    everything = problem.source.statistics(mixture)
    assert_same_statistics(nothing + everything, everything)


@given(case=cases(), seed=seeds)
def test_tied_moments_follow_from_the_total(case, seed):
    weight = np.random.default_rng(seed).uniform(0.1, 3, len(case.X))
    problem = problem_of(case.X, weight, "tied")
    mixture = start_of(problem, case.n_components)
    source, form = problem.source, type(mixture.covariances)
    frame = source.frame.centre, source.frame.scale
    sums = kernels.statistics(source.rows, weight, *frame, mixture, within=True)
    direct = Statistics(*sums, mixture.means, form)
    assert mixture.covariances.follow_from_total(mixture.means)
    assert_same_statistics(source.statistics(mixture), direct)


@types
@given(case=cases(), seed=seeds)
def test_statistics_of_hard_labels(covariance_type, case, seed):
    """Counts, means and scatter are those of the classes."""
    n, k, d = len(case.X), case.n_components, case.X.shape[1]
    weight = np.random.default_rng(seed).uniform(0.1, 3, n)
    unit = Frame(np.zeros(d), np.ones(d), np.ones(d), np.ones(d))
    source = ArraySource(case.X, weight, unit)
    hard = (case.labels[:, np.newaxis] == np.arange(k)).astype(float)
    family = FAMILIES[covariance_type]
    statistics = source.moments(hard, family.form)
    values = family.covariances(statistics.count, statistics.scatter())
    for c in range(k):
        rows, w = case.X[case.labels == c], weight[case.labels == c]
        assert statistics.count[c] == pytest.approx(w.sum(), rel=1e-12)
        mean = np.average(rows, axis=0, weights=w)
        np.testing.assert_allclose(statistics.means()[c], mean, 1e-12, 1e-12)
    classes = [case.labels == c for c in range(k)]
    matrices = np.array(
        [np.cov(case.X[c].T, ddof=0, aweights=weight[c]).reshape(d, d) for c in classes]
    )
    if covariance_type == "tied":
        matrices = k * matrices * (statistics.count / weight.sum())[:, None, None]
    expected = in_shape(matrices, covariance_type)
    np.testing.assert_allclose(values, expected, 1e-11, 1e-12)


# ---- weights are repetitions ----------------------------------------------


@types
@given(case=cases(), seed=seeds)
def test_weight_zero_is_an_absent_row(covariance_type, case, seed):
    weight = np.random.default_rng(seed).uniform(0.5, 2, len(case.X))
    weight[::3] = 0
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    X = case.X.copy()
    X[::3] = 1e10
    one = fit(X, sample_weight=weight)
    present = weight > 0
    other = fit(X[present], sample_weight=weight[present])
    assert_same_fit(one, other, rtol=0)


@types
@given(case=cases(), seed=seeds)
def test_weights_are_repeated_rows(covariance_type, case, seed):
    weight = np.random.default_rng(seed).integers(0, 4, len(case.X))
    repeated = np.repeat(case.X, weight, axis=0)
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    one, other = as_far(
        partial(fit, case.X, sample_weight=weight), partial(fit, repeated)
    )
    assert_same_fit(one, other)
    for name in ("score", "aic", "bic", "icl"):
        actual = getattr(one, name)(case.X, sample_weight=weight)
        assert actual == pytest.approx(getattr(other, name)(repeated), rel=1e-9)


@types
@pytest.mark.parametrize("factor", [1e-200, 0.1, 10.0, 1e200])
def test_a_common_factor_of_the_weights_changes_nothing(covariance_type, factor):
    """Without a penalty, and from the same classes: small ones are pooled."""
    problem = case(3, 3, 2)
    fit = partial(
        fitted,
        problem.X,
        3,
        covariance_type=covariance_type,
        reg_covar=0.0,
        init_params=problem.labels,
    )
    weight = np.full(len(problem.X), factor)
    assert_same_fit(*as_far(fit, partial(fit, sample_weight=weight)))


@types
@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_weights_of_any_size(covariance_type, factor):
    X = case(3, 3, 2).X
    weight = np.full(len(X), factor)
    mixture = fitted(X, 3, covariance_type=covariance_type, sample_weight=weight)
    expected = fitted(X, 3, covariance_type=covariance_type).score(X)
    assert mixture.score(X, sample_weight=weight) == pytest.approx(expected, abs=1e-4)


# ---- symmetries -----------------------------------------------------------
@types
@given(case=cases(), seed=seeds)
def test_order_of_rows(covariance_type, case, seed):
    order = np.random.default_rng(seed).permutation(len(case.X))
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    assert_same_fit(*as_far(partial(fit, case.X), partial(fit, case.X[order])))


@types
@given(case=cases(), seed=seeds)
def test_order_of_components(covariance_type, case, seed):
    order = np.random.default_rng(seed).permutation(case.n_components)
    start = case.truth.start(covariance_type)
    permuted = {
        name: value
        if name == "precisions_init" and covariance_type == "tied"
        # One matrix for all has no order.
        else value[order]
        for name, value in start.items()
    }
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    one, other = as_far(partial(fit, case.X, **start), partial(fit, case.X, **permuted))
    assert_same_fit(one, other, order=order)


def assert_scaled(one, other, scale, shift, rtol):
    """Tell that ``other`` is ``one`` for rows ``scale * X + shift``.

    Compared in the units of ``one``: the others may overflow when squared.
    """
    pairs = {
        "weights": (other.weights_, one.weights_),
        "means": ((other.means_ - shift) / scale, one.means_),
        "covariances": (
            matrices_of(other) / scale / scale[:, np.newaxis],
            matrices_of(one),
        ),
        "objective": (other.lower_bound_ + np.log(scale).sum(), one.lower_bound_),
    }
    for name, (actual, expected) in pairs.items():
        # A mean is stored to the precision of the shift only.
        lost = np.spacing(np.abs(shift / scale).max()) if name == "means" else 0
        atol = rtol * np.abs(expected).max() + lost
        np.testing.assert_allclose(actual, expected, rtol, atol, err_msg=name)


def quantised(X):
    """Return X rounded such that adding integers up to 1e8 loses nothing."""
    return np.round(X * 2**20) / 2**20


@types
@pytest.mark.parametrize("shift", [1e2, 1e5, 1e8])
@given(case=cases())
def test_shift_of_features(covariance_type, shift, case):
    X = quantised(case.X)
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    shifts = shift * np.resize([1.0, -1.0, 0.0], X.shape[1])
    one, other = as_far(partial(fit, X), partial(fit, X + shifts))
    assert_scaled(one, other, np.ones(X.shape[1]), shifts, rtol=1e-9)
    # The rows and the means are exact to the spacing of numbers at the shift.
    np.testing.assert_allclose(
        other.predict_proba(X + shifts),
        one.predict_proba(X),
        atol=1e-9 + 100 * np.spacing(shift),
    )


@types
@pytest.mark.parametrize("scale", [1e-140, 1e-8, 1e8, 1e140])
@given(case=cases())
def test_scale_of_features(covariance_type, scale, case):
    # Powers of two change no digit of the rows.
    scale = np.exp2(np.round(np.log2(scale)))
    scales = np.full(case.X.shape[1], scale)
    if FAMILIES[covariance_type].per_feature:
        scales[1::2] = 1.0
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    one, other = as_far(partial(fit, case.X), partial(fit, case.X * scales))
    assert_scaled(one, other, scales, 0 * scales, rtol=1e-9)
    np.testing.assert_allclose(
        other.score_samples(case.X * scales) + np.log(scales).sum(),
        one.score_samples(case.X),
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        other.predict_proba(case.X * scales), one.predict_proba(case.X), atol=1e-9
    )


@types
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4])
@given(case=cases())
def test_float32_rows_are_computed_in_float64(covariance_type, offset, case):
    """What was lost in storing the rows is all that is lost."""
    X = (case.X + offset).astype(np.float32)
    fit = partial(
        fitted, n_components=case.n_components, covariance_type=covariance_type
    )
    one, other = fit(X), fit(X.astype(np.float64))
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-13)
    assert one.means_.dtype == one.covariances_.dtype == np.float32
    assert_same_fit(one, other, rtol=2 * np.finfo(np.float32).eps)


@types
@given(case=cases(max_components=1))
def test_float32_far_away_is_near_float64(covariance_type, case):
    """At 1e4 standard deviations float32 still has three digits."""
    lost = np.spacing(np.float32(1e4))
    one = fitted((case.X + 1e4).astype(np.float32), 1, covariance_type=covariance_type)
    other = fitted(case.X + 1e4, 1, covariance_type=covariance_type)
    np.testing.assert_allclose(one.means_, other.means_, atol=lost)
    np.testing.assert_allclose(one.covariances_, other.covariances_, atol=10 * lost)


@types
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(case=cases(max_components=3))
def test_components_far_apart(covariance_type, dtype, case):
    """Ten thousand standard deviations apart the answer is known: the classes'."""
    k, d = case.n_components, case.X.shape[1]
    X = case.X + 1e4 * case.labels[:, np.newaxis]
    X = X.astype(dtype)
    mixture = fitted(
        X, k, covariance_type=covariance_type, reg_covar=0.0, tol=0.0, max_iter=20
    )
    exact = X.astype(float)
    members = [exact[case.labels == c] for c in range(k)]
    order = np.argsort(mixture.means_[:, 0])
    counts = np.array([len(rows) for rows in members])
    means = np.array([rows.mean(axis=0) for rows in members])
    matrices = np.array([np.cov(r.T, ddof=0).reshape(d, d) for r in members])
    if covariance_type == "tied":
        matrices = k * matrices * (counts / len(X))[:, None, None]
    expected = dense(in_shape(matrices, covariance_type), covariance_type, k, d)
    rtol = max(1e-10, 4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(mixture.weights_[order], counts / len(X), rtol)
    np.testing.assert_allclose(mixture.means_[order], means, rtol, rtol)
    np.testing.assert_allclose(
        matrices_of(mixture)[order], expected, rtol, rtol * expected.max()
    )


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@given(case=cases(), seed=seeds)
def test_linear_maps(covariance_type, case, seed):
    """A linear map of the rows is one of the fit, from the same classes."""
    d = case.X.shape[1]
    rng = np.random.default_rng(seed)
    left, right = np.linalg.qr(rng.normal(size=(2, d, d)))[0]
    A, b = (left * rng.uniform(0.3, 3, d)) @ right, rng.normal(size=d)
    fit = partial(
        fitted,
        n_components=case.n_components,
        covariance_type=covariance_type,
        init_params=case.labels,
        reg_covar=0.0,
    )
    one, other = as_far(partial(fit, case.X), partial(fit, case.X @ A.T + b))
    np.testing.assert_allclose(other.weights_, one.weights_, 1e-9)
    np.testing.assert_allclose(other.means_, one.means_ @ A.T + b, 1e-8, 1e-9)
    np.testing.assert_allclose(
        matrices_of(other), A @ matrices_of(one) @ A.T, 1e-8, 1e-9
    )
    determinant = np.linalg.slogdet(A)[1]
    assert other.lower_bound_ == pytest.approx(one.lower_bound_ - determinant)


# ---- sizes of blocks ------------------------------------------------------
@types
def test_size_of_blocks(covariance_type, monkeypatch):
    problem = case(7, 4, 3, n_rows=5000)
    weight = np.random.default_rng(7).uniform(0.1, 2, 5000)
    fit = partial(
        fitted,
        problem.X,
        4,
        sample_weight=weight,
        covariance_type=covariance_type,
        tol=0.0,
        max_iter=10,
    )
    one = fit()
    methods = ("score_samples", "predict_log_proba", "predict")
    expected = [getattr(one, name)(problem.X) for name in methods]

    monkeypatch.setattr("skgmm.kernels.reference._BLOCK", 1)
    monkeypatch.setattr("skgmm._frame._ROWS", 7)
    monkeypatch.setattr(
        "skgmm._threads.chunks",
        lambda n, means: [slice(start, start + 1111) for start in range(0, n, 1111)],
    )
    assert_same_fit(fit(), one, rtol=1e-11)
    for name, values in zip(methods, expected, strict=True):
        np.testing.assert_allclose(getattr(one, name)(problem.X), values, 1e-13)


# ---- the objective --------------------------------------------------------
@st.composite
def nasty_rows(draw):
    """Draw rows with duplicates, constant and dependent features, n < D, K = n."""
    n_rows, n_features = draw(st.integers(2, 30)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(seeds))
    X = rng.integers(0, draw(st.integers(1, 6)), (n_rows, n_features)).astype(float)
    if draw(st.booleans()):
        X += draw(st.sampled_from([1e-9, 1e-3, 1.0])) * rng.normal(size=X.shape)
    if draw(st.booleans()):
        X[:, 0] = 1e5
    if draw(st.booleans()):
        X[:, -1] = X[:, 0]
    X[: draw(st.integers(0, n_rows // 2))] = X[0]
    X *= draw(st.sampled_from([1e-6, 1.0, 1e7]))
    X[0] += draw(st.sampled_from([0.0, 1e3]))
    n_components = draw(st.integers(1, min(6, n_rows)) | st.just(n_rows))
    return X, n_components


@types
@given(problem=nasty_rows())
def test_the_objective_never_falls(covariance_type, problem):
    """Also where the driver, which stops at a fall, would hide one."""
    X, n_components = problem
    problem = problem_of(X, np.ones(len(X)), covariance_type)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = start_of(problem, n_components)
    objectives = []
    for _ in range(30):
        statistics, objective = problem.expectation(mixture)
        objectives.append(objective)
        mixture = problem.maximisation(statistics)
    falls = np.diff(objectives)
    assert falls.min() >= -1e-10 * max(1.0, np.abs(objectives).max())


@types
@given(problem=nasty_rows())
def test_any_data_can_be_fitted(covariance_type, problem):
    X, n_components = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Features .* have one value only")
        mixture = GaussianMixture(n_components, covariance_type=covariance_type).fit(X)
    assert np.all(np.diff(mixture.lower_bounds_) >= 0)
    assert mixture.lower_bounds_[-1] == mixture.lower_bound_
    low, high = X.min(axis=0), X.max(axis=0)
    slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
    assert np.all((mixture.means_ >= low - slack) & (mixture.means_ <= high + slack))
    assert np.all(np.linalg.eigvalsh(correlations_of(mixture)) > 0)
    assert np.all(np.isfinite(mixture.precisions_cholesky_))
    assert mixture.score(X) == pytest.approx(
        mixture.lower_bound_ - penalty_of(mixture, X), rel=1e-6, abs=1e-6
    )
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1)


def correlations_of(mixture):
    matrices = matrices_of(mixture)
    deviations = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    return matrices / deviations[:, np.newaxis] / deviations[:, :, np.newaxis]


def penalty_of(mixture, X, sample_weight=None):
    """Return the penalty of ``reg_covar='auto'`` per observation, by its formula."""
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    variance = np.cov(X.T, ddof=0, aweights=weight).reshape(X.shape[1], -1).diagonal()
    if mixture.covariance_type == "spherical":
        variance = np.full_like(variance, variance.mean())
    matrices = matrices_of(mixture)
    constant = np.ptp(X, axis=0) == 0
    if mixture.covariance_type != "spherical" or constant.all():
        # Held at one variance in every component, which is that of the penalty.
        variance = np.where(constant, matrices[0].diagonal(), variance)
    deviations = np.sqrt(variance)
    total = 0.0
    for matrix in matrices:
        ratio = matrix / deviations / deviations[:, np.newaxis]
        trace = np.trace(np.linalg.inv(ratio))
        total += np.linalg.slogdet(ratio)[1] + trace - len(variance)
    size = PSEUDO_OBSERVATIONS * min(1.0, weight.max())
    return -0.5 * size * total / weight.sum()


@types
@given(case=cases(), seed=seeds)
def test_the_objective_is_score_and_penalty(covariance_type, case, seed):
    weight = np.random.default_rng(seed).uniform(0.1, 3, len(case.X))
    parameters = {"covariance_type": covariance_type, "max_iter": 20}
    mixture = fitted(case.X, case.n_components, sample_weight=weight, **parameters)
    score = mixture.score(case.X, sample_weight=weight)
    penalty = penalty_of(mixture, case.X, weight)
    assert mixture.lower_bound_ == pytest.approx(score + penalty, rel=1e-12)
    ridge = fitted(
        case.X, case.n_components, sample_weight=weight, reg_covar=0.01, **parameters
    )
    score = ridge.score(case.X, sample_weight=weight)
    assert ridge.lower_bound_ == pytest.approx(score, rel=1e-12)


@types
@pytest.mark.parametrize("largest", [1e-3, 0.5, 1.0, 8.0])
def test_rows_of_small_weights_are_fractions_of_observations(covariance_type, largest):
    """Pseudo-observations shrink with them, and do not grow with large ones."""
    problem = case(3, 2, 2)
    weight = np.random.default_rng(3).uniform(0.1, 1, len(problem.X))
    weight *= largest / weight.max()
    parameters = {"covariance_type": covariance_type, "max_iter": 20, "tol": 0.0}
    mixture = fitted(problem.X, 2, sample_weight=weight, **parameters)
    score = mixture.score(problem.X, sample_weight=weight)
    penalty = penalty_of(mixture, problem.X, weight)
    assert mixture.lower_bound_ - score == pytest.approx(penalty, rel=1e-4)
    unit = fitted(problem.X, 2, sample_weight=weight / largest, **parameters)
    if largest <= 1:
        np.testing.assert_allclose(mixture.covariances_, unit.covariances_, 1e-12)
    else:
        assert np.abs(mixture.covariances_ / unit.covariances_ - 1).max() > 1e-10


# ---- maxima ---------------------------------------------------------------
@given(case=cases(max_components=1), seed=seeds)
def test_one_component_is_mean_and_covariance(case, seed):
    d = case.X.shape[1]
    weight = np.random.default_rng(seed).integers(1, 4, len(case.X))
    mean = np.average(case.X, axis=0, weights=weight)
    matrix = np.cov(case.X.T, ddof=0, fweights=weight).reshape(1, d, d)
    scores = []
    for covariance_type in ("spherical", "diag", "full"):
        mixture = fitted(
            case.X,
            1,
            sample_weight=weight,
            covariance_type=covariance_type,
            reg_covar=0.0,
        )
        assert mixture.weights_ == [1]
        np.testing.assert_allclose(mixture.means_, [mean], 1e-12, 1e-13)
        expected = in_shape(matrix, covariance_type)
        np.testing.assert_allclose(mixture.covariances_, expected, 1e-12, 1e-13)
        scores.append(mixture.score(case.X, sample_weight=weight))
    tied = fitted(case.X, 1, sample_weight=weight, covariance_type="tied")
    assert tied.lower_bound_ == pytest.approx(scores[-1], abs=1e-6)
    # Nested families order their likelihoods.
    assert np.all(np.diff(scores) >= -1e-12)


class Unconstrained:
    """The parameters of a mixture as one vector without constraints."""

    def __init__(self, mixture):
        self.covariance_type = mixture.covariance_type
        self.k, self.d = mixture.means_.shape
        factors = np.linalg.cholesky(matrices_of(mixture))
        if self.covariance_type == "tied":
            factors = factors[:1]
        if self.covariance_type == "spherical":
            logs = np.log(factors[:, :1, 0])
        else:
            logs = np.log(np.diagonal(factors, axis1=1, axis2=2))
        self.lower = np.tril_indices(self.d, -1)
        rest = factors[:, *self.lower]
        if self.covariance_type in ("diag", "spherical"):
            rest = rest[:, :0]
        self.shapes = [(self.k - 1,), (self.k, self.d), logs.shape, rest.shape]
        log_weights = np.log(mixture.weights_)
        parts = (log_weights[1:] - log_weights[0], mixture.means_, logs, rest)
        self.point = np.concatenate([np.ravel(part) for part in parts])

    def mixture(self, point):
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(point, np.cumsum(sizes)[:-1])
        logits, means, logs, rest = (
            part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)
        )
        weights = np.exp(np.concatenate([[0.0], logits]))
        factors = np.exp(logs)[:, :, np.newaxis] * np.eye(self.d)
        if rest.size:
            factors[:, *self.lower] = rest
        matrices = factors @ np.swapaxes(factors, 1, 2)
        return GaussianMixture.from_parameters(
            weights / weights.sum(),
            means,
            covariances=in_shape(matrices, self.covariance_type),
            covariance_type=self.covariance_type,
        )

    def gradient(self, objective, step=1e-5):
        steps = step * np.eye(len(self.point))
        return np.array(
            [
                objective(self.mixture(self.point + h))
                - objective(self.mixture(self.point - h))
                for h in steps
            ]
        ) / (2 * step)


@types
@pytest.mark.parametrize("reg_covar", ["auto", 0.0])
@given(case=cases(max_components=3, max_features=3))
def test_the_gradient_vanishes_at_the_optimum(covariance_type, reg_covar, case):
    X = case.X
    fit = partial(
        fitted,
        X,
        case.n_components,
        covariance_type=covariance_type,
        init_params=case.labels,
        tol=0.0,
        max_iter=1000,
    )
    try:
        mixture = fit(reg_covar=reg_covar)
    except ValueError:
        # Without a penalty a component may collapse onto a row: no optimum exists.
        reject()
    assume(mixture.converged_)  # where components overlap EM may crawl

    def objective(mixture):
        penalty = penalty_of(mixture, X) if reg_covar == "auto" else 0.0
        return mixture.score(X) + penalty

    vector = Unconstrained(mixture)
    assert len(vector.point) == mixture._model().n_parameters()
    assert np.abs(vector.gradient(objective)).max() < 1e-6


# ---- samples --------------------------------------------------------------
@types
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sampling_then_fitting_recovers_the_parameters(covariance_type, seed):
    n_rows, k, d = 20_000, 3, 2
    truth = Truth.random(seed, k, d, distance=6.0)
    source = GaussianMixture.from_parameters(
        truth.weights,
        truth.means,
        covariances=in_shape(truth.matrices, covariance_type),
        covariance_type=covariance_type,
    )
    X, labels = source.sample(n_rows, random_state=seed)
    mixture = fitted(X, k, covariance_type=covariance_type, init_params=labels)
    # Five standard errors of the parameters of separate classes, twice for overlap.
    errors = 10 / np.sqrt(n_rows * truth.weights)
    variances = np.diagonal(matrices_of(source), axis1=1, axis2=2)
    assert np.all(np.abs(mixture.weights_ - truth.weights) < 10 * 0.5 / np.sqrt(n_rows))
    distance = np.abs(mixture.means_ - truth.means) / np.sqrt(variances)
    assert np.all(distance < errors[:, np.newaxis])
    size = np.sqrt(variances[:, :, np.newaxis] * variances[:, np.newaxis])
    distance = np.abs(matrices_of(mixture) - matrices_of(source)) / size
    assert np.all(distance < np.sqrt(2) * errors[:, np.newaxis, np.newaxis])
