"""What every estimator that holds a mixture can do with it."""

from dataclasses import dataclass, replace
from functools import wraps
from numbers import Integral

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from . import _criteria
from ._dask import apply
from ._distribution_methods import DistributionMethods
from ._lazy import LazyRows, is_lazy
from ._mixture import Mixture
from ._noise import n_parameters
from ._summary import summary_of
from ._typing import Method
from ._validation import (
    check_array_rows,
    check_covariances,
    check_family,
    check_floats,
    check_means,
    check_rows,
    check_sample_weight,
    check_weights,
)
from ._version import __version__, restored
from .families import Family

# Parameters with one name; the covariances have three, and their inverses.
_SINGLE = ("weights_", "means_")


@dataclass(frozen=True, eq=False)
class Model:
    """A mixture, how its covariances were constrained, and the dtype shown."""

    mixture: Mixture
    family: Family
    dtype: type = np.float64

    def parameter(self, name):
        """Return a parameter by the name of its fitted attribute."""
        if name in _SINGLE:
            return self.shown(getattr(self.mixture, name.removesuffix("_")))
        covariances = self.mixture.covariances
        attribute = "values" if name == "covariances_" else name.removesuffix("_")
        return self.shown(getattr(covariances, attribute))

    def shown(self, array):
        """Return an array as users see it: in the dtype, and read-only."""
        array = np.asarray(array).astype(self.dtype, copy=False).view()
        array.flags.writeable = False
        return array

    def n_parameters(self):
        """Return the number of free parameters."""
        of_gaussians = self.family.n_parameters(*self.mixture.means.shape)
        return of_gaussians + n_parameters(self.mixture.noise)


def lazily(method: Method) -> Method:
    """Let a method of rows give a lazy array for a Dask collection."""

    @wraps(method)
    def either(self, X):
        if not is_lazy(X):
            return method(self, X)
        self._rows(X)  # checks the number of features, and their names
        return apply(self, method.__name__, X)

    return either


