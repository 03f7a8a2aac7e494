"""Parameters that estimators pass on to the mixtures they are made of."""

import warnings
from collections.abc import Sequence
from itertools import product
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from ._features import check_count
from ._gaussian_mixture import GaussianMixture
from ._missing import with_nan
from ._typing import RandomState
from ._warnings import warn
from .families import FAMILIES

# Those that are named, checked and documented as the mixture's own.
_PASSED_ON = ("tol", "reg_covar", "max_iter", "n_init")


class MixtureParameters(BaseEstimator):
    """Base of estimators that fit one mixture, or several, with common parameters."""

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "covariance_type": [StrOptions(set(FAMILIES)), "array-like"],
        **{
            name: GaussianMixture._parameter_constraints[name]
            for name in (*_PASSED_ON, "random_state")
        },
    }

    def __init__(
        self,
        n_components: int | ArrayLike = 1,
        *,
        covariance_type: str | Sequence[str] = "full",
        tol: float = 1e-6,
        reg_covar: str | float = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._allow_nan()
        return tags

    def _allow_nan(self):
        """Tell whether rows may have missing values: those that mixtures take."""
        return get_tags(GaussianMixture()).input_tags.allow_nan

    def _validated(self, X, *y, **options):
        """Return the checked X, and y; NaN may be in X if mixtures take it."""
        finite = "allow-nan" if self._allow_nan() else True
        options = {"dtype": np.float64, "ensure_all_finite": finite} | options
        return validate_data(self, with_nan(X), *y, **options)

    def _candidates(self, n_components, covariance_type):
        """Return the mixtures, not fitted, between which BIC is to choose."""
        numbers = _several(n_components)
        for number in numbers:
            check_count(number, "n_components")
        types = _several(covariance_type)
        for name in types:
            if name not in FAMILIES:
                raise ValueError(
                    f"covariance_type must be among {sorted(FAMILIES)}, or several of "
                    f"them; got {name!r}."
                )
        if not (numbers and types):
            raise ValueError(
                "n_components and covariance_type must name at least one candidate; "
                "got none."
            )
        passed_on = {name: getattr(self, name) for name in _PASSED_ON}
        return [
            GaussianMixture(
                number,
                covariance_type=name,
                random_state=self.random_state,
                **passed_on,
            )
            for number, name in product(numbers, types)
        ]


def fit_best(candidates, X, sample_weight):
    """Fit the candidates and return the one of lowest BIC.

    Those without degenerate components come before others.  Of several candidates,
    those with more components than rows are left out.
    """
    n_rows = np.count_nonzero(sample_weight)
    smallest = min(mixture.n_components for mixture in candidates)
    limit = max(n_rows, smallest)
    kept = [mixture for mixture in candidates if mixture.n_components <= limit]
    caught = {mixture: _fit(mixture, X, sample_weight) for mixture in kept}

    def rank(mixture):
        return len(mixture.degenerate_), mixture.bic(X, sample_weight)

    best = min(kept, key=rank) if len(kept) > 1 else kept[0]
    for warning in caught[best]:
        warn(str(warning.message), warning.category)
    return best


def _fit(mixture, X, sample_weight):
    """Fit a mixture and return its warnings, which say nothing if it is not chosen.

    That of constant features is left out: it counts the features of rows that are not
    all the user's.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixture.fit(X, sample_weight=sample_weight)
    return [w for w in caught if "have one value only" not in str(w.message)]


def _several(value):
    """Return a list of one value or of several."""
    return [value] if isinstance(value, str | Integral) else list(value)
