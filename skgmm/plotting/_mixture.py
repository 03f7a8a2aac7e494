"""MixtureDisplay: a fitted mixture, with its data."""

from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np

from .._validation import check_sample_weight
from ._panels import RUG, line_panel, plane_panel
from ._style import check_matplotlib, component_colours, many_axes
from ._views import (
    Features,
    deviations_of,
    full_mixture,
    limits_of,
    our_mixture,
    subsample,
    view_of,
)


@dataclass(frozen=True, eq=False)
class Points:
    """Rows that are drawn, of all rows, in the features shown."""

    rows: np.ndarray
    responsibilities: np.ndarray
    all_rows: np.ndarray
    all_weights: np.ndarray | None = None
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, estimator, X, sample_weight, view, max_points):
        """Return the points of rows X of an estimator."""
        shown = subsample(len(X), sample_weight, max_points)
        # A row that was drawn by its weight is not shown larger for it.
        weighted = sample_weight is not None and np.sum(sample_weight > 0) <= max_points
        rows = view.rows(X)
        return cls(
            rows[shown],
            estimator.predict_proba(X[shown]),
            rows,
            sample_weight,
            sample_weight[shown] if weighted else None,
        )

    def relative_weights(self):
        """Return how large the rows are drawn: their weights over the mean."""
        if self.weights is None:
            return 1.0
        return np.clip(self.weights / self.weights.mean(), 0.1, 10.0)

    def columns(self, columns):
        """Return the points in some of the features."""
        return Points(
            self.rows[:, columns],
            self.responsibilities,
            self.all_rows[:, columns],
            self.all_weights,
            self.weights,
        )


def checked_rows(estimator, X, sample_weight):
    """Return the estimator without names of features, rows as an array, and weights.

    Names have been compared then; parts of the array have none.
    """
    _, X = estimator._rows_in_memory(X)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(X))
    estimator = copy(estimator)
    vars(estimator).pop("feature_names_in_", None)
    return estimator, X, sample_weight


