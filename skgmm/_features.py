"""Checks of what the user asks of a distribution: features, values, probabilities."""

from numbers import Integral

import numpy as np

from ._validation import check_floats


def check_features(features, n_features, names=None):
    """Return the indices of features, given by index, by name, or as a mask.

    Parameters
    ----------
    features : int, str, or sequence of these, or of bool
    n_features : int
    names : sequence of str, optional
        The names of the features, if they have any.
    """
    if isinstance(features, str | Integral):
        features = [features]
    given = np.asarray(features)
    if given.dtype == bool:
        if given.shape != (n_features,):
            raise ValueError(
                f"features, a mask, must have shape ({n_features},); got shape "
                f"{given.shape}."
            )
        given = np.flatnonzero(given)
    if given.ndim != 1 or not given.size:
        raise ValueError(
            "features must be an index or a name, or a list of at least one; got "
            f"{features!r}."
        )
    indices = [_index(one, n_features, names) for one in given.tolist()]
    if len(set(indices)) < len(indices):
        raise ValueError(f"features must be different; got {features!r}.")
    return indices


def _index(feature, n_features, names):
    """Return the index of one feature."""
    if isinstance(feature, str):
        if names is None:
            raise ValueError(
                f"features must be indices, since X had no names in fit; got "
                f"{feature!r}."
            )
        if feature not in list(names):
            raise ValueError(f"features must be among {list(names)}; got {feature!r}.")
        return list(names).index(feature)
    if not isinstance(feature, Integral):
        raise TypeError(f"features must be whole numbers or names; got {feature!r}.")
    if not -n_features <= feature < n_features:
        raise ValueError(f"features must be from 0 to {n_features - 1}; got {feature}.")
    return int(feature) % n_features


def check_values(values, n):
    """Return the values (1, n) of as many features."""
    values = np.atleast_1d(check_floats(values, "values"))
    if values.shape != (n,):
        raise ValueError(
            f"values must be one number for each of the {n} features given; got shape "
            f"{values.shape}."
        )
    return values[np.newaxis]


def check_probabilities(probabilities, name, *, ends=True):
    """Return probabilities as float64, of any shape; ``ends`` allows 0 and 1."""
    p = check_floats(probabilities, name)
    inside = (p >= 0) & (p <= 1) if ends else (p > 0) & (p < 1)
    if not inside.all():
        raise ValueError(
            f"{name} must be {'from 0 to 1' if ends else 'between 0 and 1'}; got "
            f"{p[~inside].ravel()[0]:g}."
        )
    return p


def check_count(n, name="n_samples", least=1):
    """Raise unless n is a whole number that is large enough."""
    if not isinstance(n, Integral):
        raise TypeError(f"{name} must be a whole number; got {n!r}.")
    if n < least:
        raise ValueError(f"{name} must be at least {least}; got {n}.")
