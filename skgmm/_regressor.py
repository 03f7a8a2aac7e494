"""GaussianMixtureRegressor: regression by a mixture of features and targets."""

from typing import Any, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from . import _distribution
from ._features import check_count, check_probabilities
from ._gaussian_mixture import unchanged_on_failure
from ._inner import MixtureParameters, fit_best
from ._typing import fit_context
from ._validation import check_floats, check_sample_weight
from .kernels import LOG_2PI

# Rows whose quantiles are looked for together.
_ROWS = 4096


class GaussianMixtureRegressor(MultiOutputMixin, RegressorMixin, MixtureParameters):
    r"""Regression by a Gaussian mixture of features and targets together.

    The joint density of (x, y) is fitted, and the prediction is what it says of y
    given x [1]_: a mixture again, of as many components,

    .. math:: p(y | x) = \sum_k r_k(x) \, N(y; a_k + B_k x, S_k),

    with the responsibilities :math:`r_k` for x alone.  So each component is a linear
    regression in its own part of the space, and the whole predictive distribution is
    known: it may be skewed, heteroscedastic, or have several modes.  With one
    component of type 'full' it is ordinary least squares.

    Parameters
    ----------
    n_components : int or list of int, default=1
        Number of components; from several the one of lowest BIC of the joint density
        is chosen.
    covariance_type : str or list of str, default='full'
        See `GaussianMixture`; from several the one of lowest BIC is chosen.  Types
        without covariances between features, such as 'diag', predict a constant in
        each component.
    tol, reg_covar, max_iter, n_init
        See `GaussianMixture`.
    random_state : int, RandomState or None, default=None
        For starts that use random numbers and for `sample_y`.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted joint density: the features, then the targets.
    n_iter_ : int
        Number of iterations of its fit.
    n_outputs_ : int
        Number of targets.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    See Also
    --------
    GaussianMixture.condition : The predictive distribution at one x, as a mixture.

    References
    ----------
    .. [1] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from incomplete
       data via an EM approach. Advances in Neural Information Processing Systems 6.

    Examples
    --------
    >>> from skgmm import GaussianMixtureRegressor
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> regressor = GaussianMixtureRegressor(n_components=2).fit(X[:, :1], X[:, 1])
    >>> regressor.predict([[2.0], [4.5]]).round(1)
    array([54.2, 81.1])
    >>> regressor.predict_interval([[2.0], [4.5]], coverage=0.9).round(1)
    array([[45.1, 63.4],
           [72. , 90.3]])
    """

    # ---- fitting ----------------------------------------------------------
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None) -> Self:
        """Fit the joint density of features and targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixtureRegressor
        """
        with unchanged_on_failure(self):
            X, y = self._validated(X, y, multi_output=True, y_numeric=True)
            y = check_floats(y, "y")
            weight = check_sample_weight(sample_weight, len(X))
            candidates = self._candidates(self.n_components, self.covariance_type)
            self.mixture_ = fit_best(candidates, np.column_stack([X, y]), weight)
        self.n_iter_ = self.mixture_.n_iter_
        self._single = y.ndim == 1
        self.n_outputs_ = 1 if self._single else y.shape[1]
        return self

    # ---- predictions ------------------------------------------------------
    def predict(self, X, return_std=False, return_cov=False) -> Any:
        """Return the conditional means of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether standard deviations of the predictive distributions are returned.
        return_cov : bool, default=False
            Whether their covariances are returned: those of the targets of one row.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the same shape
            If asked for.
        cov : ndarray of shape (n_samples, n_outputs, n_outputs)
            If asked for.

        Raises
        ------
        ValueError
            If both are asked for.
        """
        if return_std and return_cov:
            raise ValueError(
                "At most one of return_std and return_cov can be asked for; got both. "
                "The standard deviations are the roots of the diagonals."
            )
        X = self._rows(X)
        spread = return_std or return_cov
        mean = np.empty((len(X), self.n_outputs_))
        covariance = np.empty((*mean.shape, self.n_outputs_) if spread else 0)
        for rows, given, conditional in self._conditionals(X):
            weights = np.exp(conditional.log_weights(given))
            mean[rows] = means = _means(conditional, weights, given)
            if spread:
                covariance[rows] = _covariances(conditional, weights, given, means)
        if return_cov:
            return self._shaped(mean), covariance
        if return_std:
            variances = np.diagonal(covariance, axis1=1, axis2=2)
            return self._shaped(mean), self._shaped(np.sqrt(variances))
        return self._shaped(mean)

    def predict_quantiles(self, X, quantiles=(0.05, 0.5, 0.95)) -> np.ndarray:
        """Return quantiles of the predictive distributions, of each target alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Probabilities between 0 and 1.

        Returns
        -------
        y : ndarray of shape (n_samples, n_quantiles) or \
(n_samples, n_outputs, n_quantiles)
            Monotone in the probabilities.
        """
        p = np.atleast_1d(check_probabilities(quantiles, "quantiles", ends=False))
        if p.ndim > 1:
            raise ValueError(
                f"quantiles must be a list of probabilities; got shape {p.shape}."
            )
        X = self._rows(X)
        out = np.empty((len(X), self.n_outputs_, len(p)))
        for rows, given, conditional in self._conditionals(X):
            for start in range(0, len(rows), _ROWS):
                part = slice(start, start + _ROWS)
                out[rows[part]] = _quantiles(conditional, given[part], p)
        return out[:, 0] if self._single else out

    def predict_interval(self, X, coverage=0.9) -> np.ndarray:
        """Return intervals of given probability, with equal tails, of each target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, default=0.9
            Probability of the interval, between 0 and 1.

        Returns
        -------
        ends : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
        """
        coverage = check_probabilities(coverage, "coverage", ends=False)
        if coverage.ndim:
            raise ValueError(
                f"coverage must be one probability; got {coverage.size}. Ask for "
                "predict_quantiles."
            )
        tail = 0.5 * (1.0 - coverage)
        return self.predict_quantiles(X, [tail, 1.0 - tail])

    def log_predictive_density(self, X, y) -> np.ndarray:
        """Return the log-densities of targets under the predictive distributions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats: ``log p(y | x)``.  Its mean is a proper score.
        """
        X = self._rows(X)
        y = check_floats(y, "y")
        expected = (len(X),) if self._single else (len(X), self.n_outputs_)
        if y.shape != expected:
            raise ValueError(f"y must have shape {expected}; got shape {y.shape}.")
        y, out = y.reshape(len(X), -1), np.empty(len(X))
        for rows, given, conditional in self._conditionals(X):
            out[rows] = _log_density(conditional, given, y[rows])
        return out

    def sample_y(self, X, n_samples=1, random_state=None) -> np.ndarray:
        """Draw targets from the predictive distributions.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
        n_samples : int, default=1
            Number of draws for each row.
        random_state : int, RandomState, Generator or None, default=None
            None stands for that of the estimator.

        Returns
        -------
        y : ndarray of shape (n_samples_X, n_samples) or \
(n_samples_X, n_outputs, n_samples)
        """
        check_count(n_samples)
        X = self._rows(X)
        rng = self.random_state if random_state is None else random_state
        if not isinstance(rng, np.random.Generator):
            rng = check_random_state(rng)
        out = np.empty((len(X), n_samples, self.n_outputs_))
        for rows, given, conditional in self._conditionals(X):
            out[rows] = _draws(conditional, given, n_samples, rng)
        return out[:, :, 0] if self._single else np.swapaxes(out, 1, 2)

    def _rows(self, X):
        """Return the checked rows of X."""
        check_is_fitted(self)
        return self._validated(X, reset=False)

    def _conditionals(self, X):
        """Yield indices of rows, what is known of them, and the distributions given it.

        Once for each set of features that are missing together.
        """
        mixture = self.mixture_._model().mixture
        targets = range(X.shape[1], mixture.n_features)
        patterns, which = np.unique(np.isnan(X), axis=0, return_inverse=True)
        for index, pattern in enumerate(patterns):
            known = np.flatnonzero(~pattern).tolist()
            rows = np.flatnonzero(which.ravel() == index)
            part = mixture.marginal([*known, *targets]) if pattern.any() else mixture
            yield rows, X[rows][:, known], part.given(list(range(len(known))))

    def _shaped(self, targets):
        return targets[:, 0] if self._single else targets


