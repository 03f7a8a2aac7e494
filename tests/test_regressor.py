"""Regression by a mixture: against least squares, quadrature, simulated data."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import TYPES, case, cases

from skgmm import GaussianMixture, GaussianMixtureRegressor

types = pytest.mark.parametrize("covariance_type", TYPES)


@parametrize_with_checks(
    [
        GaussianMixtureRegressor(k, covariance_type=covariance_type)
        for k, covariance_type in [(1, "full"), (2, "diag")]
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


def problem(seed=0, n_rows=300):
    """Return features, two targets, and new features."""
    X = case(seed, 3, 5, n_rows=n_rows, distance=1.5).X
    return X[:, :3], X[:, 3:], X[:20, :3] + 0.3


def bimodal(n_rows, seed):
    """Return rows whose target is on one of two lines, with noise that grows."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 4, n_rows)
    sign = rng.choice([-1, 1], n_rows, p=[0.3, 0.7])
    y = sign * (1 + x) + (0.1 + 0.2 * x) * rng.normal(size=n_rows)
    return x[:, np.newaxis], y


# ---- one component is least squares ---------------------------------------
@given(case=cases(max_components=2))
def test_one_component_is_linear_regression(case):
    if case.X.shape[1] < 2:
        return
    X, y = case.X[:, 1:], case.X[:, 0]
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    exact = GaussianMixtureRegressor(reg_covar=0).fit(X, y, weight)
    expected = LinearRegression().fit(X, y, weight)
    spread = y.std()
    np.testing.assert_allclose(
        exact.predict(X) / spread, expected.predict(X) / spread, 1e-9, 1e-9
    )
    default = GaussianMixtureRegressor().fit(X, y, weight)
    np.testing.assert_allclose(
        default.predict(X) / spread, expected.predict(X) / spread, 1e-6, 1e-6
    )
    _, std = exact.predict(X, return_std=True)
    rest = np.average((y - expected.predict(X)) ** 2, weights=weight)
    np.testing.assert_allclose(std, np.sqrt(rest), 1e-7)


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_units_and_offsets_change_nothing(offset):
    X, y, new = problem()
    one = GaussianMixtureRegressor(2).fit(X, y)
    units, of_y = np.array([1e-6, 1.0, 1e6]), np.array([1e4, 1e-4])
    other = GaussianMixtureRegressor(2)
    other.fit((X + offset) * units, (y + offset) * of_y)
    mean, std = one.predict(new, return_std=True)
    scaled, deviation = other.predict((new + offset) * units, return_std=True)
    np.testing.assert_allclose(scaled / of_y - offset, mean, 1e-4, 1e-5)
    np.testing.assert_allclose(deviation / of_y, std, 1e-4)


