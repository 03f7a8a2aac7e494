"""Where EM starts: every way to say it, and what it may depend on."""

import warnings

import numpy as np
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import adjusted_rand_score
from sklearn.utils import check_random_state

import skgmm._em
from skgmm import GaussianMixture, _random

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
NAMED_STARTS = ["auto", "kmeans", "k-means++", "random", "random_from_data"]
RANDOM_STARTS = ["kmeans", "k-means++", "random", "random_from_data"]

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)

CENTRES = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 9.0]])
LABELS = np.repeat([0, 1, 2], [50, 60, 70])
X = CENTRES[LABELS] + np.random.default_rng(0).normal(size=(180, 2))
# Overlapping: where different starts may lead to different ends.
BLUR = np.random.default_rng(1).normal(size=(120, 3))

PARAMETERS = ("weights_", "means_", "covariances_")


def start(X=X, n_components=3, sample_weight=None, **parameters):
    """Return the start itself: the mixture after no iteration."""
    mixture = GaussianMixture(n_components, max_iter=0, **parameters)
    return mixture.fit(X, sample_weight=sample_weight)


def assert_same(mixture, other, **tolerance):
    for name in PARAMETERS:
        np.testing.assert_allclose(
            getattr(mixture, name), getattr(other, name), err_msg=name, **tolerance
        )


def assert_identical(mixture, other):
    assert_same(mixture, other, rtol=0)


def moments(X, labels):
    """Return shares, means and full covariances of classes, by their definition."""
    parts = [X[labels == k] for k in np.unique(labels)]
    weights = np.array([len(part) / len(X) for part in parts])
    means = np.array([part.mean(axis=0) for part in parts])
    covariances = np.array([np.cov(part.T, bias=True) for part in parts])
    return weights, means, covariances


# ---- names ----
@each_covariance_type
@pytest.mark.parametrize("init_params", ["auto", "kmeans", "k-means++"])
def test_named_starts_find_clear_clusters(covariance_type, init_params):
    mixture = GaussianMixture(
        3, covariance_type=covariance_type, init_params=init_params, random_state=0
    ).fit(X)
    assert mixture.converged_
    assert adjusted_rand_score(LABELS, mixture.predict(X)) == 1


@each_covariance_type
@pytest.mark.parametrize("init_params", NAMED_STARTS)
@pytest.mark.parametrize("rows", [X, BLUR], ids=["clusters", "blur"])
def test_named_starts_are_sound(covariance_type, init_params, rows):
    mixture = start(
        rows, covariance_type=covariance_type, init_params=init_params, random_state=0
    )
    assert mixture.n_iter_ == 0
    assert mixture.weights_.sum() == pytest.approx(1, abs=1e-15)
    assert mixture.weights_.min() > 0
    assert np.all(mixture.means_ > rows.min(axis=0))
    assert np.all(mixture.means_ < rows.max(axis=0))
    assert np.isfinite(mixture.score(rows))
    # Means of parts, not all at the middle.
    assert np.ptp(mixture.means_, axis=0).max() > 0.5


def test_kmeans_start_has_the_moments_of_its_classes():
    mixture = start(init_params="kmeans", random_state=0)
    found = sorted(
        zip(*(getattr(mixture, n) for n in PARAMETERS), strict=True), key=str
    )
    truth = moments(X, LABELS)
    order = np.argsort(mixture.weights_)  # the classes have different sizes
    assert len(found) == 3
    for name, expected in zip(PARAMETERS, truth, strict=True):
        actual = getattr(mixture, name)[order]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [[1, 1], [1e-6, 1e6], [1e100, 1e-100]], ids=str)
@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_starts_do_not_depend_on_units(factor, init_params):
    mixture = start(init_params=init_params, random_state=0)
    other = start(X * factor, init_params=init_params, random_state=0)
    np.testing.assert_allclose(other.weights_, mixture.weights_)
    np.testing.assert_allclose(other.means_ / factor, mixture.means_, atol=1e-9)


# ---- determinism ----
@each_covariance_type
@pytest.mark.parametrize("init_params", NAMED_STARTS)
@pytest.mark.parametrize("n_init", [1, 2])
def test_same_random_state_same_result(covariance_type, init_params, n_init):
    parameters = {"covariance_type": covariance_type, "init_params": init_params}
    parameters |= {"n_init": n_init, "random_state": 7, "tol": 1e-3, "n_swaps": 2}
    # Of three components the best of several starts has one of a single row.
    mixture = GaussianMixture(2, **parameters).fit(BLUR)
    assert_identical(mixture, mixture.fit(BLUR))
    state = np.random.RandomState(7)
    again = GaussianMixture(2, **parameters | {"random_state": state}).fit(BLUR)
    assert_identical(mixture, again)


