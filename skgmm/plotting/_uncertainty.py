"""UncertaintyDisplay: how sure the components of rows are."""

from typing import Self

import numpy as np

from ._mixture import Points, checked_rows
from ._panels import LEGEND, emptiest_corner, legend_size, plane_panel
from ._style import check_matplotlib, component_colours, one_axes
from ._views import (
    deviations_of,
    full_mixture,
    grid_of,
    limits_of,
    our_mixture,
    view_of,
)

_KINDS = ("auto", "rows", "sorted")
_LONGEST = 2000  # points of the curve of sorted rows


class UncertaintyDisplay:
    """Picture of the uncertainty of the classification of rows.

    The uncertainty of a row is one minus its largest responsibility: the probability
    that `predict` is wrong, if the mixture is right [1]_.

    Parameters
    ----------
    uncertainty : ndarray of shape (n_samples,)
        Of all rows.
    weights, means, covariances : ndarray, default=None
        The mixture in the one or two features, or directions, that are shown.
    points : Points, default=None
        Rows that are drawn.
    shown_uncertainty : ndarray, default=None
        Of these.
    feature_names : list of str, default=None
    limits : ndarray of shape (n_shown, 2), default=None

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : Line2D or None
        The uncertainty that the one feature shown leaves, or that of the sorted rows.
    points_ : PathCollection or None
        The rows, the larger and darker the less sure; the five per cent of the rows
        that are least sure are black.
    ellipses_ : list of LineCollection or None

    References
    ----------
    .. [1] C. Fraley and A. E. Raftery (2002). Model-based clustering, discriminant
       analysis and density estimation. JASA 97, 611-631.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.plotting import UncertaintyDisplay
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(2).fit(X)
    >>> display = UncertaintyDisplay.from_estimator(mixture, X, kind="sorted")
    >>> bool(display.uncertainty.max() < 0.5)
    True
    """

    def __init__(
        self,
        uncertainty,
        *,
        weights=None,
        means=None,
        covariances=None,
        points=None,
        shown_uncertainty=None,
        feature_names=None,
        limits=None,
    ):
        self.uncertainty = uncertainty
        self.weights = weights
        self.means = means
        self.covariances = covariances
        self.points = points
        self.shown_uncertainty = shown_uncertainty
        self.feature_names = feature_names
        self.limits = limits

    @classmethod
    def from_estimator(
        cls, estimator, X, *, features=None, max_points=5000, ax=None, **kwargs
    ) -> Self:
        """Draw the uncertainty of rows.

        Parameters
        ----------
        estimator : GaussianMixture
            Fitted; scikit-learn's will do too.
        X : array-like of shape (n_samples, n_features)
        features : None, 'projection' or sequence of int or str, default=None
            Which one or two features are shown, see
            `MixtureDisplay.from_estimator`; by default their projection if there are
            more than two.
        max_points : int, default=5000
            Of more rows a random sample of so many is drawn.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Options of `plot`.

        Returns
        -------
        display : UncertaintyDisplay

        Raises
        ------
        ValueError
            If features are unknown or more than two.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        estimator = our_mixture(estimator)
        mixture = estimator._model().mixture
        view = view_of(estimator, mixture, features, most=2)
        if len(view.names) > 2:
            raise ValueError(
                f"features must be one or two of the features; got {len(view.names)}. "
                "Or use features='projection'."
            )
        estimator, X, _ = checked_rows(estimator, X, None)
        shown = view.mixture(mixture)
        points = Points.of(estimator, X, None, view, max_points)
        display = cls(
            uncertainty_of(estimator, X),
            weights=shown.weights,
            means=shown.means,
            covariances=shown.covariances.values,
            points=points,
            shown_uncertainty=1.0 - points.responsibilities.max(axis=1),
            feature_names=view.names,
            limits=limits_of(shown, points.all_rows),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, kind="auto") -> Self:
        """Draw the uncertainty.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        kind : {'auto', 'rows', 'sorted'}, default='auto'
            'rows' draws the rows where they lie; 'sorted' their uncertainty in
            descending order, so that it shows how many rows are how unsure.  'auto' is
            'rows', if the mixture is known.

        Returns
        -------
        display : UncertaintyDisplay
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}; got {kind!r}.")
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        self.line_ = self.points_ = self.ellipses_ = None
        if kind == "sorted" or self.means is None:
            self._plot_sorted(ax)
        elif np.shape(self.means)[1] == 1:
            self._plot_line(ax)
        else:
            self._plot_plane(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_sorted(self, ax):
        values = np.sort(self.uncertainty)[::-1]
        n = len(values)
        # Of a million rows a curve needs few points, evenly on the log scale.
        index = np.geomspace(1, n, min(n, _LONGEST)).round().astype(int)
        index = np.unique(np.append(index, np.arange(1, min(n, 100) + 1)))
        [self.line_] = ax.plot(index, values[index - 1], color="black")
        ax.fill_between(index, values[index - 1], color="0.85")
        ax.set_xscale("log")
        ax.set(xlabel="number of rows at least as unsure", ylabel="uncertainty")
        ax.set(xlim=(1, max(n, 2)), ylim=(0, None))

    def _plot_line(self, ax):
        mixture = full_mixture(self.weights, self.means, self.covariances)
        sd = deviations_of(mixture)[:, 0]
        x = grid_of(self.limits[0], mixture.means[:, 0], sd, 800)[:, np.newaxis]
        _, log_responsibilities = mixture.log_responsibilities(x)
        curve = 1.0 - np.exp(log_responsibilities.max(axis=1))
        [self.line_] = ax.plot(x[:, 0], curve, color="0.6", linewidth=1.2, zorder=1)
        for mean, weight in zip(mixture.means[:, 0], mixture.weights, strict=True):
            if weight > 0:
                ax.axvline(mean, color="0.4", linestyle="--", linewidth=0.8)
        top = max(curve.max(), self.shown_uncertainty.max(initial=0), 1e-3)
        ax.set(xlim=self.limits[0], ylim=(0, 1.3 * top))
        ax.set(xlabel=self.feature_names[0], ylabel="uncertainty")
        self._scatter(ax, self.points.rows[:, 0], self.shown_uncertainty)

    def _plot_plane(self, ax):
        mixture = full_mixture(self.weights, self.means, self.covariances)
        colours = component_colours(mixture.means, deviations_of(mixture))
        artists = plane_panel(
            ax,
            mixture,
            colours,
            self.limits,
            None,
            masses=(),
            deviations=(1, 2),
            legend=False,
            names=self.feature_names,
            small=False,
        )
        self.ellipses_ = artists["ellipses"]
        self._scatter(ax, *self.points.rows.T)

    def _scatter(self, ax, x, y):
        """Draw the rows, the least sure ones last."""
        from matplotlib.lines import Line2D

        u = self.shown_uncertainty
        order = np.argsort(u)
        least, less = np.quantile(u, [0.95, 0.75]) if len(u) else (1, 1)
        shade = np.where((u >= least) & (u > 0), 0.0, np.where(u >= less, 0.5, 0.8))
        size = np.clip(300 / np.sqrt(max(1, len(u))), 4.0, 25.0)
        self.points_ = ax.scatter(
            x[order],
            y[order],
            c=shade[order],
            cmap="gray",
            vmin=0,
            vmax=1,
            s=(size * (0.3 + 3 * u / max(u.max(initial=0), 1e-12)))[order],
            linewidths=0,
            zorder=2,
            rasterized=len(u) > 2000,
        )
        classes = (
            (7, "0.0", "least sure 5 %"),
            (5, "0.5", "next 20 %"),
            (3, "0.8", "others"),
        )
        handles = [
            Line2D([], [], marker="o", ls="", ms=size, color=grey, label=label)
            for size, grey, label in classes
        ]
        box = np.array([ax.get_xlim(), ax.get_ylim()])
        rows = np.stack([x, y], axis=1)
        corner = emptiest_corner(rows, box, legend_size(ax, handles))
        ax.legend(handles=handles, loc=corner, **LEGEND)


def uncertainty_of(estimator, X):
    """Return one minus the largest responsibility of each row, in chunks of rows."""
    out = np.empty(len(X))
    for start in range(0, len(X), 65536):
        part = slice(start, start + 65536)
        out[part] = 1.0 - estimator.predict_proba(X[part]).max(axis=1)
    return out
