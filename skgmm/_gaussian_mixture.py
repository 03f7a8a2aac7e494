"""GaussianMixture: the estimator."""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from . import _sklearn
from ._checkpoint import Checkpoint, task_of
from ._dask import DaskHolesSource, DaskSource
from ._em import Problem, StartFailed, best_run
from ._fitted import FittedMixture, Model, make_model
from ._lazy import LazyRows, is_lazy
from ._missing import HolesSource, warn_of_many_patterns
from ._noise import Noise, is_asked_for
from ._online import Past, StepSize, first_rows
from ._prior import ConjugatePrior
from ._progress import CallbackSupportMixin, Monitor, visible_log, with_callbacks
from ._random import random_state
from ._regularisation import Conjugate, PseudoObservations, Ridge
from ._sources import ArraySource
from ._starts import NAMES, Start
from ._threads import single_threaded_blas
from ._typing import RandomState, fit_context
from ._validation import (
    check_additive,
    check_array_rows,
    check_enough_rows,
    check_has_prior,
    check_holes,
    check_no_constraint,
    check_no_ridge,
    check_observed,
    check_representable,
    check_rows,
    check_sample_weight,
    check_start,
    check_stream,
    check_total_weight,
    check_warm_start,
)
from ._warnings import warn
from .families import FAMILIES, Family
from .families._bounded import BoundedFamily
from .forms import NotPositiveDefinite
from .kernels import has_holes


