"""A conjugate prior of means and covariances, in the words of the user."""

from dataclasses import dataclass
from numbers import Real

import numpy as np


@dataclass(frozen=True)
class ConjugatePrior:
    r"""The prior of Fraley and Raftery, with parameters of your own.

    Given its covariance :math:`\Sigma`, the mean of a component is Gaussian about the
    mean of all rows with covariance :math:`\Sigma / \kappa`; the covariance is inverse
    Wishart with :math:`\nu` degrees of freedom and the scale :math:`s S`, where
    :math:`S` is the covariance of all rows (Fraley and Raftery 2007).  It stands for
    the `prior` of `GaussianMixture`, which then returns the mode of the posterior.

    Parameters
    ----------
    shrinkage : float, default=0.01
        :math:`\kappa`: so many observations at the mean of all rows. 0 is a flat prior
        of the means.
    degrees_of_freedom : float, default=None
        :math:`\nu`, above D - 1; None is D + 2.
    scale : float, default=None
        :math:`s`, above zero; None is :math:`K^{-2/D}`: the K components together
        fill the volume of all rows.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no such number.

    References
    ----------
    C. Fraley and A. E. Raftery (2007). Bayesian regularization for normal mixture
    estimation and model-based clustering.  Journal of Classification 24, 155-181.

    Examples
    --------
    >>> from skgmm import ConjugatePrior, GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(2, prior=ConjugatePrior(shrinkage=5)).fit(X)
    >>> mixture.means_.round(1)
    array([[ 2.1, 55.5],
           [ 4.3, 79.8]])
    """

    shrinkage: float = 0.01
    degrees_of_freedom: float | None = None
    scale: float | None = None

    def __post_init__(self):
        _check_number("shrinkage", self.shrinkage, zero=True)
        for name in ("degrees_of_freedom", "scale"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))

    def degrees_for(self, n_features):
        """Return the degrees of freedom in so many dimensions.

        Raises
        ------
        ValueError
            If they are too few there.
        """
        if self.degrees_of_freedom is None:
            return n_features + 2.0
        if self.degrees_of_freedom <= n_features - 1:
            raise ValueError(
                "degrees_of_freedom of the prior must be above D - 1 = "
                f"{n_features - 1} for the {n_features} features of X; got "
                f"{self.degrees_of_freedom!r}. Use None for D + 2."
            )
        return float(self.degrees_of_freedom)

    def scale_for(self, n_components, n_features):
        """Return the scale in units of the covariance of all rows."""
        if self.scale is None:
            return n_components ** (-2.0 / n_features)
        return float(self.scale)


def _check_number(name, value, *, zero=False):
    least = "of at least 0" if zero else "above 0"
    text = f"{name} of a ConjugatePrior must be a finite number {least}; got {value!r}."
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(text)
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(text)