# ---- the predictive distribution ------------------------------------------
@types
def test_predictions_are_those_of_the_conditional_mixture(covariance_type):
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(3, covariance_type=covariance_type).fit(X, y)
    mean, covariance = regressor.predict(new, return_cov=True)
    _, std = regressor.predict(new, return_std=True)
    quantiles = regressor.predict_quantiles(new, [0.1, 0.5, 0.999])
    intervals = regressor.predict_interval(new, 0.8)
    targets = np.random.default_rng(0).normal(size=(len(new), 2))
    log_density = regressor.log_predictive_density(new, targets)
    for i, row in enumerate(new):
        at = regressor.mixture_.condition([0, 1, 2], row)
        np.testing.assert_allclose(mean[i], at.mean(), 1e-10, 1e-10)
        np.testing.assert_allclose(covariance[i], at.covariance(), 1e-9, 1e-9)
        for j in range(2):
            expected = at.marginal(j).quantile([0.1, 0.5, 0.999, 0.9])
            np.testing.assert_allclose(quantiles[i, j], expected[:3], 1e-9, 1e-9)
            np.testing.assert_allclose(intervals[i, j], expected[[0, 3]], 1e-9, 1e-9)
        assert log_density[i] == pytest.approx(at.score(targets[[i]]), abs=1e-9)
    variances = np.diagonal(covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(std, np.sqrt(variances))


def test_predictions_are_quadrature_of_the_joint_density():
    X, y = bimodal(500, 0)
    regressor = GaussianMixtureRegressor(4, random_state=0).fit(X, y)
    joint = regressor.mixture_

    def moment(power, end=40.0):
        def integrand(v):
            return v**power * np.exp(joint.score([[1.3, v]]))

        points = np.clip(joint.condition(0, 1.3).means_[:, 0], -40, end)
        return quad(integrand, -40, end, points=points, limit=300)[0]

    total = moment(0)
    mean, std = regressor.predict([[1.3]], return_std=True)
    assert mean[0] == pytest.approx(moment(1) / total, abs=1e-6)
    second = moment(2) / total - (moment(1) / total) ** 2
    assert std[0] == pytest.approx(np.sqrt(second), abs=1e-6)
    [[median]] = regressor.predict_quantiles([[1.3]], [0.5])
    assert moment(0, median) / total == pytest.approx(0.5, abs=1e-6)
    log_density = regressor.log_predictive_density([[1.3]], [0.4])
    density = np.exp(joint.score([[1.3, 0.4]])) / total
    assert np.exp(log_density[0]) == pytest.approx(density, rel=1e-6)


def test_samples_have_the_moments_and_the_quantiles():
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    draws = regressor.sample_y(new, 20_000)
    assert draws.shape == (20, 2, 20_000)
    mean, covariance = regressor.predict(new, return_cov=True)
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    np.testing.assert_allclose((draws.mean(axis=2) - mean) / spread, 0, atol=0.04)
    for row, expected in zip(draws, covariance, strict=True):
        np.testing.assert_allclose(np.cov(row), expected, 0.1, 0.1 * spread.max())
    again = regressor.sample_y(new, 2, random_state=np.random.default_rng(1))
    other = regressor.sample_y(new, 2, random_state=np.random.default_rng(1))
    np.testing.assert_array_equal(again, other)
    one = GaussianMixtureRegressor().fit(X, y[:, 0])
    assert one.sample_y(new).shape == (20, 1)


# ---- calibration ----------------------------------------------------------
def test_intervals_are_calibrated_where_the_model_holds():
    # Two narrow bumps at the left, two wide ones at the right.
    truth = GaussianMixture.from_parameters(
        [0.2, 0.3, 0.2, 0.3],
        [[1, 2], [1, -2], [3, 6], [3, -6]],
        covariances=[[[0.5, 0.1], [0.1, 0.1]]] * 2 + [[[0.5, -0.7], [-0.7, 4.0]]] * 2,
    )
    Z, new = (truth.sample(20_000, random_state=s)[0] for s in (0, 1))
    regressor = GaussianMixtureRegressor(4).fit(Z[:, :1], Z[:, 1])
    p = np.array([0.02, 0.25, 0.5, 0.75, 0.98])
    below = (new[:, 1:] <= regressor.predict_quantiles(new[:, :1], p)).mean(axis=0)
    # Four standard errors: of the test rows, and as much again of the fit.
    error = np.sqrt(2 * p * (1 - p) / 20_000)
    np.testing.assert_array_less(np.abs(below - p), 4 * error)


def test_intervals_are_nearly_calibrated_on_heteroscedastic_data():
    # Uniform features and noise that grows are no Gaussian mixture: eight straight
    # pieces come near to it (0.48 of the rows are in the middle half).
    X, y = bimodal(4000, 1)
    new, truth = bimodal(8000, 2)
    regressor = GaussianMixtureRegressor(8, random_state=0).fit(X, y)
    for coverage, off in ((0.5, 0.03), (0.95, 0.01)):
        low, high = regressor.predict_interval(new, coverage).T
        assert abs(np.mean((low <= truth) & (truth <= high)) - coverage) < off
    # The noise is seen to grow.
    narrow, wide = (regressor.mixture_.condition(0, x) for x in (0.2, 3.8))
    assert np.ptp(wide.quantile([0.45, 0.85])) > 2 * np.ptp(
        narrow.quantile([0.45, 0.85])
    )
    # The log score is near that of the truth, which no density can beat.
    x = new[:, 0]
    exact = np.logaddexp(
        np.log(0.7) + norm(1 + x, 0.1 + 0.2 * x).logpdf(truth),
        np.log(0.3) + norm(-1 - x, 0.1 + 0.2 * x).logpdf(truth),
    )
    lost = exact - regressor.log_predictive_density(new, truth)
    assert -4 * lost.std() / np.sqrt(len(lost)) < lost.mean() < 0.05


def test_true_parameters_are_found():
    # Where the model holds, the predictions are those of the true mixture.
    truth = case(5, 2, 3, n_rows=20_000, distance=2.0)
    regressor = GaussianMixtureRegressor(2).fit(truth.X[:, :2], truth.X[:, 2])
    true = GaussianMixture.from_parameters(
        truth.truth.weights, truth.truth.means, covariances=truth.truth.matrices
    )
    for row in truth.X[:10]:
        at = true.condition([0, 1], row[:2])
        predicted = regressor.predict(row[np.newaxis, :2])[0]
        deviation = np.sqrt(at.covariance()[0, 0])
        assert abs(predicted - at.mean()[0]) < 0.1 * deviation


# ---- choice, weights, life in scikit-learn --------------------------------
def test_bic_chooses_among_candidates():
    X, y = bimodal(600, 3)
    regressor = GaussianMixtureRegressor([1, 2, 4], covariance_type=["diag", "full"])
    regressor.fit(X, y)
    joint = np.column_stack([X, y])
    alone = [
        GaussianMixture(k, covariance_type=t).fit(joint)
        for k in (1, 2, 4)
        for t in ("diag", "full")
    ]
    lowest = min(m.bic(joint) for m in alone if not m.degenerate_)
    assert regressor.mixture_.bic(joint) == pytest.approx(lowest)
    search = GridSearchCV(GaussianMixtureRegressor(), {"n_components": [1, 3]}, cv=3)
    assert search.fit(X, y).best_score_ < 1


def test_weights_are_repeated_rows():
    X, y, new = problem()
    weight = np.random.default_rng(1).integers(0, 3, len(X))
    one = GaussianMixtureRegressor(2).fit(X, y, sample_weight=weight)
    other = GaussianMixtureRegressor(2).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0)
    )
    np.testing.assert_allclose(one.predict(new), other.predict(new), 1e-5, 1e-5)


