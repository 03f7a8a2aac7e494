"""GaussianMixtureClassifier: discriminant analysis with a mixture per class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._frame import Frame
from ._gaussian_mixture import _regularisation, unchanged_on_failure
from ._inner import MixtureParameters, fit_best
from ._mixture import Mixture
from ._semisupervised import ClassModel, PartlyLabelled, in_itself
from ._typing import RandomState, fit_context
from ._validation import check_observed, check_sample_weight, check_weights
from ._warnings import warn
from .families import FAMILIES
from .forms import Full
from .kernels import has_holes


class GaussianMixtureClassifier(ClassifierMixin, MixtureParameters):
    r"""Discriminant analysis with a Gaussian mixture per class.

    The density of each class is a mixture, and Bayes' rule makes probabilities of the
    classes of them [1]_:

    .. math:: P(c | x) \propto \pi_c \sum_k \pi_{ck} N(x; \mu_{ck}, \Sigma_{ck}).

    With one component of type 'full' this is quadratic discriminant analysis, with one
    of type 'diag' Gaussian naive Bayes.  Rows whose class is not known help the fit, if
    `unknown` says how they are labelled: EM gives them to the classes by their
    probabilities [2]_.  That is a gain where mixtures describe the classes well, and
    may be a loss where not.

    Parameters
    ----------
    n_components : int, list of int, or dict, default=1
        Number of components of each class.  From several the one of lowest BIC is
        chosen, for each class on its own; a dict gives a number, or several, by class.
    covariance_type : str, list of str, or dict, default='full'
        See `GaussianMixture`; several, or by class, as for `n_components`.
    tol, reg_covar, max_iter, n_init
        See `GaussianMixture`.  `tol` and `max_iter` are also those of the EM over
        rows without a label.
    random_state : int, RandomState or None, default=None
        For starts that use random numbers.
    priors : array-like of shape (n_classes,), default=None
        Probabilities of the classes, in the order of `classes_`; by default those of
        the rows.
    unknown : int, str or None, default=None
        The label of rows whose class is not known, such as the -1 of
        `sklearn.semi_supervised`.  With None every label is a class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    priors_ : ndarray of shape (n_classes,)
        Their probabilities.
    mixtures_ : list of GaussianMixture
        The density of each class.
    n_iter_ : int
        Number of iterations of the EM over rows without a label; if there are none,
        the largest of those of the classes.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    See Also
    --------
    sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis : One Gaussian a class.

    Notes
    -----
    BIC chooses what describes each class best, which need not be what tells them apart.
    With many rows a class, or where probabilities matter, choose `n_components` by a
    search over held-out log loss.

    A feature that has one value only within a class says that any other value is
    impossible there.  With ``reg_covar='auto'`` its variance is a millionth of that of
    all rows; a float as `reg_covar` makes that milder.

    Features may be missing (NaN), in `fit` and in predictions: the densities are those
    of what was observed, see `GaussianMixture`.  A row of which nothing was observed
    has the priors as its probabilities.

    References
    ----------
    .. [1] T. Hastie and R. Tibshirani (1996). Discriminant analysis by Gaussian
       mixtures. Journal of the Royal Statistical Society B 58, 155-176.
    .. [2] D. J. Miller and H. S. Uyar (1997). A mixture of experts classifier with
       learning based on both labelled and unlabelled data. Advances in Neural
       Information Processing Systems 9, 571-577.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgmm import GaussianMixtureClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = GaussianMixtureClassifier(n_components=[1, 2]).fit(X, y)
    >>> [mixture.n_components for mixture in classifier.mixtures_]
    [1, 1, 1]
    >>> classifier.predict(X[[0, 50, 100]])
    array([0, 1, 2])
    >>> round(classifier.score(X, y), 2)
    0.98
    """

    _parameter_constraints: ClassVar[dict] = {
        **MixtureParameters._parameter_constraints,
        "n_components": [
            *MixtureParameters._parameter_constraints["n_components"],
            dict,
        ],
        "covariance_type": [
            *MixtureParameters._parameter_constraints["covariance_type"],
            dict,
        ],
        "priors": ["array-like", None],
        "unknown": "no_validation",
    }

    def __init__(
        self,
        n_components: int | ArrayLike | dict = 1,
        *,
        covariance_type: str | Sequence[str] | dict = "full",
        tol: float = 1e-6,
        reg_covar: str | float = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: RandomState = None,
        priors: ArrayLike | None = None,
        unknown: Any = None,
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
        self.priors = priors
        self.unknown = unknown

    # ---- fitting ----------------------------------------------------------
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None) -> Self:
        """Fit a mixture to the rows of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where a value is missing at random; each class needs a value of each
            feature.
        y : array-like of shape (n_samples,)
            Labels; what `unknown` says where the class is not known.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixtureClassifier
        """
        with unchanged_on_failure(self):
            X, y = self._validated(X, y)
            weight = check_sample_weight(sample_weight, len(X))
            present = weight > 0
            self._fit(X[present], np.asarray(y)[present], weight[present])
        return self

    def _fit(self, X, y, weight):
        unknown = _equal(y, self.unknown)
        known = ~unknown
        check_classification_targets(y[known])
        self.classes_, codes = np.unique(y[known], return_inverse=True)
        self._check_classes(unknown.any())
        members = [np.flatnonzero(known)[codes == c] for c in range(len(self.classes_))]
        counts = np.array([weight[rows].sum() for rows in members])
        self.priors_ = self._priors(counts)
        candidates = self._class_candidates()
        check_observed(X)
        frame = self._frame(X, weight, candidates)
        Z = (X - frame.centre) / frame.scale
        self.mixtures_ = [
            self._fit_class(c, candidates[c], Z[rows], weight[rows])
            for c, rows in enumerate(members)
        ]
        self.n_iter_ = max(mixture.n_iter_ for mixture in self.mixtures_)
        if unknown.any():
            self._climb(Z, weight, members, unknown, in_itself(frame))
        for mixture, rows in zip(self.mixtures_, members, strict=True):
            _to_units(mixture, frame, X[rows], weight[rows])

    def _check_classes(self, any_unknown):
        """Raise if so few classes are known that the labels cannot be meant."""
        n_classes = len(self.classes_)
        if n_classes == 0 or (n_classes == 1 and any_unknown):
            raise ValueError(
                f"y must have rows of several classes beside those labelled "
                f"{self.unknown!r}, whose class is unknown; got {n_classes} class. If "
                f"{self.unknown!r} is a class too, set unknown=None."
            )

    def _priors(self, counts):
        if self.priors is None:
            return counts / counts.sum()
        return check_weights(self.priors, len(counts), "priors")

    def _class_candidates(self):
        """Return the mixtures of each class between which BIC is to choose."""
        numbers = self._by_class("n_components")
        types = self._by_class("covariance_type")
        return [self._candidates(*pair) for pair in zip(numbers, types, strict=True)]

    def _by_class(self, name):
        """Return the value of a parameter for each class."""
        value = getattr(self, name)
        classes = self.classes_.tolist()
        if not isinstance(value, dict):
            return [value] * len(classes)
        if set(value) != set(classes):
            raise ValueError(
                f"{name}, a dict, must have the classes {classes} as keys; got "
                f"{list(value)}."
            )
        return [value[label] for label in classes]

    def _frame(self, X, weight, candidates):
        """Return the coordinates in which all classes are fitted.

        Those of all rows, so that what 'auto' does to features that are constant in a
        class does not depend on units.  A float is in the units of the user.
        """
        families = [FAMILIES[m.covariance_type] for ms in candidates for m in ms]
        per_feature = all(family.per_feature for family in families)
        frame = Frame.of(X, weight, per_feature=per_feature, holes=has_holes(X))
        automatic = isinstance(self.reg_covar, str)
        scale = frame.scale * frame.unit_deviations if automatic else 1.0
        variance = frame.variance * (frame.scale / scale) ** 2
        scale = np.broadcast_to(scale, frame.scale.shape)
        return replace(frame, scale=scale, variance=variance)

    def _fit_class(self, c, candidates, rows, weight):
        try:
            return fit_best(candidates, rows, weight)
        except ValueError as error:
            label = self.classes_.tolist()[c]
            raise ValueError(f"Class {label!r} of y: {error}") from error

    def _climb(self, Z, weight, members, unknown, frame):
        """Go on with the rows that have no label."""
        models = [mixture._model() for mixture in self.mixtures_]
        problem = PartlyLabelled(
            rows=[Z[rows] for rows in members],
            weights=[weight[rows] for rows in members],
            unknown=Z[unknown],
            unknown_weight=weight[unknown],
            families=[model.family for model in models],
            regularisation=_regularisation(self.reg_covar, frame, float(weight.max())),
            frame=frame,
            fixed_priors=self.priors is not None,
        )
        start = ClassModel([model.mixture for model in models], self.priors_)
        end, history, converged = problem.climb(start, self.tol, self.max_iter)
        self.n_iter_ = len(history) - 1
        self.priors_ = end.priors
        for fitted, model, mixture in zip(
            self.mixtures_, models, end.mixtures, strict=True
        ):
            fitted._set_model(replace(model, mixture=mixture))
        if not converged:
            warn(
                "EM over the rows without a label did not converge within "
                f"max_iter={self.max_iter} iterations. Increase max_iter or tol.",
                ConvergenceWarning,
            )

    # ---- predictions ------------------------------------------------------
    def predict(self, X) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where a value is missing.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        joint = self._log_joint(X)
        return self.classes_[joint.argmax(axis=1)]

    def predict_proba(self, X) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X) -> np.ndarray:
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
        """
        joint = self._log_joint(X)
        joint -= joint.max(axis=1, keepdims=True)
        return joint - logsumexp(joint, axis=1, keepdims=True)

    def decision_function(self, X) -> np.ndarray:
        """Return the logarithms of prior times density; of two classes the log-odds.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        decision : ndarray of shape (n_samples, n_classes) or (n_samples,)
            The class is that of the largest; of two classes the second one where it
            is positive.
        """
        joint = self._log_joint(X)
        return joint[:, 1] - joint[:, 0] if joint.shape[1] == 2 else joint

    def _log_joint(self, X):
        """Return ``log(prior_c p_c(x))`` of rows, shape (n, C)."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        mixtures = [mixture._model().mixture for mixture in self.mixtures_]
        joint = ClassModel(mixtures, self.priors_).log_joint(X)
        far = np.flatnonzero(joint.max(axis=1) == -np.inf)
        if far.size:
            joint[far, _nearest(mixtures, self.priors_, X[far])] = 0.0
        return joint


def _equal(labels, unknown):
    """Return which labels are the one of unknown classes; there may be none."""
    if unknown is None:
        return np.zeros(len(labels), dtype=bool)
    return np.array([label == unknown for label in labels.tolist()], dtype=bool)


def _to_units(mixture, frame, rows, weight):
    """Bring a mixture of rows from the coordinates of a frame to the user's units."""
    model = mixture._model()
    mixture._set_model(replace(model, mixture=frame.outward(model.mixture)))
    observed = weight @ ~np.isnan(rows) / weight.sum()
    log_jacobian = float(observed @ np.log(frame.scale))
    mixture.lower_bounds_ = [b - log_jacobian for b in mixture.lower_bounds_]
    mixture.lower_bound_ -= log_jacobian


def _nearest(mixtures, priors, rows):
    """Return the class of the component nearest to each row, however far."""
    sizes = [mixture.n_components for mixture in mixtures]
    weights = [p * mixture.weights for p, mixture in zip(priors, mixtures, strict=True)]
    matrices = np.concatenate([mixture.covariances.dense() for mixture in mixtures])
    means = np.concatenate([mixture.means for mixture in mixtures])
    joint = Mixture(np.concatenate(weights), means, Full(matrices, *means.shape))
    return np.repeat(np.arange(len(sizes)), sizes)[joint.labels(rows)]
