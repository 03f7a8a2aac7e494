"""Types of the public interface: they are stated, and what is returned has them."""

import inspect
import typing
from importlib import resources

import numpy as np
import pytest

import skgmm
from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm.datasets import load_old_faithful

X = load_old_faithful().data
ESTIMATORS = [
    value
    for name, value in vars(skgmm).items()
    if name in skgmm.__all__ and hasattr(value, "fit")
]


def hints(function):
    """Return the types of a function, the names of this package resolved."""
    return typing.get_type_hints(function, localns={"GaussianMixture": GaussianMixture})


def own_methods(cls):
    """Return the public methods that the package defines."""
    for name, value in inspect.getmembers(cls, inspect.isroutine):
        if not name.startswith("_"):
            method = inspect.unwrap(value)
            if method.__module__.startswith("skgmm"):
                yield name, method


def test_the_package_says_that_it_is_typed():
    assert resources.files("skgmm").joinpath("py.typed").is_file()


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_public_method_states_what_it_returns(cls):
    methods = dict(own_methods(cls))
    assert methods.keys() > {"fit"}
    for name, method in methods.items():
        assert "return" in hints(method), name


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_parameter_has_a_type_that_its_default_is_of(cls):
    types = hints(cls.__init__)
    for name, parameter in inspect.signature(cls).parameters.items():
        kind = types[name]
        if kind is not typing.Any and parameter.default is not None:
            assert isinstance(parameter.default, typing.get_args(kind) or kind), name
        elif parameter.default is None:
            assert kind is typing.Any or type(None) in typing.get_args(kind), name


@pytest.mark.parametrize("cls", [GaussianMixture, GaussianMixtureIC])
def test_methods_return_what_they_state(cls):
    mixture = cls(2).fit(X)
    arguments = {
        **dict.fromkeys(["score_samples", "component_log_density"], (X,)),
        **dict.fromkeys(["predict", "predict_proba", "predict_log_proba"], (X,)),
        **dict.fromkeys(["score", "aic", "aicc", "bic", "icl", "summary"], (X,)),
        **dict.fromkeys(["mean", "covariance", "modes", "entropy", "overlap"], ()),
        "sample": (3,),
        "marginal": ([0],),
        "condition": ([0], [3.0]),
        "kl_divergence": (mixture,),
        "in_highest_density_region": (X, 0.5),
        "fit_predict": (X,),
    }
    for name, values in arguments.items():
        stated = hints(inspect.unwrap(getattr(cls, name)))["return"]
        returned = getattr(mixture, name)(*values)
        assert isinstance(returned, typing.get_origin(stated) or stated), name
    for name in ("weights_", "means_", "covariances_", "precisions_"):
        assert hints(getattr(cls, name).fget)["return"] is np.ndarray
        assert isinstance(getattr(mixture, name), np.ndarray)