def test_shapes_follow_the_target():
    X, y, new = problem()
    one = GaussianMixtureRegressor(2).fit(X, y[:, 0])
    column = GaussianMixtureRegressor(2).fit(X, y[:, :1])
    np.testing.assert_array_equal(column.predict(new)[:, 0], one.predict(new))
    assert one.predict_interval(new).shape == (20, 2)
    assert column.predict_interval(new).shape == (20, 1, 2)
    assert one.predict(new, return_cov=True)[1].shape == (20, 1, 1)
    assert one.predict(new, return_std=True)[1].shape == (20,)
    assert column.n_outputs_ == one.n_outputs_ == 1


def test_a_constant_target_is_predicted():
    X, _, new = problem()
    regressor = GaussianMixtureRegressor(2).fit(X, np.full(len(X), 7.0))
    np.testing.assert_allclose(regressor.predict(new), 7.0)


def test_far_rows_have_finite_predictions():
    X, y, _ = problem()
    regressor = GaussianMixtureRegressor(3).fit(X, y)
    mean, std = regressor.predict([[1e90, 0.0, 0.0]], return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    density = regressor.log_predictive_density([[1e3, 0.0, 0.0]], mean * 0)
    assert np.isfinite(density).all()


def test_density_of_one_component_is_that_of_scipy():
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(1).fit(X, y)
    mean, covariance = regressor.predict(new, return_cov=True)
    expected = [
        multivariate_normal(m, c).logpdf(target)
        for m, c, target in zip(mean, covariance, y[:20], strict=True)
    ]
    found = regressor.log_predictive_density(new, y[:20])
    np.testing.assert_allclose(found, expected, 1e-9)


# ---- missing features -----------------------------------------------------
@pytest.mark.skipif(
    not get_tags(GaussianMixture()).input_tags.allow_nan,
    reason="mixtures do not take missing values",
)
def test_what_is_missing_is_left_out():
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(3, random_state=0).fit(X, y)
    holes = new[:9].copy()
    holes[[1, 4], 0] = np.nan
    holes[2, [0, 2]] = np.nan
    holes[3] = np.nan
    mean, covariance = regressor.predict(holes, return_cov=True)
    quantiles = regressor.predict_quantiles(holes, [0.2, 0.9])
    log_density = regressor.log_predictive_density(holes, y[:9])
    draws = regressor.sample_y(holes, 20_000)
    for i, row in enumerate(holes):
        known = np.flatnonzero(~np.isnan(row)).tolist()
        at = regressor.mixture_.marginal([*known, 3, 4])
        if known:
            at = at.condition(list(range(len(known))), row[known])
        np.testing.assert_allclose(mean[i], at.mean(), 1e-9, 1e-9)
        np.testing.assert_allclose(covariance[i], at.covariance(), 1e-9, 1e-9)
        expected = at.marginal(1).quantile([0.2, 0.9])
        np.testing.assert_allclose(quantiles[i, 1], expected, 1e-9, 1e-9)
        assert log_density[i] == pytest.approx(at.score(y[[i]]), abs=1e-9)
        spread = np.sqrt(np.diagonal(at.covariance()))
        assert np.all(np.abs(draws[i].mean(axis=1) - at.mean()) < 0.04 * spread)
    whole = regressor.predict(new[:9])
    np.testing.assert_allclose(mean[[0, 5, 6]], whole[[0, 5, 6]], 1e-12)


def test_features_may_be_missing_in_fit():
    """The fit is that of the joint rows, and pandas' NA is NaN."""
    X, y, _ = problem()
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    one = GaussianMixtureRegressor(2).fit(X, y)
    joint = GaussianMixture(2).fit(np.column_stack([X, y]))
    np.testing.assert_allclose(one.mixture_.means_, joint.means_, rtol=1e-12)
    frame = pd.DataFrame(X)
    for other in (
        frame.convert_dtypes(),
        frame.astype(object).where(frame.notna(), pd.NA),
    ):
        again = GaussianMixtureRegressor(2).fit(other, y)
        np.testing.assert_array_equal(again.predict(other), one.predict(X))


def test_targets_are_not_missing():
    X, y, new = problem()
    with pytest.raises(ValueError, match="Input y contains NaN"):
        GaussianMixtureRegressor().fit(X, np.where(y > 0, y, np.nan))
    regressor = GaussianMixtureRegressor().fit(X, y)
    with pytest.raises(ValueError, match="y contains NaN"):
        regressor.log_predictive_density(new, np.full((20, 2), np.nan))
    with pytest.raises(ValueError, match="infinity"):
        regressor.predict(np.full((1, 3), np.inf))


# ---- errors ---------------------------------------------------------------
def test_errors_help():
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(2).fit(X, y)
    with pytest.raises(ValueError, match="At most one of return_std and return_cov"):
        regressor.predict(new, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match=r"quantiles must be between 0 and 1; got 1"):
        regressor.predict_quantiles(new, [0.5, 1.0])
    with pytest.raises(ValueError, match="coverage must be one probability; got 2"):
        regressor.predict_interval(new, [0.5, 0.9])
    with pytest.raises(ValueError, match=r"y must have shape \(20, 2\); got shape"):
        regressor.log_predictive_density(new, y[:20, 0])
    with pytest.raises(ValueError, match="n_samples must be at least 1; got 0"):
        regressor.sample_y(new, 0)
    with pytest.raises(ValueError, match="covariance_type must be among"):
        GaussianMixtureRegressor(covariance_type=["full", "round"]).fit(X, y)
    with pytest.raises(ValueError, match="n_components must be at least 1; got 0"):
        GaussianMixtureRegressor([0, 1]).fit(X, y)
    with pytest.raises(ValueError, match="at least one candidate; got none"):
        GaussianMixtureRegressor([]).fit(X, y)
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        GaussianMixtureRegressor(9).fit(X[:5], y[:5])


def test_a_failed_fit_changes_nothing():
    X, y, new = problem()
    regressor = GaussianMixtureRegressor(2).fit(X, y)
    before, attributes = regressor.predict(new), vars(regressor).copy()
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        regressor.fit(X[:, :2], y, sample_weight=-np.ones(len(X)))
    assert vars(regressor) == attributes
    np.testing.assert_array_equal(regressor.predict(new), before)
