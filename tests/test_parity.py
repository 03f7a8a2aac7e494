"""Agreement with scikit-learn's GaussianMixture."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture as Reference
from strategies import TYPES, case, cases, fitted

from skgmm import GaussianMixture

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
METHODS = ("score_samples", "predict_proba", "predict", "score", "aic", "bic")

types = pytest.mark.parametrize("covariance_type", TYPES)


def assert_agree(ours, theirs, X, rtol=1e-8):
    # Entries of matrices, and log-densities, may be near zero: relative to the
    # largest, that is.  Means are of size one or more.
    for name in ARRAYS:
        expected = getattr(theirs, name)
        atol = rtol * np.abs(expected).max()
        np.testing.assert_allclose(
            getattr(ours, name), expected, rtol, atol, err_msg=name
        )
    for name in METHODS:
        expected = getattr(theirs, name)(X)
        atol = rtol * np.abs(expected).max()
        actual = getattr(ours, name)(X)
        np.testing.assert_allclose(actual, expected, rtol, atol, err_msg=name)


def fit_both(X, n_components, max_iter, *, sample_weight=None, **parameters):
    """Fit ours, and scikit-learn's with as many iterations, on repeated rows."""
    parameters |= {"tol": 0.0}
    ours = fitted(
        X, n_components, sample_weight=sample_weight, max_iter=max_iter, **parameters
    )
    repeated = X if sample_weight is None else np.repeat(X, sample_weight, axis=0)
    parameters |= {"like": Reference, "max_iter": ours.n_iter_}
    return ours, fitted(repeated, n_components, **parameters)


@types
@given(
    case=cases(),
    max_iter=st.integers(1, 12),
    reg_covar=st.sampled_from([0.0, 1e-6, 1e-2]),
)
def test_same_fit(covariance_type, case, max_iter, reg_covar):
    start = case.truth.start(covariance_type)
    ours, theirs = fit_both(
        case.X,
        case.n_components,
        max_iter,
        covariance_type=covariance_type,
        reg_covar=reg_covar,
        **start,
    )
    assert_agree(ours, theirs, case.X)


@types
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_weights_are_repeated_rows(covariance_type, case, seed):
    sample_weight = np.random.default_rng(seed).integers(0, 4, len(case.X))
    ours, theirs = fit_both(
        case.X,
        case.n_components,
        5,
        sample_weight=sample_weight,
        covariance_type=covariance_type,
        reg_covar=1e-6,
        **case.truth.start(covariance_type),
    )
    repeated = np.repeat(case.X, sample_weight, axis=0)
    assert_agree(ours, theirs, repeated)
    for criterion in (ours.aic, ours.bic, ours.score):
        expected = getattr(theirs, criterion.__name__)(repeated)
        actual = criterion(case.X, sample_weight=sample_weight)
        assert actual == pytest.approx(expected, rel=1e-8)


