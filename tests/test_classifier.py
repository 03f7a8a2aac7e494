"""Discriminant analysis: against scikit-learn's, Bayes' rule, and brute force."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import TYPES, Truth, case, cases, examples

from skgmm import GaussianMixture, GaussianMixtureClassifier
from skgmm._frame import Frame
from skgmm._regularisation import PseudoObservations
from skgmm._semisupervised import ClassModel, PartlyLabelled, in_itself
from skgmm.families import FAMILIES

types = pytest.mark.parametrize("covariance_type", TYPES)


@parametrize_with_checks(
    [
        GaussianMixtureClassifier(),
        GaussianMixtureClassifier([1, 2], covariance_type="diag", unknown=-7),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


def problem(seed=0, n_rows=300, distance=2.0):
    """Return rows of three classes, two of them made of two parts, and new rows."""
    case_ = case(seed, 5, 3, n_rows=n_rows, distance=distance)
    labels = np.array([0, 0, 1, 1, 2])[case_.labels]
    return case_.X, labels, 0.5 * (case_.X[:40] + case_.X[40:80])


# ---- Bayes' rule ----------------------------------------------------------
def test_one_component_is_quadratic_discriminant_analysis():
    X, y, new = problem()
    classifier = GaussianMixtureClassifier(reg_covar=0).fit(X, y)
    expected = [
        np.log(np.mean(y == c))
        + multivariate_normal(X[y == c].mean(0), np.cov(X[y == c].T, bias=True)).logpdf(
            new
        )
        for c in range(3)
    ]
    joint = classifier.decision_function(new)
    np.testing.assert_allclose(joint, np.transpose(expected), 1e-9, 1e-9)
    # scikit-learn's divides by n - 1.
    theirs = QuadraticDiscriminantAnalysis().fit(X, y).predict_log_proba(new)
    np.testing.assert_allclose(classifier.predict_log_proba(new), theirs, 0.1, 0.3)


def test_one_diagonal_component_is_naive_bayes():
    X, y, new = problem()
    ours = GaussianMixtureClassifier(covariance_type="diag", reg_covar=0).fit(X, y)
    theirs = GaussianNB(var_smoothing=0).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_log_proba(new), theirs.predict_log_proba(new), 1e-8, 1e-8
    )


@types
def test_probabilities_are_bayes_rule(covariance_type):
    X, y, new = problem()
    classifier = GaussianMixtureClassifier(2, covariance_type=covariance_type)
    classifier.fit(X, y)
    joint = np.column_stack([m.score_samples(new) for m in classifier.mixtures_])
    joint += np.log(classifier.priors_)
    np.testing.assert_allclose(classifier.decision_function(new), joint)
    logs = joint - logsumexp(joint, axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_log_proba(new), logs, 1e-9, 1e-9)
    proba = classifier.predict_proba(new)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-13)
    np.testing.assert_array_equal(classifier.predict(new), proba.argmax(axis=1))
    # The classes are fitted alone, in the units of the user.
    for c, mixture in enumerate(classifier.mixtures_):
        rows = X[y == c]
        alone = GaussianMixture(2, covariance_type=covariance_type).fit(rows)
        assert mixture.score(rows) == pytest.approx(alone.score(rows), abs=1e-4)
        assert mixture.lower_bound_ == pytest.approx(mixture.score(rows), abs=1e-3)


def test_two_classes_have_log_odds():
    X, y, new = problem()
    names = np.array(["no", "yes"])[(y > 0).astype(int)]
    classifier = GaussianMixtureClassifier(2).fit(X, names)
    logs = classifier.predict_log_proba(new)
    odds = classifier.decision_function(new)
    np.testing.assert_allclose(odds, logs[:, 1] - logs[:, 0], 1e-9, 1e-9)
    predicted = classifier.predict(new)
    np.testing.assert_array_equal(predicted == "yes", odds > 0)
    assert classifier.classes_.tolist() == ["no", "yes"]


def test_priors_move_the_probabilities():
    X, y, new = problem()
    classifier = GaussianMixtureClassifier().fit(X, y)
    np.testing.assert_allclose(classifier.priors_, np.bincount(y) / len(y))
    other = GaussianMixtureClassifier(priors=[0.8, 0.1, 0.1]).fit(X, y)
    shift = np.log([0.8, 0.1, 0.1]) - np.log(classifier.priors_)
    expected = classifier.decision_function(new) + shift
    np.testing.assert_allclose(other.decision_function(new), expected)


@pytest.mark.parametrize("reg_covar", ["auto", 0.0])
def test_units_and_offsets_change_nothing(reg_covar):
    X, y, new = problem()
    units = np.array([1e-8, 1.0, 1e8])
    one = GaussianMixtureClassifier(2, reg_covar=reg_covar).fit(X, y)
    other = GaussianMixtureClassifier(2, reg_covar=reg_covar).fit((X + 1e4) * units, y)
    expected = one.predict_log_proba(new)
    found = other.predict_log_proba((new + 1e4) * units)
    np.testing.assert_allclose(found, expected, 1e-4, 1e-5)
    # Also where a feature has one value in a class.
    X = np.column_stack([X, np.where(y == 0, 1.0, X[:, 0] ** 2)])
    new = np.column_stack([new, np.where(np.arange(len(new)) % 2, 1.0, new[:, 0])])
    units = np.append(units, 1e-5)
    if reg_covar == "auto":
        one, other = one.fit(X, y), other.fit(X * units, y)
        expected = one.predict_proba(new)
        np.testing.assert_allclose(other.predict_proba(new * units), expected, 0, 1e-5)


def test_weights_are_repeated_rows():
    X, y, new = problem()
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    unlabelled = np.where(np.arange(len(X)) % 3, y, -1)
    for labels in (y, unlabelled):
        one = GaussianMixtureClassifier(unknown=-1).fit(X, labels, weight)
        other = GaussianMixtureClassifier(unknown=-1).fit(
            np.repeat(X, weight, axis=0), np.repeat(labels, weight)
        )
        np.testing.assert_allclose(one.priors_, other.priors_, 1e-5)
        np.testing.assert_allclose(
            one.predict_proba(new), other.predict_proba(new), 1e-4, 1e-6
        )


def test_absent_classes_are_absent():
    X, y, _ = problem()
    classifier = GaussianMixtureClassifier().fit(X, y, sample_weight=(y > 0))
    assert classifier.classes_.tolist() == [1, 2]
    one = GaussianMixtureClassifier().fit(X, np.full(len(X), "only"))
    assert set(one.predict(X)) == {"only"}


def test_rows_far_away_belong_to_the_nearest_class():
    X = np.concatenate([case(1, 1, 2).X, case(1, 1, 2).X + 50])
    y = np.repeat([3, 5], len(X) // 2)
    classifier = GaussianMixtureClassifier(covariance_type="spherical").fit(X, y)
    variances = [mixture.covariances_[0] for mixture in classifier.mixtures_]
    far = np.array([[1e200, 1e200]])
    assert np.isfinite(classifier.predict_proba(far)).all()
    wide = [3, 5][int(np.argmax(variances))]
    assert classifier.predict(far) == wide
    assert classifier.predict_proba(far).max() == 1


# ---- choice by class ------------------------------------------------------
def test_parameters_by_class():
    X, y, _ = problem()
    classifier = GaussianMixtureClassifier(
        {0: 2, 1: [1, 2, 3], 2: 1}, covariance_type={0: "diag", 1: "full", 2: ["tied"]}
    ).fit(X, y)
    numbers = [mixture.n_components for mixture in classifier.mixtures_]
    kinds = [mixture.covariance_type for mixture in classifier.mixtures_]
    assert kinds == ["diag", "full", "tied"]
    lowest = min(
        (1, 2, 3), key=lambda k: GaussianMixture(k).fit(X[y == 1]).bic(X[y == 1])
    )
    assert numbers == [2, lowest, 1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_small_classes_take_fewer_components():
    X, y = load_iris(return_X_y=True)
    kept = np.r_[0:50, 50:52, 100:150]
    classifier = GaussianMixtureClassifier([1, 2, 3]).fit(X[kept], y[kept])
    assert classifier.mixtures_[1].n_components <= 2


# ---- partly labelled rows -------------------------------------------------
def partly(seed, n_features=2, labelled=10):
    """Return rows of two overlapping Gaussian classes; few of them have labels."""
    truth = Truth.random(seed, 2, n_features, distance=1.2)
    X, labels = truth.sample(600, seed)
    y = np.full(len(X), -1)
    for c in range(2):
        rows = np.flatnonzero(labels == c)[:labelled]
        y[rows] = c
    return X, y, labels


def brute_force(X, y, iterations):
    """Return means, covariances and priors after plain EM from the labelled rows."""
    r = np.column_stack([y == 0, y == 1]).astype(float)
    for _ in range(iterations + 1):
        counts = r.sum(axis=0)
        means = [np.average(X, axis=0, weights=part) for part in r.T]
        matrices = [np.cov(X.T, aweights=part, ddof=0) for part in r.T]
        priors = counts / counts.sum()
        joint = np.column_stack(
            [
                p * multivariate_normal(m, c).pdf(X)
                for p, m, c in zip(priors, means, matrices, strict=True)
            ]
        )
        posterior = joint / joint.sum(axis=1, keepdims=True)
        r = np.where(
            (y == -1)[:, np.newaxis], posterior, np.column_stack([y == 0, y == 1])
        )
    return np.array(means), np.array(matrices), priors


@pytest.mark.parametrize("iterations", [1, 3])
def test_em_over_unknown_labels_is_brute_force(iterations):
    X, y, _ = partly(1)
    classifier = GaussianMixtureClassifier(
        reg_covar=0, max_iter=iterations, tol=0, unknown=-1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(X, y)
    assert classifier.n_iter_ == iterations
    means, matrices, priors = brute_force(X, y, iterations)
    for mixture, mean, matrix in zip(
        classifier.mixtures_, means, matrices, strict=True
    ):
        np.testing.assert_allclose(mixture.means_[0], mean, 1e-9, 1e-9)
        np.testing.assert_allclose(mixture.covariances_[0], matrix, 1e-9, 1e-9)
    np.testing.assert_allclose(classifier.priors_, priors, 1e-9)


@types
@examples(1 / 3)
@given(case=cases(max_components=3, max_features=3))
def test_the_objective_never_falls(covariance_type, case):
    Z = (case.X - case.X.mean(axis=0)) / case.X.std()
    frame = in_itself(Frame.of(Z, np.ones(len(Z)), per_feature=False))
    third = np.arange(len(Z)) % 3
    rows = [Z[third == 0], Z[third == 1] + 0.5]
    models = [
        GaussianMixture(
            2,
            covariance_type=covariance_type,
            init_params="bisect",
            max_iter=2,
            tol=0,
        )
        for _ in rows
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixtures = [
            m.fit(part)._model().mixture for m, part in zip(models, rows, strict=True)
        ]
    problem = PartlyLabelled(
        rows,
        [np.ones(len(part)) for part in rows],
        Z[third == 2],
        np.ones(np.sum(third == 2)),
        [FAMILIES[covariance_type]] * 2,
        PseudoObservations.of(frame, 1.0),
        frame,
        fixed_priors=False,
    )
    _, history, _ = problem.climb(ClassModel(mixtures, np.array([0.5, 0.5])), 0.0, 15)
    assert np.all(np.diff(history) > -1e-12 * np.abs(history[0]))


def test_unknown_rows_help():
    gains = []
    for seed in range(8):
        X, y, labels = partly(seed, n_features=4, labelled=6)
        known = y >= 0
        few = GaussianMixtureClassifier().fit(X[known], y[known])
        all_ = GaussianMixtureClassifier(unknown=-1).fit(X, y)
        assert all_.classes_.tolist() == [0, 1]
        gains.append(all_.score(X[~known], labels[~known]))
        gains[-1] -= few.score(X[~known], labels[~known])
    assert np.mean(gains) > 0.05
    assert np.median(gains) > 0


# ---- missing features -------------------------------------------------------
def with_holes(X, share=0.2, seed=0):
    """Return rows with cells that are missing at random, one row of them all."""
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    X[5] = np.nan
    return X


def completed(row, mean, matrix):
    """Return a row, completed, and its conditional covariance (D, D)."""
    o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    slope = matrix[np.ix_(m, o)] @ np.linalg.inv(matrix[np.ix_(o, o)])
    out, spread = row.copy(), np.zeros_like(matrix)
    out[m] = mean[m] + slope @ (row[o] - mean[o])
    spread[np.ix_(m, m)] = matrix[np.ix_(m, m)] - slope @ matrix[np.ix_(o, m)]
    return out, spread


@types
def test_missing_features_are_integrated_out(covariance_type):
    X, y, new = problem()
    X, new = with_holes(X), with_holes(new)
    classifier = GaussianMixtureClassifier(2, covariance_type=covariance_type)
    classifier.fit(X, y)
    joint = np.zeros((len(new), 3))
    for c, mixture in enumerate(classifier.mixtures_):
        matrices = mixture._model().mixture.covariances.dense()
        for i, row in enumerate(new):
            seen = ~np.isnan(row)
            densities = [
                weight
                * multivariate_normal(m[seen], v[np.ix_(seen, seen)]).pdf(row[seen])
                if seen.any()
                else weight
                for weight, m, v in zip(
                    mixture.weights_, mixture.means_, matrices, strict=True
                )
            ]
            joint[i, c] = classifier.priors_[c] * sum(densities)
    expected = joint / joint.sum(axis=1, keepdims=True)
    proba = classifier.predict_proba(new)
    np.testing.assert_allclose(proba, expected, 1e-9, 1e-12)
    np.testing.assert_allclose(proba[5], classifier.priors_, 1e-12)
    np.testing.assert_array_equal(classifier.predict(new), expected.argmax(axis=1))


def test_classes_with_missing_features_are_fitted_as_mixtures_are():
    X, y, _ = problem()
    X = with_holes(X)
    classifier = GaussianMixtureClassifier(reg_covar=1e-3).fit(X, y)
    for c, mixture in enumerate(classifier.mixtures_):
        alone = GaussianMixture(reg_covar=1e-3).fit(X[y == c])
        np.testing.assert_allclose(mixture.means_, alone.means_, 1e-6, 1e-6)
        np.testing.assert_allclose(mixture.covariances_, alone.covariances_, 1e-5, 1e-5)
        assert mixture.lower_bound_ == pytest.approx(alone.lower_bound_, abs=1e-7)
        assert mixture.score(X[y == c]) == pytest.approx(mixture.lower_bound_, abs=1e-7)
    np.testing.assert_allclose(classifier.priors_, np.bincount(y) / len(y), 1e-12)


def test_em_over_unknown_labels_and_missing_features_stays_where_brute_force_does():
    X, y, _ = partly(1)
    X = with_holes(X)
    classifier = GaussianMixtureClassifier(tol=1e-12, unknown=-1, reg_covar=0).fit(X, y)
    known = np.column_stack([y == 0, y == 1])
    r = np.where((y == -1)[:, np.newaxis], classifier.predict_proba(X), known)
    np.testing.assert_allclose(classifier.priors_, r.mean(axis=0), 1e-6)
    seen = ~np.isnan(X).all(axis=1)
    for mixture, part in zip(classifier.mixtures_, r[seen].T, strict=True):
        mean, matrix = mixture.means_[0], mixture.covariances_[0]
        rows, spreads = zip(*(completed(x, mean, matrix) for x in X[seen]), strict=True)
        covariance = np.cov(np.transpose(rows), aweights=part, ddof=0)
        covariance += np.average(spreads, axis=0, weights=part)
        np.testing.assert_allclose(
            mean, np.average(rows, axis=0, weights=part), 1e-4, 1e-4
        )
        np.testing.assert_allclose(matrix, covariance, 1e-4, 1e-4)


@examples(1 / 6)
@given(case=cases(max_components=3, max_features=3))
def test_with_missing_features_weights_are_repeated_rows(case):
    X = with_holes(np.column_stack([case.X, case.X[:, 0] ** 2]), seed=len(case.X))
    y = np.where(np.arange(len(X)) % 3, np.arange(len(X)) % 2, -1)
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = GaussianMixtureClassifier(unknown=-1, max_iter=5).fit(X, y, weight)
        other = GaussianMixtureClassifier(unknown=-1, max_iter=5).fit(
            np.repeat(X, weight, axis=0), np.repeat(y, weight)
        )
    np.testing.assert_allclose(one.priors_, other.priors_, 1e-9)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), 1e-6, 1e-8)


def test_missing_features_help_more_than_rows_left_out():
    gains = []
    for seed in range(5):
        X, y, new = problem(seed, n_rows=200)
        truth = GaussianMixtureClassifier().fit(X, y).predict_log_proba(new)
        X = with_holes(X, 0.3, seed)
        whole = ~np.isnan(X).any(axis=1)
        errors = [
            np.abs(
                GaussianMixtureClassifier().fit(X[rows], y[rows]).predict_log_proba(new)
                - truth
            ).mean()
            for rows in (np.ones(len(X), dtype=bool), whole)
        ]
        gains.append(errors[1] / errors[0])
    assert np.median(gains) > 1


def test_a_feature_that_a_class_lacks():
    X, y, _ = problem()
    X[y == 1, 2] = np.nan
    with pytest.raises(ValueError, match=r"Class 1 of y: X must have at least one obs"):
        GaussianMixtureClassifier().fit(X, y)
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match=r"^X must have at least one observed value"):
        GaussianMixtureClassifier().fit(X, y)


def test_infinite_values_are_refused():
    X, y, _ = problem()
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        GaussianMixtureClassifier().fit(X, y)


def test_no_unknown_rows_change_nothing():
    X, y, new = problem()
    one = GaussianMixtureClassifier(2).fit(X, y)
    other = GaussianMixtureClassifier(2, unknown=-1).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(new), other.predict_proba(new))
    names = np.array(["a", "b", "c"])[y]
    kept = GaussianMixtureClassifier(2, unknown="").fit(X, names)
    np.testing.assert_array_equal(one.predict_proba(new), kept.predict_proba(new))
    blank = np.where(np.arange(len(X)) % 2, names, "")
    half = GaussianMixtureClassifier(unknown="").fit(X, blank)
    assert half.classes_.tolist() == ["a", "b", "c"]


def test_given_priors_are_kept():
    X, y, _ = partly(2)
    classifier = GaussianMixtureClassifier(priors=[0.3, 0.7], unknown=-1).fit(X, y)
    np.testing.assert_array_equal(classifier.priors_, [0.3, 0.7])


# ---- errors ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_components": {0: 1, 1: 2}}, r"have the classes \[0, 1, 2\] as keys"),
        ({"covariance_type": {"a": "full"}}, r"covariance_type, a dict, must have"),
        ({"n_components": 400}, r"Class 0 of y: Expected n_samples >= n_components"),
        ({"priors": [0.5, 0.5]}, r"priors must have shape \(3,\); got shape \(2,\)"),
        ({"priors": [0.5, 0.5, 0.5]}, "priors must be non-negative and sum to one"),
        ({"covariance_type": "round"}, "covariance_type"),
    ],
)
def test_errors_help(parameters, match):
    X, y, new = problem()
    classifier = GaussianMixtureClassifier().fit(X, y)
    before, proba = vars(classifier).copy(), classifier.predict_proba(new)
    classifier.set_params(**parameters)
    with pytest.raises(ValueError, match=match):
        classifier.fit(X[:, :2], y)
    classifier.set_params(**{name: before[name] for name in parameters})
    assert vars(classifier) == before
    np.testing.assert_array_equal(classifier.predict_proba(new), proba)


def test_a_class_that_is_taken_for_unknown():
    X, y, _ = partly(3)
    with pytest.raises(ValueError, match=r"labelled -1, whose class is unknown; got 1"):
        GaussianMixtureClassifier(unknown=-1).fit(X, np.where(y == 0, -1, 1))
    with pytest.raises(ValueError, match=r"If -1 is a class too, set unknown=None"):
        GaussianMixtureClassifier(unknown=-1).fit(X, np.full(len(X), -1))
    classifier = GaussianMixtureClassifier().fit(X, np.where(y == 0, -1, 1))
    assert classifier.classes_.tolist() == [-1, 1]


def test_too_few_iterations_are_said():
    X, y, _ = partly(1)
    with pytest.warns(ConvergenceWarning, match="without a label did not converge"):
        GaussianMixtureClassifier(unknown=-1, max_iter=1, tol=0).fit(X, y)


def test_frames_and_names():
    X, y, _ = problem()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    classifier = GaussianMixtureClassifier().fit(frame, pd.Series(y))
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c"]
    assert classifier.score(frame, y) > 0.5
    holes = with_holes(X)
    objects = pd.DataFrame(holes).astype(object).where(~np.isnan(holes), pd.NA)
    one, other = (GaussianMixtureClassifier().fit(Z, y) for Z in (holes, objects))
    np.testing.assert_array_equal(
        one.predict_proba(holes), other.predict_proba(objects)
    )
