"""What a fit reports while it runs: lines for people, callbacks for programs."""

import logging
import sys
import time
from contextlib import contextmanager
from numbers import Real

import numpy as np

from ._typing import Method

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:
        """Stands in for the mixin of scikit-learn 1.9."""

        def _init_callback_context(self, **kwargs):
            return None

    def _with_callbacks(method):
        return method


__all__ = [
    "CallbackSupportMixin",
    "GridMonitor",
    "Monitor",
    "ProgressBar",
    "Silent",
    "visible_log",
    "with_callbacks",
]

_LOGGER = logging.getLogger("skgmm")


def with_callbacks(method: Method) -> Method:
    """Return a `fit` that knows scikit-learn's callbacks, if there are any."""
    return _with_callbacks(method)


class Monitor:
    """Follows the runs of EM of one fit.

    Parameters
    ----------
    estimator : estimator
        Whose callbacks are called.
    context : CallbackContext or None
        The task ``fit`` of scikit-learn's callbacks.
    attributes : callable
        ``attributes(fit) -> dict`` of the fitted attributes at a state.
    n_starts : int

    Attributes
    ----------
    sees_iterations : bool
        Whether states may be shown to somebody; where not, they need not be made one
        by one.
    """

    sees_iterations = True

    def __init__(self, estimator, context, attributes, n_starts):
        self._estimator = estimator
        self._context = context if hasattr(estimator, "_skl_callbacks") else None
        self._attributes = attributes
        self._n_starts = n_starts
        self._verbose = estimator.verbose
        self._interval = estimator.verbose_interval
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=estimator)

    @property
    def is_watched(self):
        """Whether somebody is told what happens."""
        return bool(self._verbose) or self._context is not None

    def close(self):
        """Note that the fit is over."""
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._estimator)

    def begin(self, index):
        """Note that the run number ``index`` begins."""
        name = f"start {index + 1} of {self._n_starts}"
        self._begin(name, "start", self._estimator.max_iter)

    def _begin(self, name, task_name, max_subtasks):
        self._name = name
        self._begun = time.perf_counter()
        self._previous = None
        if self._context is not None:
            self._run = self._context.subcontext(
                task_name=task_name, max_subtasks=max_subtasks
            )
            self._run.call_on_fit_task_begin(estimator=self._estimator)

    def iteration(self, fit):
        """Note a state; return whether a callback asks to stop."""
        self._report(fit)
        if self._context is None or fit.n_iter == 0:
            return False
        task = self._run.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self._estimator)
        return task.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._attributes_at(fit),
        )

    def _report(self, fit):
        if self._is_reported(fit.n_iter):
            first = self._previous is None
            change = "" if first else f", change {self._change(fit):.2e}"
            self._log(f"iteration {fit.n_iter}: objective {fit.objective:.8g}{change}")
        self._previous = fit.objective

    def end(self, fit):
        """Note how the run ended; return whether a callback asks to stop."""
        if self._verbose:
            how = "converged" if fit.converged else "stopped"
            self._log(
                f"{how} after {fit.n_iter} iterations: objective {fit.objective:.8g}"
            )
        if self._context is None:
            return False
        return self._run.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._attributes_at(fit),
        )

    def failed(self, error):
        """Note that the run failed."""
        if self._verbose:
            self._log(f"failed: {error}")
        if self._context is not None:
            self._run.call_on_fit_task_end(estimator=self._estimator)

    def _attributes_at(self, fit):
        return self._attributes(fit)

    def _is_reported(self, n_iter):
        interval = 1 if self._verbose > 1 else self._interval
        return self._verbose and n_iter % interval == 0

    def _change(self, fit):
        return fit.objective - self._previous

    def _log(self, text):
        seconds = time.perf_counter() - self._begun
        _LOGGER.info("%s, %s, %.3f s", self._name, text, seconds)


class Silent:
    """Follows a run of EM and says nothing."""

    sees_iterations = False

    def iteration(self, fit):
        """Return that nobody asks to stop."""
        return False


class GridMonitor(Monitor):
    """Follows the fits of a grid of models: a line a model, and its iterations at 2.

    ``attributes(family, fit)`` knows the family too.  To callbacks a model is one task.
    """

    _abandoned = False

    def abandon(self):
        """Stop what is still under way on other threads."""
        self._abandoned = True

    def begin(self, family, name):
        """Note that the fit of a model of a family begins."""
        self._family = family
        self._begin(name, "model", 0)

    def iteration(self, fit):
        """Note a state; return whether nobody waits for the end any more."""
        self._report(fit)
        return self._abandoned

    def again(self, family, name):
        """Note that a model is fitted again, which is no task of its own."""
        self._family, self._name = family, name
        self._begun, self._previous = time.perf_counter(), None

    def note(self, text):
        """Note what became of the model."""
        if self._verbose:
            self._log(text)

    def _attributes_at(self, fit):
        return self._attributes(self._family, fit)

    def _is_reported(self, n_iter):
        return self._verbose > 1 and n_iter % self._interval == 0