class MixtureDisplay:
    """Picture of a fitted mixture, with its data.

    One feature: the data, the density, its components times their weights, and the
    mean and one standard deviation of each.  Two: the rows in the colours of the
    components, mixed by responsibility, the smallest regions that hold given shares
    of the mass, and ellipses.  More: all pairs, or the plane in which the components
    differ most.  Rows that are noise are grey.  Use `from_estimator` to make one.

    Parameters
    ----------
    weights : ndarray of shape (n_components,)
    means : ndarray of shape (n_components, n_shown)
    covariances : ndarray of shape (n_components, n_shown, n_shown)
        Of the features, or directions, that are shown.
    points : Points or None, default=None
        Rows and their responsibilities.
    feature_names : list of str, default=None
        Labels of the axes.
    limits : ndarray of shape (n_shown, 2), default=None
        Ranges of the axes; by default those of rows and components.

    Attributes
    ----------
    ax_ : matplotlib Axes or ndarray of shape (n_shown, n_shown)
        The axes; of pairs an array, with None above the diagonal.
    figure_ : matplotlib Figure
    data_ : LineCollection, PathCollection or None
        A tick for each row, or a point.
    histogram_ : StepPatch or None
    density_ : Line2D
        In one dimension, as are the next two.
    components_ : list of Line2D
    deviations_ : LineCollection
        From one standard deviation below the mean to one above.
    means_ : LineCollection or PathCollection
    regions_ : QuadContourSet or None
        In two dimensions, as are the ellipses.
    ellipses_ : list of LineCollection
        One for each number of standard deviations.
    numbers_ : list of Text
        The numbers of the components, as from `predict`.
    legend_ : Legend or None
    panels_ : dict
        The artists of each panel by (row, column); the attributes above, without
        the underscore, are the keys.  Of a single panel they are attributes too.

    See Also
    --------
    EMDisplay : The way of EM to such a mixture.
    UncertaintyDisplay : How sure the components of rows are.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.plotting import MixtureDisplay
    >>> X = load_old_faithful(as_frame=True).data
    >>> mixture = GaussianMixture(2).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('eruptions', 'waiting')
    """

    def __init__(
        self,
        weights,
        means,
        covariances,
        *,
        points=None,
        feature_names=None,
        limits=None,
    ):
        self.weights = weights
        self.means = means
        self.covariances = covariances
        self.points = points
        self.feature_names = feature_names
        self.limits = limits

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        features=None,
        sample_weight=None,
        max_points=5000,
        ax=None,
        **kwargs,
    ) -> Self:
        """Draw a fitted mixture.

        Parameters
        ----------
        estimator : GaussianMixture
            Fitted; scikit-learn's will do too.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to draw with it.
        features : None, 'projection' or sequence of int or str, default=None
            Which features are shown, by number or by name.  None shows all if there
            are at most four.  'projection', the default for more, shows the plane in
            which the means and covariances of the components differ most, that of
            mclust's MclustDR; each axis names its share of these differences.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: in the histogram, or as the area of its point.
        max_points : int, default=5000
            Of more rows a random sample of so many is drawn, by weight.  Histogram and
            ranges are those of all rows.
        ax : matplotlib Axes or ndarray of Axes, default=None
            Where to draw; by default in a new figure.  Pairs take the place of one
            Axes of a grid.
        **kwargs
            Options of `plot`.

        Returns
        -------
        display : MixtureDisplay

        Raises
        ------
        ImportError
            Without Matplotlib.
        TypeError
            If the estimator is no mixture.
        ValueError
            If features are unknown or X does not go with the mixture.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        estimator = our_mixture(estimator)
        mixture = estimator._model().mixture
        view = view_of(estimator, mixture, features)
        shown, points, rows = view.mixture(mixture), None, None
        if X is not None:
            plain, X, sample_weight = checked_rows(estimator, X, sample_weight)
            points = Points.of(plain, X, sample_weight, view, max_points)
            rows = points.all_rows
        display = cls(
            shown.weights,
            shown.means,
            shown.covariances.values,
            points=points,
            feature_names=view.names,
            limits=limits_of(shown, rows, sample_weight),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax=None,
        *,
        data="auto",
        masses=(0.25, 0.5, 0.75, 0.95),
        deviations=(1, 2),
        legend=True,
        scatter_kw=None,
    ) -> Self:
        """Draw the mixture.

        Parameters
        ----------
        ax : matplotlib Axes or ndarray of Axes, default=None
            Where to draw; by default in a new figure.
        data : {'auto', 'rug', 'histogram', None}, default='auto'
            How rows are shown in one dimension: as ticks, or as a histogram, the
            default for more than 400 of them.  None leaves rows out, in any dimension.
        masses : sequence of float, default=(0.25, 0.5, 0.75, 0.95)
            Shares of the mass, between 0 and 1, whose regions of highest density are
            shaded in two dimensions.
        deviations : sequence of float, default=(1, 2)
            Sizes of the ellipses, in standard deviations.
        legend : bool, default=True
        scatter_kw : dict, default=None
            Options of `matplotlib.axes.Axes.scatter` for the rows.

        Returns
        -------
        display : MixtureDisplay
        """
        masses = _checked_masses(masses)
        data = self._checked_data(data)
        mixture = full_mixture(self.weights, self.means, self.covariances)
        n = mixture.n_features
        names = self.feature_names or [f"x{i}" for i in range(n)]
        limits = limits_of(mixture) if self.limits is None else self.limits
        colours = component_colours(mixture.means, deviations_of(mixture))
        points = None if data is None else self.points
        size = max(1, n - 1) if n < 3 else n
        caller = f"{type(self).__name__}.plot"
        figsize = (6.4, 4.8) if n < 3 else (2.2 * n + 0.8, 2.2 * n + 0.4)
        shared = {} if n < 3 else {"sharex": "col"}
        axes = many_axes(ax, size, size, caller, figsize=figsize, **shared)

        def draw(axis, columns, **options):
            part = Features([names[i] for i in columns], np.array(columns))
            options |= {"names": part.names, "small": n > 2}
            common = (
                part.mixture(mixture),
                colours,
                limits[columns],
                points and points.columns(columns),
            )
            if len(columns) == 1:
                return line_panel(axis, *common, data=data, **options)
            options |= {"masses": masses, "deviations": deviations}
            return plane_panel(axis, *common, scatter_kw=scatter_kw, **options)

        if n < 3:
            self.ax_ = axes[0, 0]
            self.panels_ = {(0, 0): draw(self.ax_, list(range(n)), legend=legend)}
            vars(self).update({f"{k}_": v for k, v in self.panels_[0, 0].items()})
        else:
            self.ax_ = axes
            self.panels_ = _pairs(axes, draw)
            if legend:
                _legend_of_pairs(axes, self.panels_)
        self.figure_ = axes.flat[0].figure
        for index in np.ndindex(axes.shape) if n > 2 else []:
            if index not in self.panels_:
                axes[index] = None
        return self

    def _checked_data(self, data):
        if data not in ("auto", "rug", "histogram", None):
            raise ValueError(
                f"data must be 'auto', 'rug', 'histogram' or None; got {data!r}."
            )
        if data != "auto" or self.points is None:
            return data
        return "rug" if len(self.points.all_rows) <= RUG else "histogram"


def _checked_masses(masses):
    masses = np.sort(np.asarray(masses, dtype=np.float64).reshape(-1))
    if not np.all((masses > 0) & (masses < 1)):
        raise ValueError(
            "masses must lie between 0 and 1, as shares of the whole; got "
            f"{masses.tolist()}."
        )
    return masses.tolist()


def _pairs(axes, draw):
    """Draw the features on the diagonal and their pairs below it."""
    panels = {}
    for i, j in np.ndindex(axes.shape):
        axis = axes[i, j]
        if j > i:
            axis.set_axis_off()
            continue
        columns = [j] if i == j else [j, i]
        panels[i, j] = draw(axis, columns, legend=False)
        axis.tick_params(labelsize="small")
        if i < len(axes) - 1:
            axis.set_xlabel("")
            axis.tick_params(labelbottom=False)
        if i == j:
            axis.set(ylabel="", yticks=[])
        elif j > 0:
            axis.set_ylabel("")
            axis.tick_params(labelleft=False)
    return panels


def _legend_of_pairs(axes, panels):
    """Name the components in the empty corner."""
    from matplotlib.lines import Line2D

    means = panels[1, 0]["means"]
    colours = means.get_facecolor()
    if not 1 < len(colours) <= 20:
        return
    handles = [
        Line2D([], [], marker="o", ls="", color=colour, mec="black", label=str(k))
        for k, colour in enumerate(colours)
    ]
    panels[1, 0]["legend"] = axes[0, -1].legend(
        handles=handles,
        title="component",
        loc="upper right",
        fontsize="small",
        ncols=1 + len(handles) // 8,
    )
