"""SQUAREM: coordinates, leaps, and what they must not change."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from sklearn.exceptions import ConvergenceWarning
from strategies import TYPES, case, cases

from skgmm import GaussianMixture
from skgmm._acceleration import Coordinates, step_length
from skgmm._mixture import Mixture
from skgmm.families import FAMILIES
from skgmm.forms import NotPositiveDefinite

types = pytest.mark.parametrize("covariance_type", TYPES)


def mixture_of(covariance_type, seed, k=3, d=2):
    """Return a random mixture."""
    rng = np.random.default_rng(seed)
    form = FAMILIES[covariance_type].form
    roots = rng.normal(size=(k, d, d)) + 2 * np.eye(d)
    matrices = roots @ np.swapaxes(roots, 1, 2)
    values = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.diagonal(matrices, axis1=1, axis2=2),
        "spherical": matrices[:, 0, 0],
    }[covariance_type]
    means = rng.normal(size=(k, d))
    return Mixture(rng.dirichlet(np.ones(k)), means, form(values, k, d))


@types
@pytest.mark.parametrize("seed", range(5))
def test_coordinates_are_those_of_one_mixture(covariance_type, seed):
    base, other = (mixture_of(covariance_type, s) for s in (seed, seed + 100))
    coordinates = Coordinates(base)
    again = coordinates.mixture(coordinates.of(other))
    np.testing.assert_allclose(again.weights, other.weights, 1e-12)
    np.testing.assert_allclose(again.means, other.means, 1e-10, 1e-12)
    np.testing.assert_allclose(
        again.covariances.values, other.covariances.values, 1e-9, 1e-12
    )
    # Values and factors agree.
    form = type(other.covariances)
    factorised = form(again.covariances.values, *other.means.shape)
    np.testing.assert_allclose(again.covariances.whiteners, factorised.whiteners, 1e-8)


@types
def test_lengths_do_not_depend_on_units(covariance_type):
    base, one, two = (mixture_of(covariance_type, seed) for seed in range(3))
    scale = np.full(2, 8.0) if covariance_type == "spherical" else np.array([8.0, 0.25])

    def rescaled(mixture):
        covariances = mixture.covariances.rescaled(scale)
        return Mixture(mixture.weights, mixture.means * scale, covariances)

    lengths = []
    for mixtures in ((base, one, two), map(rescaled, (base, one, two))):
        first, *others = mixtures
        coordinates = Coordinates(first)
        points = [coordinates.of(mixture) for mixture in (first, *others)]
        lengths.append(step_length(*points)[0])
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-10)


@types
def test_no_mixture_beyond_the_border(covariance_type):
    base, other = (mixture_of(covariance_type, seed) for seed in range(2))
    coordinates = Coordinates(base)
    far = coordinates.of(base) - 100 * (coordinates.of(other) - coordinates.of(base))
    far[-base.covariances.whiteners.size :] = -1.0
    with pytest.raises(NotPositiveDefinite):
        coordinates.mixture(far)


def test_the_length_of_one_rate():
    """The distances to a fixed point shrink by 0.9: the leap lands on it."""
    v0, v1, v2 = (np.array([1.0, -2.0]) * 0.9**t for t in range(3))
    length, r, q = step_length(v0, v1, v2)
    assert length == pytest.approx(10.0)
    np.testing.assert_allclose(v0 + 2 * length * r + length**2 * q, 0, atol=1e-12)


def fit(X, k, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(k, init_params="bisect", tol=1e-9, **parameters)
        return mixture.set_params(max_iter=20_000).fit(X)


@types
@given(case=cases(max_components=3))
def test_the_objective_never_falls(covariance_type, case):
    mixture = fit(case.X, case.n_components, covariance_type=covariance_type)
    bounds = np.array(mixture.lower_bounds_)
    start = 1 if case.n_components > 1 else 0
    assert np.all(np.diff(bounds[start:]) >= 0)
    assert len(bounds) == mixture.n_iter_


@types
@pytest.mark.parametrize("seed", range(4))
def test_leaps_end_where_steps_do_in_fewer_passes(covariance_type, seed):
    X = case(seed, 3, 2, distance=4.0, n_rows=500).X
    plain = fit(X, 3, covariance_type=covariance_type, acceleration=None)
    leaping = fit(X, 3, covariance_type=covariance_type)
    assert leaping.converged_
    assert plain.converged_
    # The same optimum: one of these would have had to climb past another.
    assert leaping.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-6)
    assert leaping.n_iter_ <= 1.2 * plain.n_iter_ + 3


def test_passes_are_counted():
    X = case(0, 3, 2, distance=1.0, n_rows=500).X
    with pytest.warns(ConvergenceWarning, match="max_iter=7"):
        mixture = GaussianMixture(3, max_iter=7, tol=0, init_params="bisect").fit(X)
    assert mixture.n_iter_ == len(mixture.lower_bounds_) == 7


def test_a_dying_component_is_no_obstacle():
    X = case(0, 2, 2, distance=8.0).X
    mixture = fit(X, 3, weights_init=[0.5, 0.5 - 1e-12, 1e-12])
    assert np.isfinite(mixture.lower_bound_)
