"""GaussianMixtureIC: the number of components and the family, by a criterion."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ._criteria import CRITERIA
from ._em import Problem
from ._fitted import FittedMixture, Model
from ._gaussian_mixture import (
    GaussianMixture,
    _have_holes,
    _kept,
    _noise,
    _regularisation,
    _source,
    _warn_of_result,
    unchanged_on_failure,
)
from ._grid import (
    Grid,
    as_arrays,
    best_of,
    check_families,
    check_numbers,
    evidence_of,
    least_value,
    most_models,
)
from ._progress import CallbackSupportMixin, GridMonitor, visible_log, with_callbacks
from ._typing import RandomState, fit_context
from ._validation import check_rows
from ._warnings import warn
from .families import FAMILIES, Family


class GaussianMixtureIC(
    FittedMixture, CallbackSupportMixin, DensityMixin, BaseEstimator
):
    """Gaussian mixture whose size and covariances an information criterion chooses.

    Fits a grid of models, each number of components with each type of covariances, on
    the same rows, and is the best of them: it predicts, scores and samples as a
    `GaussianMixture` does.  The criterion is computed on the training rows: it is no
    cross-validation, for which there is `sklearn.model_selection.GridSearchCV` with
    the `score` of `GaussianMixture`.

    Work is shared: the models of K components start from the same partitions of the
    rows, and from the model of the same type with fewer components, one of them split
    in two, so that the likelihood does not fall with K.  It goes where it may decide:
    a model that cannot be the best by what its first steps promise is climbed only
    until about a hundredth of what it lacks is left to gain.  With 'nec', or a
    criterion of your own, which say nothing before a model is complete, all are climbed
    to their ends.  Callbacks see models before components are moved.

    Parameters
    ----------
    n_components : 'auto', int or sequence of int, default='auto'
        Numbers of components, K.  'auto' tries K = 1, 2, 3, ... until three K in a row
        have brought no better value.
    covariance_type : str, Family or sequence of these, default='all'
        Types of covariances as in `GaussianMixture`: names, or families such as those
        of `skgmm.families.factor_analysers`; 'all' stands for all with a name that
        differ: with one feature 'full' and 'tied' only.
    criterion : {'bic', 'aic', 'aicc', 'icl', 'nec'} or callable, default='bic'
        What is least for the best model.  With the log-likelihood L, p parameters,
        n observations and the entropy E of the responsibilities:

        - 'bic': ``-2 L + p log(n)`` (Schwarz 1978), the negative of mclust's;
        - 'aic': ``-2 L + 2 p`` (Akaike 1974);
        - 'aicc': ``aic + 2 p (p + 1) / (n - p - 1)`` (Hurvich and Tsai 1989);
        - 'icl': ``bic + 2 E``, for components that are clusters [1]_;
        - 'nec': ``E / (L - L_1)``, where ``L_1`` is the log-likelihood of one component
          of the same type, without noise, which itself has the value 1 [2]_;
        - ``callable(mixture, X, sample_weight) -> float`` of a fitted
          `GaussianMixture`; ``sample_weight`` may be None.
    tol : float, default=1e-6
        As in `GaussianMixture`.
    reg_covar : 'auto' or float, default='auto'
        As in `GaussianMixture`.
    noise : bool or float, default=False
        Whether each model has a further component of constant density, as in
        `GaussianMixture`.  Its parameters count, and it has a part in the entropy E.
    max_iter : int, default=1000
        Largest number of passes over the rows for one model, after its start.
    n_init : int, default=1
        Number of sets of partitions that models start from.
    n_swaps : int, default=2
        Attempts to delete a component and split another, as in `GaussianMixture`, of
        each model that may be the best.
    acceleration : {'squarem'} or None, default='squarem'
        As in `GaussianMixture`.
    random_state : int, RandomState or None, default=None
        For `n_init` above 1, for `sample`, and for the 2500 rows (or 50 K D, if that is
        more) that starts are made on: up to 5000 rows these are the same for any.
    verbose : int, default=0
        1 reports each model, 2 also each `verbose_interval`-th iteration, through the
        logger ``skgmm``; on standard output if logging is not set up.
    verbose_interval : int, default=10
        Number of iterations between two reports.

    Attributes
    ----------
    n_components_ : int
        Number of components of the best model.
    covariance_type_ : str
        Its type of covariances.
    criterion_ : float
        Its value of the criterion.
    best_mixture_ : GaussianMixture
        The best model as an estimator of its own.
    results_ : dict of str to ndarray
        A row for each model, in the order in which they were fitted, ready for
        ``pandas.DataFrame(results_)``:

        - ``n_components``, ``covariance_type``;
        - ``criterion``: nan if the fit failed;
        - ``log_likelihood``: of all rows, without the penalty of ``reg_covar='auto'``;
        - ``n_parameters``, ``n_iter``, ``converged``: False also for a model that was
          left before its end since it cannot be the best;
        - ``seconds``: from the beginning of its fit to the end, without the partitions;
          models that are fitted side by side wait for each other;
        - ``degenerate``: whether it has components that are a few rows rather than a
          part of the density, see `GaussianMixture`; such models are chosen only if
          all are;
        - ``error``: why the fit failed, or an empty string.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        Parameters of the best model, as in `GaussianMixture`.
    noise_weight_, noise_log_density_ : float
        Of its noise, as in `GaussianMixture`.
    converged_, n_iter_, lower_bound_, lower_bounds_, degenerate_
        How it was fitted, as in `GaussianMixture`.
    n_features_in_ : int
        Number of features, D.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    Notes
    -----
    The types of covariances of K components are fitted side by side, each on a thread,
    where nobody follows them (by `verbose` or callbacks), there are as many types as
    threads, all of them compiled, and the rows are in memory, neither a few hundred nor
    so many that one model takes many seconds.  Else the passes of each use all threads.
    The results are the same.

    An interrupt (Ctrl-C) ends the search: if at least one model is complete, the best
    so far is kept, with a warning, and `results_` has the complete ones.  To callbacks
    of scikit-learn 1.9, such as a progress bar, each model is a task; one that asks to
    stop ends the search likewise, without a warning.

    References
    ----------
    .. [1] C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
       clustering with the integrated completed likelihood. IEEE Trans. PAMI 22,
       719-725.
    .. [2] C. Biernacki, G. Celeux and G. Govaert (1999). An improvement of the NEC
       criterion for assessing the number of clusters in a mixture model. Pattern
       Recognition Letters 20, 267-272.

    Examples
    --------
    >>> from skgmm import GaussianMixtureIC
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> types = ["full", "tied", "diag", "spherical"]
    >>> mixture = GaussianMixtureIC(covariance_type=types).fit(X)
    >>> mixture.n_components_, mixture.covariance_type_
    (3, 'tied')
    >>> round(mixture.bic(X), 1)
    2314.3
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            "array-like",
            range,
        ],
        "covariance_type": [
            StrOptions({"all", *FAMILIES}),
            Family,
            list,
            tuple,
        ],
        "criterion": [StrOptions(set(CRITERIA)), callable],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "noise": ["boolean", Interval(Real, 0.0, None, closed="neither")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "n_swaps": [Interval(Integral, 0, None, closed="left")],
        "acceleration": [StrOptions({"squarem"}), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: str | int | ArrayLike = "auto",
        *,
        covariance_type: str | Family | Sequence[str | Family] = "all",
        criterion: str | Callable[..., float] = "bic",
        tol: float = 1e-6,
        reg_covar: str | float = "auto",
        noise: bool | float = False,
        max_iter: int = 1000,
        n_init: int = 1,
        n_swaps: int = 2,
        acceleration: str | None = "squarem",
        random_state: RandomState = None,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.tol = tol
        self.reg_covar = reg_covar
        self.noise = noise
        self.max_iter = max_iter
        self.n_init = n_init
        self.n_swaps = n_swaps
        self.acceleration = acceleration
        self.random_state = random_state
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # ---- fitting ----------------------------------------------------------
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Fit the grid of models to rows, and keep the best.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            As in `GaussianMixture.fit`: rows in files and Dask collections too, which
            are read again for every iteration of every model.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixtureIC

        Raises
        ------
        ValueError
            If X, the weights or the parameters cannot be used, or if no model could be
            fitted.  The estimator is then as it was before.
        """
        most = most_models(self.n_components, self.covariance_type)
        context = self._init_callback_context(max_subtasks=most)
        with unchanged_on_failure(self), visible_log(self.verbose):
            self._fit(X, sample_weight, context)
        return self

    def _fit(self, X, sample_weight, context):
        numbers = check_numbers(self.n_components)
        X = check_rows(self, X)
        families = check_families(self.covariance_type, X.shape[1])
        X, weight, kept, empty = _kept(X, sample_weight)
        rows = X[kept]
        ground = rows, weight, empty
        problems = _problems(*ground, families, self.reg_covar, self.noise)

        def model(family, fit):
            frame = problems[family].source.frame
            return Model(frame.outward(fit.mixture), family, X.dtype)

        def criterion(row, problem):
            if isinstance(self.criterion, str):
                function = CRITERIA[self.criterion]
                return function(evidence_of(row, problem, function))
            mixture = self._estimator_of(model(row.family, row.fit), row)
            return self.criterion(mixture, getattr(X, "stored", X), sample_weight)

        def bound(row, log_likelihood):
            n_observations = problems[row.family].source.total_weight
            return least_value(self.criterion, row, log_likelihood, n_observations)

        def shown(family, fit):
            return {"_fitted_model": model(family, fit)}

        monitor = GridMonitor(self, context, shown, None)
        grid = Grid(
            problems,
            criterion,
            bound,
            monitor,
            self.n_init,
            self.n_swaps,
            tol=self.tol,
            max_iter=self.max_iter,
            accelerated=self.acceleration is not None,
        )
        rng = check_random_state(self.random_state)
        try:
            for n_components in numbers(grid.rows, len(rows)):
                grid.add(n_components, rng)
                if grid.stopped:
                    break
        except KeyboardInterrupt:
            _keep_what_is_done(grid)
        monitor.close()
        best = _best(grid.rows)
        self.results_ = as_arrays(grid.rows)
        self.n_components_, self.covariance_type_ = best.n_components, best.family.label
        self.criterion_ = best.value
        self._set_model(model(best.family, best.fit))
        vars(self).update(_how_fitted(best))
        _warn_of_result(best.fit, problems[best.family], self.max_iter)

    @property
    def best_mixture_(self) -> GaussianMixture:
        """The best model, a fitted `GaussianMixture`."""
        return self._estimator_of(self._model())

    def _estimator_of(self, model, row=None):
        """Return a model, by default the best, as an estimator of its own."""
        mixture = GaussianMixture(
            model.mixture.n_components,
            covariance_type=model.family.as_parameter,
            random_state=self.random_state,
            **{name: getattr(self, name) for name in _SHARED},
        )
        mixture._set_model(model)
        kept = ("n_features_in_", "feature_names_in_", *_HOW_FITTED)
        vars(mixture).update({k: v for k, v in vars(self).items() if k in kept})
        vars(mixture).update(_how_fitted(row) if row else {})
        return mixture

    def _assign(self, name, value):
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"{name} cannot be assigned before this {type(self).__name__} is "
                "fitted: it has no type of covariances yet. Use "
                "GaussianMixture.from_parameters for a mixture without fit."
            )
        super()._assign(name, value)


_HOW_FITTED = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "degenerate_")
_SHARED = (
    "tol",
    "reg_covar",
    "noise",
    "max_iter",
    "n_init",
    "n_swaps",
    "acceleration",
)


def _how_fitted(row):
    """Return the attributes that tell how a model was fitted."""
    fit = row.fit
    history, degenerate = list(fit.history), list(row.degenerate)
    values = fit.converged, fit.n_iter, fit.objective, history, degenerate
    return dict(zip(_HOW_FITTED, values, strict=True))


def _problems(rows, weight, empty, families, reg_covar, noise):
    """Return the problem of each family; one source serves all of the same frame.

    Where rows have holes, all of the same frame and form.
    """
    grounds, holes = {}, empty > 0 or _have_holes(rows)
    problems = {}
    for family in families:
        key = family.per_feature, family.form if holes else None
        if key not in grounds:
            # More components than rows are an error of those models only.
            source = _source(rows, weight, empty, family, 1, warns=not grounds)
            regularisation = _regularisation(
                reg_covar, source.frame, source.largest_weight
            )
            grounds[key] = {
                "source": source,
                "regularisation": regularisation,
                "noise": _noise(noise, source, regularisation),
            }
        problems[family] = Problem(family=family, **grounds[key])
    return problems


def _best(rows):
    """Return the best row; raise if there is none, warn if it is degenerate."""
    best = best_of(rows)
    if best.fit is None:
        raise ValueError(f"No model could be fitted. The last one: {rows[-1].error}.")
    if np.isnan(best.value):
        raise ValueError(
            "criterion must return a number that is not nan; got nan for every model."
        )
    if best.degenerate:
        warn(
            f"Each of the {len(rows)} models has failed or has degenerate components, "
            f"the best one {len(best.degenerate)} of {best.n_components}: see "
            "degenerate_ and results_. Use fewer components or simpler covariances.",
            ConvergenceWarning,
        )
    return best


def _keep_what_is_done(grid):
    """Turn the interrupt that is handled into a warning, if a model is complete."""
    if not any(row.fit for row in grid.rows):
        raise
    warn(
        f"The search was interrupted after {len(grid.rows)} models; the best of these "
        "is kept.",
        ConvergenceWarning,
    )
