"""The noise component: against EM written out, mclust, and laws."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, xlogy
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator
from strategies import TYPES, Truth, cases, dense, examples, fitted, matrices_of

from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm.datasets import load_old_faithful
from skgmm.families import FAMILIES, NAMES
from skgmm.inference import standard_errors
from skgmm.selection import likelihood_ratio_test, merge_components


def with_outliers(seed, n_components=2, n_features=2, n_rows=200, share=0.2):
    """Return a mixture, and its rows among uniform ones."""
    truth = Truth.random(seed, n_components, n_features)
    rows, _ = truth.sample(n_rows, seed + 1)
    rng = np.random.default_rng(seed + 2)
    low, high = rows.min(axis=0) - 5, rows.max(axis=0) + 5
    n_outliers = int(n_rows * share / (1 - share))
    return truth, np.vstack([rows, rng.uniform(low, high, (n_outliers, n_features))])


def given_start(truth, covariance_type):
    """Return parameters of a fit from a start, without a penalty, by plain steps."""
    start = truth.start(covariance_type)
    return start | {"reg_covar": 0.0, "acceleration": None, "noise": True}


def log_joint(X, share, weights, means, matrices, log_density):
    """Return the log joint densities (n, K + 1) row by row; NaN is a hole."""
    out = np.empty((len(X), len(weights) + 1))
    for i, row in enumerate(X):
        seen = ~np.isnan(row)
        for k, (mean, matrix) in enumerate(zip(means, matrices, strict=True)):
            density = multivariate_normal(mean[seen], matrix[np.ix_(seen, seen)])
            out[i, k] = np.log((1 - share) * weights[k]) + density.logpdf(row[seen])
        out[i, -1] = np.log(share) + log_density[seen].sum()
    return out


def step(X, weight, share, weights, means, matrices, log_density, in_family):
    """Return a step of EM written out, and the mean log-likelihood before it."""
    joint = log_joint(X, share, weights, means, matrices, log_density)
    total = logsumexp(joint, axis=1)
    parts = np.exp(joint - total[:, np.newaxis]) * weight[:, np.newaxis]
    count, mass = parts[:, :-1].sum(axis=0), parts[:, -1].sum()
    means = np.array([r @ X / r.sum() for r in parts[:, :-1].T])
    scatter = [
        (r[:, np.newaxis] * (X - m)).T @ (X - m)
        for r, m in zip(parts[:, :-1].T, means, strict=True)
    ]
    new = mass / weight.sum(), count / count.sum(), means, in_family(scatter, count)
    return new, weight @ total / weight.sum()


def family_of(covariance_type):
    """Return the M-step of the covariances of a type, written out."""

    def in_family(scatter, count):
        scatter = np.array(scatter)
        if covariance_type == "tied":
            return np.tile(scatter.sum(axis=0) / count.sum(), (len(count), 1, 1))
        matrices = scatter / count[:, np.newaxis, np.newaxis]
        diagonals = np.diagonal(matrices, axis1=1, axis2=2)
        eye = np.eye(scatter.shape[1])
        if covariance_type == "diag":
            return diagonals[:, np.newaxis] * eye
        if covariance_type == "spherical":
            return diagonals.mean(axis=1)[:, np.newaxis, np.newaxis] * eye
        return matrices

    return in_family


@pytest.mark.parametrize("covariance_type", TYPES)
def test_steps_are_those_of_em_written_out(covariance_type):
    truth, X = with_outliers(0, 3, 2)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(X))
    start = given_start(truth, covariance_type)
    precisions = start["precisions_init"]
    matrices = np.linalg.inv(dense(precisions, covariance_type, 3, 2))
    state = 0.1, start["weights_init"], start["means_init"], matrices
    log_density = -np.log(np.ptp(X, axis=0))
    objectives = []
    for _ in range(4):
        in_family = family_of(covariance_type)
        state, objective = step(X, weight, *state, log_density, in_family)
        objectives.append(objective)
    mixture = fitted(
        X, 3, covariance_type=covariance_type, max_iter=4, sample_weight=weight, **start
    )
    np.testing.assert_allclose(mixture.noise_weight_, state[0], rtol=1e-12)
    np.testing.assert_allclose(mixture.weights_, state[1], rtol=1e-12)
    np.testing.assert_allclose(mixture.means_, state[2], rtol=1e-11)
    np.testing.assert_allclose(matrices_of(mixture), state[3], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mixture.lower_bounds_[:3], objectives[1:], rtol=1e-12)


def test_predictions_are_the_formula():
    _, X = with_outliers(1)
    mixture = GaussianMixture(2, noise=True).fit(X)
    parts = mixture.noise_weight_, mixture.weights_, mixture.means_
    log_density = -np.log(np.ptp(X, axis=0))
    assert mixture.noise_log_density_ == pytest.approx(log_density.sum(), rel=1e-13)
    holes = X.copy()
    holes[::3, 0] = np.nan
    holes[1::3, 1] = np.nan
    for rows in (X, holes):
        joint = log_joint(rows, *parts, mixture.covariances_, log_density)
        total = logsumexp(joint, axis=1)
        shares = np.exp(joint - total[:, np.newaxis])
        np.testing.assert_allclose(mixture.score_samples(rows), total, rtol=1e-11)
        np.testing.assert_allclose(mixture.predict_proba(rows), shares, atol=1e-12)
        labels = joint.argmax(axis=1)
        labels[labels == 2] = -1
        np.testing.assert_array_equal(mixture.predict(rows), labels)
        assert mixture.score(rows) == pytest.approx(total.mean(), rel=1e-12)
    bic = -2 * mixture.score(X) * len(X) + (11 + 2) * np.log(len(X))
    assert mixture.bic(X) == pytest.approx(bic, rel=1e-12)
    # The label -1 is the index of the last column.
    proba, labels = mixture.predict_proba(X), mixture.predict(X)
    np.testing.assert_array_equal(proba[np.arange(len(X)), labels], proba.max(axis=1))


def test_nothing_known_and_far_away():
    _, X = with_outliers(1)
    mixture = GaussianMixture(2, noise=True).fit(X)
    rows = np.array([[np.nan, np.nan], [1e200, 0.0], [1e200, np.nan]])
    share, log_density = mixture.noise_weight_, -np.log(np.ptp(X, axis=0))
    expected = [0.0, np.log(share) + log_density.sum(), np.log(share) + log_density[0]]
    np.testing.assert_allclose(mixture.score_samples(rows), expected, atol=1e-12)
    proba = mixture.predict_proba(rows)
    prior = [*((1 - share) * mixture.weights_), share]
    np.testing.assert_allclose(proba, [prior, [0, 0, 1], [0, 0, 1]], atol=1e-12)
    np.testing.assert_array_equal(mixture.predict(rows)[1:], [-1, -1])


def test_with_holes_em_is_that_written_out():
    truth, X = with_outliers(4, 2, 3, n_rows=80)
    rng = np.random.default_rng(5)
    X[rng.random(X.shape) < 0.25] = np.nan
    X = X[~np.isnan(X).all(axis=1)]
    start = truth.start("full")
    share, weights, means = 0.1, start["weights_init"], start["means_init"]
    matrices = np.linalg.inv(start["precisions_init"])
    log_density = -np.log(np.nanmax(X, axis=0) - np.nanmin(X, axis=0))
    joint = log_joint(X, share, weights, means, matrices, log_density)
    parts = np.exp(joint - logsumexp(joint, axis=1)[:, np.newaxis])
    new_means, new_matrices = [], []
    for r, mean, matrix in zip(parts.T, means, matrices, strict=False):
        rows, hidden = X.copy(), np.zeros((len(X), 3, 3))
        for i, seen in enumerate(~np.isnan(X)):
            o, m = np.flatnonzero(seen), np.flatnonzero(~seen)
            slope = matrix[np.ix_(m, o)] @ np.linalg.inv(matrix[np.ix_(o, o)])
            rows[i, m] = mean[m] + slope @ (X[i, o] - mean[o])
            hidden[i][np.ix_(m, m)] = (
                matrix[np.ix_(m, m)] - slope @ matrix[np.ix_(o, m)]
            )
        centre = r @ rows / r.sum()
        scatter = (r[:, np.newaxis] * (rows - centre)).T @ (rows - centre)
        new_means.append(centre)
        new_matrices.append((scatter + np.tensordot(r, hidden, 1)) / r.sum())
    mixture = fitted(X, 2, max_iter=1, **given_start(truth, "full"))
    assert mixture.noise_weight_ == pytest.approx(parts[:, -1].mean(), rel=1e-12)
    np.testing.assert_allclose(mixture.means_, new_means, rtol=1e-10)
    np.testing.assert_allclose(mixture.covariances_, new_matrices, rtol=1e-10)


# mclust 6.0.0 (R 4.2.2): me(X, modelName, z, Vinv = 1 / 960), converged to 1e-14, from
# the short and long eruptions and the grid as noise.
MCLUST = {
    "VVV": (-1470.73384608, 0.124866996582, -3015.95898933866),
    "EEE": (-1481.94599412057, 0.120645186576, -3021.19298607088),
    "VVI": (-1483.74910107725, 0.136211649380, -3030.5292997672),
    "VII": (-1945.11287784888, 0.541309483783, -3941.79665374451),
    "EEV": (-1480.91189391699, 0.120060494390, -3024.85488544669),
}


def faithful_and_grid():
    """Return Old Faithful with a grid of outliers, which span 960."""
    x, y = np.linspace(0, 8, 6), np.linspace(20, 140, 6)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.vstack([load_old_faithful().data, grid])


@pytest.mark.parametrize("code", MCLUST)
@pytest.mark.parametrize("noise", [True, 960.0])
def test_optima_of_mclust(code, noise):
    X = faithful_and_grid()
    labels = (X[:, 0] >= 3).astype(int)
    log_likelihood, share, bic = MCLUST[code]
    mixture = GaussianMixture(
        2,
        covariance_type=code,
        noise=noise,
        reg_covar=0.0,
        tol=1e-12,
        init_params=labels,
    ).fit(X)
    assert mixture.score(X) * len(X) == pytest.approx(log_likelihood, abs=1e-6)
    assert mixture.noise_weight_ == pytest.approx(share, abs=1e-6)
    fewer = 0.0 if noise is True else np.log(len(X))  # V is no parameter if given
    assert mixture.bic(X) == pytest.approx(-bic - fewer, abs=1e-6)


# ---- what it is for ---------------------------------------------------------
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_outliers_bend_no_component(covariance_type):
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [6.0, 3.0]])
    rows = [rng.normal(mean, 0.8, size=(400, 2)) for mean in means]
    X = np.vstack([*rows, rng.uniform(-12, 18, size=(200, 2))])

    def distance(mixture):
        order = np.argsort(mixture.means_[:, 0])
        return np.abs(mixture.means_[order] - means).max()

    plain = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    mixture = clone(plain).set_params(noise=True).fit(X)
    assert distance(mixture) < 4 * 0.8 / np.sqrt(400) < distance(plain)
    assert mixture.noise_weight_ == pytest.approx(0.2, abs=0.03)
    outside = np.linalg.norm(X[:, np.newaxis] - means, axis=2).min(axis=1) > 3.5
    assert np.all(mixture.predict(X)[outside] == -1)


def test_the_start_finds_what_the_truth_leads_to():
    for seed in range(8):
        truth, X = with_outliers(seed, 3, 2, n_rows=500, share=0.3)
        mixture = GaussianMixture(3, noise=True).fit(X)
        best = clone(mixture).set_params(
            weights_init=truth.weights,
            means_init=truth.means,
            covariances_init=truth.matrices,
        )
        assert mixture.lower_bound_ >= best.fit(X).lower_bound_ - 1e-6


def test_without_outliers_there_is_little_noise():
    rows, _ = Truth.random(3, 2, 2).sample(1000, 4)
    assert GaussianMixture(2, noise=True).fit(rows).noise_weight_ < 0.01


# ---- laws -------------------------------------------------------------------
@given(cases(max_components=3), st.sampled_from(NAMES), st.booleans())
def test_the_objective_never_falls(problem, covariance_type, accelerated):
    X, n_features = problem.X, problem.X.shape[1]
    rng = np.random.default_rng(0)
    X = np.vstack([X, rng.uniform(-20, 20, size=(40, n_features))])
    mixture = fitted(
        X,
        problem.n_components,
        covariance_type=covariance_type if n_features > 1 else "full",
        acceleration="squarem" if accelerated else None,
        noise=True,
        max_iter=30,
    )
    trail = np.array(mixture.lower_bounds_)
    assert np.all(np.diff(trail) >= -1e-12 * np.abs(trail[1:]))


@examples(1 / 3)
@given(cases(max_components=3, max_features=3), st.sampled_from(TYPES))
def test_weights_are_repetitions(problem, covariance_type):
    rng = np.random.default_rng(1)
    X = np.vstack([problem.X, rng.uniform(-20, 20, size=(40, problem.X.shape[1]))])
    weight = rng.integers(0, 3, size=len(X))
    options = given_start(problem.truth, covariance_type)
    options |= {"covariance_type": covariance_type, "max_iter": 5}
    options["reg_covar"] = "auto"
    one = fitted(X, problem.n_components, sample_weight=weight, **options)
    other = fitted(np.repeat(X, weight, axis=0), problem.n_components, **options)
    assert one.noise_weight_ == pytest.approx(other.noise_weight_, rel=1e-9)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-8, atol=1e-8)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "VEE"])
@pytest.mark.parametrize("volume", [None, 300.0])
def test_units_do_not_matter(covariance_type, volume):
    _, X = with_outliers(7)
    units, offset = np.array([1e-5, 3e4]), np.array([1e3, -1e7])
    moved = X * units + offset

    def fit(X, volume):
        noise = True if volume is None else volume
        return fitted(X, 2, covariance_type=covariance_type, noise=noise)

    mixture, other = fit(X, volume), fit(moved, volume and volume * units.prod())
    assert other.noise_weight_ == pytest.approx(mixture.noise_weight_, rel=1e-6)
    np.testing.assert_allclose(other.means_, mixture.means_ * units + offset, rtol=1e-6)
    shift = np.log(units).sum()
    assert other.lower_bound_ + shift == pytest.approx(mixture.lower_bound_, abs=1e-7)
    labels = other.predict(moved), mixture.predict(X)
    np.testing.assert_array_equal(*labels)


def test_a_smaller_volume_makes_more_noise():
    _, X = with_outliers(2)
    shares = [
        GaussianMixture(2, noise=volume).fit(X).noise_weight_
        for volume in (1e4, 1e3, 1e2)
    ]
    assert shares == sorted(shares)


@pytest.mark.parametrize("options", [{}, {"reg_covar": 1e-6}, {"noise": 500.0}])
@pytest.mark.filterwarnings("ignore:Features .* have one value only:UserWarning")
def test_a_constant_feature_plays_no_part(options):
    _, X = with_outliers(2)
    options = {"noise": True} | options
    mixture = fitted(X, 2, **options)
    wider = fitted(np.column_stack([X, np.full(len(X), 7.0)]), 2, **options)
    assert wider.noise_weight_ == pytest.approx(mixture.noise_weight_, abs=1e-6)
    np.testing.assert_allclose(wider.means_[:, :2], mixture.means_, atol=1e-5)


def test_rows_in_a_file_and_in_several_chunks(tmp_path):
    _, X = with_outliers(2, n_rows=60_000)
    np.save(tmp_path / "rows.npy", X)
    stored = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for covariance_type in ("full", "tied"):
        options = {"covariance_type": covariance_type, "random_state": 0}
        options |= {"noise": True, "max_iter": 5}
        memory, file = fitted(X, 2, **options), fitted(stored, 2, **options)
        np.testing.assert_array_equal(memory.means_, file.means_)
        assert memory.noise_weight_ == file.noise_weight_


def test_rows_in_a_dask_array():
    da = pytest.importorskip("dask.array")
    _, X = with_outliers(2)
    lazy = da.from_array(X, chunks=(100, 2))
    memory, other = fitted(X, 2, noise=True), fitted(lazy, 2, noise=True)
    np.testing.assert_allclose(other.means_, memory.means_, rtol=1e-9)
    proba = other.predict_proba(lazy)
    assert proba.shape == (len(X), 3)
    np.testing.assert_allclose(proba.compute(), memory.predict_proba(X), atol=1e-9)


# ---- the mixture afterwards ---------------------------------------------------
@pytest.fixture(scope="module")
def mixture():
    _, X = with_outliers(1)
    return GaussianMixture(2, noise=True, random_state=0).fit(X)


def test_samples(mixture):
    _, X = with_outliers(1)
    rows, labels = mixture.sample(20_000)
    assert np.mean(labels == -1) == pytest.approx(mixture.noise_weight_, abs=0.01)
    outliers = rows[labels == -1]
    np.testing.assert_allclose(outliers.min(axis=0), X.min(axis=0), atol=0.1)
    np.testing.assert_allclose(outliers.max(axis=0), X.max(axis=0), atol=0.1)
    for k, mean in enumerate(mixture.means_):
        np.testing.assert_allclose(rows[labels == k].mean(axis=0), mean, atol=0.1)


def test_a_given_volume_is_that_of_the_box_of_samples():
    _, X = with_outliers(1)
    mixture = GaussianMixture(2, noise=50.0, random_state=0).fit(X)
    assert mixture.noise_log_density_ == pytest.approx(-np.log(50.0), rel=1e-12)
    rows, labels = mixture.sample(50_000)
    sides = np.ptp(rows[labels == -1], axis=0)
    assert np.prod(sides) == pytest.approx(50.0, rel=0.02)
    assert sides[1] / sides[0] == pytest.approx(
        np.divide(*np.ptp(X, axis=0)[::-1]), rel=0.02
    )


def test_a_marginal_has_the_noise_of_its_features(mixture):
    _, X = with_outliers(1)
    rows = np.column_stack([X[:, 1], np.full(len(X), np.nan)])[:, ::-1]
    marginal = mixture.marginal(1)
    np.testing.assert_allclose(
        marginal.score_samples(X[:, 1:]), mixture.score_samples(rows), rtol=1e-11
    )


def test_parameters_that_are_assigned_keep_the_noise(mixture):
    _, X = with_outliers(1)
    other = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(other.predict_proba(X), mixture.predict_proba(X))
    other.means_ = mixture.means_ + 1.0
    assert other.noise_weight_ == mixture.noise_weight_
    assert other.predict_proba(X).shape == (len(X), 3)


def test_a_fit_goes_on_from_its_result():
    _, X = with_outliers(1)
    warm = GaussianMixture(2, noise=True, warm_start=True).fit(X)
    share = warm.noise_weight_
    assert warm.set_params(max_iter=0).fit(X).noise_weight_ == share
    assert warm.set_params(noise=False, max_iter=500).fit(X).noise_weight_ == 0.0


def test_the_gaussians_alone(mixture):
    alone = mixture.without_noise()
    assert alone.noise_weight_ == 0.0
    assert alone.noise_log_density_ == -np.inf
    assert alone.get_params()["noise"] is False
    np.testing.assert_array_equal(alone.means_, mixture.means_)
    assert alone.weights_.sum() == pytest.approx(1.0)
    assert alone.predict_proba([[0.0, 0.0]]).shape == (1, 2)
    assert alone.to_sklearn().n_components == 2


def test_the_summary_tells_the_share(mixture):
    _, X = with_outliers(1)
    text = str(mixture.summary(X))
    assert f"noise            {mixture.noise_weight_:.4f} of all" in text


def test_without_noise_there_is_none():
    rows, _ = Truth.random(3, 2, 2).sample(100, 4)
    mixture = GaussianMixture(2).fit(rows)
    assert mixture.noise_weight_ == 0.0
    assert mixture.predict_proba(rows).shape == (100, 2)


@pytest.mark.parametrize(
    ("question", "ask"),
    [
        ("cdf", lambda mixture: mixture.cdf([[0.0, 0.0]])),
        ("condition", lambda mixture: mixture.condition(0, 0.0)),
        ("mean", lambda mixture: mixture.mean()),
        ("covariance", lambda mixture: mixture.covariance()),
        ("modes", lambda mixture: mixture.modes()),
        ("entropy", lambda mixture: mixture.entropy()),
        (
            "kl_divergence",
            lambda mixture: mixture.without_noise().kl_divergence(mixture),
        ),
        ("highest_density_level", lambda mixture: mixture.highest_density_level(0.5)),
        ("quantile", lambda mixture: mixture.marginal(0).quantile(0.5)),
    ],
)
def test_questions_to_a_density_that_has_no_integral(mixture, question, ask):
    with pytest.raises(
        ValueError, match=f"^{question} is of a density that integrates"
    ):
        ask(mixture)


def test_what_knows_no_noise_says_so(mixture):
    _, X = with_outliers(1)
    with pytest.raises(ValueError, match="no noise component; convert the Gaussians"):
        mixture.to_sklearn()
    with pytest.raises(ValueError, match="noise=True is for fit: partial_fit knows no"):
        clone(mixture).partial_fit(X)
    other = pickle.loads(pickle.dumps(mixture)).set_params(noise=False)
    with pytest.raises(ValueError, match="which has noise: it knows none"):
        other.partial_fit(X)
    for function in (standard_errors, merge_components):
        with pytest.raises(ValueError, match="mixture must have no noise component"):
            function(mixture, X)
    with pytest.raises(ValueError, match="noise=True is not for likelihood_ratio_test"):
        likelihood_ratio_test(clone(mixture), X)


@pytest.mark.parametrize("noise", [0.0, -1.0, "yes"])
def test_a_volume_is_positive(noise):
    with pytest.raises(ValueError, match="The 'noise' parameter of GaussianMixture"):
        GaussianMixture(noise=noise).fit(np.eye(3))


@pytest.mark.parametrize("volume", [1e-3, 1e-9, 1e-300])
def test_a_volume_that_leaves_no_rows(volume):
    _, X = with_outliers(1)
    with pytest.raises(ValueError, match="noise takes all rows, since its density"):
        GaussianMixture(2, noise=volume).fit(X)
    with pytest.raises(ValueError, match=r"^Fitting failed: noise takes all rows"):
        GaussianMixture(2, noise=volume, init_params="kmeans").fit(X)


def test_a_volume_that_leaves_no_noise():
    _, X = with_outliers(1)
    assert GaussianMixture(2, noise=1e300).fit(X).noise_weight_ < 1e-100


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn():
    streams = dict.fromkeys(
        ("check_fit_score_takes_y", "check_n_features_in_after_fitting"),
        "they call partial_fit, which says that it knows no noise",
    )
    mixture = GaussianMixture(2, noise=True, init_params="bisect")
    check_estimator(mixture, expected_failed_checks=streams)


# ---- in a grid ------------------------------------------------------------
@pytest.fixture(scope="module")
def grid():
    _, X = with_outliers(1)
    types = ["full", "diag", "EVE"]
    return GaussianMixtureIC([1, 2, 3], covariance_type=types, noise=True).fit(X), X


def test_a_grid_of_models_with_noise(grid):
    best, X = grid
    assert (best.n_components_, best.covariance_type_) == (2, "full")
    assert best.criterion_ == pytest.approx(best.bic(X), rel=1e-10)
    alone = GaussianMixture(2, noise=True).fit(X)
    assert best.criterion_ == pytest.approx(alone.bic(X), rel=1e-8)
    assert best.noise_weight_ == pytest.approx(alone.noise_weight_, abs=1e-4)
    assert best.noise_log_density_ == alone.noise_log_density_
    np.testing.assert_array_equal(best.predict(X) == -1, alone.predict(X) == -1)
    assert best.best_mixture_.noise is True
    np.testing.assert_array_equal(
        best.best_mixture_.predict_proba(X), best.predict_proba(X)
    )


def test_the_grid_counts_the_parameters_of_noise(grid):
    best, X = grid
    columns = "n_components", "covariance_type", "n_parameters"
    rows = zip(*(best.results_[name] for name in columns), strict=True)
    for k, name, found in rows:
        assert found == FAMILIES[name].n_parameters(k, 2) + 2
    given = GaussianMixtureIC(2, covariance_type="full", noise=500.0).fit(X)
    assert given.results_["n_parameters"] == FAMILIES["full"].n_parameters(2, 2) + 1
    assert given.noise_log_density_ == pytest.approx(-np.log(500.0))


@pytest.mark.parametrize("criterion", ["icl", "nec"])
def test_noise_has_a_part_in_the_entropy(criterion):
    _, X = with_outliers(1)
    options = {"covariance_type": "full", "criterion": criterion, "noise": True}
    table = GaussianMixtureIC([1, 2, 3], **options).fit(X).results_
    values = zip(table["n_components"], table["criterion"], strict=True)
    for k, value in values:
        alone = GaussianMixture(k, noise=True).fit(X)
        entropy = -xlogy(p := alone.predict_proba(X), p).sum()
        gain = len(X) * (alone.score(X) - GaussianMixture(1).fit(X).score(X))
        expected = alone.icl(X) if criterion == "icl" else entropy / gain
        assert value == pytest.approx(expected, rel=1e-3)


def test_the_likelihood_of_a_grid_with_noise_does_not_fall(grid):
    table = grid[0].results_
    for name in set(table["covariance_type"]):
        own = table["log_likelihood"][table["covariance_type"] == name]
        assert np.all(np.diff(own) > -1e-6)


def test_a_grid_with_noise_takes_holes():
    _, X = with_outliers(1)
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    X = X[~np.isnan(X).all(axis=1)]
    best = GaussianMixtureIC([1, 2], covariance_type="full", noise=True).fit(X)
    alone = GaussianMixture(2, noise=True).fit(X)
    assert best.n_components_ == 2
    assert best.score(X) == pytest.approx(alone.score(X), abs=1e-4)


def test_a_grid_without_noise_knows_none():
    rows, _ = Truth.random(3, 2, 2).sample(100, 4)
    plain = GaussianMixtureIC([1, 2], covariance_type="full").fit(rows)
    assert plain.noise_weight_ == 0.0
    assert plain.predict_proba(rows).shape == (100, plain.n_components_)


def test_numpy_booleans_are_booleans():
    X = load_old_faithful().data
    plain = GaussianMixture(2, noise=np.False_).fit(X)
    assert plain.noise_weight_ == 0.0
    assert plain.partial_fit(X).n_samples_seen_ == 2 * len(X)
    one, other = (GaussianMixture(2, noise=on).fit(X) for on in (np.True_, True))
    assert one.noise_log_density_ == other.noise_log_density_


def test_noise_that_has_died():
    """It may come back with other rows."""
    X = load_old_faithful().data
    dead = GaussianMixture(
        2, noise=1e300, covariance_type="diag", init_params="bisect"
    ).fit(X)
    assert dead.noise_weight_ == 0
    far = dead.predict_proba(np.full((1, 2), 1e200))
    assert far.sum() == 1
    assert far[0, -1] == 0
    with pytest.raises(ValueError, match="noise"):
        merge_components(dead, X)
    outliers = np.random.default_rng(0).uniform(-500, 500, size=(68, 2))
    dead.set_params(warm_start=True, noise=True)
    dead.fit(np.concatenate([X, outliers]))
    assert dead.noise_weight_ == pytest.approx(0.2, abs=0.02)
