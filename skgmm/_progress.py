"""What a fit reports while it runs: lines for people, callbacks for programs."""

import logging
import sys
import time
from contextlib import contextmanager

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
    """

    def __init__(self, estimator, context, attributes, n_starts):
        self._estimator = estimator
        self._context = context if hasattr(estimator, "_skl_callbacks") else None
        self._attributes = attributes
        self._n_starts = n_starts
        self._verbose = estimator.verbose
        self._interval = estimator.verbose_interval
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=estimator)

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

    def iteration(self, fit):
        """Return that nobody asks to stop."""
        return False


class GridMonitor(Monitor):
    """Follows the fits of a grid of models: a line a model, and its iterations at 2.

    ``attributes(family, fit)`` knows the family too.  To callbacks a model is one task.
    """

    def begin(self, family, name):
        """Note that the fit of a model of a family begins."""
        self._family = family
        self._begin(name, "model", 0)

    def iteration(self, fit):
        """Note a state; return that nobody asks to stop."""
        self._report(fit)
        return False

    def note(self, text):
        """Note what became of the model."""
        if self._verbose:
            self._log(text)

    def _attributes_at(self, fit):
        return self._attributes(self._family, fit)

    def _is_reported(self, n_iter):
        return self._verbose > 1 and n_iter % self._interval == 0


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
