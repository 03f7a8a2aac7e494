"""CriterionDisplay: a criterion by number of components and family."""

from typing import Self

import numpy as np

from ._panels import LEGEND
from ._style import COLOURS, LINES, MARKERS, check_matplotlib, one_axes


class CriterionDisplay:
    """Picture of a criterion of models: a curve for each covariance family.

    Parameters
    ----------
    n_components : array-like of shape (n_models,)
    covariance_type : array-like of str of shape (n_models,)
    criterion : array-like of float of shape (n_models,)
        NaN or infinity where a model could not be fitted.
    degenerate : array-like of bool of shape (n_models,), default=None
        Models with components that are a few rows: they have hollow marks, and win
        only if all models are so.
    criterion_name : str, default='criterion'
        Label of the axis.
    lower_is_better : bool, default=True

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to Line2D
        One for each family.
    degenerate_ : list of PathCollection
        The hollow marks of degenerate models, for each family that has any.
    best_ : PathCollection or None
        The ring about the winner.
    best_index_ : int or None
        Which of the models it is; None if no criterion is finite.
    legend_ : Legend

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.plotting import CriterionDisplay
    >>> X = load_old_faithful().data
    >>> models = [(k, name) for k in (1, 2, 3) for name in ("full", "tied")]
    >>> results = {
    ...     "n_components": [k for k, _ in models],
    ...     "covariance_type": [name for _, name in models],
    ...     "bic": [
    ...         GaussianMixture(k, covariance_type=name).fit(X).bic(X)
    ...         for k, name in models
    ...     ],
    ... }
    >>> display = CriterionDisplay.from_results(results, criterion="bic")
    >>> models[display.best_index_]
    (3, 'tied')
    """

    def __init__(
        self,
        n_components,
        covariance_type,
        criterion,
        *,
        degenerate=None,
        criterion_name="criterion",
        lower_is_better=True,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.degenerate = degenerate
        self.criterion_name = criterion_name
        self.lower_is_better = lower_is_better

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs) -> Self:
        """Draw the ``results_`` of an estimator that has compared models.

        Parameters
        ----------
        estimator : estimator
            With the attribute ``results_``, as a fitted ``GaussianMixtureIC``.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            ``criterion`` and ``lower_is_better`` of `from_results`; options of `plot`.

        Returns
        -------
        display : CriterionDisplay
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        results = getattr(estimator, "results_", None)
        if results is None:
            raise ValueError(
                "estimator must have results_, a table of models; "
                f"{type(estimator).__name__} has none. Fit one that compares models, "
                "or use from_results."
            )
        if "criterion_name" not in kwargs and "criterion" not in kwargs:
            name = getattr(estimator, "criterion", None)
            kwargs["criterion_name"] = name.upper() if isinstance(name, str) else None
        return cls.from_results(results, ax=ax, **kwargs)

    @classmethod
    def from_results(
        cls,
        results,
        *,
        criterion="criterion",
        criterion_name=None,
        lower_is_better=True,
        ax=None,
        **kwargs,
    ) -> Self:
        """Draw a table of models.

        Parameters
        ----------
        results : dict of array-like, or DataFrame
            With the columns 'n_components', 'covariance_type' and ``criterion``; a
            column 'degenerate' is used too.
        criterion : str, default='criterion'
            Which column is drawn.
        criterion_name : str, default=None
            Label of the axis; by default the name of the column.
        lower_is_better : bool, default=True
            False for a log-likelihood or a score.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Options of `plot`.

        Returns
        -------
        display : CriterionDisplay

        Raises
        ------
        ValueError
            If a column is missing, or the columns have different lengths.
        """
        check_matplotlib(f"{cls.__name__}.from_results")
        names = "n_components", "covariance_type", criterion
        missing = [name for name in names if name not in results]
        if missing:
            raise ValueError(
                f"results must have the columns {list(names)}; got "
                f"{sorted(map(str, results))}, without {missing}."
            )
        if criterion_name is None:
            short = len(criterion) <= 4
            criterion_name = criterion.upper() if short else criterion.replace("_", " ")
        display = cls(
            *(results[name] for name in names),
            degenerate=results.get("degenerate"),
            criterion_name=criterion_name,
            lower_is_better=lower_is_better,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, line_kw=None) -> Self:
        """Draw the criterion.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        line_kw : dict, default=None
            Options of `matplotlib.axes.Axes.plot` for all curves.

        Returns
        -------
        display : CriterionDisplay
        """
        sizes = np.asarray(self.n_components)
        families = np.asarray(self.covariance_type).astype(str)
        values = np.asarray(self.criterion, dtype=np.float64)
        if not sizes.shape == families.shape == values.shape or values.ndim != 1:
            raise ValueError(
                "n_components, covariance_type and criterion must have one shape, "
                f"(n_models,); got {sizes.shape}, {families.shape} and {values.shape}."
            )
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        values = np.where(np.isfinite(values), values, np.nan)
        flawed = np.zeros(values.shape, dtype=bool)
        if self.degenerate is not None:
            flawed = np.broadcast_to(np.asarray(self.degenerate, bool), values.shape)
        self.lines_, self.degenerate_ = {}, []
        for index, family in enumerate(dict.fromkeys(families)):
            rows = np.flatnonzero(families == family)
            rows = rows[np.argsort(sizes[rows], kind="stable")]
            options = {
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": LINES[index % len(LINES)],
                "marker": MARKERS[index % len(MARKERS)],
                "markersize": 4,
                "linewidth": 1.2,
                "label": family,
            }
            [self.lines_[family]] = ax.plot(
                sizes[rows], values[rows], **(options | (line_kw or {}))
            )
            rows = rows[flawed[rows] & np.isfinite(values[rows])]
            if rows.size:
                hollow = ax.scatter(
                    sizes[rows],
                    values[rows],
                    s=16,
                    marker=options["marker"],
                    facecolors="white",
                    edgecolors=options["color"],
                    linewidths=1.0,
                    zorder=3,
                    label=None if self.degenerate_ else "degenerate",
                )
                self.degenerate_.append(hollow)
        self.best_index_, self.best_ = self._winner(values, flawed), None
        if self.best_index_ is not None:
            best = self.best_index_
            self.best_ = ax.scatter(
                sizes[best],
                values[best],
                s=160,
                facecolors="none",
                edgecolors="black",
                linewidths=1.6,
                zorder=4,
                label=f"best: {families[best]}, {sizes[best]}",
            )
        better = "lower" if self.lower_is_better else "higher"
        name = self.criterion_name or "criterion"
        ax.set(xlabel="number of components", ylabel=f"{name} ({better} is better)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        # Beside the curves: fourteen families leave no corner free.
        outside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
        self.legend_ = ax.legend(
            **LEGEND, **(outside if len(self.lines_) > 4 else {"loc": "best"})
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _winner(self, values, flawed):
        values = values if self.lower_is_better else -values
        fitted = np.flatnonzero(~np.isnan(values))
        # The last key counts first: whole models before degenerate ones.
        order = np.lexsort((values[fitted], flawed[fitted]))
        return int(fitted[order[0]]) if fitted.size else None
