"""From and to `sklearn.mixture.GaussianMixture`."""

import inspect
from dataclasses import replace

import numpy as np

from ._fitted import Model
from ._validation import mixture_of
from .families import FAMILIES

_FITTED = ("n_features_in_", "feature_names_in_", "converged_", "n_iter_")
_BOUNDS = ("lower_bound_", "lower_bounds_")
_PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_")


def to_sklearn(estimator):
    """Return a `sklearn.mixture.GaussianMixture` with the same parameters."""
    from sklearn.mixture import GaussianMixture

    model = estimator._model()
    if model.mixture.noise is not None:
        raise ValueError(
            "sklearn.mixture.GaussianMixture has no noise component; convert the "
            "Gaussians alone: without_noise().to_sklearn()."
        )
    known = inspect.signature(GaussianMixture).parameters
    kept = {k: v for k, v in estimator.get_params(False).items() if k in known}
    starts = GaussianMixture._parameter_constraints["init_params"][0].options
    if not (isinstance(estimator.init_params, str) and estimator.init_params in starts):
        del kept["init_params"]
    if isinstance(estimator.reg_covar, str):
        del kept["reg_covar"]
    kept |= {"n_components": model.mixture.n_components}
    # scikit-learn has the forms, not the constraints.
    model = replace(model, mixture=model.mixture.plain())
    kept |= {"covariance_type": model.mixture.covariances.kind}
    other = GaussianMixture(**kept)
    for name in (*_PARAMETERS, "precisions_"):
        setattr(other, name, np.array(model.parameter(name)))
    return _with_attributes(other, estimator)


def from_sklearn(cls, mixture):
    """Return the estimator of class ``cls`` that equals scikit-learn's."""
    other = cls(**mixture.get_params(deep=False))
    if not hasattr(mixture, "weights_"):
        return other
    family = FAMILIES[mixture.covariance_type]
    model = Model(mixture_of(mixture, family.form), family, mixture.means_.dtype)
    other._set_model(model)
    return _with_attributes(other, mixture)


def _with_attributes(other, estimator):
    for name in _FITTED + _BOUNDS:
        if hasattr(estimator, name):
            setattr(other, name, getattr(estimator, name))
    return other
