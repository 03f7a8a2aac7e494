"""The grid of models: which there are, what became of each, and which is best."""

import time
from dataclasses import dataclass, replace
from functools import partial
from math import isclose

import numpy as np

from . import kernels
from ._criteria import CRITERIA, NEED_ENTROPY, Evidence
from ._em import Fit
from ._noise import n_parameters
from ._search import Outlook, Starts, fit_one_of_many, move_components
from ._threads import n_threads, ordered_map, single_threaded_blas, staying_crew
from ._validation import check_family
from .families import FAMILIES, NAMES, Family

# Numbers of components without a better value, after which 'auto' stops.
_PATIENCE = 3

# A model may be the best if so much more log-likelihood would make it so, or twice the
# most that others were seen to gain.
PROMISING = 5.0

# Steps between two looks at a model, and passes over the rows that hardly any takes.
_STEPS, _PASSES = 10, 100


def check_numbers(n_components):
    """Return ``numbers(rows, n_rows)``, which yields the numbers of components.

    ``rows`` is the list of the rows of the table, which grows meanwhile.
    """
    if isinstance(n_components, str):
        return _until_no_better
    try:
        numbers = np.unique(np.asarray(n_components, dtype=float))
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    whole = np.isfinite(numbers) & (numbers >= 1) & (numbers == np.round(numbers))
    if not numbers.size or not whole.all():
        raise ValueError(
            "n_components must be 'auto', a whole number above zero, or a sequence of "
            f"such numbers; got {n_components!r}."
        )
    return lambda rows, n_rows: numbers.astype(int).tolist()


def most_models(n_components, covariance_type):
    """Return the largest number of models in the grid, or None if nobody knows."""
    if isinstance(n_components, str):
        return None
    asked = NAMES if _is_all(covariance_type) else _asked(covariance_type)
    families = _distinct(FAMILIES.get(one, one) for one in asked)
    return len(families) * len(check_numbers(n_components)((), 0))


def _until_no_better(rows, n_rows):
    """Yield 1, 2, 3, ... until no better value has come for some time."""
    for n_components in range(1, n_rows + 1):
        yield n_components
        best = best_of(rows)
        failed = all(row.error for row in rows if row.n_components == n_components)
        if failed or n_components - best.n_components >= _PATIENCE:
            return


def check_families(covariance_type, n_features):
    """Return the families that are asked for; of 'all', those that differ."""
    if not _is_all(covariance_type):
        asked = _asked(covariance_type)
        return _distinct(check_family(one, False, n_features) for one in asked)
    families = _distinct(FAMILIES[name] for name in NAMES)
    if n_features > 1:
        return families
    # There is neither shape nor orientation: volumes are equal, or they are not.
    first = {family.n_parameters(3, 1): family for family in reversed(families)}
    return [family for family in families if family in first.values()]


def _asked(covariance_type):
    """Return the list of the names and families that are asked for."""
    several = isinstance(covariance_type, list | tuple)
    asked = list(covariance_type) if several else [covariance_type]
    if not asked or not all(
        isinstance(one, Family) or (isinstance(one, str) and one in FAMILIES)
        for one in asked
    ):
        raise ValueError(
            "covariance_type must be 'all', a Family, or one or more of "
            f"{sorted(FAMILIES)}; got {covariance_type!r}."
        )
    return asked


def _is_all(covariance_type):
    return isinstance(covariance_type, str) and covariance_type == "all"


def _distinct(families):
    """Return families each once: one may have several names."""
    return list(dict.fromkeys(families))


@dataclass(frozen=True, eq=False)
class Row:
    """What became of one model; a row of ``results_``."""

    n_components: int
    family: Family
    n_parameters: int
    fit: Fit | None = None
    log_likelihood: float = np.nan
    value: float = np.nan
    seconds: float = 0.0
    degenerate: tuple = ()
    error: str = ""

    @property
    def is_healthy(self):
        """Whether it has a value, and no degenerate components."""
        return self.rank()[0] == 0

    def rank(self):
        """Return a key by which the best row is the least: healthy ones come first."""
        if self.fit is None or np.isnan(self.value):
            return 2, 0.0
        return int(bool(self.degenerate)), self.value

    def entries(self):
        """Return the entries of the table."""
        fit = self.fit
        return {
            "n_components": self.n_components,
            "covariance_type": self.family.label,
            "criterion": self.value,
            "log_likelihood": self.log_likelihood,
            "n_parameters": self.n_parameters,
            "n_iter": fit.n_iter if fit else 0,
            "seconds": self.seconds,
            "converged": bool(fit and fit.converged),
            "degenerate": bool(self.degenerate),
            "error": self.error,
        }


