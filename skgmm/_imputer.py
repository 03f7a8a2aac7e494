"""GaussianMixtureImputer: what is missing, given what was observed."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from ._criteria import Evidence, bic
from ._em import em
from ._fitted import FittedMixture
from ._gaussian_mixture import GaussianMixture, _kept, _problem, _source
from ._noise import is_asked_for
from ._progress import Silent
from ._starts import PARTITIONS, from_partition
from ._threads import single_threaded_blas
from ._typing import RandomState, fit_context
from ._validation import check_sample_weight
from .families import FAMILIES

# The default mixture has so many components at most.
_MOST = 10

# ... and so many observed values for each of its parameters at least.
_VALUES = 4

# What is filled in hardly depends on the last digits, nor on the very best optimum.
_TOL, _start = 1e-4, from_partition(PARTITIONS["bisect"])


class GaussianMixtureImputer(TransformerMixin, BaseEstimator):
    r"""Fill missing values by a Gaussian mixture of all features.

    A mixture is fitted to the rows as they are, holes and all; then each hole is
    filled by its conditional mean given what was observed of the row,
    :math:`\sum_k r_{ik} (\mu_{k,m} + \Sigma_{k,mo} \Sigma_{k,oo}^{-1}
    (x_{i,o} - \mu_{k,o}))`, where the responsibilities :math:`r_{ik}` are of the
    observed values too [1]_; or by a draw from the conditional distribution.

    Values must be missing at random: whether one is missing may depend on what was
    observed, not on what is missing.

    Parameters
    ----------
    mixture : GaussianMixture or None, default=None
        The mixture to fit; it is cloned.  None takes full covariances and one
        component, or two, three ... up to 10, as long as the BIC falls, no component
        is degenerate, and there are four observed values to each parameter; with
        ``init_params='bisect'`` and ``tol=1e-4``, which is quick.
    sample_posterior : bool, default=False
        Whether holes are filled by draws from the conditional distribution, for
        multiple imputation, rather than by its mean.
    add_indicator : bool, default=False
        Whether columns are added that tell which values were missing, for each
        feature that had missing values in `fit`.
    keep_empty_features : bool, default=False
        Whether features of which nothing was observed in `fit` are kept, and filled
        with zeros; else they are left out.
    random_state : int, RandomState or None, default=None
        For draws.  With an integer each call of `transform` makes the same ones; give
        a RandomState to have others each time.  The fit is governed by the mixture's.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted mixture of the features that are not empty.
    indicator_ : MissingIndicator or None
        Of the added columns.
    empty_features_ : ndarray of shape (`n_features_in_`,), bool
        Of which nothing was observed.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    See Also
    --------
    sklearn.impute.IterativeImputer : One regression a feature, in turns.

    References
    ----------
    .. [1] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from incomplete
       data via an EM approach.  Advances in Neural Information Processing Systems 6,
       120-127.

    Examples
    --------
    >>> import numpy as np
    >>> from skgmm import GaussianMixtureImputer
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> imputer = GaussianMixtureImputer().fit(X)
    >>> imputer.transform([[2.0, np.nan], [np.nan, 80.0]]).round(1)
    array([[ 2. , 54.2],
           [ 4.3, 80. ]])
    """

    _parameter_constraints: ClassVar[dict] = {
        "mixture": [FittedMixture, None],
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        mixture: GaussianMixture | None = None,
        *,
        sample_posterior: bool = False,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.mixture = mixture
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # The mixture is fitted by its own parameters, which it checks.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where a value is missing.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixtureImputer

        Raises
        ------
        ValueError
            If X or the weights cannot be used, or nothing was observed at all, or
            `mixture` has noise.
        """
        if is_asked_for(getattr(self.mixture, "noise", False)):
            raise ValueError(
                f"mixture has noise={self.mixture.noise!r}: rows that are noise tell "
                "nothing of what is missing. Set noise=False."
            )
        X = self._rows(X, reset=True)
        weight = check_sample_weight(sample_weight, len(X))
        missing = np.isnan(X[weight > 0])
        empty = missing.all(axis=0)
        if empty.all():
            raise ValueError(
                "X must have observed values; got NaN only (rows of weight zero do not "
                "count). Give rows of which something is known."
            )
        known = X[:, ~empty]
        if self.mixture is None:
            self.mixture_ = _of_lowest_bic(known, sample_weight)
        else:
            self.mixture_ = clone(self.mixture).fit(known, sample_weight=sample_weight)
        self.empty_features_ = empty
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(X[weight > 0])
        return self

    def transform(self, X) -> Any:
        """Return the rows with all holes filled.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
            Observed values are what they were.
        """
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        known = ~self.empty_features_
        rows, noise = X[:, known], None
        if self.sample_posterior:
            rng = check_random_state(self.random_state)
            noise = rng.standard_normal((len(X), known.sum() + 1))
            noise[:, 0] = rng.uniform(size=len(X))
        out = self.mixture_._model().mixture.completed(rows, noise)
        out = out.astype(X.dtype, copy=False)
        if self.keep_empty_features:
            whole = np.where(np.isnan(X), X.dtype.type(0), X)
            whole[:, known] = out
            out = whole
        if self.indicator_ is not None:
            out = np.hstack([out, self.indicator_.transform(X).astype(X.dtype)])
        return out

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features; by default those seen in `fit`, or x0, x1 ....

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        shown = names if self.keep_empty_features else names[~self.empty_features_]
        if self.indicator_ is None:
            return shown
        return np.concatenate([shown, self.indicator_.get_feature_names_out(names)])

    def _rows(self, X, *, reset):
        return validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=reset,
        )


def _of_lowest_bic(X, sample_weight):
    """Return the mixture that is fitted by default."""
    family, dtype = FAMILIES["full"], X.dtype
    X, weight, kept, empty = _kept(X, sample_weight)
    rows = X[kept]
    mixture = GaussianMixture(init_params="bisect", tol=_TOL)
    problem = _problem(mixture, _source(rows, weight, empty, family, 1), family)
    n_observed = weight @ (~np.isnan(rows)).sum(axis=1)
    with single_threaded_blas():
        fit = _search(problem, n_observed, mixture.max_iter)
    mixture.set_params(n_components=fit.mixture.n_components)
    mixture.n_features_in_ = X.shape[1]
    mixture._take(problem, fit, dtype)
    return mixture


def _search(problem, n_observed, max_iter):
    """Return the fit of one component, two, three ... as long as the BIC falls."""
    n_features, n_rows = problem.source.rows.shape[1], problem.source.total_weight
    best, least = None, np.inf
    for n_components in range(1, _MOST + 1):
        n_parameters = problem.family.n_parameters(n_components, n_features)
        if best and n_parameters * _VALUES > n_observed:
            break
        start = _start(problem, n_components, check_random_state(None), 0)
        fit = em(problem, start, tol=_TOL, max_iter=max_iter, monitor=Silent())
        likelihood = problem.log_likelihood(fit)
        value = bic(Evidence(likelihood, n_parameters, n_rows))
        # The likelihood of degenerate components says nothing.
        if best and (value >= least or problem.degenerate(fit)):
            break
        best, least = fit, value
    return best