class ProgressBar:
    """A line that shows how far a fit has come; it is written again and again.

    A callback of scikit-learn 1.9 or later, for `GaussianMixture` and
    `GaussianMixtureIC`.  Of one mixture it shows iterations; the bar is how far the
    change of the objective has come from the first one to `tol`, in its logarithm: the
    fit may end somewhat earlier or later.  Of a grid it shows models.

    Parameters
    ----------
    interval : float, default=0.1
        Least number of seconds between two updates.
    file : file, default=None
        Where to write to; None is standard error.

    Raises
    ------
    ValueError
        If the interval is no number of seconds, or the file cannot be written to.

    Examples
    --------
    >>> import sys
    >>> from skgmm import GaussianMixture, ProgressBar
    >>> from skgmm.datasets import load_old_faithful
    >>> bar = ProgressBar(file=sys.stdout, interval=60)
    >>> mixture = GaussianMixture(2).set_callbacks(bar)  # doctest: +SKIP
    >>> mixture.fit(load_old_faithful().data)  # doctest: +SKIP
    start 1 of 1 [####################] iteration 7, objective -4.155382, 0.0 s
    """

    def __init__(self, interval=0.1, file=None):
        if not (isinstance(interval, Real) and interval >= 0):
            raise ValueError(
                f"interval must be a number of seconds, 0 or more; got {interval!r}."
            )
        if file is not None and not hasattr(file, "write"):
            raise ValueError(
                f"file must be an open file, or None for standard error; got {file!r}."
            )
        self.interval = interval
        self.file = file

    def setup(self, estimator, context):
        """Note that a fit begins."""
        self._begun, self._drawn = time.perf_counter(), -np.inf
        self._line, self._width, self._done = "", 0, 0

    def on_fit_task_begin(self, estimator, context, **_):
        """Note that a start or a model begins."""
        if context.task_name == "start":
            self._count, self._objectives, self._first = 0, [], None

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **_):
        """Show the iteration or the model that has ended."""
        seconds = time.perf_counter() - self._begun
        if context.task_name == "iteration":
            self._line = self._iteration(estimator, context.parent, fitted_estimator)
        elif context.task_name == "model":
            self._line = self._model(context.parent.max_subtasks, seconds)
        else:
            return
        self._line += f", {seconds:.1f} s"
        if seconds - self._drawn >= self.interval:
            self._drawn = seconds
            self._draw()

    def teardown(self, estimator, context):
        """Show the last state, and end the line."""
        self._draw()
        print(file=self.file or sys.stderr, flush=True)

    def _iteration(self, estimator, start, fitted):
        self._count += 1
        # A leap that fails changes nothing: the largest of the last changes counts.
        self._objectives = [*self._objectives[-3:], fitted.lower_bound_]
        changes = np.abs(np.diff(self._objectives))
        return (
            f"start {start.task_id + 1} of {start.parent.max_subtasks} "
            f"{_bar(self._nearness(changes, estimator.tol))} "
            f"iteration {self._count}, objective {self._objectives[-1]:.7g}"
        )

    def _nearness(self, changes, tol):
        """Return how far the changes have come from the first one to tol, in logs."""
        if len(changes) == 0:
            return 0.0
        tol, change = max(tol, 1e-16), changes.max()
        self._first = self._first or change
        if change <= tol:
            return 1.0
        return np.log(self._first / change) / np.log(self._first / tol)

    def _model(self, total, seconds):
        self._done += 1
        if total is None:
            return f"{self._done} models"
        left = seconds * (total - self._done) / self._done
        bar = _bar(self._done / total)
        return f"{self._done} of {total} models {bar} about {left:.0f} s left"

    def _draw(self):
        self._width = max(self._width, len(self._line))
        line = "\r" + self._line.ljust(self._width)
        print(line, end="", file=self.file or sys.stderr, flush=True)


def _bar(done, width=20):
    filled = int(width * min(max(done, 0.0), 1.0) + 1e-9)
    return f"[{'#' * filled:-<{width}}]"


@contextmanager
def visible_log(verbose):
    """Let the lines through: to the user's logging, or else to standard output."""
    if not verbose:
        yield
        return
    handler = logging.NullHandler()
    if not _LOGGER.hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
    level = _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
