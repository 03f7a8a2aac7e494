"""How many components: tests of K against K + 1, and clusters of several components.

Public names
------------
likelihood_ratio_test
    Parametric bootstrap of the likelihood ratio of K against K + 1 components.
split_likelihood_ratio_test
    The same question by universal inference: valid for any n, and one fit.
merge_components
    Merge components into clusters, one after the other, by the entropy.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp, xlogy
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from ._fitted import Model, check_mixture
from ._gaussian_mixture import GaussianMixture, _kept, _problem, _source
from ._ic import GaussianMixtureIC
from ._noise import is_asked_for
from ._progress import Silent
from ._search import Starts, fit_model
from ._threads import single_threaded_blas
from ._validation import check_sample_weight

__all__ = ["likelihood_ratio_test", "merge_components", "split_likelihood_ratio_test"]


# ---- tests of K against K + 1 ---------------------------------------------
@dataclass(frozen=True)
class LikelihoodRatioTestResult:
    """Result of `likelihood_ratio_test`.

    Attributes
    ----------
    statistic : float
        ``2 (log L_{K+1} - log L_K)``.
    pvalue : float
    standard_error : float
        Of the p-value, as an estimate of what infinitely many resamples would give.
    null_distribution : ndarray
        The statistics of the resamples that were drawn.
    null, alternative : GaussianMixture
        The fits of K and of K + 1 components.
    """

    statistic: float
    pvalue: float
    standard_error: float
    null_distribution: np.ndarray = field(repr=False)
    null: GaussianMixture = field(repr=False)
    alternative: GaussianMixture = field(repr=False)


def likelihood_ratio_test(
    mixture,
    X,
    *,
    sample_weight=None,
    n_resamples=199,
    n_exceedances=10,
    random_state=None,
) -> LikelihoodRatioTestResult:
    """Test K components against K + 1, by a parametric bootstrap.

    The likelihood ratio of K against K + 1 components has no chi-squared distribution:
    under K components the parameters of one more are not identified.  Its distribution
    is simulated: rows are drawn from the fit of K components, and K and K + 1
    components are fitted to them as they were to X [1]_.

    Parameters
    ----------
    mixture : GaussianMixture or fitted GaussianMixtureIC
        Says what is fitted: K = ``n_components``, ``covariance_type``, ``reg_covar``,
        ``tol``, ``max_iter``, ``n_swaps`` and ``acceleration``.  It may be fitted or
        not, and is not changed.  Starts are those of `GaussianMixtureIC`.
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,), default=None
        How often each row counts; resamples have as many rows as the sum, rounded.
    n_resamples : int, default=199
        Largest number of resamples; the p-value is at least
        ``1 / (n_resamples + 1)``.
    n_exceedances : int or None, default=10
        Resampling stops early when so many resamples have reached the statistic,
        after l of them, say; the p-value is then ``n_exceedances / l`` [2]_.  It is
        exact as the one without stopping is, ``(g + 1) / (n_resamples + 1)`` with g
        exceedances; its relative standard error is about
        ``sqrt((1 - p) / n_exceedances)``, and about ``n_exceedances / p`` resamples
        are drawn.  None never stops early.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    result : LikelihoodRatioTestResult
        With ``statistic`` and ``pvalue``.

    Raises
    ------
    ValueError
        If X or the parameters cannot be used, or a mixture of K + 1 components cannot
        be fitted.

    Notes
    -----
    The p-value is exact for the true parameters of K components; with estimated ones
    it is approximate, and somewhat conservative or liberal in small samples.

    References
    ----------
    .. [1] G. J. McLachlan (1987). On bootstrapping the likelihood ratio test statistic
       for the number of components in a normal mixture. Applied Statistics 36, 318-324.
    .. [2] J. Besag and P. Clifford (1991). Sequential Monte Carlo p-values.
       Biometrika 78, 301-304.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.selection import likelihood_ratio_test
    >>> X = load_old_faithful().data
    >>> one = GaussianMixture(n_components=1)
    >>> likelihood_ratio_test(one, X, n_resamples=19, random_state=0).pvalue
    0.05
    """
    _check_at_least(1, n_resamples=n_resamples)
    if n_exceedances is not None:
        _check_at_least(1, n_exceedances=n_exceedances)
    rng = check_random_state(random_state)
    template = _template(mixture)
    X, weight = _checked(template, X, sample_weight)
    comparison = _Comparison(template, X, weight, rng)
    statistic = comparison.statistic()
    null = comparison.estimator(0)
    n_rows = round(float(weight.sum()))

    def resampled():
        counts = rng.multinomial(n_rows, null.weights_)
        rows = null._model().mixture.sample(counts, rng)
        try:
            return _Comparison(template, rows, np.ones(n_rows), rng).statistic()
        except ValueError:  # counts against the alternative
            return np.inf

    drawn = _until(resampled, statistic, n_resamples, n_exceedances)
    reached = int(np.sum(drawn >= statistic))
    if reached == n_exceedances:
        pvalue = reached / len(drawn)
        error = pvalue * np.sqrt((1 - pvalue) / reached)
    else:
        pvalue = (reached + 1) / (len(drawn) + 1)
        error = np.sqrt(pvalue * (1 - pvalue) / len(drawn))
    return LikelihoodRatioTestResult(
        statistic, pvalue, float(error), drawn, null, comparison.estimator(1)
    )


def _until(draw, statistic, most, n_exceedances):
    """Return draws, until enough of them reach the statistic."""
    drawn, reached = [], 0
    while len(drawn) < most and reached != n_exceedances:
        drawn.append(draw())
        reached += drawn[-1] >= statistic
    return np.array(drawn)


@dataclass(frozen=True)
class SplitLikelihoodRatioTestResult:
    """Result of `split_likelihood_ratio_test`.

    Attributes
    ----------
    statistic : float
        Logarithm of the e-value: of the likelihood ratio of the held-out rows.
    pvalue : float
        ``min(1, exp(-statistic))``.
    """

    statistic: float
    pvalue: float


def split_likelihood_ratio_test(
    mixture, X, *, sample_weight=None, crossfit=True, random_state=None
) -> SplitLikelihoodRatioTestResult:
    """Test K components against K + 1 on split rows: valid for any number of rows.

    K + 1 components are fitted to one half of the rows, K to the other half, and their
    likelihoods compared on that other half: under K components the ratio exceeds
    ``1 / alpha`` with probability alpha at most, whatever the dimension, the number of
    rows, and the quality of the fit of K + 1 components (universal inference [1]_).
    It takes two fits, or four, rather than hundreds; it has less power than
    `likelihood_ratio_test`.

    Parameters
    ----------
    mixture : GaussianMixture or fitted GaussianMixtureIC
        Says what is fitted, as in `likelihood_ratio_test`.
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,), default=None
        How often each row counts; rows go to one half or the other as a whole.
    crossfit : bool, default=True
        Whether the ratio is averaged with that of exchanged halves, which takes two
        more fits and is valid too.
    random_state : int, RandomState or None, default=None
        For the split.

    Returns
    -------
    result : SplitLikelihoodRatioTestResult
        With ``statistic`` and ``pvalue``.

    Raises
    ------
    ValueError
        If X or the parameters cannot be used, or a half has too few rows.

    Notes
    -----
    The guarantee asks for the greatest likelihood of K components; what is found is
    the best maximum without degenerate components, since the likelihood is unbounded.

    References
    ----------
    .. [1] L. Wasserman, A. Ramdas and S. Balakrishnan (2020). Universal inference.
       PNAS 117, 16880-16890.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.selection import split_likelihood_ratio_test
    >>> X = load_old_faithful().data
    >>> one, three = GaussianMixture(n_components=1), GaussianMixture(n_components=3)
    >>> split_likelihood_ratio_test(one, X, random_state=0).pvalue < 1e-6
    True
    >>> split_likelihood_ratio_test(three, X, random_state=0).pvalue
    1.0
    """
    rng = check_random_state(random_state)
    template = _template(mixture)
    X, weight = _checked(template, X, sample_weight)
    order = rng.permutation(len(X))
    halves = np.sort(order[: len(X) // 2]), np.sort(order[len(X) // 2 :])
    pairs = [halves, halves[::-1]][: 2 if crossfit else 1]
    logs = [_log_ratio(template, X, weight, *pair, rng) for pair in pairs]
    statistic = float(logsumexp(logs) - np.log(len(logs)))
    return SplitLikelihoodRatioTestResult(statistic, float(np.exp(min(0, -statistic))))


def _log_ratio(template, X, weight, held_out, other, rng):
    """Return the log-likelihood ratio of the rows held out from the alternative."""
    null = _Comparison(template, X[held_out], weight[held_out], rng)
    alternative = _Comparison(template, X[other], weight[other], rng)
    of_alternative = alternative.estimator(1)._model().mixture.log_density(X[held_out])
    likelihood = null.problem.log_likelihood(null.fits()[0])
    return float(weight[held_out] @ of_alternative) - likelihood


def _template(mixture):
    """Return the unfitted estimator that says what is fitted."""
    if isinstance(mixture, GaussianMixtureIC):
        mixture = mixture.best_mixture_
    if not isinstance(mixture, GaussianMixture):
        raise ValueError(
            "mixture must be a GaussianMixture or a fitted GaussianMixtureIC; got "
            f"{type(mixture).__name__}."
        )
    template = clone(mixture)
    template._validate_params()
    return template


def _checked(template, X, sample_weight):
    """Return the rows that have a weight, and the weights."""
    X = validate_data(template, X, dtype=[np.float64, np.float32])
    X, weight, kept, _ = _kept(X, sample_weight)
    return X[kept], weight


def _check_at_least(least, **named):
    [(name, value)] = named.items()
    if not (isinstance(value, (int, np.integer)) and value >= least):
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {value!r}."
        )


class _Comparison:
    """The fits of K and of K + 1 components to rows."""

    def __init__(self, template, X, weight, rng):
        if is_asked_for(template.noise):
            raise ValueError(
                f"noise={template.noise!r} is not for likelihood_ratio_test, whose "
                "resamples are of Gaussians only. Set noise=False."
            )
        self._template, self._rng, self._dtype = template, rng, X.dtype
        family = template._family(X.shape[1])
        source = _source(X, weight, 0.0, family, template.n_components + 1)
        self._family, self.problem = family, _problem(template, source, family)
        self._fits = []

    def fits(self, n_fits=1):
        """Return the fits of K components, and of one more."""
        with single_threaded_blas():
            while len(self._fits) < n_fits:
                self._fits.append(self._fit(*self._fits))
        return self._fits

    def _fit(self, before=None):
        template = self._template
        n_components = template.n_components + (before is not None)
        return fit_model(
            self.problem,
            Starts([self.problem], n_components, self._rng),
            before,
            n_swaps=template.n_swaps,
            tol=template.tol,
            max_iter=template.max_iter,
            accelerated=template.acceleration is not None,
            monitor=Silent(),
        )

    def statistic(self):
        """Return twice the log-likelihood ratio; that of K + 1 is no less."""
        low, high = (self.problem.log_likelihood(fit) for fit in self.fits(2))
        return max(0.0, 2 * (high - low))

    def estimator(self, index):
        """Return a fit as an estimator: of K components, or of K + 1."""
        fit = self.fits(index + 1)[index]
        mixture = self.problem.source.frame.outward(fit.mixture)
        estimator = clone(self._template).set_params(n_components=len(mixture.weights))
        estimator._set_model(Model(mixture, self._family, self._dtype))
        estimator.n_features_in_ = mixture.n_features
        estimator.converged_, estimator.n_iter_ = fit.converged, fit.n_iter
        estimator.degenerate_ = self.problem.degenerate(fit)
        return estimator


# ---- clusters of several components ---------------------------------------
# Rows whose responsibilities are looked at together.
_ROWS = 16384


@dataclass(frozen=True)
class ComponentMerges:
    """Result of `merge_components`: a hierarchy of clusters.

    Attributes
    ----------
    merges : ndarray of shape (n_components - 1, 2)
        The clusters merged at each step, ``a < b``, by their numbers before it; the
        new one has the number a, and those above b move down by one.
    entropies : ndarray of shape (n_components,)
        Entropy of the soft assignment to 1, 2, ..., K clusters, over all rows, in
        nats: ``entropies[g - 1]`` is that of g clusters.  A sharp bend shows how many
        clusters there are.
    mixture : GaussianMixture or GaussianMixtureIC
        Whose components are merged.
    """

    merges: np.ndarray
    entropies: np.ndarray
    mixture: object = field(repr=False)

    def components(self, n_clusters) -> np.ndarray:
        """Return the cluster of each component, shape (n_components,)."""
        _check_at_least(1, n_clusters=n_clusters)
        n_components = len(self.entropies)
        if n_clusters > n_components:
            raise ValueError(
                f"n_clusters must be at most the number of components, {n_components}; "
                f"got {n_clusters}."
            )
        clusters = np.arange(n_components)
        for a, b in self.merges[: n_components - n_clusters]:
            clusters[clusters == b] = a
            clusters[clusters > b] -= 1
        return clusters

    def predict_proba(self, X, n_clusters) -> np.ndarray:
        """Return the probabilities of the clusters, shape (n_samples, n_clusters)."""
        membership = self.components(n_clusters)[:, np.newaxis] == np.arange(n_clusters)
        return self.mixture.predict_proba(X) @ membership

    def predict(self, X, n_clusters) -> np.ndarray:
        """Return the most probable cluster of each row, shape (n_samples,)."""
        return self.predict_proba(X, n_clusters).argmax(axis=1)


def merge_components(mixture, X, *, sample_weight=None) -> ComponentMerges:
    """Merge components into clusters, by the entropy of the assignment.

    A mixture that BIC chooses fits the density; a cluster that is not Gaussian takes
    several of its components.  Of all pairs of clusters the one is merged that lowers
    the entropy ``-sum_i sum_g t_ig log t_ig`` most, where ``t_ig``, the probability
    that row i belongs to cluster g, is the sum over its components; and again, until
    there is one cluster [1]_.  The density stays the same.

    Parameters
    ----------
    mixture : fitted GaussianMixture or GaussianMixtureIC
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,), default=None
        How often each row counts.

    Returns
    -------
    merges : ComponentMerges
        With ``merges``, ``entropies``, and the methods ``components(n_clusters)``,
        ``predict(X, n_clusters)`` and ``predict_proba(X, n_clusters)``.

    References
    ----------
    .. [1] J.-P. Baudry, A. E. Raftery, G. Celeux, K. Lo and R. Gottardo (2010).
       Combining mixture components for clustering. Journal of Computational and
       Graphical Statistics 19, 332-353.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.selection import merge_components
    >>> X = load_old_faithful().data
    >>> three = GaussianMixture(n_components=3, covariance_type="tied").fit(X)
    >>> merged = merge_components(three, X)
    >>> merged.entropies.round(1)
    array([ 0. ,  0.5, 42.7])
    >>> merged.components(2)
    array([0, 1, 1])
    """
    check_mixture(mixture)
    model, X = mixture._rows_in_memory(X)
    weight = check_sample_weight(sample_weight, len(X))
    clusters = np.arange(model.mixture.n_components)
    entropies, merges = [], []
    gains, entropy = _merge_gains(model.mixture, X, weight, clusters)
    while True:
        entropies.append(max(entropy, 0.0))
        if clusters.max() == 0:
            break
        a, b = np.unravel_index(np.argmax(gains), gains.shape)
        merges.append((a, b))
        clusters[clusters == b] = a
        clusters[clusters > b] -= 1
        gains, entropy = _merge_gains(model.mixture, X, weight, clusters)
    pairs = np.array(merges, dtype=int).reshape(-1, 2)
    return ComponentMerges(pairs, np.array(entropies[::-1]), mixture)


def _merge_gains(mixture, X, weight, clusters):
    """Return how far each merge of a < b lowers the entropy, and the entropy."""
    n_clusters = clusters.max() + 1
    membership = (clusters[:, np.newaxis] == np.arange(n_clusters)).astype(float)
    gains, entropy = np.full((n_clusters, n_clusters), -np.inf), 0.0
    pairs = np.triu_indices(n_clusters, 1)
    gains[pairs] = 0.0
    for start in range(0, len(X), _ROWS):
        part = slice(start, start + _ROWS)
        _, logs = mixture.log_responsibilities(X[part])
        shares = np.exp(logs) @ membership
        own = xlogy(shares, shares)
        entropy -= float(weight[part] @ own.sum(axis=1))
        for a in range(n_clusters - 1):
            both = shares[:, [a]] + shares[:, a + 1 :]
            gain = xlogy(both, both) - own[:, [a]] - own[:, a + 1 :]
            gains[a, a + 1 :] += weight[part] @ gain
    return gains, entropy
