"""GaussianMixtureImputer: against the formulas, and as a transformer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import TYPES, case, fitted, matrices_of
from test_missing import brute_log_joint, punched

from skgmm import GaussianMixture, GaussianMixtureImputer

types = pytest.mark.parametrize("covariance_type", TYPES)


@parametrize_with_checks(
    [
        GaussianMixtureImputer(),
        GaussianMixtureImputer(GaussianMixture(2, covariance_type="diag")),
        GaussianMixtureImputer(keep_empty_features=True, add_indicator=True),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Features .* have one value only:UserWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.fixture
def rows():
    return punched(case(3, 2, 4, distance=2.0).X, 0.3, seed=1)


@pytest.fixture
def imputer(rows):
    return GaussianMixtureImputer(GaussianMixture(2)).fit(rows)


def conditionals(x, mixture):
    """Return the posterior, and means and covariances of what is missing in a row."""
    o, m = ~np.isnan(x), np.isnan(x)
    joint = brute_log_joint(x[None], mixture.weights_, mixture.means_, S(mixture))[0]
    posterior = np.exp(joint - np.logaddexp.reduce(joint))
    means, covariances = [], []
    for mu, matrix in zip(mixture.means_, S(mixture), strict=True):
        G = matrix[np.ix_(m, o)] @ np.linalg.inv(matrix[np.ix_(o, o)])
        means.append(mu[m] + G @ (x[o] - mu[o]))
        covariances.append(matrix[np.ix_(m, m)] - G @ matrix[np.ix_(o, m)])
    return posterior, np.array(means), np.array(covariances)


def S(mixture):
    return matrices_of(mixture)


@types
def test_holes_have_their_conditional_means(rows, covariance_type):
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    imputer = GaussianMixtureImputer(mixture).fit(rows)
    assert not hasattr(mixture, "means_")  # it was cloned
    out = imputer.transform(rows)
    for x, filled in zip(rows, out, strict=True):
        posterior, means, _ = conditionals(x, imputer.mixture_)
        np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
        np.testing.assert_allclose(filled[np.isnan(x)], posterior @ means, rtol=1e-9)


@types
def test_draws_have_the_conditional_distribution(rows, covariance_type):
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    imputer = GaussianMixtureImputer(mixture, sample_posterior=True, random_state=0)
    imputer.fit(rows)
    holes = np.isnan(rows).sum(axis=1)
    for x in (rows[holes == 1][0], rows[holes == 2][0], np.full(4, np.nan)):
        n = 20_000
        drawn = imputer.transform(np.tile(x, (n, 1)))[:, np.isnan(x)]
        posterior, means, covariances = conditionals(x, imputer.mixture_)
        mean = posterior @ means
        between = np.einsum("k,ki,kj->ij", posterior, means - mean, means - mean)
        covariance = np.tensordot(posterior, covariances, 1) + between
        deviations = np.sqrt(np.diagonal(covariance))
        error = (drawn.mean(axis=0) - mean) / deviations
        assert np.all(np.abs(error) < 5 / np.sqrt(n))
        found = np.cov(drawn.T).reshape(covariance.shape)
        error = (found - covariance) / deviations / deviations[:, None]
        assert np.all(np.abs(error) < 8 / np.sqrt(n))


def test_draws_repeat_with_an_integer_and_differ_with_a_generator(imputer, rows):
    imputer.set_params(sample_posterior=True, random_state=3)
    np.testing.assert_array_equal(imputer.transform(rows), imputer.transform(rows))
    imputer.set_params(random_state=np.random.RandomState(3))
    one, other = imputer.transform(rows), imputer.transform(rows)
    holes = np.isnan(rows)
    assert np.all(one[holes] != other[holes])
    np.testing.assert_array_equal(one[~holes], rows[~holes])


@given(st.integers(0, 2**32 - 1))
def test_each_row_is_filled_on_its_own(seed):
    X = punched(case(3, 2, 3).X, 0.5, seed=seed)
    imputer = GaussianMixtureImputer(GaussianMixture(2, max_iter=2, tol=1.0))
    imputer.mixture_ = fitted(case(3, 2, 3).X, 2)
    imputer.empty_features_ = np.zeros(3, dtype=bool)
    imputer.indicator_, imputer.n_features_in_ = None, 3
    out = imputer.transform(X)
    order = np.random.default_rng(seed).permutation(len(X))[:7]
    np.testing.assert_allclose(imputer.transform(X[order]), out[order], rtol=1e-12)


def test_the_default_mixture_is_chosen_by_bic():
    problem = case(1, 3, 2, distance=8.0)
    imputer = GaussianMixtureImputer().fit(punched(problem.X, 0.2, seed=1))
    assert imputer.mixture_.n_components == 3
    one = GaussianMixtureImputer().fit(case(1, 1, 2).X)
    assert one.mixture_.n_components == 1


def test_weights_are_repetitions(rows):
    count = np.random.default_rng(1).integers(0, 3, len(rows))
    one = GaussianMixtureImputer().fit(rows, sample_weight=count)
    other = GaussianMixtureImputer().fit(np.repeat(rows, count, axis=0))
    np.testing.assert_allclose(one.transform(rows), other.transform(rows), rtol=1e-3)


@types
def test_far_rows(rows, covariance_type):
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    imputer = GaussianMixtureImputer(mixture).fit(rows)
    out = imputer.transform([[1e170, np.nan, 0.0, 0.0]])
    assert np.all(np.isfinite(out))


def test_dtype_and_order(imputer, rows):
    out = imputer.transform(rows)
    narrow = imputer.transform(rows.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, out, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(imputer.transform(np.asfortranarray(rows)), out)


# ---- columns --------------------------------------------------------------
def with_empty(rows):
    return np.insert(rows, 1, np.nan, axis=1)


def test_empty_features_are_left_out_or_zero(imputer, rows):
    X = with_empty(rows)
    options = {"mixture": GaussianMixture(2)}
    one = GaussianMixtureImputer(**options).fit(X)
    np.testing.assert_array_equal(one.transform(X), imputer.transform(rows))
    assert one.get_feature_names_out().tolist() == ["x0", "x2", "x3", "x4"]
    kept = GaussianMixtureImputer(**options, keep_empty_features=True).fit(X)
    np.testing.assert_array_equal(kept.transform(X)[:, 1], np.zeros(len(X)))
    assert len(kept.get_feature_names_out()) == 5
    X[0, 1] = 7.0
    assert kept.transform(X)[0, 1] == 7.0


def test_indicator(rows):
    X = rows.copy()
    X[:, 0] = 1.0 + np.arange(len(X))
    one = GaussianMixtureImputer(GaussianMixture(2), add_indicator=True).fit(X)
    out = one.transform(X)
    np.testing.assert_array_equal(out[:, 4:], np.isnan(X[:, 1:]))
    names = one.get_feature_names_out(["a", "b", "c", "d"]).tolist()
    indicators = ["missingindicator_b", "missingindicator_c", "missingindicator_d"]
    assert names == ["a", "b", "c", "d", *indicators]


def test_pandas_in_and_out(imputer, rows):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rows, columns=list("abcd"), index=np.arange(len(rows)) + 5)
    one = GaussianMixtureImputer(GaussianMixture(2)).set_output(transform="pandas")
    out = one.fit_transform(frame)
    assert out.columns.tolist() == list("abcd")
    np.testing.assert_array_equal(out.index, frame.index)
    np.testing.assert_array_equal(out.to_numpy(), imputer.transform(rows))
    with pytest.raises(ValueError, match="feature names"):
        one.transform(frame[["b", "a", "c", "d"]])


def test_pandas_na(imputer, rows):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rows)
    for other in (
        frame.convert_dtypes(),
        frame.astype(object).where(frame.notna(), pd.NA),
    ):
        again = GaussianMixtureImputer(GaussianMixture(2)).fit(other)
        np.testing.assert_array_equal(again.transform(other), imputer.transform(rows))


def test_in_a_pipeline_with_weights(rows):
    weight = np.random.default_rng(1).integers(1, 3, len(rows))
    with config_context(enable_metadata_routing=True):
        first = GaussianMixtureImputer(GaussianMixture(2))
        first.set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        last = GaussianMixture(2).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(first, scaler, last)
        pipeline.fit(rows, sample_weight=weight)
    alone = GaussianMixtureImputer(GaussianMixture(2)).fit(rows, sample_weight=weight)
    np.testing.assert_array_equal(pipeline[0].transform(rows), alone.transform(rows))
    assert np.all(np.isfinite(pipeline[-1].means_))


# ---- errors ---------------------------------------------------------------
def test_nothing_observed():
    with pytest.raises(ValueError, match=r"X must have observed values.*weight zero"):
        GaussianMixtureImputer().fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="X must have observed values"):
        GaussianMixtureImputer().fit([[1.0], [np.nan]], sample_weight=[0, 1])


def test_bad_arguments(rows):
    with pytest.raises(ValueError, match="'mixture' parameter"):
        GaussianMixtureImputer("full").fit(rows)
    with pytest.raises(ValueError, match="X contains infinity"):
        GaussianMixtureImputer().fit([[np.inf, 1.0], [np.nan, 2.0]])
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        GaussianMixtureImputer().fit(rows, sample_weight=np.full(len(rows), -1))


def test_noise_knows_nothing_of_what_is_missing(rows):
    imputer = GaussianMixtureImputer(GaussianMixture(2, noise=True))
    with pytest.raises(ValueError, match=r"mixture has noise=True.*Set noise=False"):
        imputer.fit(rows)