@pytest.mark.parametrize("init_params", RANDOM_STARTS)
def test_other_random_state_other_start(init_params):
    starts = {
        tuple(start(BLUR, init_params=init_params, random_state=s).weights_)
        for s in range(5)
    }
    assert len(starts) > 1


@each_covariance_type
def test_auto_does_not_depend_on_the_random_state(covariance_type):
    options = {"covariance_type": covariance_type, "n_swaps": 4}
    mixture = GaussianMixture(4, random_state=0, **options).fit(BLUR)
    for random_state in (None, np.random.RandomState(3)):
        other = clone(mixture).set_params(random_state=random_state).fit(BLUR)
        assert_identical(mixture, other)


@each_covariance_type
@pytest.mark.parametrize("n_components", [2, 3, 5])
@pytest.mark.parametrize("rows", [X, BLUR, np.round(BLUR)], ids=["X", "blur", "ties"])
def test_bisect_does_not_depend_on_the_order_of_rows(
    covariance_type, n_components, rows
):
    parameters = {
        "covariance_type": covariance_type,
        "n_components": n_components,
        "init_params": "bisect",
        "acceleration": None,  # leaps make more of the differences in rounding
    }
    mixture = start(rows, **parameters)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(rows))
        assert_same(mixture, start(rows[order], **parameters), rtol=1e-9, atol=1e-9)


@each_covariance_type
@pytest.mark.parametrize("rows", [X, BLUR], ids=["X", "blur"])
def test_auto_takes_a_weight_for_a_repeated_row(covariance_type, rows):
    rng = np.random.default_rng(2)
    weight = rng.integers(0, 4, len(rows))
    repeated = np.repeat(rows, weight, axis=0)
    for max_iter in (0, 1000):
        mixture = GaussianMixture(
            3, covariance_type=covariance_type, max_iter=max_iter
        ).fit(rows, sample_weight=weight)
        other = clone(mixture).fit(repeated)
        # Where leaps end depends on rounding, within `tol` (1e-6) of the optimum.
        assert_same(mixture, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_rows_of_weight_zero_are_not_there(init_params):
    weight = np.ones(len(X) + 5)
    weight[-5:] = 0
    mixture = start(
        np.r_[X, np.full((5, 2), 1e9)],
        sample_weight=weight,
        init_params=init_params,
        random_state=0,
    )
    # NumPy sums ones that take no memory by another route: up to rounding, of which the
    # leaps of a race make more.
    without = start(init_params=init_params, random_state=0)
    rounding = 1e-7 if init_params == "auto" else 1e-13
    assert_same(mixture, without, rtol=rounding, atol=rounding)


# The rows with weight agree in each component.
@pytest.mark.filterwarnings(
    "ignore:Components .* have less variance:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
def test_heavy_rows_are_chosen_as_seeds(init_params):
    # One row in each of two groups has nearly all the weight.
    rows = np.repeat([0.0, 5.0], 50) + np.tile(np.linspace(0, 1, 50), 2)
    rows = rows[:, np.newaxis]
    weight = np.full(100, 1e-9)
    weight[[10, 90]] = 1
    expected = start(rows, 2, weight, means_init=rows[[10, 90]])
    for seed in range(5):
        mixture = start(rows, 2, weight, init_params=init_params, random_state=seed)
        means = np.sort(mixture.means_, axis=0)
        np.testing.assert_allclose(means, expected.means_, atol=1e-6)


# ---- several starts ----
def test_n_init_keeps_the_best():
    # This seed gives no component of a few rows, which would have the best bound.
    parameters = {"init_params": "random_from_data", "random_state": 2}
    state = np.random.RandomState(2)
    singles = [
        GaussianMixture(2, **parameters | {"random_state": state}).fit(BLUR)
        for _ in range(6)
    ]
    bounds = [mixture.lower_bound_ for mixture in singles]
    assert np.ptp(bounds) > 1e-3, "the data do not test what they should"
    together = GaussianMixture(2, n_init=6, **parameters).fit(BLUR)
    # The starts of one fit use the random numbers of fits one after another.
    assert_identical(together, singles[int(np.argmax(bounds))])


def test_further_starts_of_auto_are_others():
    options = {"n_swaps": 4, "random_state": 0}
    one = GaussianMixture(5, **options).fit(BLUR)
    many = GaussianMixture(5, n_init=2, **options).fit(BLUR)
    assert not one.degenerate_
    assert not many.degenerate_
    assert many.lower_bound_ > one.lower_bound_ + 0.01


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"init_params": LABELS}, 1),
        ({"init_params": np.eye(3)[LABELS]}, 1),
        ({"init_params": GaussianMixture(3).fit(X)}, 1),
        (
            {"init_params": GaussianMixture(3).fit(X), "weights_init": [0.2, 0.3, 0.5]},
            1,
        ),
        (
            {
                "weights_init": [0.2, 0.3, 0.5],
                "means_init": CENTRES,
                "covariances_init": np.stack([np.eye(2)] * 3),
            },
            1,
        ),
        ({"weights_init": [0.2, 0.3, 0.5], "means_init": CENTRES}, 4),
        ({"init_params": lambda rows, n_components, rng: LABELS}, 4),
        *(({"init_params": name}, 4) for name in NAMED_STARTS),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else str(value),
)
def test_n_init_counts_starts_that_may_differ(monkeypatch, parameters, expected):
    begun, em = [], skgmm._em.em

    def counted(*args, **kwargs):
        begun.append(1)
        return em(*args, **kwargs)

    monkeypatch.setattr(skgmm._em, "em", counted)
    mixture = GaussianMixture(3, n_init=4, random_state=0, **parameters).fit(X)
    assert len(begun) == expected
    begun.clear()
    mixture.set_params(warm_start=True).fit(X)  # goes on from one place
    assert len(begun) == 1