class FittedMixture(DistributionMethods):
    """Mixin: parameters, predictions, scores and samples of a fitted mixture.

    The model in ``_fitted_model`` is the only place where parameters live; what is
    shown of it is read-only.  Assigning a parameter makes a new model.  One of
    another shape than the present one waits in ``_assigned`` until it is used,
    since it fits only when the others have been assigned too.
    """

    @property
    def weights_(self) -> np.ndarray:
        """Mixing weights, shape (n_components,)."""
        return self._parameter("weights_")

    @weights_.setter
    def weights_(self, value):
        self._assign("weights_", value)

    @property
    def noise_weight_(self) -> float:
        """Share of the noise in the mixture; 0 without."""
        noise = self._model().mixture.noise
        return 0.0 if noise is None else noise.weight

    @property
    def noise_log_density_(self) -> float:
        """Log-density of the noise; minus infinity without."""
        noise = self._model().mixture.noise
        return -np.inf if noise is None else noise.log_density

    @property
    def means_(self) -> np.ndarray:
        """Means of the components, shape (n_components, n_features)."""
        return self._parameter("means_")

    @means_.setter
    def means_(self, value):
        self._assign("means_", value)

    @property
    def covariances_(self) -> np.ndarray:
        """Covariances, in the shape of the covariance type."""
        return self._parameter("covariances_")

    @covariances_.setter
    def covariances_(self, value):
        self._assign("covariances_", value)

    @property
    def precisions_(self) -> np.ndarray:
        """Inverse covariances, in the shape of the covariance type."""
        return self._parameter("precisions_")

    @precisions_.setter
    def precisions_(self, value):
        self._assign("precisions_", value)

    @property
    def precisions_cholesky_(self) -> np.ndarray:
        """Upper triangular factors ``U`` of the precisions: ``U U' = precision``."""
        return self._parameter("precisions_cholesky_")

    @precisions_cholesky_.setter
    def precisions_cholesky_(self, value):
        self._assign("precisions_cholesky_", value)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __reduce__(self):
        return restored, (type(self), __version__), self.__getstate__()

    def __sklearn_is_fitted__(self):
        return "_fitted_model" in vars(self) or "_assigned" in vars(self)

    def _parameter(self, name):
        assigned = vars(self).get("_assigned", {})
        if name in assigned:
            return assigned[name]
        return self._model().parameter(name)

    def _assign(self, name, value):
        value = check_floats(value, name)
        value.flags.writeable = False
        model = vars(self).get("_fitted_model")
        waiting = vars(self).get("_assigned", {})
        if model and not waiting and value.shape == model.parameter(name).shape:
            self._set_model(self._changed(model, {name: value}))
            return
        if name not in _SINGLE:
            waiting = {k: v for k, v in waiting.items() if k in _SINGLE}
        self._assigned = {**waiting, name: value}

    def _model(self):
        """Return the model, made of what was assigned since it was last used."""
        model = vars(self).get("_fitted_model")
        if "_assigned" in vars(self):
            model = self._changed(model, self._assigned)
            self._set_model(model)
        if model is None:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' "
                "with appropriate arguments before using this estimator."
            )
        return model

    def _set_model(self, model):
        self._fitted_model = model
        vars(self).pop("_assigned", None)

    def _changed(self, model, parts):
        """Return a model (or None) with some parameters replaced."""
        scatter = next((name for name in parts if name not in _SINGLE), "covariances_")
        names = (*_SINGLE, scatter)
        known = {name: model.parameter(name) for name in names} if model else {}
        known |= parts
        missing = [name for name in names if name not in known]
        if missing:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: of its "
                f"parameters {sorted(parts)} were assigned, but not {missing}. Assign "
                "them too, or use from_parameters or fit."
            )
        family = model.family if model else self._family(np.shape(known["means_"])[-1])
        arrays = (known[name] for name in names)
        changed = make_model(*arrays, family=family, names=names)
        if model is None:
            return changed
        mixture = replace(changed.mixture, noise=model.mixture.noise)
        return replace(changed, mixture=mixture, dtype=model.dtype)

    def _family(self, n_features):
        """Return the family that the parameters of the estimator ask for."""
        return check_family(self.covariance_type, self.equal_weights, n_features)

    # ---- predictions ------------------------------------------------------
    def _rows(self, X, check=check_rows):
        """Return the model and the checked rows of X."""
        model = self._model()
        nameless = "feature_names_in_" not in vars(self)
        if nameless and _is_plain(X) and X.shape[1] == model.mixture.n_features:
            # What validate_data would let through; it takes longer than ten rows do.
            return model, X
        X = check(self, X, reset=False)
        if X.shape[1] != model.mixture.n_features:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{model.mixture.n_features} features as input."
            )
        return model, X

    def _rows_in_memory(self, X):
        """Return the model and the checked rows of X, as an array."""
        return self._rows(X, check_array_rows)

    @lazily
    def score_samples(self, X) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where a value is missing.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; ``log sum_k weight_k N(x; mean_k, covariance_k)``, of the observed
            values if some are missing; 0 if all are.
        """
        model, X = self._rows(X)
        with np.errstate(over="ignore"):
            return model.mixture.log_density(X).astype(X.dtype, copy=False)

    def score(self, X, y=None, sample_weight=None) -> float:
        """Return the mean log-density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        log_likelihood : float
            Per observation, in nats.
        """
        total, weight = self._summed("log_likelihood", X, sample_weight)
        return total / weight

    def _summed(self, method, X, sample_weight):
        """Return what a method of the mixture sums over rows, and their weight."""
        model, X = self._rows(X)
        if isinstance(X, LazyRows):
            X = X.weighted(sample_weight)
            return X.summed_by(model.mixture, method), X.total_weight
        weight = check_sample_weight(sample_weight, len(X))
        return getattr(model.mixture, method)(X, weight), float(weight.sum())

    def fit_predict(self, X, y=None, sample_weight=None) -> np.ndarray:
        """Fit to rows and return the most probable component of each.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts in the fit.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Those of ``fit(X).predict(X)``.
        """
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    @lazily
    def predict(self, X) -> np.ndarray:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            With noise, -1 for the rows that are more probably noise than of any
            component.
        """
        model, X = self._rows(X)
        return model.mixture.labels(X)

    @lazily
    def predict_proba(self, X) -> np.ndarray:
        """Return the responsibilities: the posterior of the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Given the observed values.  Rows sum to one, also for rows far from all
            components.  With noise there is one more column, the last, so that the
            label -1 is its index too.
        """
        return np.exp(self.predict_log_proba(X))

    @lazily
    def predict_log_proba(self, X) -> np.ndarray:
        """Return the logarithms of the responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_responsibilities : ndarray of shape (n_samples, n_components)
            In nats; minus infinity for a component of weight zero.  With noise there
            is one more column, the last.
        """
        model, X = self._rows(X)
        with np.errstate(over="ignore"):
            _, out = model.mixture.log_responsibilities(X)
            return out.astype(X.dtype, copy=False)

    # ---- criteria ---------------------------------------------------------
    def aic(self, X, sample_weight=None) -> float:
        """Return Akaike's information criterion: ``-2 log L + 2 p``; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        aic : float
        """
        return _criteria.aic(self._evidence(X, sample_weight))

    def aicc(self, X, sample_weight=None) -> float:
        """Return the AIC corrected for few rows; lower is better.

        It is ``AIC + 2 p (p + 1) / (n - p - 1)``, infinite if ``n <= p + 1`` (Hurvich
        and Tsai 1989, Biometrika 76:297).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        aicc : float
        """
        return _criteria.aicc(self._evidence(X, sample_weight))

    def bic(self, X, sample_weight=None) -> float:
        """Return the Bayesian information criterion: ``-2 log L + p log n``.

        Lower is better (mclust reports the negative).  ``n`` is the sum of the
        weights of all rows, however much of them is missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        bic : float
        """
        return _criteria.bic(self._evidence(X, sample_weight))

    def icl(self, X, sample_weight=None) -> float:
        """Return the integrated completed likelihood criterion; lower is better.

        It is the BIC plus twice the entropy of the responsibilities, so that it
        prefers components that are clusters (Biernacki, Celeux and Govaert 2000,
        IEEE Trans. PAMI 22:719; McLachlan and Peel 2000, section 6.10).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        icl : float
        """
        (log_likelihood, entropy), weight = self._summed(
            "likelihood_and_entropy", X, sample_weight
        )
        sizes = self._model().n_parameters(), weight
        return _criteria.icl(_criteria.Evidence(log_likelihood, *sizes, entropy))

    def _evidence(self, X, sample_weight):
        total, weight = self._summed("log_likelihood", X, sample_weight)
        return _criteria.Evidence(total, self._model().n_parameters(), weight)

    # ---- for people -------------------------------------------------------
    def summary(self, X=None, sample_weight=None) -> str:
        """Return the fitted mixture as a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows of which the log-likelihood, the BIC and the ICL are added, such as
            those that the mixture was fitted to.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.

        Returns
        -------
        summary : str
            Shown as it is; in notebooks as a table.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> from skgmm.datasets import load_old_faithful
        >>> X = load_old_faithful(as_frame=True).data
        >>> GaussianMixture(n_components=2).fit(X).summary(X)  # doctest: +ELLIPSIS
        GaussianMixture: 2 components, 2 features
        <BLANKLINE>
        covariances      full (VVV)
        free parameters  11
        converged        yes, ...
        objective        -4.15538 nats per observation
        observations     272
        log-likelihood   -1130.26
        BIC              2322.19
        ICL              2323.58
        <BLANKLINE>
        component  weight  eruptions      waiting
                0  0.3559  2.036 ± 0.263  54.48 ± 5.80
                1  0.6441  4.290 ± 0.412  79.97 ± 6.00
        <BLANKLINE>
        Cells are means ± standard deviations.
        """
        return summary_of(self, X, sample_weight)

    # ---- samples ----------------------------------------------------------
    def sample(
        self, n_samples=1, *, random_state=None, shuffle=True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState, Generator or None, default=None
            A generator gives other rows at every call.  None stands for the
            ``random_state`` of the estimator, as in scikit-learn: if that is an
            integer every call gives the same rows.
        shuffle : bool, default=True
            Whether the rows come in random order, else component by component.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)
            The component that each row was drawn from; -1 for noise, which is drawn
            from its box.
        """
        model = self._model()
        if not isinstance(n_samples, Integral):
            raise TypeError(f"n_samples must be a whole number; got {n_samples!r}.")
        if n_samples < 1:
            raise ValueError(
                f"n_samples must be at least 1; got {n_samples}. Ask for the number "
                "of rows wanted."
            )
        rng = self._generator(random_state)
        mixture = model.mixture
        counts = rng.multinomial(n_samples, mixture.shares)
        rows = mixture.sample(counts, rng)
        labels = np.repeat(np.arange(len(counts)), counts)
        labels[labels == mixture.n_components] = -1
        if shuffle:
            order = rng.permutation(n_samples)
            rows, labels = rows[order], labels[order]
        return rows.astype(model.dtype, copy=False), labels

    def _generator(self, random_state):
        if isinstance(random_state, np.random.Generator):
            return random_state
        chosen = self.random_state if random_state is None else random_state
        return check_random_state(chosen)


def check_mixture(mixture):
    """Raise unless a mixture is one of ours."""
    if not isinstance(mixture, FittedMixture):
        raise ValueError(
            f"mixture must be a fitted mixture of skgmm; got {type(mixture).__name__}."
        )
    if mixture._model().mixture.noise is not None:
        raise ValueError(
            "mixture must have no noise component; got one with noise_weight_="
            f"{mixture.noise_weight_:.4g}. Fit one with noise=False, or take its "
            "without_noise()."
        )


def _is_plain(X):
    """Tell whether X is a small array of finite floats, with rows."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and 0 < X.size < 10_000
        and X.dtype in (np.float64, np.float32)
        and bool(np.isfinite(X).all())
    )


def make_model(weights, means, covariances, *, family, names):
    """Return the model of the user's arrays, checked.

    Parameters
    ----------
    weights, means, covariances : array-like
    family : Family
    names : sequence of str
        What the arrays are called; the last may be of precisions.
    """
    shape = np.shape(means)
    if len(shape) != 2:
        raise ValueError(
            f"{names[1]} must have shape (n_components, n_features); got shape {shape}."
        )
    mixture = Mixture(
        check_weights(weights, shape[0], names[0]),
        check_means(means, *shape, names[1]),
        check_covariances(covariances, family.form, *shape, names[2]),
    )
    return Model(mixture, family)
