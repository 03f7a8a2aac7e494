"""What users asked of scikit-learn's mixture: its known faults are not ours.

The numbers F1 to F18 are those of the list of faults that these tests come from;
each runs on the data on which scikit-learn 1.9.1 goes wrong.
"""

import copy
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

from skgmm import GaussianMixture

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
NAMED_STARTS = ["auto", "kmeans", "k-means++", "random", "random_from_data"]

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
SINGULAR_IS_FINE = pytest.mark.filterwarnings(
    "ignore:Components .* have less variance:sklearn.exceptions.ConvergenceWarning"
)


def two_blobs():
    """Unit variance, at 0 and at 6: the data of F3 and F5."""
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 1, (500, 2)), rng.normal(6, 1, (500, 2))])


def three_far_blobs():
    """The data of F10."""
    centers = [[-10, 0], [0, 10], [10, 0]]
    X, _ = make_blobs(600, centers=centers, random_state=0)
    return X


# ---- F1, F2: integers ----
def results(mixture, X):
    """Return what every method that takes rows says of them."""
    methods = "predict", "predict_proba", "predict_log_proba", "score_samples"
    methods += "score", "aic", "bic", "icl"
    return {name: getattr(mixture, name)(X) for name in methods}


TENS = np.array([[0], [1], [2], [3], [4], [10], [11], [12], [13], [14]])


@each_covariance_type
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("where", ["fit", "methods"])
def test_f1_integers_are_numbers(covariance_type, dtype, where):
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    mixture.fit(TENS.astype(dtype if where == "fit" else float))
    expected = results(mixture, TENS.astype(float))
    for name, value in results(mixture, TENS.astype(dtype)).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    # Two clusters of variance two, one of them: by hand.
    by_hand = -0.5 * np.log(2 * np.pi * 2) - 0.5 + np.log(0.5)
    assert mixture.score(TENS) == pytest.approx(by_hand, abs=1e-5)
    assert mixture.score(TENS) == pytest.approx(mixture.lower_bound_, abs=1e-5)


@SINGULAR_IS_FINE
@SINGULAR_IS_FINE  # A feature may be all False in a component.
@each_covariance_type
def test_f1_booleans_are_numbers(covariance_type):
    X = np.random.default_rng(0).random((60, 3)) < 0.4
    mixture = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    expected = results(mixture, X.astype(float))
    for name, value in results(mixture, X).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@each_covariance_type
def test_f1_large_integers_do_not_overflow(covariance_type):
    X = (TENS * 10_000).astype(np.int32)
    mixture = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    expected = results(mixture, X.astype(float))
    for name, value in results(mixture, X).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert mixture.score(X) == pytest.approx(-11.669, abs=1e-3)
    if covariance_type == "diag":
        assert mixture.bic(X) == pytest.approx(244.9, abs=0.05)


@each_covariance_type
def test_f2_pixels_get_the_labels_of_fit_predict(covariance_type):
    rng = np.random.default_rng(0)
    colours = [rng.normal(60, 10, (500, 3)), rng.normal(200, 10, (500, 3))]
    X = np.clip(np.vstack(colours), 0, 255).astype(np.uint8)
    mixture = GaussianMixture(3, covariance_type=covariance_type)
    labels = mixture.fit_predict(X)
    np.testing.assert_array_equal(labels, mixture.predict(X))
    np.testing.assert_array_equal(labels, mixture.predict(X.astype(float)))
    assert mixture.score(X) == mixture.score(X.astype(float))
    assert -11.9 < mixture.score(X) < -11.7