# ---- labels and responsibilities ----
@each_covariance_type
@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS + 1,
        LABELS * 10 - 7,
        LABELS.astype(float),
        LABELS.tolist(),
        np.array(["a", "b", "c"])[LABELS],
        np.array(["a", "b", "c"], dtype=object)[LABELS],
    ],
    ids=["0-based", "1-based", "gaps", "floats", "list", "strings", "objects"],
)
def test_labels(covariance_type, labels):
    mixture = start(covariance_type=covariance_type, init_params=labels)
    shares = np.eye(3)[LABELS]
    same = start(covariance_type=covariance_type, init_params=shares)
    assert_identical(mixture, same)
    weights, means, _ = moments(X, LABELS)
    np.testing.assert_allclose(mixture.weights_, weights)
    np.testing.assert_allclose(mixture.means_, means)


def test_two_labels_of_booleans():
    mixture = start(n_components=2, init_params=LABELS == 1)
    np.testing.assert_allclose(mixture.means_[1], X[LABELS == 1].mean(axis=0))


def test_labels_of_a_series():
    pd = pytest.importorskip("pandas")
    series = pd.Series(np.array(["a", "b", "c"])[LABELS], dtype="category")
    assert_identical(start(init_params=series), start(init_params=LABELS))


def test_labels_with_weights():
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    mixture = start(sample_weight=weight, init_params=LABELS)
    repeated = start(
        np.repeat(X, weight, axis=0), init_params=np.repeat(LABELS, weight)
    )
    assert_same(mixture, repeated, rtol=1e-12)


def test_responsibilities():
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], len(X))
    mixture = start(init_params=shares)
    expected = shares.T @ X / shares.sum(axis=0)[:, np.newaxis]
    np.testing.assert_allclose(mixture.weights_, shares.mean(axis=0))
    np.testing.assert_allclose(mixture.means_, expected)
    centred = X - expected[0]
    covariance = (centred.T * shares[:, 0]) @ centred / shares[:, 0].sum()
    np.testing.assert_allclose(mixture.covariances_[0], covariance, rtol=1e-5)


def test_responsibilities_as_rounded_by_a_user():
    shares = np.full((len(X), 3), 0.333)
    shares[np.arange(len(X)), LABELS] += 0.001
    assert start(init_params=shares).weights_.sum() == pytest.approx(1, abs=1e-15)


# ---- callables ----
@pytest.mark.parametrize(
    "answer",
    [
        LABELS,
        np.eye(3)[LABELS],
        GaussianMixture(3).fit(X),
        sklearn.mixture.GaussianMixture(3, random_state=0).fit(X),
    ],
    ids=["labels", "responsibilities", "ours", "sklearn's"],
)
def test_callable(answer):
    calls = []

    def init(rows, n_components, random_state):
        calls.append((rows, n_components, random_state))
        return answer

    mixture = start(init_params=init, random_state=3)
    assert_identical(mixture, start(init_params=answer))
    [(rows, n_components, random_state)] = calls
    np.testing.assert_array_equal(rows, X)
    assert n_components == 3
    assert isinstance(random_state, np.random.RandomState)
    assert random_state.randint(1000) == np.random.RandomState(3).randint(1000)


