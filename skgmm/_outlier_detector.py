"""GaussianMixtureOutlierDetector: rows of low density."""

from collections.abc import Sequence
from numbers import Real
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ._gaussian_mixture import unchanged_on_failure
from ._inner import MixtureParameters, fit_best
from ._typing import RandomState, fit_context
from ._validation import check_sample_weight


class GaussianMixtureOutlierDetector(OutlierMixin, MixtureParameters):
    """Outliers are the rows to which a Gaussian mixture gives the lowest density.

    A mixture is fitted to all rows.  The threshold on the log-density is such that a
    share `contamination` of these rows, by weight, lies below it.

    Parameters
    ----------
    n_components : int or list of int, default=1
        Number of components; from several the one of lowest BIC is chosen.
    covariance_type : str or list of str, default='full'
        See `GaussianMixture`; from several the one of lowest BIC is chosen.
    tol, reg_covar, max_iter, n_init
        See `GaussianMixture`.
    random_state : int, RandomState or None, default=None
        For starts that use random numbers.
    contamination : float, default=0.1
        Share of outliers among the rows of `fit`, in (0, 0.5].

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted density.
    offset_ : float
        The log-density below which a row is an outlier.
    n_iter_ : int
        Number of iterations of the fit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    See Also
    --------
    GaussianMixture.highest_density_level : A threshold of given probability under the
        mixture, rather than of a given share of the rows.

    Notes
    -----
    Outliers take part in the fit, and several of them close together may get a
    component of their own: use few components, or fit to rows that are known to be
    good (novelty detection), with a small `contamination`.

    Examples
    --------
    >>> import numpy as np
    >>> from skgmm import GaussianMixtureOutlierDetector
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> detector = GaussianMixtureOutlierDetector(2, contamination=0.05).fit(X)
    >>> detector.predict([[2.0, 52.0], [3.0, 90.0]])
    array([ 1, -1])
    >>> int((detector.predict(X) == -1).sum()), len(X)
    (13, 272)
    """

    _parameter_constraints: ClassVar[dict] = {
        **MixtureParameters._parameter_constraints,
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
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
        contamination: float = 0.1,
    ) -> None:
        super().__init__(
            n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            random_state=random_state,
        )
        self.contamination = contamination

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Fit the density and the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixtureOutlierDetector
        """
        with unchanged_on_failure(self):
            X = self._validated(X)
            weight = check_sample_weight(sample_weight, len(X))
            candidates = self._candidates(self.n_components, self.covariance_type)
            self.mixture_ = fit_best(candidates, X, weight)
        self.n_iter_ = self.mixture_.n_iter_
        scores = self.mixture_.score_samples(X)
        self.offset_ = _threshold(scores, weight, self.contamination)
        return self

    def score_samples(self, X) -> np.ndarray:
        """Return the log-density of each row: the lower, the more of an outlier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self.mixture_.score_samples(X)

    def decision_function(self, X) -> np.ndarray:
        """Return the log-density less the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        decision : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X) -> np.ndarray:
        """Tell which rows are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for the others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


def _threshold(scores, weight, share):
    """Return the lowest score that has at least a share of the weight below it."""
    order = np.argsort(scores)
    below = np.cumsum(weight[order])
    # A share that is a number of rows is not to be missed by rounding.
    wanted = share * below[-1] * (1 + 1e-12)
    index = np.searchsorted(below, wanted, side="right")
    return float(scores[order[min(index, len(order) - 1)]])
