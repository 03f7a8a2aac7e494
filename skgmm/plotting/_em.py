"""EMDisplay: the way of EM, step by step."""

import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._mixture import Mixture
from ._mixture import Points, checked_rows
from ._panels import density_of, line_panel, plane_panel
from ._style import check_matplotlib, component_colours, many_axes, one_axes
from ._views import deviations_of, limits_of, view_of

_PLAIN = {"acceleration": None, "tol": 0.0, "n_init": 1, "warm_start": False}
_INITS = ("weights_init", "means_init", "precisions_init", "covariances_init")


@dataclass(frozen=True, eq=False)
class State:
    """A state on the way of EM.

    Attributes
    ----------
    n_iter : int
    mixture : Mixture
        In the features shown.
    responsibilities : ndarray of shape (n_shown_rows, n_components)
    log_likelihood : float
        Per observation, in nats.
    """

    n_iter: int
    mixture: Mixture
    responsibilities: np.ndarray
    log_likelihood: float


class EMDisplay:
    """Pictures of plain EM on its way from a start, as figure 9.8 of Bishop [1]_.

    Rows have the colours of the components, mixed by responsibility; ellipses are at
    one and two standard deviations.

    Parameters
    ----------
    states : list of State
    points : Points
        The rows that are drawn.
    feature_names : list of str
    limits : ndarray of shape (n_shown, 2)

    Attributes
    ----------
    axes_ : ndarray of Axes
        One for each state.
    figure_ : matplotlib Figure
    panels_ : list of dict
        The artists of each panel by name, see `MixtureDisplay`.
    animation_ : matplotlib.animation.FuncAnimation
        The last one made by `animate`.

    References
    ----------
    .. [1] C. M. Bishop (2006). Pattern Recognition and Machine Learning, section 9.2.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.plotting import EMDisplay
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(2, init_params="random_from_data", random_state=1)
    >>> display = EMDisplay.from_estimator(mixture, X, iterations=[0, 5, 20])
    >>> [state.n_iter for state in display.states]
    [0, 5, 20]
    """

    def __init__(self, states, *, points, feature_names, limits):
        self.states = states
        self.points = points
        self.feature_names = feature_names
        self.limits = limits

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        iterations=(0, 1, 2, 5, 10, 20),
        features=None,
        sample_weight=None,
        max_points=2000,
        ax=None,
        **kwargs,
    ) -> Self:
        """Fit a copy of an estimator by plain EM and draw states on the way.

        Parameters
        ----------
        estimator : GaussianMixture
            Fitted or not; it is left as it is.  Its parameters say where EM starts.
            The default start is all but the end: for a long way choose another, as
            ``init_params='random_from_data'`` or ``means_init``.
        X : array-like of shape (n_samples, n_features)
        iterations : sequence of int, default=(0, 1, 2, 5, 10, 20)
            Numbers of iterations after which to draw; 0 is the start.
        features : None, 'projection' or sequence of int or str, default=None
            Which one or two features are shown, see `MixtureDisplay.from_estimator`;
            by default the projection of the last state if there are more than two.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts.
        max_points : int, default=2000
            Of more rows a random sample of so many is drawn; EM takes all.
        ax : matplotlib Axes or ndarray of Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Options of `plot`.

        Returns
        -------
        display : EMDisplay

        Raises
        ------
        TypeError
            If the estimator cannot start from a mixture.
        ValueError
            If iterations or features cannot be used.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        iterations = _checked_iterations(iterations)
        path = _path(estimator, X, sample_weight, iterations)
        last = path[-1]
        mixture = last._model().mixture
        view = view_of(last, mixture, features, most=2)
        if len(view.names) > 2:
            raise ValueError(
                f"features must be one or two of the features; got {len(view.names)}. "
                "Or use features='projection'."
            )
        last, rows, sample_weight = checked_rows(last, X, sample_weight)
        points = Points.of(last, rows, sample_weight, view, max_points)
        states = [
            _state(n_iter, fitted, X, sample_weight, view, max_points)
            for n_iter, fitted in zip(iterations, path, strict=True)
        ]
        ranges = [
            limits_of(state.mixture, points.all_rows, sample_weight) for state in states
        ]
        low, high = np.min(ranges, axis=0)[:, 0], np.max(ranges, axis=0)[:, 1]
        limits = np.stack([low, high], axis=1)
        display = cls(states, points=points, feature_names=view.names, limits=limits)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, n_columns=3) -> Self:
        """Draw the states side by side.

        Parameters
        ----------
        ax : matplotlib Axes or ndarray of Axes, default=None
            Where to draw, an array with one for each panel; by default in a new
            figure.
        n_columns : int, default=3

        Returns
        -------
        display : EMDisplay
        """
        n_columns = min(n_columns, len(self.states))
        n_rows = -(-len(self.states) // n_columns)
        axes = many_axes(
            ax,
            n_rows,
            n_columns,
            f"{type(self).__name__}.plot",
            figsize=(2.7 * n_columns + 0.5, 2.6 * n_rows + 0.5),
            sharex=True,
            sharey=True,
        )
        self.axes_ = axes.ravel()[: len(self.states)]
        for rest in axes.ravel()[len(self.states) :]:
            rest.set_axis_off()
        self.panels_ = []
        for index, axis in enumerate(self.axes_):
            self.panels_.append(self._draw(axis, index))
            if index + n_columns < len(self.states):
                axis.set_xlabel("")
            if index % n_columns:
                axis.set_ylabel("")
        self.figure_ = self.axes_[0].figure
        return self

    def animate(self, ax=None, *, interval=600) -> Any:
        """Return an animation of the states.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        interval : int, default=600
            Milliseconds from one state to the next.

        Returns
        -------
        animation : matplotlib.animation.FuncAnimation
            ``animation.save("em.gif", writer="pillow")`` makes a file of it, and
            ``animation.to_jshtml()`` a page.
        """
        ax = one_axes(ax, f"{type(self).__name__}.animate")
        from matplotlib.animation import FuncAnimation

        def frame(index):
            ax.clear()
            self._draw(ax, index)

        self.animation_ = FuncAnimation(
            ax.figure, frame, frames=len(self.states), interval=interval
        )
        return self.animation_

    def _draw(self, ax, index):
        state = self.states[index]
        mixture = self.states[-1].mixture
        colours = component_colours(mixture.means, deviations_of(mixture))
        points = replace(self.points, responsibilities=state.responsibilities)
        common = ax, state.mixture, colours, self.limits, points
        options = {"legend": False, "names": self.feature_names, "small": True}
        if len(self.feature_names) == 1:
            top = max(
                density_of(state.mixture, self.limits[0])[1].max()
                for state in self.states
            )
            artists = line_panel(*common, data="rug", top=top, **options)
        else:
            options |= {"masses": (), "deviations": (1, 2)}
            artists = plane_panel(*common, **options)
        title = f"iteration {state.n_iter}" if state.n_iter else "start"
        ax.set_title(title, loc="left", fontsize="medium")
        ax.set_title(f"log L / n = {state.log_likelihood:.3f}", loc="right", fontsize=8)
        return artists


def _state(n_iter, fitted, X, sample_weight, view, max_points):
    plain, rows, sample_weight = checked_rows(fitted, X, sample_weight)
    return State(
        n_iter,
        view.mixture(fitted._model().mixture),
        Points.of(plain, rows, sample_weight, view, max_points).responsibilities,
        plain.score(rows, sample_weight=sample_weight),
    )


def _checked_iterations(iterations):
    out = [int(n) for n in np.atleast_1d(iterations)]
    if not out or out[0] < 0 or np.any(np.diff(out) <= 0) or out != list(iterations):
        raise ValueError(
            "iterations must be whole numbers from 0 on, in ascending order; got "
            f"{list(np.atleast_1d(iterations))}."
        )
    return out


def _path(estimator, X, sample_weight, iterations):
    """Return the mixtures after some numbers of iterations of plain EM.

    Each goes on from the one before, so that a random start is drawn once.
    """
    has_parameters = hasattr(estimator, "get_params")
    known = estimator.get_params(deep=False) if has_parameters else {}
    if not {"init_params", "max_iter"} <= known.keys():
        raise TypeError(
            "estimator must have init_params and max_iter, as GaussianMixture; "
            f"{type(estimator).__name__} has not."
        )
    plain = {name: value for name, value in _PLAIN.items() if name in known}
    free = dict.fromkeys(name for name in _INITS if name in known)
    out, before = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped on the way
        for n_iter in iterations:
            # Not a clone, which would clone a mixture given as start too.
            step = type(estimator)(**deepcopy(known))
            step.set_params(**plain, max_iter=n_iter - before)
            if out:
                step.set_params(init_params=out[-1], **free)
            out.append(step.fit(X, sample_weight=sample_weight))
            before = n_iter
    return out