# ---- F3 to F6: offsets, precision, units ----
@each_covariance_type
@pytest.mark.parametrize("offset", [1e7, 1e8])
def test_f3_offset_changes_nothing(covariance_type, offset):
    X = two_blobs()
    # Leaps make more of rounding, within tol.
    plain = {"init_params": "bisect", "acceleration": None}
    mixture = GaussianMixture(2, covariance_type=covariance_type, **plain)
    near, far = clone(mixture).fit(X), clone(mixture).fit(X + offset)
    # The offset rounds the data by half a unit in its last place.
    rounding = np.spacing(offset)
    np.testing.assert_allclose(far.means_ - offset, near.means_, atol=2 * rounding)
    np.testing.assert_allclose(
        far.covariances_, near.covariances_, rtol=rounding, atol=rounding
    )
    assert far.score(X + offset) == pytest.approx(near.score(X), abs=rounding)
    np.testing.assert_array_equal(far.predict(X + offset), near.predict(X))


@each_covariance_type
def test_f4_timestamps_keep_their_spread(covariance_type):
    rng = np.random.default_rng(0)
    bursts = rng.normal(0, 60, 300), rng.normal(3600, 60, 300)
    t = 1.7e9 + np.concatenate(bursts)[:, np.newaxis]
    mixture = GaussianMixture(2, covariance_type=covariance_type).fit(t)
    truth = np.sort([np.std(t[:300]), np.std(t[300:])])
    if covariance_type == "tied":
        truth = np.sqrt(np.mean(truth**2))
    deviations = np.sort(np.sqrt(np.ravel(mixture.covariances_)))
    np.testing.assert_allclose(deviations, truth, rtol=1e-5)


@each_covariance_type
@pytest.mark.parametrize("offset", [0, 1000, 5000])
def test_f5_float32_with_an_offset(covariance_type, offset):
    X = (two_blobs() + offset).astype(np.float32)
    single = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    double = GaussianMixture(2, covariance_type=covariance_type).fit(X.astype(float))
    assert single.converged_
    assert single.means_.dtype == single.covariances_.dtype == np.float32
    np.testing.assert_allclose(single.means_, double.means_, rtol=1e-7)
    np.testing.assert_allclose(
        single.covariances_, double.covariances_, rtol=1e-6, atol=1e-6
    )
    assert single.score(X) == pytest.approx(double.score(X.astype(float)), abs=1e-6)


@each_covariance_type
def test_f5_two_float32_rows_far_apart(covariance_type):
    X = np.array([[9999.0], [0.0]], dtype=np.float32)  # issue #30382
    mixture = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.1)
    mixture.fit(X)
    np.testing.assert_allclose(np.ravel(mixture.covariances_), 0.1, rtol=1e-6)


@each_covariance_type
@pytest.mark.parametrize("unit", [1e-2, 1e-3, 1e-4, 1e9])
def test_f6_units_change_nothing(covariance_type, unit):
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(0, 1, (300, 2)), rng.normal([4, 0], 1, (300, 2))])
    by_default = GaussianMixture(2, covariance_type=covariance_type)
    scores = [by_default.fit(X).score(X), by_default.fit(X * unit).score(X * unit)]
    shift = X.shape[1] * np.log(unit)
    assert scores[1] + shift == pytest.approx(scores[0], abs=by_default.tol)
    # Leaps make more of rounding, within tol.
    plain = clone(by_default).set_params(init_params="bisect", acceleration=None)
    ours, theirs = clone(plain).fit(X), clone(plain).fit(X * unit)
    np.testing.assert_allclose(theirs.means_ / unit, ours.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        theirs.covariances_ / unit**2, ours.covariances_, rtol=1e-9, atol=1e-9
    )
    score = theirs.score(X * unit) + shift
    assert score == pytest.approx(ours.score(X), abs=1e-10)


# ---- F7: starts that fail ----
def amounts():
    """Amounts of money, some exactly zero: the data of F7."""
    rng = np.random.default_rng(0)
    return np.r_[rng.normal(size=(40, 2)), np.zeros((6, 2))] * 1e6


@SINGULAR_IS_FINE
@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_f7_no_start_fails_on_repeated_rows(init_params):
    X = amounts()
    for seed in range(1 if init_params == "auto" else 20):  # 'auto' draws the same
        mixture = GaussianMixture(6, init_params=init_params, random_state=seed)
        assert np.isfinite(mixture.fit(X).score(X))


