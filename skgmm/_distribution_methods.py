"""The fitted mixture as a distribution: questions that estimators pass on."""

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _distribution, _divergence
from ._divergence import Estimate
from ._features import (
    check_count,
    check_features,
    check_probabilities,
    check_values,
)

if TYPE_CHECKING:
    from ._gaussian_mixture import GaussianMixture


class DistributionMethods:
    """Mixin: what can be asked of the density that a mixture stands for.

    Of the estimator it needs ``_model``, ``_rows_in_memory``, ``_generator`` and
    ``_with_mixture``.
    """

    # ---- other mixtures ---------------------------------------------------
    def marginal(self, features) -> "GaussianMixture":
        """Return the distribution of some features, whatever the others are.

        Parameters
        ----------
        features : int, str, list of these, or mask of shape (n_features,)
            The features to keep, in the order wanted; by name, if X had names.

        Returns
        -------
        mixture : GaussianMixture
            Fitted, with as many components.  Its covariance type is that of this
            mixture where marginals have it too, else the simplest that holds them.

        Raises
        ------
        ValueError
            If a feature does not exist or is named twice.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0, 1.0], [4.0, 5.0]],
        ...     covariances=[[1.0, 4.0], [1.0, 9.0]], covariance_type="diag")
        >>> mixture.marginal(1).covariances_
        array([[4.],
               [9.]])
        """
        model = self._model()
        kept = check_features(features, model.mixture.n_features, self._names())
        return self._with_mixture(model.mixture.marginal(kept), kept)

    def condition(self, features, values) -> "GaussianMixture":
        """Return the distribution of the other features, given values of some.

        The weights are the responsibilities of the components for the values; each
        component is a linear regression on them.

        Parameters
        ----------
        features : int, str, list of these, or mask of shape (n_features,)
            The features that are known, not all of them.
        values : float or array-like of shape (n_known,)
            Their values, in the order of `features`.

        Returns
        -------
        mixture : GaussianMixture
            Fitted, of the features that are left, in their order, and with as many
            components.  Its covariance type is chosen as that of `marginal`.

        Raises
        ------
        ValueError
            If a feature does not exist or is named twice, if none is left, or if
            there are not as many values.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> from skgmm.datasets import load_old_faithful
        >>> mixture = GaussianMixture(2).fit(load_old_faithful().data)
        >>> waiting = mixture.condition(0, 2.0)  # after an eruption of two minutes
        >>> waiting.mean().round(1)
        array([54.2])
        """
        model = self._gaussians("condition")
        known = check_features(features, model.mixture.n_features, self._names())
        if len(known) == model.mixture.n_features:
            raise ValueError(
                "features must leave at least one feature without a value; got all "
                f"{len(known)}. For a density use score_samples."
            )
        values = check_values(values, len(known))
        left = [j for j in range(model.mixture.n_features) if j not in known]
        return self._with_mixture(model.mixture.given(known).at(values), left)

    def _gaussians(self, question):
        """Return the model, after a check that it has no noise."""
        model = self._model()
        if model.mixture.noise is not None:
            raise ValueError(
                f"{question} is of a density that integrates to one; with noise, whose "
                "density is constant everywhere, it does not. Ask the Gaussians alone: "
                "without_noise()."
            )
        return model

    def _complete_rows(self, X):
        """Return the model and the checked rows of X, none of them with holes."""
        model, X = self._rows_in_memory(X)
        if np.isnan(X).any():
            raise ValueError(
                "X contains NaN; expected rows without missing values. Ask the "
                "marginal of the features that are there."
            )
        return model, X

    def _names(self):
        return vars(self).get("feature_names_in_")

    def _with_mixture(self, mixture, features):
        """Return an estimator of a mixture of some of the features of this one."""
        from ._gaussian_mixture import GaussianMixture  # which derives from this

        return GaussianMixture._of_mixture(
            mixture,
            dtype=self._model().dtype,
            names=None if self._names() is None else self._names()[features],
            random_state=self.random_state,
        )

    # ---- densities and probabilities --------------------------------------
    def component_log_density(self, X) -> np.ndarray:
        """Return the log-density of each row under each component, without weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples, n_components)
            In nats: ``log N(x; mean_k, covariance_k)``.
        """
        model, X = self._complete_rows(X)
        with np.errstate(over="ignore"):
            return model.mixture.component_log_density(X).astype(X.dtype, copy=False)

    def cdf(self, X, *, complement=False, return_error=False, random_state=None) -> Any:
        """Return the distribution function: the probability that no feature is above.

        Of one feature it is exact, also far out in the tails.  Of several features it
        is integrated at 12 x 1024 points of randomly shifted lattices [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        complement : bool, default=False
            Whether one minus the probability is returned: of one feature that is the
            upper tail, without the rounding of a difference.
        return_error : bool, default=False
            Whether standard errors are returned too.
        random_state : int, RandomState, Generator or None, default=None
            For the lattices; None stands for that of the estimator.

        Returns
        -------
        probability : ndarray of shape (n_samples,)
        error : ndarray of shape (n_samples,)
            Standard errors of the integration, if asked for; zero for one feature.

        References
        ----------
        .. [1] A. Genz (1992). Numerical computation of multivariate normal
           probabilities. Journal of Computational and Graphical Statistics 1, 141-149.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0], [4.0]], covariances=[[[1.0]], [[1.0]]])
        >>> mixture.cdf([[2.0]])
        array([0.5])
        """
        mixture = self._gaussians("cdf").mixture
        _, X = self._complete_rows(X)
        if mixture.n_features == 1:
            x = X[:, 0].astype(np.float64)
            line = _distribution.line(mixture)
            probability = _distribution.tail(*line, x, upper=complement)
            error = np.zeros(len(X))
        else:
            rng = self._generator(random_state)
            probability, error = _distribution.probability_below(mixture, X, rng)
            probability = 1.0 - probability if complement else probability
        return (probability, error) if return_error else probability

    def quantile(self, q, *, complement=False) -> Any:
        """Return the values below which the probabilities lie; of one feature only.

        Parameters
        ----------
        q : float or array-like
            Probabilities, from 0 to 1.
        complement : bool, default=False
            Whether they are probabilities of the values above: ``quantile(1e-30,
            complement=True)`` is what no ``q`` near one can say.

        Returns
        -------
        x : float or ndarray of the shape of q
            The inverse of `cdf`, monotone in q; infinite for 0 and 1.

        Raises
        ------
        ValueError
            If the mixture has several features, or a probability is not from 0 to 1.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0], [4.0]], covariances=[[[1.0]], [[1.0]]])
        >>> mixture.quantile([0.05, 0.5, 0.95]).round(3)
        array([-1.282,  2.   ,  5.282])
        """
        mixture = self._gaussians("quantile").mixture
        if mixture.n_features != 1:
            raise ValueError(
                "quantile is of one feature; this mixture has "
                f"{mixture.n_features}. Take one of them first, with marginal or "
                "condition."
            )
        q = check_probabilities(q, "q")
        line = _distribution.line(mixture)
        x = _distribution.quantiles(*line, q.ravel(), upper=complement)
        return float(x[0]) if q.ndim == 0 else x.reshape(q.shape)

    # ---- moments and modes ------------------------------------------------
    def mean(self) -> np.ndarray:
        """Return the mean of the mixture.

        Returns
        -------
        mean : ndarray of shape (n_features,)
        """
        model = self._gaussians("mean")
        return _distribution.mean(model.mixture).astype(model.dtype)

    def covariance(self) -> np.ndarray:
        """Return the covariance matrix of the mixture.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            The mean of the covariances of the components plus the covariance of
            their means.
        """
        model = self._gaussians("covariance")
        return _distribution.covariance(model.mixture).astype(model.dtype)

    def modes(self) -> np.ndarray:
        """Return the local maxima of the density, the highest first.

        From the mean of each component a fixed-point iteration climbs to one [1]_,
        with Newton's steps where they climb higher.  Of one feature these are all
        modes; of several there may be more modes than components, and one that is
        reached from no mean is not found.

        Returns
        -------
        modes : ndarray of shape (n_modes, n_features)

        References
        ----------
        .. [1] M. A. Carreira-Perpinan (2000). Mode-finding for mixtures of Gaussian
           distributions. IEEE Transactions on Pattern Analysis and Machine
           Intelligence 22, 1318-1323.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.6, 0.4], [[0.0], [1.5]], covariances=[[[1.0]], [[1.0]]])
        >>> mixture.modes().round(3)  # two components, but one hill
        array([[0.445]])
        """
        model = self._gaussians("modes")
        return _distribution.modes(model.mixture).astype(model.dtype)

    # ---- information ------------------------------------------------------
    def entropy(self, n_samples=10_000, *, random_state=None) -> Estimate:
        """Return the differential entropy, with its standard error and bounds.

        It is the entropy of the components and of the weights, which are known, less
        the mean entropy of the responsibilities, which is estimated from draws.  The
        bounds are those of pairwise distances [1]_.

        Parameters
        ----------
        n_samples : int, default=10000
            Number of draws.
        random_state : int, RandomState, Generator or None, default=None
            For the draws; None stands for that of the estimator.

        Returns
        -------
        estimate : Estimate
            With `value`, `standard_error`, `lower` and `upper`, in nats.

        References
        ----------
        .. [1] A. Kolchinsky and B. D. Tracey (2017). Estimating mixture entropy with
           pairwise distances. Entropy 19, 361.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0], [20.0]], covariances=[[[1.0]], [[1.0]]])
        >>> round(mixture.entropy().value, 4)  # log 2 + (log(2 pi) + 1) / 2
        2.1121
        """
        mixture = self._gaussians("entropy").mixture
        check_count(n_samples, least=2)
        rng = self._generator(random_state)
        return _divergence.entropy(mixture, n_samples, rng)

    def kl_divergence(self, other, n_samples=10_000, *, random_state=None) -> Estimate:
        """Return the Kullback-Leibler divergence to another mixture.

        The mean of ``log p(x) - log q(x)`` over draws from this mixture, where p is
        its density and q that of the other one.  A control variate with known mean
        makes it exact where both have one component.  The bounds are from
        Jensen's inequality [1]_ [2]_.

        Parameters
        ----------
        other : GaussianMixture
            Fitted, of as many features.
        n_samples : int, default=10000
            Number of draws.
        random_state : int, RandomState, Generator or None, default=None
            For the draws; None stands for that of the estimator.

        Returns
        -------
        estimate : Estimate
            With `value`, `standard_error`, `lower` and `upper`, in nats.

        References
        ----------
        .. [1] J. R. Hershey and P. A. Olsen (2007). Approximating the Kullback
           Leibler divergence between Gaussian mixture models. ICASSP, IV-317.
        .. [2] J.-L. Durrieu, J.-P. Thiran and F. Kelly (2012). Lower and upper bounds
           for approximation of the Kullback-Leibler divergence between Gaussian
           mixture models. ICASSP, 4833-4836.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> make = GaussianMixture.from_parameters
        >>> p = make([1.0], [[0.0]], covariances=[[[1.0]]])
        >>> q = make([1.0], [[1.0]], covariances=[[[1.0]]])
        >>> round(p.kl_divergence(q).value, 6)
        0.5
        """
        check_count(n_samples, least=2)
        if not isinstance(other, DistributionMethods):
            raise TypeError(
                f"other must be a fitted mixture of skgmm; got {type(other).__name__}."
                " Convert one of scikit-learn with GaussianMixture.from_sklearn."
            )
        p, q = (one._gaussians("kl_divergence").mixture for one in (self, other))
        if p.n_features != q.n_features:
            raise ValueError(
                f"other must have {p.n_features} features, as this mixture; got "
                f"{q.n_features}."
            )
        return _divergence.divergence(p, q, n_samples, self._generator(random_state))

    def overlap(self) -> np.ndarray:
        """Return how much the components overlap: their Bhattacharyya coefficients.

        Returns
        -------
        overlap : ndarray of shape (n_components, n_components)
            The integrals of ``sqrt(N_j(x) N_k(x))``: one for equal components, near
            zero for distant ones.  Weights play no part.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0], [4.0]], covariances=[[[1.0]], [[1.0]]])
        >>> mixture.overlap().round(3)
        array([[1.   , 0.135],
               [0.135, 1.   ]])
        """
        return np.exp(_divergence.log_overlaps(self._model().mixture))

    # ---- regions of highest density ---------------------------------------
    def highest_density_level(
        self, content, *, n_samples=100_000, random_state=None
    ) -> Any:
        """Return the log-density above which a given probability lies.

        The region where `score_samples` is at least this is the smallest one with
        that probability content [1]_.  With one component the level is exact; else
        it is a quantile of the log-densities of draws, and the content is met with a
        standard error of at most ``sqrt(content (1 - content) / n_samples)``.

        Parameters
        ----------
        content : float or array-like
            Probabilities between 0 and 1.
        n_samples : int, default=100000
            Number of draws.
        random_state : int, RandomState, Generator or None, default=None
            For the draws; None stands for that of the estimator.

        Returns
        -------
        level : float or ndarray of the shape of content
            In nats.

        References
        ----------
        .. [1] R. J. Hyndman (1996). Computing and graphing highest density regions.
           The American Statistician 50, 120-126.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [1.0], [[0.0]], covariances=[[[1.0]]])
        >>> round(mixture.highest_density_level(0.95), 4)  # at -1.96 and 1.96
        -2.8397
        """
        content = check_probabilities(content, "content", ends=False)
        check_count(n_samples, least=2)
        rng = self._generator(random_state)
        mixture = self._gaussians("highest_density_level").mixture
        levels = _distribution.density_levels(mixture, content, n_samples, rng)
        return float(levels) if content.ndim == 0 else levels

    def in_highest_density_region(
        self, X, content, *, n_samples=100_000, random_state=None
    ) -> np.ndarray:
        """Tell which rows lie in the region of highest density of a given content.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        content : float
            Probability of the region, between 0 and 1.
        n_samples, random_state
            See `highest_density_level`.

        Returns
        -------
        inside : ndarray of shape (n_samples,), bool
        """
        if np.ndim(content):
            raise ValueError(
                f"content must be one probability; got {np.size(content)}. Compare "
                "score_samples with highest_density_level for several."
            )
        level = self.highest_density_level(
            content, n_samples=n_samples, random_state=random_state
        )
        model, X = self._complete_rows(X)
        with np.errstate(over="ignore"):
            return model.mixture.log_density(X) >= level