def best_of(rows):
    """Return the best row; of those that differ by rounding only, the first."""
    health, least = min(row.rank() for row in rows)
    ranks = [(row, *row.rank()) for row in rows]
    return next(
        row
        for row, other, value in ranks
        if other == health and (value <= least or isclose(value, least, rel_tol=1e-9))
    )


def as_arrays(rows):
    """Return the rows of the table as a dict of arrays."""
    entries = [row.entries() for row in rows]
    return {
        name: np.array(
            [entry[name] for entry in entries],
            dtype=object if isinstance(value, str) else type(value),
        )
        for name, value in entries[0].items()
    }


class Grid:
    """Models that share their work, and the threads where nobody follows their fits.

    Parameters
    ----------
    problems : dict of Family to Problem
        Those of families in the same frame share a source.
    criterion : callable
        ``criterion(row, problem) -> float``.
    bound : callable
        ``bound(row, log_likelihood) -> float``: the least value of the criterion where
        a model had that log-likelihood.
    monitor : GridMonitor
    n_races, n_swaps : int
        See `Starts` and `move_components`.
    **options
        Those of `em`.

    Attributes
    ----------
    rows : list of Row
        The complete ones, in their order.
    stopped : bool
        Whether a callback has asked to stop.
    """

    def __init__(
        self, problems, criterion, bound, monitor, n_races, n_swaps, **options
    ):
        self.problems, self.rows, self.stopped = problems, [], False
        self._criterion, self._bound = criterion, bound
        self._monitor, self._n_races = monitor, n_races
        self._n_swaps, self._options = n_swaps, options | {"monitor": monitor}
        self._latest, self._starts, self._outlook = {}, None, None
        self._surprises, self._most = [], np.inf

    def add(self, n_components, rng):
        """Fit the models of K components, and refine those that may be best."""
        first, rows = len(self.rows), self._new_rows(n_components)
        # From fewer components only: the order of families shall not matter.
        best = min((row.value for row in self.rows if row.is_healthy), default=np.inf)
        if self._surprises:
            self._most = max(PROMISING, 2.0 * max(self._surprises))
        self._outlook, self._surprises = (best, self._most), []
        # Threads of BLAS, still awake after a product in the M-step, would take the
        # cores from those of the pass.
        with single_threaded_blas(), staying_crew():
            try:
                problems = list(self.problems.values())
                self._starts = Starts(problems, n_components, rng, self._n_races)
            except ValueError as error:
                self.rows += [self._failed(row, error) for row in rows]
                return
            mapped = _side_by_side if self._go_side_by_side(n_components) else map
            try:
                for row, surprise in mapped(self._fitted, rows):
                    self._complete(row, surprise)
                    if self.stopped:
                        return
            except BaseException:
                self._monitor.abandon()
                raise
            if n_components > 1:
                self._refine(first)

    def _go_side_by_side(self, n_components):
        """Tell whether models are fitted side by side, each on a thread.

        Not where somebody follows them one by one, nor where there are fewer than
        threads, nor where there is so little to do, or so much of it in Python, that
        they would wait for the interpreter, nor so much that what goes on after an
        interrupt would take long: then each uses all threads for its passes.
        """
        compiled = all(problem.terms for problem in self.problems.values())
        too_few = len(self.problems) < n_threads()
        if self._monitor.is_watched or too_few or not compiled:
            return False
        sources = {family: p.source for family, p in self.problems.items()}
        work = n_components * _STEPS * max(source.work for source in sources.values())
        return work > kernels.WORK_OF_A_THREAD and all(
            source.takes_one_call(
                np.empty((n_components, len(source.frame.centre))), family.form, _PASSES
            )
            for family, source in sources.items()
        )

    def _refine(self, first):
        """Move components of those of the latest models that may win, the best first.

        Those that were left before their ends are climbed on.
        """
        gain, best = PROMISING, best_of(self.rows)
        for index in sorted(range(first, len(self.rows)), key=self._rank):
            row = self.rows[index]
            if row.fit is not None and self._may_win(row, gain, best):
                self.rows[index] = new = self._refined(row)
                self._surprises.append(new.log_likelihood - row.log_likelihood)
                gain = max(gain, 2.0 * self._surprises[-1])
                best = best_of(self.rows)

    def _rank(self, index):
        return self.rows[index].rank()

    def _may_win(self, row, gain, best):
        """Tell whether a model would beat the best with so much log-likelihood more."""
        least = self._bound(row, row.log_likelihood + gain)
        return least <= best.value or not best.is_healthy

    def _refined(self, row):
        begun, problem = time.perf_counter(), self.problems[row.family]
        self._monitor.again(row.family, _name(row))
        fit = move_components(
            problem, self._starts, row.fit, n_swaps=self._n_swaps, **self._options
        )
        if fit is not row.fit:
            self._latest[row.family] = fit
            row = self._evaluated(replace(row, fit=fit), problem)
            self._note(row)
        return replace(row, seconds=row.seconds + time.perf_counter() - begun)

    def _new_rows(self, n_components):
        """Return rows of all families of which nothing is known yet."""
        return [
            Row(
                n_components,
                family,
                family.n_parameters(n_components, len(problem.source.frame.centre))
                + n_parameters(problem.noise),
            )
            for family, problem in self.problems.items()
        ]

    def _failed(self, row, error):
        self._monitor.begin(row.family, _name(row))
        self._monitor.failed(error)
        return replace(row, error=str(error))

    def _fitted(self, row):
        """Return a row with its fit, or why it failed, and its surprise.

        Several threads may be at it: what they find out once for all, they set to equal
        values.
        """
        begun, problem = time.perf_counter(), self.problems[row.family]
        before = self._latest.get(row.family)
        outlook = Outlook(partial(self._bound, row), *self._outlook)
        self._monitor.begin(row.family, _name(row))
        surprise = -np.inf
        try:
            fit, surprise = fit_one_of_many(
                problem, self._starts, before, outlook, **self._options
            )
            row = replace(row, fit=fit)
        except ValueError as error:
            self._monitor.failed(error)
            row = replace(row, error=str(error))
        return replace(row, seconds=time.perf_counter() - begun), surprise

    def _complete(self, row, surprise):
        """Evaluate a model, and add its row."""
        if row.fit is not None:
            self._latest[row.family] = row.fit
            row = self._evaluated(row, self.problems[row.family])
            self.stopped = bool(self._monitor.end(row.fit))
            self._note(row)
        if surprise > -np.inf:
            self._surprises.append(surprise)
        self.rows.append(row)

    def _note(self, row):
        unhealthy = ", degenerate" if row.degenerate else ""
        self._monitor.note(f"criterion {row.value:.8g}{unhealthy}")

    def _evaluated(self, row, problem):
        row = replace(
            row,
            log_likelihood=problem.log_likelihood(row.fit),
            degenerate=tuple(problem.degenerate(row.fit)),
        )
        return replace(row, value=float(self._criterion(row, problem)))


def _side_by_side(function, rows):
    return ordered_map(function, rows, pool="models")


def _name(row):
    return f"K={row.n_components} {row.family.label}"


def least_value(criterion, row, log_likelihood, n_observations):
    """Return the least value of a criterion for a model of such a likelihood."""
    if not isinstance(criterion, str):
        return -np.inf
    best_case = {"entropy": 0.0, "single": -np.inf}
    evidence = Evidence(log_likelihood, row.n_parameters, n_observations, **best_case)
    return CRITERIA[criterion](evidence)


def evidence_of(row, problem, criterion):
    """Return what a criterion looks at."""
    source = problem.source
    evidence = Evidence(row.log_likelihood, row.n_parameters, source.total_weight)
    if criterion not in NEED_ENTROPY:
        return evidence
    entropy = source.entropy(row.fit.mixture)
    if row.n_components == 1 and problem.noise is None:
        return replace(evidence, entropy=0.0, single=row.log_likelihood)
    single = problem.single_gaussian()
    return replace(evidence, entropy=entropy, single=problem.log_likelihood(single))