@SINGULAR_IS_FINE
def test_f7_more_starts_never_make_it_worse():
    X = amounts()
    fits = [
        GaussianMixture(6, n_init=n_init, n_swaps=0, random_state=0).fit(X)
        for n_init in (1, 2, 4)
    ]
    ranks = [(-len(fit.degenerate_), fit.lower_bound_) for fit in fits]
    assert ranks == sorted(ranks)


def test_f7_failed_starts_are_left_out_with_a_warning():
    # Without regularisation a start with the zeros in a component of their own
    # fails; one such start must not cost the others.
    X = amounts()
    parameters = {"reg_covar": 0, "init_params": "random_from_data", "max_iter": 20}
    failures = 0
    for seed in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                GaussianMixture(4, random_state=seed, **parameters).fit(X)
            except ValueError:
                failures += 1
    assert 0 < failures < 10, "the data do not test what they should"
    mixture = GaussianMixture(4, random_state=0, n_init=20, **parameters)
    with pytest.warns(ConvergenceWarning) as caught:
        mixture.fit(X)
    [text] = [str(w.message) for w in caught if "left out" in str(w.message)]
    assert "n_init=20" in text
    assert "component" in text
    assert np.isfinite(mixture.score(X))


# ---- F8: ghosts ----
@each_covariance_type
@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_f8_no_ghost_component_at_the_origin(covariance_type, init_params):
    points = np.array([[5.0, 5.0], [6.0, 5.0], [7.0, 9.0]])
    X = np.repeat(points, 20, axis=0)
    mixture = GaussianMixture(
        5, covariance_type=covariance_type, init_params=init_params, random_state=0
    )
    with pytest.warns(ConvergenceWarning) as caught:
        mixture.fit(X)
    texts = " ".join(str(w.message) for w in caught)
    assert "3 distinct rows, fewer than n_components=5" in texts
    for mean in mixture.means_:
        assert np.abs(points - mean).max(axis=1).min() < 1e-6, "not one of the points"
    assert mixture.weights_.sum() == pytest.approx(1, abs=1e-15)
    assert mixture.weights_.min() > 0.1
    assert np.all(np.isfinite(mixture.covariances_))


# ---- F9: samples of float32 models ----
@pytest.mark.filterwarnings("ignore:X has only:sklearn.exceptions.ConvergenceWarning")
def test_f9_float32_models_can_be_sampled():
    rng = np.random.default_rng(0)
    for k in range(2, 40):
        points = rng.normal(size=(k, 2)).round(2) * 10
        X = np.repeat(points, 20, axis=0).astype(np.float32)
        mixture = GaussianMixture(
            k + 1, covariance_type="spherical", reg_covar=1e-3, random_state=0
        ).fit(X)
        rows, labels = mixture.sample(3)
        assert rows.dtype == np.float32
        assert rows.shape == (3, 2)
        assert set(labels) <= set(range(k + 1))


# ---- F10: starts ----
@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_f10_no_start_ends_at_the_single_gaussian(init_params):
    X = three_far_blobs()
    single = GaussianMixture(1).fit(X).score(X)
    for seed in range(20):
        mixture = GaussianMixture(3, init_params=init_params, random_state=seed)
        mixture.fit(X)
        assert mixture.weights_.sum() == pytest.approx(1, abs=1e-15)
        assert mixture.score(X) > single + 1
        if init_params in ("auto", "kmeans", "k-means++"):
            assert mixture.score(X) == pytest.approx(-3.880, abs=5e-4)


@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_f10_the_start_itself_is_a_sound_density(init_params):
    X = three_far_blobs()
    mixture = GaussianMixture(3, init_params=init_params, max_iter=0, random_state=0)
    mixture.fit(X)
    assert mixture.weights_.sum() == pytest.approx(1, abs=1e-15)
    assert not mixture.converged_
    assert mixture.n_iter_ == 0
    shares = np.bincount(mixture.sample(1000)[1], minlength=3) / 1000
    np.testing.assert_allclose(shares, mixture.weights_, atol=0.06)
    # Of the size of the data, not of the regularisation.
    assert mixture.covariances_[:, 0, 0].min() > 0.1
    assert mixture.score(X) > GaussianMixture(1).fit(X).score(X)


