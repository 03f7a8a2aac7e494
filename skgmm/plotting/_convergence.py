"""ConvergenceDisplay: the objective, pass by pass."""

from typing import Self

import numpy as np
from sklearn.exceptions import NotFittedError

from ._style import COLOURS, LINES, check_matplotlib, one_axes


class ConvergenceDisplay:
    """Picture of the way of EM to its maximum.

    Parameters
    ----------
    lower_bounds : array-like of shape (n_iter,)
        The objective after each iteration, in nats per observation.
    converged : bool, default=None
        Whether the run has converged; a run that has not ends in a cross.
    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : Line2D
    end_ : Line2D or None
        The mark of the end.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.plotting import ConvergenceDisplay
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(2, init_params="random", random_state=0).fit(X)
    >>> display = ConvergenceDisplay.from_estimator(mixture, gap=True)
    >>> display.ax_.get_yscale()
    'log'
    """

    def __init__(self, lower_bounds, *, converged=None, name=None):
        self.lower_bounds = lower_bounds
        self.converged = converged
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs) -> Self:
        """Draw the objective of the best run of a fitted mixture.

        Parameters
        ----------
        estimator : GaussianMixture
            With the attribute ``lower_bounds_``.
        name : str, default=None
            Label of the curve.  Several calls with the same ``ax`` compare fits.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Options of `plot`.

        Returns
        -------
        display : ConvergenceDisplay

        Raises
        ------
        NotFittedError
            If the mixture has not been fitted by EM.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        bounds = getattr(estimator, "lower_bounds_", None)
        if bounds is None:
            raise NotFittedError(
                "estimator must have lower_bounds_, the objective after each "
                f"iteration; this {type(estimator).__name__} has none. Call its fit."
            )
        converged = getattr(estimator, "converged_", None)
        return cls(bounds, converged=converged, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, gap=False, line_kw=None) -> Self:
        """Draw the objective.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        gap : bool or float, default=False
            Whether to draw what was still missing, on a log scale: a straight line
            where EM converges linearly.  True takes the last value as the end; a
            number is the end, which several curves may share.
        line_kw : dict, default=None
            Options of `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : ConvergenceDisplay
        """
        bounds = np.asarray(self.lower_bounds, dtype=np.float64)
        if bounds.ndim != 1:
            raise ValueError(
                f"lower_bounds must have shape (n_iter,); got shape {bounds.shape}."
            )
        ax = one_axes(ax, f"{type(self).__name__}.plot", figsize=(6.4, 4))
        passes, values = np.arange(1, len(bounds) + 1), bounds
        label = "objective\n(nats per observation)"  # one line is too long for a column
        if gap is not False:
            values = (bounds[-1:] if gap is True else gap) - bounds
            passes, values = passes[values > 0], values[values > 0]
            label = "gap to the end\n(nats per observation)"
        # Curves that share axes differ in their lines, in grey too.
        index = len(ax.get_lines()) // 2
        options = {"linestyle": LINES[index % len(LINES)], "label": self.name}
        options |= {"marker": ".", "markersize": 7 if len(passes) <= 60 else 0}
        options |= {"color": COLOURS[index % len(COLOURS)]} | (line_kw or {})
        [self.line_] = ax.plot(passes, values, **options)
        self.end_ = None
        if len(passes):
            cross = self.converged is False
            [self.end_] = ax.plot(
                passes[-1],
                values[-1],
                marker="X" if cross else "o",
                color=self.line_.get_color(),
                markersize=7,
                label="not converged" if cross else None,
            )
        if gap is not False:
            ax.set_yscale("log")
        ax.set(xlabel="iteration", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if self.name is not None or self.converged is False:
            ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
