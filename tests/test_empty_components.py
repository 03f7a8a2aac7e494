"""Components without rows: they are moved where they can be, and named."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from strategies import case

from skgmm import GaussianMixture
from skgmm._degeneracy import empty
from skgmm._field import Field, Run
from skgmm._gaussian_mixture import _problem, _source
from skgmm._mixture import Mixture, Mixtures
from skgmm._moves import refine
from skgmm.families import FAMILIES

TYPES = ["full", "tied", "diag", "spherical", "EEV"]


@pytest.fixture
def X():
    return case(0, 2, 2, distance=8.0).X


@pytest.mark.parametrize("covariance_type", TYPES)
def test_an_empty_component_is_named(X, covariance_type):
    far = [X.mean(axis=0), X.mean(axis=0) + 1e6]
    mixture = GaussianMixture(
        2,
        covariance_type=covariance_type,
        means_init=far,
        covariances_init=GaussianMixture(2, covariance_type=covariance_type)
        .fit(X)
        .covariances_,
        weights_init=[0.5, 0.5],
    )
    expected = (
        r"Components \[1\] are empty: their responsibilities sum to less than half a "
        r"row.*Use fewer components, or another start: init_params='auto'"
    )
    with pytest.warns(ConvergenceWarning, match=expected):
        mixture.fit(X)
    assert mixture.weights_[1] == 0
    [degenerate] = mixture.degenerate_
    assert degenerate.component == 1
    assert degenerate.effective_rows == 0
    assert np.all(np.isfinite(mixture.score_samples(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        healthy = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    assert healthy.degenerate_ == []


def test_what_is_empty_goes_by_observations(X):
    # Rows that count a thousandth each are still rows.
    assert empty(np.array([0.0, 0.4, 1.0])).tolist() == [True, True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2).fit(X, sample_weight=np.full(len(X), 1e-3))


def field_of(X, n_components, covariance_type, **parameters):
    estimator = GaussianMixture(
        n_components, covariance_type=covariance_type, **parameters
    )
    family = FAMILIES[covariance_type]
    source = _source(X, np.ones(len(X)), 0.0, family, n_components)
    return Field.of(_problem(estimator, source, family), source)


@pytest.mark.parametrize("parameters", [{}, {"prior": "fraley-raftery"}])
@pytest.mark.parametrize("n_components", [2, 4])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_start_puts_it_elsewhere(covariance_type, n_components, parameters):
    data = case(1, n_components, 2, n_rows=400, distance=10.0)
    field = field_of(data.X, n_components, covariance_type, **parameters)
    problem, form = field.problem, field.problem.family.form
    labels = np.maximum(data.labels - 1, 0)  # the first two in one
    statistics = problem.source.class_moments(labels, n_components - 1, form)
    fewer = problem.maximisation(statistics)
    dead = fewer.take([*range(n_components - 1), 0])
    weights = np.append(fewer.weights, 0.0)
    start = Mixture(weights, dead.means, dead.covariances)
    [run], _ = field.begin(Mixtures.of([start]))
    assert field.sick(run).tolist() == [*[False] * (n_components - 1), True]
    end = refine(field, run, 8)[-1]
    assert isinstance(end, Run)
    assert not field.sick(end).any()
    assert field.is_healthy(end)
    assert end.objective > run.objective


@pytest.mark.parametrize("n_components", [2, 4])
@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_so_it_does_with_a_degenerate_one(covariance_type, n_components):
    data = case(1, n_components, 2, n_rows=400, distance=10.0)
    X = data.X.copy()
    X[:3] = X[0] + 1e-4 * X[:3]
    field = field_of(X, n_components, covariance_type)
    problem, form = field.problem, field.problem.family.form
    labels = np.maximum(data.labels - 1, 0)  # the first two in one
    labels[:3] = n_components - 1
    statistics = problem.source.class_moments(labels, n_components, form)
    [run], _ = field.begin([statistics])
    assert field.sick(run).tolist() == [*[False] * (n_components - 1), True]
    end = refine(field, run, 8)[-1]
    assert not field.sick(end).any()
    assert field.is_healthy(end)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_fits_do_not_keep_one_that_can_be_moved(seed):
    # Three rows far away: with the prior components among the others died there.  (The
    # fit to seed 0 ends on a plateau; the optimum beyond it has an empty one.)
    rng = np.random.default_rng(seed)
    near, far = rng.normal(size=(100, 2)), 0.01 * rng.normal(size=(3, 2)) + 50
    mixture = GaussianMixture(
        6, covariance_type="tied_spherical", prior="fraley-raftery"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture.fit(np.vstack([near, far]))
    assert mixture.degenerate_ == []