def test_callable_is_called_for_each_start():
    # Else n_init would run EM again and again from one point.
    calls = []

    def init(rows, n_components, random_state):
        calls.append(1)
        return random_state.randint(n_components, size=len(rows))

    GaussianMixture(3, init_params=init, n_init=4, random_state=0).fit(X)
    assert len(calls) == 4


# ---- mixtures ----
@each_covariance_type
@pytest.mark.parametrize("kind", [GaussianMixture, sklearn.mixture.GaussianMixture])
@pytest.mark.parametrize("frozen", [False, True])
def test_fitted_mixture(covariance_type, kind, frozen):
    other = kind(3, covariance_type=covariance_type, random_state=0).fit(X)
    init = FrozenEstimator(other) if frozen else other
    mixture = start(covariance_type=covariance_type, init_params=init)
    assert_same(mixture, other, rtol=1e-12)
    # To start at the end is to be there.
    again = GaussianMixture(3, covariance_type=covariance_type, init_params=init).fit(X)
    assert_same(again, other, rtol=1e-4, atol=1e-4)


def test_frozen_mixture_survives_a_clone():
    other = GaussianMixture(3).fit(X)
    mixture = clone(GaussianMixture(3, init_params=FrozenEstimator(other), max_iter=0))
    assert_same(mixture.fit(X), other, rtol=1e-12)


def test_mixture_that_was_made_from_parameters():
    other = GaussianMixture.from_parameters(
        [0.2, 0.3, 0.5], CENTRES, covariances=np.stack([np.eye(2)] * 3)
    )
    assert_same(start(init_params=other), other, rtol=1e-12, atol=1e-12)


# ---- starting values ----
COVARIANCES = {
    "full": np.stack([np.diag([1.0, 2.0]), np.eye(2), [[2.0, 0.5], [0.5, 1.0]]]),
    "tied": np.array([[2.0, 0.5], [0.5, 1.0]]),
    "diag": np.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.25]]),
    "spherical": np.array([1.0, 2.0, 0.5]),
}
GIVEN_MEANS = CENTRES + 0.5
GIVEN_WEIGHTS = np.array([0.5, 0.3, 0.2])


def inverse(covariances, covariance_type):
    return (
        np.linalg.inv(covariances)
        if covariances.ndim > 1 and (covariance_type in ("full", "tied"))
        else 1 / covariances
    )


@each_covariance_type
@pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("means", [False, True], ids=["", "means"])
@pytest.mark.parametrize("scatter", [None, "covariances_init", "precisions_init"])
def test_starting_values_in_every_combination(covariance_type, weights, means, scatter):
    given = {}
    if weights:
        given["weights_init"] = GIVEN_WEIGHTS.tolist()
    if means:
        given["means_init"] = GIVEN_MEANS.tolist()
    if scatter == "covariances_init":
        given[scatter] = COVARIANCES[covariance_type]
    elif scatter == "precisions_init":
        given[scatter] = inverse(COVARIANCES[covariance_type], covariance_type)
    mixture = start(covariance_type=covariance_type, **given)

    # What is not given is that of the default start, or of the rows nearest to
    # the means that are given: here the clusters both times.
    default = start(covariance_type=covariance_type, init_params=LABELS)
    if not means:
        default = start(covariance_type=covariance_type)
    expected = {name: getattr(default, name) for name in PARAMETERS}
    if weights:
        expected["weights_"] = GIVEN_WEIGHTS
    if means:
        expected["means_"] = GIVEN_MEANS
    if scatter:
        expected["covariances_"] = COVARIANCES[covariance_type]
    for name, value in expected.items():
        np.testing.assert_allclose(
            getattr(mixture, name), value, rtol=1e-5, atol=1e-5, err_msg=name
        )


def test_means_far_from_each_other_and_the_rows():
    # Two of the means are nearest to no row.
    mixture = start(means_init=[[4, 4], [1e3, 0], [0, 1e3]])
    assert np.isfinite(mixture.score(X))
    np.testing.assert_allclose(mixture.means_, [[4, 4], [1e3, 0], [0, 1e3]])


def test_weights_as_rounded_by_a_user():
    mixture = start(weights_init=[0.333, 0.333, 0.333])
    np.testing.assert_allclose(mixture.weights_, 1 / 3, rtol=1e-15)