# ---- F11: features of different scale ----
@pytest.mark.parametrize("n_init", [1, 2])
def test_f11_stripes_are_found_by_default(n_init):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 500)
    X = np.c_[
        rng.normal(0, 100, 1000), np.where(y == 0, -1, 1) + rng.normal(0, 0.2, 1000)
    ]
    mixture = GaussianMixture(2, n_init=n_init, random_state=0).fit(X)
    assert adjusted_rand_score(y, mixture.predict(X)) == 1
    assert mixture.score(X) == pytest.approx(-6.520, abs=5e-4)


# ---- F12, F13: the end of the iteration ----
def slow_data():
    """The data of issue #10122, on which EM crawls."""
    rng = np.random.RandomState(1234)  # as np.random.seed(1234)
    many = multivariate_normal([2, 4], [[5, 2], [2, 6]]).rvs(300, random_state=rng)
    few = multivariate_normal([0, 0], [[4, 2], [2, 3]]).rvs(100, random_state=rng)
    return np.r_[many, few]


def test_f12_default_tol_ends_at_the_optimum():
    X = slow_data()
    # scikit-learn's start: k-means in raw units.
    labels = KMeans(2, n_init=1, random_state=0).fit(X).labels_
    mixture = GaussianMixture(2, init_params=labels).fit(X)
    assert mixture.converged_
    assert mixture.score(X) * len(X) == pytest.approx(-1803.87, abs=5e-3)
    np.testing.assert_allclose(np.sort(mixture.weights_), [0.24, 0.76], atol=0.01)


@pytest.mark.parametrize("init_params", ["auto", "kmeans"])
def test_f12_default_tol_leaves_no_more_than_it_says(init_params):
    X = slow_data()
    mixture = GaussianMixture(2, init_params=init_params, random_state=0).fit(X)
    longer = GaussianMixture(2, init_params=mixture, tol=1e-12, max_iter=10_000)
    longer.fit(X)
    assert longer.converged_
    assert longer.lower_bound_ - mixture.lower_bound_ < 2 * mixture.tol


def test_f12_a_few_starts_find_the_better_optimum():
    X = slow_data()
    mixture = GaussianMixture(2, n_init=4, random_state=0).fit(X)
    assert mixture.score(X) * len(X) > -1803.875


def penalty(mixture, X):
    """Return the penalty of reg_covar='auto' by its definition, from the outside.

    A millionth of an observation of the total variances V for each component:
    -1e-6/2 sum_k (log|C_k| - log|V| + tr(V C_k^-1) - D).
    """
    total = X.var(axis=0)
    k, d = mixture.means_.shape
    by_type = {
        "full": lambda c: c,
        "tied": lambda c: np.broadcast_to(c, (k, d, d)),
        "diag": lambda c: c[:, :, np.newaxis] * np.eye(d),
        "spherical": lambda c: c[:, np.newaxis, np.newaxis] * np.eye(d),
    }
    if mixture.covariance_type == "spherical":
        total = np.full(d, total.mean())
    value = 0.0
    for covariance in by_type[mixture.covariance_type](mixture.covariances_):
        value += np.linalg.slogdet(covariance)[1] - np.log(total).sum()
        value += np.trace(total * np.linalg.inv(covariance)) - d
    return -0.5e-6 * value


@each_covariance_type
def test_f12_lower_bound_is_that_of_the_parameters(covariance_type):
    X = slow_data()
    # K and D differ, so that neither stands in for the other.
    mixture = GaussianMixture(3, covariance_type=covariance_type).fit(X)
    expected = mixture.score(X) + penalty(mixture, X) / len(X)
    assert mixture.lower_bound_ == pytest.approx(expected, rel=1e-13)
    assert mixture.lower_bound_ == mixture.lower_bounds_[-1]
    fixed = GaussianMixture(2, covariance_type=covariance_type, reg_covar=1e-3).fit(X)
    assert fixed.lower_bound_ == pytest.approx(fixed.score(X), rel=1e-13)


