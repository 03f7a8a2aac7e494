"""Where races take place: coordinates that no change of units or features changes."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from strategies import case

import skgmm._starts
from skgmm import GaussianMixture, kernels
from skgmm._canonical import Canonical
from skgmm._gaussian_mixture import _problem, _source
from skgmm.families import FAMILIES

movable = pytest.mark.parametrize(
    "code", ["full", "tied", "VEE", "EVV", "diag", "EVI", "spherical", "EEV"]
)


def place_of(X, code="full", weight=None, **parameters):
    """Return where 4 components race on rows, and the problem there."""
    estimator = GaussianMixture(4, covariance_type=code, **parameters)
    family = estimator._family(X.shape[1])
    weight = np.ones(len(X)) if weight is None else weight
    source = _source(X, weight, 0.0, family, 4)
    problem = _problem(estimator, source, family)
    return Canonical.of(problem, source), problem


def changed(X, code, seed):
    """Return the rows in other units, or mixed, and the log of what a unit has."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-6, 6, X.shape[1])
    if not FAMILIES[code].per_feature:
        scale[:] = scale[0]
    if not FAMILIES[code].is_affine:
        return X * scale + 1e3 * scale, np.log(scale).sum()
    mixing = rng.normal(size=2 * X.shape[1:]) + 3.0 * np.eye(X.shape[1])
    return X @ mixing * scale, np.linalg.slogdet(mixing)[1] + np.log(scale).sum()


@movable
@pytest.mark.parametrize("seed", range(3))
def test_numbers_do_not_depend_on_units(code, seed):
    X = case(seed, 4, 3, n_rows=1000).X
    X[:, 0] = np.exp(0.3 * X[:, 0])  # there is a side that is longer
    one, other = (place_of(rows, code)[0] for rows in (X, changed(X, code, seed)[0]))
    assert np.mean(one.field.rows == other.field.rows) > 0.999
    np.testing.assert_allclose(one.field.rows, other.field.rows, rtol=1e-6, atol=1e-9)


@movable
def test_mixtures_go_there_and_back(code):
    X = case(0, 4, 3, n_rows=1000).X
    place, problem = place_of(X, code)
    there = problem.on(place.field.problem.source)
    labels = np.arange(len(X)) % 4
    statistics = there.source.class_moments(labels, 4, there.family.form)
    mixture = place.field.problem.maximisation(statistics)
    outside = place.outward(mixture)
    # The density of a row is that there, times the volume of a unit.
    rows = problem.source.in_frame()
    unit = np.prod(place.into) if place.into.ndim == 1 else np.linalg.det(place.into)
    np.testing.assert_allclose(
        np.sort(outside.log_density(rows)),  # there the rows have another order
        np.sort(mixture.log_density(place.field.rows) + np.log(np.abs(unit))),
        rtol=1e-6,
        atol=1e-6,
    )
    back = place.inward(outside)
    np.testing.assert_allclose(back.means, mixture.means, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        back.covariances.dense(), mixture.covariances.dense(), rtol=1e-6, atol=1e-7
    )
    assert back.weights.sum() == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("code", ["full", "diag", "spherical"])
@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_fits_do_not_depend_on_units(code, n_init, seed):
    """Where components overlap, and many optima are near each other."""
    X = case(seed, 6, 3, n_rows=2000, distance=1.5).X
    X[:, 0] = np.exp(0.3 * X[:, 0])
    Z, jacobian = changed(X, code, seed)
    one = GaussianMixture(6, covariance_type=code, n_init=n_init, random_state=0)
    other = clone(one).fit(Z)
    score = other.score(Z) + jacobian
    assert score == pytest.approx(one.fit(X).score(X), abs=1e-7)
    assert adjusted_rand_score(one.predict(X), other.predict(Z)) > 0.998


def test_a_value_far_away_leaves_the_race_in_double_precision():
    X = case(0, 3, 2, n_rows=600, distance=10.0).X
    place, _ = place_of(X, "diag")
    single = place.field.rows.astype(np.float32)
    np.testing.assert_array_equal(place.field.rows, single)
    far = np.vstack([X, [[1e10, 0.0]]])
    place, _ = place_of(far, "diag")
    assert place.into is None
    assert not place.field.is_single
    assert len(np.unique(place.field.rows, axis=0)) == 601


def nearly_collinear(n_rows, closeness):
    rng = np.random.default_rng(0)
    X = 2.0 * rng.normal(size=(4, 4))[rng.integers(4, size=n_rows)]
    X += rng.normal(size=X.shape)
    X[:, 2] = X[:, 0] + X[:, 1] + closeness * X[:, 2]
    return X


@pytest.mark.parametrize("code", ["full", "tied", "VEE", "EEV", "VVE", "diag"])
def test_mixtures_of_nearly_collinear_features_keep_their_densities(code):
    """Entries of a covariance in single precision would lose its shortest axes."""
    X = nearly_collinear(1000, 1e-3)
    place, problem = place_of(X, code)
    labels = np.arange(len(X)) % 4
    statistics = problem.source.class_moments(labels, 4, problem.family.form)
    mixture = problem.maximisation(statistics)
    there, rows = place.inward(mixture), problem.source.in_frame()
    np.testing.assert_array_equal(there.means, there.means.astype(np.float32))
    densities = place.outward(there).log_density(rows)
    np.testing.assert_allclose(densities, mixture.log_density(rows), atol=1e-3)