def _means(conditional, weights, X):
    """Return the means of the mixtures given X, shape (n, M).

    About the mean of one component: an offset costs no digits.
    """
    origin = conditional.means[0]
    total = np.zeros((len(X), len(origin)))
    for k, weight in enumerate(weights.T):
        total += weight[:, np.newaxis] * (conditional.means_of(k, X) - origin)
    return origin + total


def _covariances(conditional, weights, X, mean):
    """Return the covariances of the mixtures given X, shape (n, M, M)."""
    out = np.tensordot(weights, conditional.covariances.dense(), axes=1)
    for k, weight in enumerate(weights.T):
        offset = conditional.means_of(k, X) - mean
        out += (weight[:, np.newaxis] * offset)[:, :, np.newaxis] * offset[
            :, np.newaxis
        ]
    return out


def _quantiles(conditional, X, probabilities):
    """Return the quantiles of each free feature given X, shape (n, M, Q)."""
    weights = np.exp(conditional.log_weights(X))
    n_components = len(conditional.means)
    means = np.stack([conditional.means_of(k, X) for k in range(n_components)], axis=-1)
    variances = np.diagonal(conditional.covariances.dense(), axis1=1, axis2=2)
    deviations = np.sqrt(variances).T
    return _distribution.quantiles(
        weights[:, np.newaxis], means, deviations, probabilities
    )


def _log_density(conditional, X, y):
    """Return the log-densities (n,) of y (n, M) given X."""
    logs = conditional.log_weights(X)
    covariances, origin = conditional.covariances, np.zeros((1, y.shape[1]))
    for k, log_determinant in enumerate(covariances.log_determinants):
        residuals = np.ascontiguousarray((y - conditional.means_of(k, X)).T)
        with np.errstate(over="ignore"):
            distances = covariances.take([k]).mahalanobis(residuals, origin)[0]
        logs[:, k] -= 0.5 * (y.shape[1] * LOG_2PI + log_determinant + distances)
    return logsumexp(logs, axis=1)


def _draws(conditional, X, n_samples, rng):
    """Draw from the distributions given X, shape (n, n_samples, M)."""
    cumulated = np.cumsum(np.exp(conditional.log_weights(X)), axis=1)
    height = rng.uniform(size=(len(X), n_samples)) * cumulated[:, -1:]
    chosen = _rank(cumulated[:, :-1], height)
    out = rng.standard_normal((len(X), n_samples, conditional.means.shape[1]))
    for k, root in enumerate(conditional.covariances.roots()):
        rows, draws = np.nonzero(chosen == k)
        noise = out[rows, draws] @ root.T
        out[rows, draws] = conditional.means_of(k, X[rows]) + noise
    return out


def _rank(cumulated, height):
    """Return how many of the cumulated weights (n, K) are below heights (n, m)."""
    rank = np.zeros(height.shape, dtype=int)
    for column in cumulated.T:
        rank += height > column[:, np.newaxis]
    return rank