def two_tight_blobs():
    """The data of F13."""
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 0.05, (100, 2)), rng.normal(1, 0.05, (100, 2))])


@pytest.mark.filterwarnings(
    "ignore:The best start did:sklearn.exceptions.ConvergenceWarning"
)
@each_covariance_type
@pytest.mark.parametrize("init_params", ["auto", "random_from_data"])
def test_f13_no_step_goes_down(covariance_type, init_params):
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        init_params=init_params,
        tol=0,
        max_iter=200,
        random_state=0,
    ).fit(two_tight_blobs())
    assert mixture.n_iter_ > 1
    assert np.all(np.diff(mixture.lower_bounds_) >= -1e-12)
    assert mixture.lower_bound_ == max(mixture.lower_bounds_)


@each_covariance_type
@pytest.mark.parametrize("init_params", ["auto", "random_from_data"])
@pytest.mark.parametrize("reg_covar", [1e-2, 1e-1])
def test_f13_with_a_ridge_the_end_is_a_fixed_point(
    covariance_type, init_params, reg_covar
):
    # A float as reg_covar is no penalty of the likelihood, so steps may go down;
    # to stop at the first that does would be to stop anywhere.
    parameters = {"covariance_type": covariance_type, "reg_covar": reg_covar}
    X = two_tight_blobs()
    mixture = GaussianMixture(
        3, init_params=init_params, random_state=0, **parameters
    ).fit(X)
    assert mixture.converged_
    assert mixture.lower_bound_ == mixture.lower_bounds_[-1]
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), rel=1e-12)
    longer = GaussianMixture(
        3, init_params=mixture, tol=1e-12, max_iter=10_000, **parameters
    ).fit(X)
    assert longer.lower_bound_ == pytest.approx(
        mixture.lower_bound_, abs=2 * mixture.tol
    )


# ---- F14: warm start ----
def left_and_right():
    rng = np.random.default_rng(0)
    return np.vstack(
        [rng.normal([-2, 0], 1, (300, 2)), rng.normal([2, 0], 1, (300, 2))]
    )


def test_f14_warm_start_does_not_compare_with_old_data():
    X = left_and_right()
    mixture = GaussianMixture(2, warm_start=True, random_state=0).fit(X)
    rng = np.random.default_rng(0)
    rng.normal(size=(600, 2))
    other = np.vstack(
        [rng.normal([0, -1], 0.2, (300, 2)), rng.normal([0, 1], 0.2, (300, 2))]
    )
    # Scaled so that the old model gives the new data the old score.
    low, high = 0.1, 10.0
    for _ in range(80):
        scale = 0.5 * (low + high)
        above = mixture.score(other * scale + [2, 0]) > mixture.lower_bound_
        low, high = (scale, high) if above else (low, scale)
    X = other * low + [2, 0]
    assert mixture.score(X) == pytest.approx(mixture.lower_bound_)
    mixture.fit(X)
    assert mixture.n_iter_ > 1
    again = GaussianMixture(2, init_params=mixture).fit(X)
    assert again.lower_bound_ - mixture.lower_bound_ < 2 * mixture.tol, "stopped early"