@pytest.mark.filterwarnings("ignore:Components .* have less variance")
@pytest.mark.parametrize("code", ["EEV", "VEV"])
def test_what_wins_on_a_sample_is_not_lost_on_the_way_to_all_rows(code, monkeypatch):
    X = nearly_collinear(3000, 1e-4)
    model = GaussianMixture(4, covariance_type=code, random_state=0)
    whole = clone(model).fit(X)
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 1500)
    part = clone(model).fit(X)
    assert part.lower_bound_ > whole.lower_bound_ - 1e-3


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("full", {"noise": True}),
        ("full", {"reg_covar": 1e-6}),
        ("full", {"prior": "fraley-raftery"}),
        ("full", {"max_eigenvalue_ratio": 10.0}),
    ],
)
def test_what_depends_on_the_features_stays(code, parameters):
    place, problem = place_of(case(0, 4, 3, n_rows=1000).X, code, **parameters)
    mixture = problem.noisy(problem.single_gaussian().mixture)
    assert place.into is None
    assert place.outward(mixture) is place.inward(mixture) is mixture


@pytest.mark.parametrize("code", ["full", "diag", "spherical"])
def test_constant_features_say_nothing(code):
    X = case(0, 4, 3, n_rows=1000, distance=1.5).X
    more = np.column_stack([X[:, :1], np.full(len(X), 3.0), X[:, 1:]])
    with pytest.warns(UserWarning, match="have one value only"):
        place, problem = place_of(more, code)
    varying = [0, 2, 3]
    if code != "spherical":  # one scale: the mean of all variances
        without, _ = place_of(X, code)
        np.testing.assert_array_equal(place.field.rows[:, varying], without.field.rows)
    np.testing.assert_array_equal(place.field.rows[:, 1], 0.0)
    mixture = place.field.problem.single_gaussian().mixture
    held = place.outward(mixture).covariances.dense()[:, 1, 1]
    expected = problem.single_gaussian().mixture.covariances.dense()[:, 1, 1]
    np.testing.assert_allclose(held, expected, rtol=1e-6)


def test_rows_in_a_plane_stay():
    X = case(0, 4, 3, n_rows=1000).X
    assert place_of(X @ [[1, 0, 1], [0, 1, 1], [1, 1, 2]])[0].into is None


@movable
@pytest.mark.parametrize(
    "parameters", [{}, {"reg_covar": 1e-3}, {"n_init": 2}], ids=["", "ridge", "further"]
)
def test_the_order_of_rows_does_not_matter(code, parameters):
    # Of so many rows races are in single precision: their sums would show it.
    data = case(1, 5, 3, n_rows=1200)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(data.X))
    mixture = GaussianMixture(5, covariance_type=code, random_state=0, **parameters)
    mixture.fit(data.X, sample_weight=weight)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(data.X))
        other = clone(mixture).fit(data.X[order], sample_weight=weight[order])
        assert other.lower_bound_ == pytest.approx(mixture.lower_bound_, abs=1e-7)
        np.testing.assert_allclose(other.means_, mixture.means_, rtol=1e-5, atol=1e-5)


@movable
@pytest.mark.parametrize("parameters", [{}, {"reg_covar": 1e-3}], ids=["", "ridge"])
def test_weights_go_with_their_rows(code, parameters):
    X = case(2, 4, 3, n_rows=1200).X
    weight = 0.1 + (X[:, 0] - X[:, 0].min()) ** 2
    place, problem = place_of(X, code, weight=weight, **parameters)
    field, before = place.field, problem.source.in_frame()
    assert field.is_ordered == (place.into is not None or kernels.SINGLE)
    assert not field.is_sample  # the sum of the weights is rounded otherwise
    # Moments of rows and weights do not depend on their order.
    into = np.ones(3) if place.into is None else place.into
    origin = np.zeros(3) if place.into is None else place.origin
    rows = (before - origin) * into if into.ndim == 1 else (before - origin) @ into
    for power in (1, 2, 3):
        np.testing.assert_allclose(
            field.problem.source.sample_weight @ field.rows**power,
            weight @ rows**power,
            rtol=1e-5,
            atol=1e-5 * weight.sum(),
        )
    np.testing.assert_allclose(field.weight.max(), 1.0)
    np.testing.assert_allclose(
        field.weight * weight.max(), field.problem.source.sample_weight
    )


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("reg_covar", ["auto", 1e-3])
@pytest.mark.filterwarnings("ignore:X has only 4 distinct rows")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fewer_distinct_rows_than_components(covariance_type, reg_covar):
    values = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    X = values[np.random.default_rng(0).integers(4, size=2000)]
    mixture = GaussianMixture(
        5, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0
    ).fit(X)
    np.testing.assert_allclose(np.unique(np.round(mixture.means_, 3), axis=0), values)
    other = clone(mixture).fit(X[::-1])
    assert other.lower_bound_ == pytest.approx(mixture.lower_bound_)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("reg_covar", ["auto", 1e-3])
def test_many_rows_that_are_all_the_same(covariance_type, reg_covar):
    mixture = GaussianMixture(
        2, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Features .* have one value only")
        mixture.fit(np.ones((1000, 3)))
    np.testing.assert_allclose(mixture.means_, 1.0)