def test_weight_of_zero_stays_zero():
    mixture = GaussianMixture(3, weights_init=[0.5, 0.5, 0])
    with pytest.warns(ConvergenceWarning, match=r"Components \[2\] are empty"):
        mixture.fit(X)
    assert mixture.weights_[2] == 0
    assert np.all(mixture.predict(X) != 2)
    assert np.isfinite(mixture.score(X))


def test_means_in_another_order_give_components_in_that_order():
    mixture = GaussianMixture(3, means_init=CENTRES[[2, 0, 1]]).fit(X)
    np.testing.assert_allclose(mixture.means_, CENTRES[[2, 0, 1]], atol=0.5)


def test_start_for_far_off_data():
    # Starting values are in the units of the user.
    mixture = start(X + 1e9, means_init=GIVEN_MEANS + 1e9)
    np.testing.assert_allclose(mixture.means_ - 1e9, GIVEN_MEANS, atol=1e-6)


# ---- many rows ----
@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=30_000)
    return CENTRES[labels] + rng.normal(size=(30_000, 2)), labels


@pytest.mark.parametrize("init_params", ["auto", "kmeans", "k-means++"])
def test_many_rows_start_on_a_sample(many, init_params):
    rows, labels = many
    mixture = start(rows, init_params=init_params, random_state=0)
    assert_identical(mixture, start(rows, init_params=init_params, random_state=0))
    # Made on 5000 rows: it depends on which, a little.
    other = start(rows, init_params=init_params, random_state=1)
    assert np.any(mixture.means_ != other.means_)
    fitted = GaussianMixture(3, init_params=init_params, random_state=0).fit(rows)
    assert adjusted_rand_score(labels, fitted.predict(rows)) > 0.99


def test_small_clusters_among_many_rows_may_be_weighted_up(many):
    rows, labels = many
    rows = rows + 4 * CENTRES[labels]
    weight = np.where(labels == 0, 1.0, 1e-3)
    mixture = GaussianMixture(3, random_state=0).fit(rows, sample_weight=weight)
    shares = np.bincount(labels, weight) / weight.sum()
    np.testing.assert_allclose(np.sort(mixture.weights_), np.sort(shares), atol=1e-3)


def test_labels_of_many_rows_are_all_used(many):
    rows, labels = many
    mixture = start(rows, init_params=labels)
    np.testing.assert_allclose(mixture.weights_, np.bincount(labels) / len(labels))


# ---- fewer distinct rows than components ----
@each_covariance_type
@pytest.mark.parametrize("init_params", NAMED_STARTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_more_components_than_distinct_rows(covariance_type, init_params, weighted):
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    rows = np.repeat(points, 5, axis=0)
    weight = np.arange(1, 11) if weighted else None
    mixture = GaussianMixture(
        4, covariance_type=covariance_type, init_params=init_params, random_state=0
    )
    with pytest.warns(ConvergenceWarning) as caught:
        mixture.fit(rows, sample_weight=weight)
    texts = [str(w.message) for w in caught]
    assert any("2 distinct rows, fewer than n_components=4" in t for t in texts)
    for mean in mixture.means_:
        assert np.abs(points - mean).max(axis=1).min() < 1e-6
    shares = np.bincount(mixture.predict(points), minlength=4)
    assert shares.max() == 1, "copies of a component share their rows"


@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_one_row(init_params):
    mixture = GaussianMixture(1, init_params=init_params, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing to warn of that is not plain
        mixture.fit([[3.0, 4.0]])
    np.testing.assert_allclose(mixture.means_, [[3.0, 4.0]])


@pytest.mark.parametrize("init_params", NAMED_STARTS)
def test_as_many_components_as_rows(init_params):
    rows = np.random.default_rng(0).normal(size=(6, 2))
    mixture = GaussianMixture(6, init_params=init_params, random_state=0)
    with pytest.warns(ConvergenceWarning, match="span fewer dimensions"):
        mixture.fit(rows)
    assert np.isfinite(mixture.lower_bound_)


@pytest.mark.parametrize("seed", [0, 1, np.int64(12345), 2**32 - 1])
def test_a_generator_is_that_of_numpy(seed):
    one, other = _random.random_state(seed), np.random.RandomState(seed)
    for a, b in zip(one.get_state(), other.get_state(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.standard_normal(9), other.standard_normal(9))


def test_other_generators_are_those_of_scikit_learn():
    given = np.random.RandomState(3)
    assert _random.random_state(given) is given
    assert _random.random_state(None) is check_random_state(None)
    with pytest.raises(ValueError, match="Seed must be between"):
        _random.random_state(-1)
    with pytest.raises(ValueError, match="cannot be used to seed"):
        _random.random_state("seed")