class GaussianMixture(FittedMixture, CallbackSupportMixin, DensityMixin, BaseEstimator):
    r"""Gaussian mixture, fitted by expectation-maximisation (EM).

    The density of a row is :math:`p(x) = \sum_k \pi_k N(x; \mu_k, \Sigma_k)`.  EM
    takes turns: the E-step computes the responsibilities
    :math:`r_{ik} = \pi_k N(x_i; \mu_k, \Sigma_k) / p(x_i)`, the M-step the weights,
    means and covariances of the rows weighted by them [1]_.  It never lowers the
    log-likelihood (with the penalties that ``reg_covar='auto'`` and `prior` stand for).

    Parameters
    ----------
    n_components : int, default=1
        Number of components, K.
    covariance_type : str or Family, default='full'
        What the covariances may be:

        - 'full': each component has its own matrix;
        - 'tied': all components share one matrix;
        - 'diag': each component has its own diagonal matrix;
        - 'spherical': each component has its own single variance;
        - 'tied_diag': all components share one diagonal matrix;
        - 'tied_spherical': all components share one variance;
        - one of the 14 codes of mclust [5]_: a letter each for the volumes, the shapes
          and the orientations of the components, which are equal (E), variable (V) or
          along the features (I; a shape I is a sphere): EII VII EEI VEI EVI VVI EEE
          VEE EVE VVE EEV VEV EVV VVV.  The names above stand for VVV, EEE, VVI, VII,
          EEI and EII.  For one feature 'E' is 'tied' and 'V' is 'full';
        - for hundreds of features `skgmm.families.factor_analysers(q)`: a matrix of
          rank q and a variance of its own for each feature;
        - a `skgmm.families.Family` of your own.
    equal_weights : bool, default=False
        Whether all mixing weights are 1 / K rather than free parameters.  Weights that
        the start has, such as `weights_init`, then serve the first iteration only.
    tol : float, default=1e-6
        EM stops when the gain of the objective that is still to come is estimated
        below this, in nats per observation.  The estimate extrapolates the gains
        of the last iterations, which shrink geometrically: it is no bound.
    reg_covar : 'auto' or float, default='auto'
        What keeps covariances from becoming singular.  'auto' gives each component
        a millionth of an observation of the total variances of the features: it
        does not depend on units, never fails, and is a proper penalty of the
        likelihood [2]_.  A float is added to the diagonals of the covariances as
        in scikit-learn, in squared units of the features.
    prior : 'fraley-raftery', ConjugatePrior or None, default=None
        A conjugate prior of the means and covariances, against components that
        collapse on few rows: the fit is then the mode of the posterior [8]_.
        'fraley-raftery' is ``ConjugatePrior()``, whose parameters may be set.  See the
        notes.
    max_eigenvalue_ratio : float or None, default=None
        At least 1.  The eigenvalues of all covariances, in the metric of the covariance
        of all rows, are at most so many times each other, which bounds the likelihood
        [9]_; 1 makes all covariances multiples of that of all rows, by one factor.  For
        the covariance types 'full', 'tied', 'diag', 'spherical', 'tied_diag' and
        'tied_spherical'.
    noise : bool or float, default=False
        Whether there is a further component of constant density 1 / V, so that
        outliers bend no Gaussian [10]_.  With True V is the volume of the box that the
        rows fill; a float is V, in the user's units.  A smaller V takes more rows for
        noise.  See the notes.
    max_iter : int, default=1000
        Largest number of passes over the rows, after the start has been made.
        With 0 the start is returned.
    n_init : int, default=1
        Number of starts; the result with the best objective is kept, one without
        degenerate components before any with some.  A start that fails is left
        out.  With 'auto' each further start is a race of its own; from its winner or
        from the best fit so far components of any size are moved to random places,
        until 8 `n_swaps` of these moves in a row have failed.
    init_params : str, array-like, callable or mixture, default='auto'
        Where EM starts.  Named starts partition the rows, each feature scaled to
        unit variance (for 'spherical': all by one factor), and take the moments
        of the parts:

        - 'auto': the winner of a race between bisection, k-means in several metrics
          (for 'full' and 'tied' of a scatter that weighs far rows more, of the
          scatter of all rows, and of that within components) and, where these
          disagree, cells of random rows, by short runs of EM; then refined by
          `n_swaps`.  Components come in the order of their means.  Where a pass needs
          more than 1e10 multiplications there is no race but 'bisect';
        - 'bisect': cut in two along the best axis until there are K parts, then
          k-means: no random numbers, and the same for any order of the rows;
        - 'kmeans': k-means from k-means++ seeds;
        - 'k-means++', 'random_from_data', 'random': the rows nearest to k-means++
          seeds, to K random rows, to K draws of a Gaussian.

        With more than 5000 rows (or 50 K D, if that is more) the start is made
        on a random sample of so many.  The first one of 'auto' is then run to its end
        on all rows, and refined there if a component collapses; from 100000 rows on it
        is refined on a tenth of them, up to 50000, if that is at least twice as many.

        Or one of: labels of shape (n_samples,) with K classes; responsibilities of
        shape (n_samples, K); ``callable(X, n_components, random_state)`` that
        returns one of these or a fitted mixture; a fitted mixture.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start from.
    means_init : array-like of shape (n_components, n_features), default=None
        Means to start from; what else is not given is that of the rows nearest to
        each.
    precisions_init, covariances_init : array-like, default=None
        Inverse covariances, or covariances, to start from, in the shape of
        `covariance_type`, see `covariances_`.  At most one of the two.  They need not
        be of the family.
    n_swaps : int, default=16
        The start 'auto' splits a component that gains by it, side by side or one
        half within the other, deletes one that is missed little, after eight attempts
        one of the halves, and keeps what climbs higher, until so many in a row have
        failed.  More of them find better optima of mixtures of many components [3]_.
    acceleration : {'squarem'} or None, default='squarem'
        Whether steps of EM are extrapolated [4]_.  The objective never falls; a
        pass whose leap fails is counted.  None gives plain EM.
    learning_decay : float, default=0.7
        Of `partial_fit`: the power, in (0.5, 1], by which steps get smaller.  1 with
        an offset of 0 weighs all batches alike; smaller values forget the first ones,
        which were seen by worse mixtures.
    learning_offset : float, default=10.0
        Of `partial_fit`: makes the first steps smaller.
    half_life : float or None, default=None
        Of `partial_fit`: number of observations after which older ones count half, so
        that a drift is followed.  It should be many times K (D + 1).  None never
        forgets more than `learning_decay` does.
    random_state : int, RandomState or None, default=None
        For starts that use random numbers (also the choice of a subsample to make
        the start on, with many rows) and for `sample`.
    warm_start : bool, default=False
        Whether a further call of `fit` goes on from the last result.
    checkpoint : str, path or None, default=None
        File in which `fit` saves where it is, every 30 seconds.  A fit with the same
        parameters to the same rows, in this process or another one, goes on from it to
        the same result.  The file is removed when the fit has ended.  It is a pickle:
        name no file that others can write.
    verbose : int, default=0
        1 reports each `verbose_interval`-th iteration, 2 every one, through the
        logger ``skgmm``; on standard output if logging is not set up.
    verbose_interval : int, default=10
        Number of iterations between two reports.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Mixing weights; they sum to one, also beside noise.
    noise_weight_ : float
        Share of the noise in the mixture; 0 without.
    noise_log_density_ : float
        Logarithm of 1 / V; minus infinity without noise.
    means_ : ndarray of shape (n_components, n_features)
        Means.
    covariances_ : ndarray
        Covariances.  Its shape, as that of `precisions_` and
        `precisions_cholesky_`, goes by the covariance type:

        - (n_components, n_features, n_features) for 'full' (VVV), VEE, EVE, VVE, EEV,
          VEV and EVV
        - (n_features, n_features) for 'tied' (EEE)
        - (n_components, n_features) for 'diag' (VVI), 'tied_diag' (EEI), VEI and EVI
        - (n_components,) for 'spherical' (VII) and 'tied_spherical' (EII)
        - (n_components, n_features, q + 1) for `skgmm.families.factor_analysers`:
          loadings and, last, the variances of the noise
        - that of its form for a family of your own
    precisions_ : ndarray
        Inverse covariances.
    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions, ``U @ U.T == precision``.
    converged_ : bool
        Whether the best run met `tol` within `max_iter` iterations.
    n_iter_ : int
        Number of iterations of the best run.
    lower_bound_ : float
        Its objective at the fitted parameters: the mean log-likelihood of an
        observation, plus the penalty of ``reg_covar='auto'``, and the log-density of
        the `prior` up to a constant, divided by n.
    lower_bounds_ : list of float
        The objective after each iteration; with ``reg_covar='auto'`` it never
        falls, with a float, which is no penalty of the likelihood, it may.
    degenerate_ : list of tuple (component, effective_rows, condition_number)
        Components that are a few rows rather than a part of the density: with fewer
        than D + 2 effective rows, or, in the metric of the scatter of all rows, with
        a smallest variance below 1e-6, or below 1e-3 on fewer than 5 (D + 1) rows.
        What components share is made of all rows.  Empty components, with less than
        half a row, are among them in any case, and a warning names them.
        Fits without any come before others, in the start 'auto' and in `n_init`.
    n_samples_seen_ : int or float
        Sum of the weights of all rows of the last `fit`, and of calls of `partial_fit`
        since.
    n_features_in_ : int
        Number of features, D.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had string names.

    See Also
    --------
    sklearn.mixture.GaussianMixture : The same interface.

    Notes
    -----
    The parameters are stored in one place.  The arrays shown are read-only; assign
    a whole one to change it, and everything else follows::

        mixture.covariances_ = 2 * mixture.covariances_

    All computing is done in float64, on features centred and scaled by powers of
    two, whatever the dtype of X; float32 rows give float32 attributes.

    NaN stands for a value that is missing at random: whether it is missing may depend
    on what was observed, not on the value itself.  The likelihood is that of the
    observed values, and the E-step adds the conditional means and covariances of what
    is missing to the moments [6]_; nothing is imputed.  Predictions and scores use what
    was observed of a row.  A row of which nothing was observed has log-density 0 and
    the weights as its posterior, and is one of the n observations.

    With a `prior` each covariance is inverse Wishart with D + 2 degrees of freedom and
    a scale of :math:`K^{-2/D}` times the covariance of all rows, and each mean has
    0.01 observations at the mean of all rows.  To the M-step these are observations;
    so every covariance type has such a mode.  For 'full' and 'tied' it is that of [8]_,
    and for 'spherical' and 'tied_spherical'.  For 'diag' and 'tied_diag' each variance
    has a prior of its own, as there, but with the variance of its own feature as the
    scale, not the average of all, so that units do not matter.  For the other types
    each component has the prior of 'full' (or 'diag'), so that what components share
    has K of them.  The modes lie below the usual estimates: for 'full' the scatter is
    divided by the rows plus 2 D + 4.

    With noise the density is :math:`(1 - w) \sum_k \pi_k N(x; \mu_k, \Sigma_k) + w / V`
    everywhere, also outside of the box.  Of some features 1 / V is that of their sides
    of the box, which has the proportions of the rows if V is given.  EM begins with
    w = 0.1.  `predict` gives -1 for noise, and `predict_proba` has a last column for
    it, of index -1.  Its weight counts as a parameter, and V as another one if it was
    not given, as in mclust.  Unlike there the box is not turned to principal axes,
    which would depend on units.  One value very far from all others makes V so large
    that no other outlier is found: leave the value out.  The E-step
    goes over the rows twice.

    Both `prior` and `max_eigenvalue_ratio` need ``reg_covar='auto'``, which goes on
    keeping constant and collinear features from being singular: a ridge is no penalty.

    References
    ----------
    .. [1] C. M. Bishop (2006). Pattern Recognition and Machine Learning, chapter 9.
    .. [2] J. Chen and X. Tan (2009). Inference for multivariate normal mixtures.
       Journal of Multivariate Analysis 100, 1367-1383.
    .. [3] N. Ueda et al. (2000). SMEM algorithm for mixture models.  Neural
       Computation 12, 2109-2128.
    .. [4] R. Varadhan and C. Roland (2008). Simple and globally convergent methods
       for accelerating the convergence of any EM algorithm.  Scandinavian Journal
       of Statistics 35, 335-353.
    .. [5] G. Celeux and G. Govaert (1995). Gaussian parsimonious clustering models.
       Pattern Recognition 28, 781-793; L. Scrucca et al. (2016). mclust 5.  The R
       Journal 8, 289-317.
    .. [6] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from incomplete
       data via an EM approach.  Advances in Neural Information Processing Systems 6,
       120-127.
    .. [7] O. Cappe and E. Moulines (2009). On-line expectation-maximization algorithm
       for latent data models.  Journal of the Royal Statistical Society B 71, 593-613.
    .. [8] C. Fraley and A. E. Raftery (2007). Bayesian regularization for normal
       mixture estimation and model-based clustering.  Journal of Classification 24,
       155-181.
    .. [9] S. Ingrassia and R. Rocci (2007). Constrained monotone EM algorithms for
       finite mixture of multivariate Gaussians.  Computational Statistics & Data
       Analysis 51, 5339-5351; R. Rocci, S. A. Gattone and R. Di Mari (2018). A data
       driven equivariant approach to constrained Gaussian mixture modeling.  Advances
       in Data Analysis and Classification 12, 235-260.
    .. [10] J. D. Banfield and A. E. Raftery (1993). Model-based Gaussian and
       non-Gaussian clustering.  Biometrics 49, 803-821; C. Fraley and A. E. Raftery
       (1998). How many clusters? Which clustering method? Answers via model-based
       cluster analysis.  The Computer Journal 41, 578-588.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(n_components=2).fit(X)
    >>> mixture.means_.round(2)
    array([[ 2.04, 54.48],
           [ 4.29, 79.97]])
    >>> round(mixture.score(X), 4)
    -4.1554
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(FAMILIES)), Family],
        "equal_weights": ["boolean"],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "prior": [StrOptions({"fraley-raftery"}), ConjugatePrior, None],
        "max_eigenvalue_ratio": [Interval(Real, 1.0, None, closed="left"), None],
        "noise": ["boolean", Interval(Real, 0.0, None, closed="neither")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [
            StrOptions(NAMES),
            "array-like",
            callable,
            HasMethods("score_samples"),
        ],
        "n_swaps": [Interval(Integral, 0, None, closed="left")],
        "acceleration": [StrOptions({"squarem"}), None],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "covariances_init": ["array-like", None],
        "learning_decay": [Interval(Real, 0.5, 1.0, closed="right")],
        "learning_offset": [Interval(Real, 0.0, None, closed="left")],
        "half_life": [Interval(Real, 0.0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str | Family = "full",
        equal_weights: bool = False,
        tol: float = 1e-6,
        reg_covar: str | float = "auto",
        prior: str | ConjugatePrior | None = None,
        max_eigenvalue_ratio: float | None = None,
        noise: bool | float = False,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: Any = "auto",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        covariances_init: ArrayLike | None = None,
        n_swaps: int = 16,
        acceleration: str | None = "squarem",
        learning_decay: float = 0.7,
        learning_offset: float = 10.0,
        half_life: float | None = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        checkpoint: str | PathLike | None = None,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.equal_weights = equal_weights
        self.tol = tol
        self.reg_covar = reg_covar
        self.prior = prior
        self.max_eigenvalue_ratio = max_eigenvalue_ratio
        self.noise = noise
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.covariances_init = covariances_init
        self.n_swaps = n_swaps
        self.acceleration = acceleration
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.half_life = half_life
        self.random_state = random_state
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # ---- fitting ----------------------------------------------------------
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Fit the mixture to rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers of any kind; NaN where a value is missing at random.  A
            memory-mapped file, or anything that is no array and has ``shape``,
            ``dtype`` and slices of rows (zarr, h5py), is read block by block in every
            iteration and is never in memory as a whole.  Blocks of a Dask array or
            frame are summed where they are (persist it, or they are made anew in every
            iteration); the predictions for one are lazy.  No value may be missing in
            a file; one that is memory-mapped and has missing values is read into
            memory.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixture

        Raises
        ------
        ValueError
            If X, the weights or the starting values cannot be used.  The estimator
            is then as it was before, as it is after an interrupt.
        """
        context = self._init_callback_context(max_subtasks=self.n_init)
        with unchanged_on_failure(self), visible_log(self.verbose):
            self._fit(X, sample_weight, context)
        return self

    def _fit(self, X, sample_weight, context):
        warm = self.warm_start and self.__sklearn_is_fitted__()
        before = self._model() if warm else None
        X = check_rows(self, X)
        if warm:
            family = self._family(X.shape[1])
            check_warm_start(before, family, self.n_components, X.shape[1])
        self._fit_rows(X, sample_weight, before, context, self.checkpoint)

    def _fit_rows(self, X, sample_weight, before=None, context=None, checkpoint=None):
        """Fit checked rows, from the model before if there is one."""
        family = self._family(X.shape[1])
        rng = random_state(self.random_state)
        X, weight, kept, empty = _kept(X, sample_weight)
        start = (
            check_start(self, family, X, kept, rng)
            if before is None
            else Start.at(before.mixture)
        )
        source = _source(X[kept], weight, empty, family, self.n_components)
        problem = _problem(self, source, family)
        n_starts = self.n_init if start.varies else 1

        def shown(fit):
            model = _model_of(problem, fit, X.dtype)
            return {"_fitted_model": model, "lower_bound_": fit.objective}

        monitor = Monitor(self, context, shown, n_starts)
        if checkpoint is not None:
            checkpoint = Checkpoint(checkpoint, task_of(self, source))
        fit = self._run(problem, start, rng, n_starts, monitor, checkpoint)
        monitor.close()
        self._take(problem, fit, X.dtype)
        if checkpoint is not None:
            checkpoint.remove()

    def _take(self, problem, fit, dtype):
        """Set what a fit has found, and warn of what it means."""
        self._set_model(_model_of(problem, fit, dtype))
        self.converged_ = fit.converged
        self.n_iter_ = fit.n_iter
        self.lower_bound_ = fit.objective
        self.lower_bounds_ = list(fit.history)
        self.degenerate_ = problem.degenerate(fit)
        self.n_samples_seen_ = _whole(problem.source.total_weight)
        self._stream = Past.of(self._model(), problem.source, fit)
        _warn_of_result(fit, problem, self.max_iter)

    def _run(self, problem, start, rng, n_starts, monitor, checkpoint):
        with _failures_explained(self.reg_covar):
            return best_run(
                problem,
                start,
                rng,
                n_starts=n_starts,
                tol=self.tol,
                max_iter=self.max_iter,
                accelerated=self.acceleration is not None,
                monitor=monitor,
                checkpoint=checkpoint,
            )

    # ---- streams ----------------------------------------------------------
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None) -> Self:
        r"""Learn from a batch of rows, and keep what was learnt before.

        The first rows are kept until there are 50000 (or 50 K D, if that is more; with
        a `half_life` so many, or 50 K D), and all of them are fitted, as `fit` would,
        whenever there are a tenth more: also from a new start when there are twice as
        many as at the last one.  After that a batch is one step of stepwise EM: with
        the statistics of an observation
        :math:`s` (weights, first and second moments of the components),

        .. math:: s \leftarrow (1 - \gamma) s + \gamma \bar s(batch), \quad
            \gamma = (\mathrm{learning\_offset} + n / b)^{-\mathrm{learning\_decay}}

        where b is the weight of the batch and n that of all rows so far.  A component
        of fewer than 2 (D + 1) effective rows is given the common covariance.  Batches
        should be in random order, or follow a drift that `half_life` forgets.

        After `fit`, or from given parameters, it goes on from there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any number of rows; the first batch needs `n_components`.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: 2 is a repeated row, 0 an absent one.

        Returns
        -------
        self : GaussianMixture
            With `n_samples_seen_`; with `converged_` false, the number of steps as
            `n_iter_`, and the average of the log-likelihood of each batch before it was
            learnt as `lower_bound_`, once rows are no longer kept.

        Raises
        ------
        ValueError
            If X or the weights cannot be used, or parameters have changed that the
            mixture depends on.  The estimator is then as it was before.

        Examples
        --------
        >>> import numpy as np
        >>> from skgmm import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> mixture = GaussianMixture(2)
        >>> for _ in range(20):
        ...     X = rng.normal(size=(4000, 1)) + rng.choice([5, 15], size=(4000, 1))
        ...     mixture = mixture.partial_fit(X)
        >>> mixture.means_.round(1)
        array([[ 5.],
               [15.]])
        >>> mixture.n_samples_seen_
        80000
        """
        with unchanged_on_failure(self), visible_log(self.verbose):
            self._partial_fit(X, sample_weight)
        return self

    def _partial_fit(self, X, sample_weight):
        check_no_constraint(self)
        model = self._model() if self.__sklearn_is_fitted__() else None
        if is_lazy(X):  # a batch is small
            X = X.compute()
        X = check_array_rows(self, X, reset="n_features_in_" not in vars(self))
        if has_holes(X):
            raise ValueError(
                "X contains NaN; partial_fit takes rows without missing values only. "
                "Leave these rows out, or fill the values by a GaussianMixtureImputer."
            )
        family = self._family(X.shape[1])
        check_additive(family)
        past = None
        if model is not None:
            check_stream(model, family, self.n_components, X.shape[1])
            past = vars(self).get("_stream")
            if past is None or past.model is not model:  # parameters were assigned
                past = Past.unknown(model)
        X, weight, kept, _ = _kept(X, sample_weight)
        X = X[kept]
        if past is None or past.keeps_rows:
            self._fit_first(past, X, weight)
            return
        stream = past.stream() if isinstance(past, Past) else past
        steps = StepSize(self.learning_decay, self.learning_offset, self.half_life)
        with _failures_explained(self.reg_covar), single_threaded_blas():
            regularise = partial(_regularisation, self.reg_covar)
            stream = stream.learn(X, weight, steps, regularise)
        self._stream = stream
        self._set_model(stream.model)
        self.converged_ = False
        self.n_iter_ = stream.n_steps
        self.lower_bound_ = stream.past.objective
        self.n_samples_seen_ = _whole(stream.seen)
        for name in ("lower_bounds_", "degenerate_"):  # these are of a fit
            vars(self).pop(name, None)

    def _fit_first(self, past, X, weight):
        """Fit the first rows of a stream, those before among them."""
        seen, n_rows = (past.seen, past.n_rows) if past else (0.0, 0)
        seen, n_rows = seen + float(weight.sum()), n_rows + len(X)
        half_life = self.half_life and self.half_life * n_rows / seen  # in rows
        enough = n_rows >= first_rows(self.n_components, X.shape[1], half_life)
        if past is not None and not enough and not past.is_due(n_rows):
            self._stream = replace(past.keeping(X, weight), seen=seen)
            self.n_samples_seen_ = _whole(seen)
            return
        if past is not None:
            X, weight = past.with_all(X, weight)
        anew = past is None or (
            isinstance(self.init_params, str) and (enough or n_rows >= 2 * past.started)
        )
        self._fit_rows(X, weight, past and past.model)
        if anew and past is not None:
            self._fit_again(X, weight)
        if not enough:
            started = n_rows if anew else past.started
            numbers = {"fitted": n_rows, "started": started}
            self._stream = self._stream.keeping(X, weight, **numbers)

    def _fit_again(self, X, weight):
        """Fit from a new start, and keep the fit there was if that is no worse."""
        before = vars(self).copy()
        self._fit_rows(X, weight)
        ranks = [
            (-len(fit["degenerate_"]), fit["lower_bound_"])
            for fit in (before, vars(self))
        ]
        if ranks[0] >= ranks[1]:
            vars(self).update(before)

    # ---- other ways to a mixture ------------------------------------------
    @classmethod
    def from_parameters(
        cls,
        weights,
        means,
        *,
        covariances=None,
        precisions=None,
        covariance_type="full",
        random_state=None,
    ) -> Self:
        """Return a mixture with given parameters, ready to use without `fit`.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            They sum to one.
        means : array-like of shape (n_components, n_features)
        covariances, precisions : array-like
            Covariances or their inverses, in the shape of the covariance type; one
            of the two.
        covariance_type : str or Family, default='full'
            See `GaussianMixture`.
        random_state : int, RandomState or None, default=None
            For `sample`.

        Returns
        -------
        mixture : GaussianMixture

        Raises
        ------
        ValueError
            If the arrays do not fit together or a matrix is not positive definite.

        Examples
        --------
        >>> from skgmm import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[0.0], [5.0]], covariances=[1.0, 4.0],
        ...     covariance_type="spherical")
        >>> mixture.predict([[1.0], [4.0]])
        array([0, 1])
        """
        given = {"covariances": covariances, "precisions": precisions}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                "from_parameters needs one of covariances and precisions; got "
                f"{'both' if given else 'neither'}."
            )
        [(name, values)] = given.items()
        self = cls(
            n_components=max(1, len(np.atleast_1d(means))),
            covariance_type=covariance_type,
            random_state=random_state,
        )
        self._validate_params()
        names = "weights", "means", name
        family = self._family(np.shape(means)[-1])
        model = make_model(weights, means, values, family=family, names=names)
        self._set_model(model)
        self.n_features_in_ = model.mixture.n_features
        return self

    @classmethod
    def _of_mixture(cls, mixture, *, dtype, names, random_state):
        """Return an estimator of a mixture, of the widest family of its form."""
        family = FAMILIES[mixture.covariances.kind]
        self = cls(
            mixture.n_components,
            covariance_type=family.name,
            random_state=random_state,
        )
        self._set_model(Model(mixture, family, dtype))
        self.n_features_in_ = mixture.n_features
        if names is not None:
            self.feature_names_in_ = names
        return self

    def without_noise(self) -> "GaussianMixture":
        """Return the Gaussians alone, without a noise component.

        Returns
        -------
        mixture : GaussianMixture
            Fitted, with the same parameters but ``noise=False``.

        Examples
        --------
        >>> import numpy as np
        >>> from skgmm import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> X = np.concatenate([rng.normal(size=(200, 1)), rng.uniform(-9, 9, (50, 1))])
        >>> mixture = GaussianMixture(noise=True).fit(X)
        >>> mixture.without_noise().mean().round(1) + 0.0
        array([0.])
        """
        model = self._model()
        other = clone(self).set_params(noise=False)
        kept = "n_features_in_", "feature_names_in_"
        vars(other).update({k: v for k, v in vars(self).items() if k in kept})
        other._set_model(replace(model, mixture=replace(model.mixture, noise=None)))
        return other

    def to_sklearn(self) -> Any:
        """Return this mixture as a fitted `sklearn.mixture.GaussianMixture`.

        Returns
        -------
        mixture : sklearn.mixture.GaussianMixture
            With the parameters that scikit-learn knows too.
        """
        return _sklearn.to_sklearn(self)

    @classmethod
    def from_sklearn(cls, mixture) -> Self:
        """Return a `sklearn.mixture.GaussianMixture`, fitted or not, as one of ours.

        Parameters
        ----------
        mixture : sklearn.mixture.GaussianMixture

        Returns
        -------
        mixture : GaussianMixture
        """
        return _sklearn.from_sklearn(cls, mixture)