def test_f14_warm_start_goes_on_from_the_last_result():
    X = slow_data()
    plain = {"acceleration": None, "init_params": "bisect"}
    mixture = GaussianMixture(2, warm_start=True, max_iter=5, **plain)
    with pytest.warns(ConvergenceWarning, match="did not converge within max_iter=5"):
        mixture.fit(X)
    first = mixture.lower_bounds_
    with pytest.warns(ConvergenceWarning, match="did not converge within max_iter=5"):
        mixture.fit(X)
    ten = GaussianMixture(2, max_iter=10, **plain)
    with pytest.warns(ConvergenceWarning, match="did not converge within max_iter=10"):
        ten.fit(X)
    np.testing.assert_allclose(
        [*first, *mixture.lower_bounds_], ten.lower_bounds_, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_components": 5}, "n_components was 2 and is now 5"),
        ({"covariance_type": "diag"}, "covariance_type was 'full' and is now 'diag'"),
    ],
)
def test_f14_warm_start_of_another_model_is_refused(change, named):
    X = left_and_right()
    mixture = GaussianMixture(2, warm_start=True, random_state=0).fit(X)
    before = mixture.predict_proba(X)
    mixture.set_params(**change)
    with pytest.raises(ValueError, match=named):
        mixture.fit(X)
    np.testing.assert_array_equal(mixture.predict_proba(X), before)


# ---- F15: state and interface ----
def fifty_rows():
    return np.random.default_rng(0).normal(size=(50, 2))


SIX_VALUES = np.repeat([[1.0, 2], [3, 4], [5, 6]], 5, axis=0)


def test_f15_1_to_3_a_failed_fit_leaves_the_old_model():
    X = fifty_rows()
    mixture = GaussianMixture(2, random_state=0).fit(X)
    before, predictions = copy.deepcopy(vars(mixture)), results(mixture, X)
    mixture.set_params(reg_covar=0, n_components=3)
    with pytest.raises(ValueError, match="component"):
        mixture.fit(SIX_VALUES)
    after = vars(mixture)
    assert after.keys() == before.keys()
    assert mixture.means_.shape == (2, 2)
    assert mixture.precisions_cholesky_.shape == (2, 2, 2)
    for name, value in results(mixture, X).items():
        np.testing.assert_array_equal(value, predictions[name], err_msg=name)


def test_f15_a_first_fit_that_fails_leaves_it_unfitted():
    mixture = GaussianMixture(3, reg_covar=0)
    with pytest.raises(ValueError, match="component"):
        mixture.fit(SIX_VALUES)
    assert vars(mixture) == vars(GaussianMixture(3, reg_covar=0))
    with pytest.raises(NotFittedError):
        mixture.predict(SIX_VALUES)


def test_f15_4_assigned_parameters_can_be_used():
    mixture = GaussianMixture(2)
    mixture.weights_ = np.array([0.5, 0.5])
    mixture.means_ = np.array([[0.0, 0], [3, 3]])
    mixture.covariances_ = np.stack([np.eye(2)] * 2)
    assert mixture.sample(2)[0].shape == (2, 2)
    np.testing.assert_array_equal(mixture.predict([[0, 0], [3, 3]]), [0, 1])
    expected = np.logaddexp(0, -9) + np.log(0.5) - np.log(2 * np.pi)
    assert mixture.score([[0, 0]]) == pytest.approx(expected)


def test_f15_5_changed_covariances_change_everything():
    X = fifty_rows()
    mixture = GaussianMixture(1, random_state=0).fit(X)
    before, covariance = mixture.score(X), mixture.covariances_
    with pytest.raises(ValueError, match="read-only"):
        covariance *= 100
    mixture.covariances_ = 100 * covariance
    assert mixture.score(X) < before - 1
    expected = multivariate_normal(mixture.means_[0], 100 * covariance[0])
    np.testing.assert_allclose(mixture.score_samples(X), expected.logpdf(X))
    np.testing.assert_allclose(
        mixture.precisions_[0], np.linalg.inv(100 * covariance[0])
    )
    assert mixture.sample(2000)[0].std() == pytest.approx(9.4, abs=0.5)