@types
@pytest.mark.parametrize("reg_covar", [1e-6, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_converged_fit_is_a_fixed_point_of_theirs(covariance_type, reg_covar, seed):
    """Also with a ridge so large that the likelihood falls on the way there."""
    problem = case(seed, 3, 2, distance=2.0)
    parameters = {"covariance_type": covariance_type, "reg_covar": reg_covar}
    ours = fitted(problem.X, 3, tol=1e-10, max_iter=5000, **parameters)
    assert ours.converged_
    start = {
        "weights_init": ours.weights_,
        "means_init": ours.means_,
        "precisions_init": ours.precisions_,
    }
    theirs = fitted(problem.X, 3, like=Reference, max_iter=1, **start, **parameters)
    if reg_covar == 1.0:
        # A ridge as large as the variances: convergence is slow, and means creep.
        gain = theirs.score(problem.X) - ours.score(problem.X)
        assert gain == pytest.approx(0, abs=1e-7)
        return
    np.testing.assert_allclose(theirs.means_, ours.means_, atol=1e-3)


@types
def test_to_sklearn_and_back(covariance_type):
    problem = case(1, 3, 2)
    ours = fitted(problem.X, 3, covariance_type=covariance_type)
    theirs = ours.to_sklearn()
    assert isinstance(theirs, Reference)
    assert_agree(ours, theirs, problem.X, rtol=1e-12)
    again = GaussianMixture.from_sklearn(theirs)
    assert_agree(again, theirs, problem.X, rtol=1e-12)
    for name in ("converged_", "n_iter_", "lower_bound_", "n_features_in_"):
        assert getattr(again, name) == getattr(theirs, name) == getattr(ours, name)


@types
def test_from_sklearn_and_back(covariance_type):
    problem = case(2, 3, 2)
    theirs = fitted(
        problem.X,
        3,
        like=Reference,
        covariance_type=covariance_type,
        random_state=0,
    )
    ours = GaussianMixture.from_sklearn(theirs)
    assert_agree(ours, theirs, problem.X, rtol=1e-12)
    again = ours.to_sklearn()
    assert_agree(ours, again, problem.X, rtol=1e-12)
    assert again.get_params() == theirs.get_params()


def test_from_sklearn_not_fitted():
    theirs = Reference(3, covariance_type="diag", tol=0.1, init_params="random")
    ours = GaussianMixture.from_sklearn(theirs)
    assert theirs.get_params().items() <= ours.get_params().items()
    assert not ours.__sklearn_is_fitted__()


def test_from_sklearn_owns_its_arrays():
    problem = case(3, 2, 2)
    theirs = fitted(problem.X, 2, like=Reference, random_state=0)
    ours = GaussianMixture.from_sklearn(theirs)
    before = ours.score(problem.X)
    theirs.means_ += 1
    theirs.precisions_cholesky_ *= 2
    assert ours.score(problem.X) == before


def test_to_sklearn_gives_arrays_of_its_own():
    problem = case(3, 2, 2)
    ours = fitted(problem.X, 2)
    theirs = ours.to_sklearn()
    before = ours.score(problem.X)
    theirs.means_ += 1
    assert ours.score(problem.X) == before


def test_to_sklearn_can_be_fitted_again():
    # Parameters that scikit-learn does not know are left out.
    problem = case(4, 2, 2)
    ours = fitted(problem.X, 2, init_params=problem.labels, reg_covar="auto")
    fresh = ours.to_sklearn().fit(problem.X)
    assert fresh.score(problem.X) == pytest.approx(ours.score(problem.X), abs=1e-2)


# ---- the interface --------------------------------------------------------
def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_public_method_exists():
    assert public(Reference) <= public(GaussianMixture)


def test_every_parameter_exists_in_the_same_place():
    theirs = inspect.signature(Reference).parameters
    ours = inspect.signature(GaussianMixture).parameters
    assert theirs.keys() <= ours.keys()
    assert all(ours[name].kind == theirs[name].kind for name in theirs)


def test_every_parameter_of_a_method_exists():
    for name in public(Reference):
        theirs = inspect.signature(getattr(Reference, name)).parameters
        ours = inspect.signature(getattr(GaussianMixture, name)).parameters
        assert theirs.keys() <= ours.keys(), name


@types
def test_every_fitted_attribute_exists_in_the_same_shape(covariance_type):
    X = case(5, 2, 3).X
    parameters = {"covariance_type": covariance_type, "max_iter": 1}
    ours = fitted(X, 2, **parameters)
    theirs = fitted(X, 2, like=Reference, **parameters)
    names = [name for name in vars(theirs) if name.endswith("_")]
    assert set(ARRAYS) <= set(names)
    for name in names:
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name)), name


def test_init_params_of_theirs_are_ours():
    theirs = Reference._parameter_constraints["init_params"][0].options
    X = case(6, 3, 2).X
    for name in theirs:
        mixture = fitted(X, 3, init_params=name, random_state=0)
        assert np.isfinite(mixture.lower_bound_)
