"""Types that several estimators name, and those that scikit-learn does not state."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from sklearn.base import _fit_context

RandomState: TypeAlias = int | np.random.RandomState | None
Method = TypeVar("Method", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """Return scikit-learn's decorator of `fit`, which checks the parameters."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)
