"""Outliers: the threshold, against ranks; life in scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import case

from skgmm import GaussianMixture, GaussianMixtureOutlierDetector
from skgmm._outlier_detector import _threshold


@parametrize_with_checks(
    [
        GaussianMixtureOutlierDetector(),
        GaussianMixtureOutlierDetector([1, 2], covariance_type="diag"),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


@given(
    scores=st.lists(st.integers(0, 50), min_size=2, max_size=60),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 99),
)
def test_the_threshold_leaves_at_most_the_share_below(scores, share, seed):
    scores = np.array(scores, dtype=float)
    weight = np.random.default_rng(seed).integers(0, 3, len(scores))
    weight[0] = 1
    threshold = _threshold(scores, weight.astype(float), share)
    repeated = np.repeat(scores, weight)
    ones = np.ones(len(repeated))
    assert threshold == _threshold(repeated, ones, share)
    assert (repeated < threshold).mean() <= share * (1 + 1e-9)
    # One more row below it would be too many.
    assert (repeated <= threshold).mean() > share or threshold == repeated.max()


def test_scores_are_log_densities():
    X = case(1, 2, 3).X
    detector = GaussianMixtureOutlierDetector(2, contamination=0.2).fit(X)
    mixture = GaussianMixture(2).fit(X)
    scores = detector.score_samples(X)
    np.testing.assert_allclose(scores, mixture.score_samples(X), rtol=1e-12)
    decision = detector.decision_function(X)
    np.testing.assert_array_equal(decision, scores - detector.offset_)
    labels = detector.predict(X)
    np.testing.assert_array_equal(labels, np.where(decision < 0, -1, 1))
    assert (labels == -1).sum() == 0.2 * len(X)
    again = GaussianMixtureOutlierDetector(2, contamination=0.2).fit_predict(X)
    np.testing.assert_array_equal(again, labels)


def test_one_component_ranks_as_an_ellipse():
    X = case(2, 1, 3).X
    ours = GaussianMixtureOutlierDetector(reg_covar=0).fit(X).score_samples(X)
    distances = EmpiricalCovariance().fit(X).mahalanobis(X)
    np.testing.assert_array_equal(np.argsort(-ours), np.argsort(distances))


def test_outliers_among_clusters_are_found():
    rng = np.random.default_rng(0)
    clusters = case(3, 3, 2, n_rows=600, distance=6.0).X
    outliers = rng.uniform(clusters.min(axis=0), clusters.max(axis=0), (30, 2))
    X = np.concatenate([clusters, outliers])
    truth = np.repeat([0, 1], [600, 30])
    scores = GaussianMixtureOutlierDetector(3).fit(X).score_samples(X)
    assert roc_auc_score(truth, -scores) > 0.9


def test_weights_are_repeated_rows():
    X = case(4, 2, 2).X
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    one = GaussianMixtureOutlierDetector(2).fit(X, sample_weight=weight)
    other = GaussianMixtureOutlierDetector(2).fit(np.repeat(X, weight, axis=0))
    assert one.offset_ == pytest.approx(other.offset_, abs=1e-4)


def test_errors_help():
    X = case(5, 1, 2).X
    with pytest.raises(ValueError, match="'contamination' parameter"):
        GaussianMixtureOutlierDetector(contamination=0.6).fit(X)
    detector = GaussianMixtureOutlierDetector().fit(X)
    before = vars(detector).copy()
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        detector.fit(X[:, :1], sample_weight=-np.ones(len(X)))
    assert vars(detector) == before