def test_f15_6_samples_differ_with_a_generator_and_come_shuffled():
    mixture = GaussianMixture(2, random_state=0).fit(fifty_rows())
    rng = np.random.default_rng(0)
    first, second = (mixture.sample(5, random_state=rng)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    labels = mixture.sample(200)[1]
    assert np.count_nonzero(np.diff(labels)) > 20
    grouped = mixture.sample(200, shuffle=False)[1]
    assert np.count_nonzero(np.diff(grouped)) == 1


def test_f15_7_sample_names_the_number_asked_for():
    mixture = GaussianMixture(3, random_state=0).fit(fifty_rows())
    with pytest.raises(ValueError, match="n_samples must be at least 1; got 0"):
        mixture.sample(0)


def test_f15_8_no_iteration_from_given_precisions():
    mixture = GaussianMixture(
        2,
        max_iter=0,
        weights_init=[0.5, 0.5],
        means_init=[[0, 0], [1, 1]],
        precisions_init=2 * np.stack([np.eye(2)] * 2),
    ).fit(fifty_rows())
    np.testing.assert_allclose(mixture.means_, [[0, 0], [1, 1]], atol=1e-15)
    np.testing.assert_allclose(mixture.covariances_, [0.5 * np.eye(2)] * 2)
    np.testing.assert_array_equal(mixture.weights_, [0.5, 0.5])


@pytest.mark.parametrize(
    "given",
    [
        {"means_init": [[0, 0], [1, 1]]},
        {"weights_init": [0.4, 0.6]},
        {"precisions_init": [[[1, 0], [0, 1]]] * 2},
        {"covariances_init": [[[1, 0], [0, 1]]] * 2},
    ],
)
def test_f15_9_fit_leaves_constructor_parameters_alone(given):
    mixture = GaussianMixture(2, **given).fit(fifty_rows())
    [(name, value)] = given.items()
    assert getattr(mixture, name) is value


# ---- F16: huge finite values ----
@each_covariance_type
def test_f16_an_absurd_value_is_refused_by_its_feature(covariance_type):
    X = fifty_rows()
    X[0, 1] = 1e200
    with pytest.raises(ValueError, match=r"for feature 1\. .*remove the rows"):
        GaussianMixture(2, covariance_type=covariance_type).fit(X)


@each_covariance_type
@pytest.mark.parametrize("far", [1e10, 1e100, 1e160, -1e300])
def test_f16_far_rows_get_finite_predictions(covariance_type, far):
    mixture = GaussianMixture(2, covariance_type=covariance_type).fit(fifty_rows())
    rows = np.array([[far, 0.0], [0.0, far], [far, far]])
    shares = mixture.predict_proba(rows)
    assert np.all(np.isfinite(shares))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    labels = mixture.predict(rows)
    np.testing.assert_array_equal(shares.argmax(axis=1), labels)
    assert not np.isnan(mixture.score_samples(rows)).any()


# ---- F18: memory ----
def peak_mb(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def large():
    return np.random.default_rng(0).normal(size=(100_000, 10))


@each_covariance_type
def test_f18_methods_keep_little_beside_the_rows(large, covariance_type):
    mixture = GaussianMixture(
        20, covariance_type=covariance_type, init_params="random_from_data", max_iter=0
    ).fit(large[:2000])
    for method in ("score", "bic", "predict", "score_samples"):
        # X has ten numbers a row; two are returned or kept, and blocks beside.
        peak = peak_mb(lambda name=method: getattr(mixture, name)(large))
        assert peak < 2 * 8 * len(large) / 1e6 + 5, method


@each_covariance_type
def test_f18_fit_keeps_nothing_for_each_row(covariance_type, monkeypatch):
    # One thread: how many blocks are in memory at a time is then no matter of luck.
    monkeypatch.setattr("skgmm._threads.n_threads", lambda: 1)
    rows = np.random.default_rng(0).normal(size=(1_200_000, 10))
    mixture = GaussianMixture(
        20,
        covariance_type=covariance_type,
        init_params="random_from_data",
        max_iter=1,
        random_state=0,
    )

    def fit(n):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows[:n])

    fit(20_000)  # what is imported and cached at first use is not counted
    # So many rows that a chunk has several blocks of full size for both.
    few, many = (peak_mb(lambda n=n: fit(n)) for n in (600_000, 1_200_000))
    assert many - few < 0.5 * 600_000 / 1e6  # half a byte a row
    assert many < 16, "scikit-learn takes 100 MB"
