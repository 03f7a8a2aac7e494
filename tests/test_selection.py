"""Tests of the number of components, and the merging of components."""

from itertools import combinations

import numpy as np
import pytest
import sklearn.mixture
from scipy.special import xlogy
from strategies import TYPES, case, fitted

from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm.selection import (
    _until,
    likelihood_ratio_test,
    merge_components,
    split_likelihood_ratio_test,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def problem():
    return case(1, 3, 2, distance=8.0)


def template(n_components, covariance_type="full", **parameters):
    parameters = {"n_swaps": 0} | parameters
    return GaussianMixture(n_components, covariance_type=covariance_type, **parameters)


# ---- bootstrap ------------------------------------------------------------
@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_statistic_is_the_log_likelihood_ratio(problem, covariance_type):
    mixture = template(2, covariance_type)
    result = likelihood_ratio_test(
        mixture, problem.X, n_resamples=1, n_exceedances=None, random_state=0
    )
    n = len(problem.X)
    log_likelihoods = [
        sklearn.mixture.GaussianMixture(
            k,
            covariance_type=covariance_type,
            n_init=20,
            tol=1e-8,
            max_iter=1000,
            random_state=0,
        )
        .fit(problem.X)
        .score(problem.X)
        for k in (2, 3)
    ]
    expected = 2 * n * np.diff(log_likelihoods)[0]
    assert result.statistic == pytest.approx(expected, rel=1e-3)
    assert result.null.n_components == len(result.null.weights_) == 2
    difference = result.alternative.score(problem.X) - result.null.score(problem.X)
    assert result.statistic == pytest.approx(2 * n * difference, rel=1e-6)
    assert result.alternative.degenerate_ == []
    assert not hasattr(mixture, "n_features_in_")


def test_it_rejects_too_few_and_keeps_enough(problem):
    few = likelihood_ratio_test(template(2), problem.X, n_resamples=19, random_state=0)
    assert few.pvalue == 1 / 20
    assert len(few.null_distribution) == 19
    enough = likelihood_ratio_test(
        template(3), problem.X, n_exceedances=2, random_state=0
    )
    assert enough.pvalue > 0.05
    assert len(enough.null_distribution) < 100
    assert np.sum(enough.null_distribution >= enough.statistic) == 2
    assert enough.pvalue == 2 / len(enough.null_distribution)
    again = likelihood_ratio_test(
        template(3), problem.X, n_exceedances=2, random_state=0
    )
    assert again.pvalue == enough.pvalue


@pytest.mark.parametrize("n_exceedances", [1, 3, 10, None])
def test_sequential_p_values_are_valid(n_exceedances):
    # Besag and Clifford: P(p <= a) <= a where statistic and draws are exchangeable.
    rng = np.random.default_rng(0)
    n_trials, most, pvalues = 4000, 39, []
    for _ in range(n_trials):
        statistic = rng.random()
        drawn = _until(rng.random, statistic, most, n_exceedances)
        reached = np.sum(drawn >= statistic)
        stopped = reached == n_exceedances
        extra = 0 if stopped else 1
        pvalues.append((reached + extra) / (len(drawn) + extra))
        assert stopped or len(drawn) == most
    for level in (0.025, 0.05, 0.1, 0.25, 0.5):
        deviation = np.sqrt(level * (1 - level) / n_trials)
        assert np.mean(np.array(pvalues) <= level) <= level + 3.5 * deviation


def test_weights_are_repeated_rows(problem):
    weight = np.random.default_rng(0).integers(0, 3, len(problem.X))
    arguments = {"n_resamples": 3, "random_state": 0}
    one = likelihood_ratio_test(
        template(2), problem.X, sample_weight=weight, **arguments
    )
    rows = np.repeat(problem.X, weight, axis=0)
    other = likelihood_ratio_test(template(2), rows, **arguments)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
    np.testing.assert_allclose(
        one.null_distribution, other.null_distribution, rtol=1e-2, atol=1e-2
    )


def test_a_search_is_tested_at_what_it_chose(problem):
    search = GaussianMixtureIC([2, 3], covariance_type="tied").fit(problem.X)
    result = likelihood_ratio_test(search, problem.X, n_resamples=1)
    assert result.null.covariance_type == "tied"
    assert result.null.n_components == search.n_components_


@pytest.mark.parametrize("test", [likelihood_ratio_test, split_likelihood_ratio_test])
def test_what_it_cannot_use(problem, test):
    with pytest.raises(ValueError, match="mixture must be a GaussianMixture or a fitt"):
        test(sklearn.mixture.GaussianMixture(), problem.X)
    with pytest.raises(ValueError, match="must be an int in the range"):
        test(GaussianMixture(0), problem.X)
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        test(GaussianMixture(3), problem.X[:3])
    with pytest.raises(ValueError, match="contains NaN"):
        test(GaussianMixture(1), problem.X * np.nan)


@pytest.mark.parametrize("name", ["n_resamples", "n_exceedances"])
def test_bad_numbers(problem, name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least"):
        likelihood_ratio_test(template(1), problem.X, **{name: 0})


# ---- universal inference --------------------------------------------------
@pytest.mark.parametrize("crossfit", [True, False])
def test_the_split_statistic(problem, crossfit):
    X = problem.X
    result = split_likelihood_ratio_test(
        template(1), X, crossfit=crossfit, random_state=3
    )
    order = np.random.RandomState(3).permutation(len(X))
    one, other = X[np.sort(order[:100])], X[np.sort(order[100:])]
    logs = []
    for held_out, rest in [(one, other), (other, one)][: 1 + crossfit]:
        null = fitted(held_out, 1)
        alternative = fitted(rest, 2)
        logs.append(100 * (alternative.score(held_out) - null.score(held_out)))
    expected = np.log(np.mean(np.exp(np.subtract(logs, logs[0])))) + logs[0]
    assert result.statistic == pytest.approx(expected, rel=1e-4)
    assert result.pvalue == pytest.approx(min(1, np.exp(-expected)), rel=1e-2)


def test_the_split_test_rejects_and_keeps(problem):
    few = split_likelihood_ratio_test(template(2), problem.X, random_state=0)
    enough = split_likelihood_ratio_test(template(3), problem.X, random_state=0)
    assert few.pvalue < 1e-6
    assert enough.pvalue > 0.05


# ---- merging --------------------------------------------------------------
def by_hand(p, weight):
    """Return merges and entropies by trying all pairs (Baudry et al. 2010)."""

    def entropy(p):
        return -np.sum(weight * xlogy(p, p).sum(axis=1))

    def merged(p, a, b):
        p = p.copy()
        p[:, a] += p[:, b]
        return np.delete(p, b, axis=1)

    merges, entropies = [], [entropy(p)]
    while p.shape[1] > 1:
        a, b = min(
            combinations(range(p.shape[1]), 2), key=lambda ab: entropy(merged(p, *ab))
        )
        p = merged(p, a, b)
        merges.append((a, b))
        entropies.append(entropy(p))
    return np.array(merges).reshape(-1, 2), np.array(entropies[::-1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_components", [1, 2, 6])
def test_merges_against_all_pairs(n_components, weighted, monkeypatch):
    monkeypatch.setattr("skgmm.selection._ROWS", 64)
    X = case(5, 3, 2, distance=1.5).X
    weight = np.random.default_rng(0).integers(0, 3, len(X)) if weighted else None
    mixture = fitted(X, n_components, sample_weight=weight)
    result = merge_components(mixture, X, sample_weight=weight)
    ones = np.ones(len(X)) if weight is None else weight
    merges, entropies = by_hand(mixture.predict_proba(X), ones)
    np.testing.assert_array_equal(result.merges, merges)
    np.testing.assert_allclose(result.entropies, entropies, atol=1e-9)
    assert np.all(np.diff(result.entropies) >= 0)
    excess = mixture.icl(X, weight) - mixture.bic(X, weight)
    assert 2 * result.entropies[-1] == pytest.approx(excess, abs=1e-8)


def test_clusters_are_nested_sums_of_components():
    X = case(5, 3, 2, distance=1.5).X
    mixture = fitted(X, 5)
    result = merge_components(mixture, X)
    for g in range(1, 6):
        clusters = result.components(g)
        assert set(clusters) == set(range(g))
        p = result.predict_proba(X, g)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        for cluster in range(g):
            whole = mixture.predict_proba(X)[:, clusters == cluster].sum(axis=1)
            np.testing.assert_allclose(p[:, cluster], whole)
        entropy = -xlogy(p, p).sum()
        assert result.entropies[g - 1] == pytest.approx(entropy, abs=1e-8)
        np.testing.assert_array_equal(result.predict(X, g), p.argmax(axis=1))
        if g > 1:
            coarser = result.components(g - 1)
            assert len(set(zip(clusters, coarser, strict=True))) == g
    np.testing.assert_array_equal(result.components(5), range(5))
    np.testing.assert_array_equal(result.predict(X, 5), mixture.predict(X))


def test_a_cluster_that_is_not_gaussian_is_put_together():
    # A ring takes several components; merging finds the two clusters.
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 400)
    ring = np.c_[np.cos(angle), np.sin(angle)] + 0.05 * rng.normal(size=(400, 2))
    X = np.r_[ring, [6.0, 0.0] + 0.3 * rng.normal(size=(200, 2))]
    mixture = GaussianMixtureIC(covariance_type="full").fit(X)
    assert mixture.n_components_ > 3
    labels = merge_components(mixture, X).predict(X, 2)
    truth = np.repeat([0, 1], [400, 200])
    assert np.mean(labels == truth) in (0.0, 1.0)


def test_only_our_mixtures_are_merged(problem):
    with pytest.raises(ValueError, match="mixture must be a fitted mixture of skgmm; "):
        merge_components("mixture", problem.X)


def test_bad_numbers_of_clusters(problem):
    result = merge_components(fitted(problem.X, 3), problem.X)
    with pytest.raises(
        ValueError, match="n_clusters must be at most the number of com"
    ):
        result.components(4)
    with pytest.raises(ValueError, match="n_clusters must be a whole number of at lea"):
        result.predict(problem.X, 0)