def _model_of(problem, fit, dtype):
    mixture = problem.source.frame.outward(fit.mixture)
    return Model(mixture, problem.family, dtype)


@contextmanager
def _failures_explained(reg_covar):
    """Turn failures of the inside into errors that say what to do."""
    try:
        yield
    except NotPositiveDefinite as error:
        raise ValueError(
            f"Fitting failed: {error} Its rows span fewer dimensions than X has, "
            f"and reg_covar={reg_covar} is too small to make up for it. "
            "Use reg_covar='auto', a larger value, or fewer components."
        ) from error
    except StartFailed as error:
        raise ValueError(f"Fitting failed: {error}.") from error


def _whole(weight):
    """Return a sum of weights, as an integer if it is one."""
    return int(weight) if weight == int(weight) else weight


@contextmanager
def unchanged_on_failure(estimator):
    """Put all attributes back if the block does not come to its end."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _kept(X, sample_weight):
    """Return X, the weights of rows that take part, and an index of these.

    The rows of which nothing was observed are left out too: their weight comes fourth.
    """
    if isinstance(X, LazyRows):
        X = X.weighted(sample_weight)
        check_total_weight(X.total_weight, X.whole.largest or X.whole.empty)
        return X, None, slice(None), X.whole.empty
    weight = check_sample_weight(sample_weight, len(X))
    weighted = slice(None) if sample_weight is None else weight > 0
    if _have_holes(X):
        nothing = np.isnan(X).all(axis=1)
        kept = (weight > 0) & ~nothing
        return X, weight[kept], kept, float(weight[nothing].sum())
    kept = slice(None) if np.all(weighted) else weighted
    return X, weight[kept], kept, 0.0


def _have_holes(rows):
    """Tell whether rows have NaN; those of files were checked."""
    if isinstance(rows, LazyRows):
        return rows.whole.holes
    return isinstance(rows, np.ndarray) and has_holes(rows)


def _source(rows, weight, empty_weight, family, n_components, *, warns=True):
    """Return the source of rows, after checking that they can be fitted."""
    holes = _have_holes(rows) or empty_weight > 0
    if holes:
        check_holes(family)
        check_observed(rows)
    check_enough_rows(len(rows), n_components)
    options = {"per_feature": family.per_feature}
    if isinstance(rows, LazyRows) and holes:
        source = DaskHolesSource.of(rows, family.form, **options)
    elif isinstance(rows, LazyRows):
        source = DaskSource.of(rows, **options)
    elif holes:
        source = HolesSource.of(rows, weight, family.form, empty_weight, **options)
    else:
        source = ArraySource.of(rows, weight, **options)
    frame = source.frame
    check_representable(frame, rows.dtype)
    constant = np.flatnonzero(frame.deviation == 0)
    if warns and constant.size and len(rows) > 1:
        warn(
            f"Features {constant.tolist()} of X have one value only, which says "
            "nothing about the components. Leave them out.",
            UserWarning,
        )
    if holes:
        warn_of_many_patterns(source, n_components)
    return source


def _regularisation(reg_covar, frame, largest_weight):
    if isinstance(reg_covar, str):
        return PseudoObservations.of(frame, largest_weight)
    return Ridge.of(frame, reg_covar)


def _problem(estimator, source, family):
    """Return what the parameters of an estimator say that EM is to climb."""
    regularisation = _regularisation(
        estimator.reg_covar, source.frame, source.largest_weight
    )
    # Estimators of grids and of other things have no such parameters.
    prior = getattr(estimator, "prior", None)
    ratio = getattr(estimator, "max_eigenvalue_ratio", None)
    noise = _noise(getattr(estimator, "noise", False), source, regularisation)
    if prior is None and ratio is None:
        return Problem(source, family, regularisation, noise=noise)
    check_no_ridge(estimator)
    if prior is not None:
        check_has_prior(family)
    one = FAMILIES[family.form.for_total().kind]
    _, scatter = source.total(one.form)
    count = np.array([source.total_weight])
    total = regularisation.estimate(one, count, np.asarray(scatter)[np.newaxis])
    if prior is not None:
        prior = ConjugatePrior() if isinstance(prior, str) else prior
        regularisation = Conjugate.on(regularisation, prior, source, family, total)
    if ratio is not None:
        metric = regularisation.varying(total)[0]
        family = BoundedFamily.of(family, metric, ratio)
    return Problem(source, family, regularisation, noise=noise)


def _noise(noise, source, regularisation):
    """Return the noise that a parameter asks for, or None."""
    if not is_asked_for(noise):
        return None
    frame, (_, variance, held, ridge) = source.frame, regularisation.terms
    variance = np.where(frame.constant, held + ridge, frame.variance)
    volume = None if isinstance(noise, bool | np.bool_) else float(noise)
    deviations = np.sqrt(variance) * frame.scale
    outward = Noise.of(*source.extremes(), deviations, volume)
    return outward.moved(-frame.centre / frame.scale, 1.0 / frame.scale)


def _warn_of_result(fit, problem, max_iter):
    singular = problem.regularisation.held_up(
        problem.family, fit.mixture, fit.statistics
    )
    empty = problem.empty(fit.statistics.count)
    if empty.any() and max_iter > 0:
        warn(
            f"Components {np.flatnonzero(empty).tolist()} are empty: their "
            "responsibilities sum to less than half a row, so their means and "
            "covariances say nothing about X. Use fewer components, or another "
            "start: init_params='auto' puts an empty component elsewhere where it can.",
            ConvergenceWarning,
        )
    singular &= ~empty
    if singular.any():
        warn(
            f"Components {np.flatnonzero(singular).tolist()} have less variance in "
            "some direction than reg_covar='auto' adds there: their rows span fewer "
            "dimensions than X, or lie very close together compared to all of X. Use "
            "fewer components, a simpler covariance_type, or a small float as "
            "reg_covar.",
            ConvergenceWarning,
        )
    if not (fit.converged or fit.stopped) and max_iter > 0:
        warn(
            f"The best start did not converge within max_iter={max_iter} iterations. "
            "Increase max_iter or tol, or try other init_params.",
            ConvergenceWarning,
        )
