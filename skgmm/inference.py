"""How well the parameters of a mixture are known.

Public names
------------
standard_errors
    Standard errors of weights, means and covariances: from the observed information,
    or by bootstrap.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve, null_space
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ._em import StartFailed, em
from ._fitted import check_mixture
from ._frame import Frame
from ._gaussian_mixture import _problem
from ._progress import Silent
from ._sources import ArraySource
from ._threads import ordered_map, single_threaded_blas
from ._validation import check_sample_weight
from ._warnings import warn
from .forms import NotPositiveDefinite
from .forms._matrices import inverses

__all__ = ["standard_errors"]

# Rows whose scores are held together.
_ROWS = 2048


@dataclass(frozen=True)
class StandardErrors:
    """Result of `standard_errors`.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
    means : ndarray of shape (n_components, n_features)
    covariances : ndarray
        In the shape of ``covariances_``.
    covariance_matrix : ndarray of shape (p, p)
        Covariances of all estimates: of the weights, the means row by row, and the
        covariances, of symmetric matrices the upper triangles row by row.  The weights
        sum to one, so it has rank p - 1 at most.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    covariance_matrix: np.ndarray = field(repr=False)


def standard_errors(
    mixture,
    X,
    *,
    sample_weight=None,
    method="information",
    n_resamples=200,
    random_state=None,
) -> StandardErrors:
    """Return standard errors of the weights, means and covariances of a mixture.

    Parameters
    ----------
    mixture : fitted GaussianMixture or GaussianMixtureIC
    X : array-like of shape (n_samples, n_features)
        The rows that it was fitted to.
    sample_weight : array-like of shape (n_samples,), default=None
        The weights that it was fitted with.
    method : {'information', 'bootstrap', 'weighted'}, default='information'
        - 'information': from the inverse of the observed information, minus the
          Hessian of the log-likelihood, in closed form [1]_; for the types of
          covariances without a constraint that is not linear: 'full', 'tied', 'diag'
          and 'spherical'.  It needs a converged fit, better with a small `tol`;
        - 'bootstrap': standard deviations of fits to rows drawn with replacement;
        - 'weighted': of fits to all rows with random, exponential weights (weighted
          likelihood bootstrap [2]_): no resample loses the rows of a small component.

        Fits of the last two start from the mixture, so that components keep their
        numbers.
    n_resamples : int, default=200
        Number of fits of 'bootstrap' and 'weighted'.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    errors : StandardErrors
        With ``weights``, ``means``, ``covariances``, and the ``covariance_matrix`` of
        all estimates.

    Raises
    ------
    ValueError
        If the information is not positive definite, or the type of covariances has
        none in closed form.

    References
    ----------
    .. [1] O. Boldea and J. R. Magnus (2009). Maximum likelihood estimation of the
       multivariate normal mixture model. JASA 104, 1539-1549.
    .. [2] A. O'Hagan, T. B. Murphy, L. Scrucca and I. C. Gormley (2019). Investigation
       of parameter uncertainty in clustering using a Gaussian mixture model via
       jackknife, bootstrap and weighted likelihood bootstrap. Computational Statistics
       34, 1779-1813.

    Examples
    --------
    >>> from skgmm import GaussianMixture
    >>> from skgmm.datasets import load_old_faithful
    >>> from skgmm.inference import standard_errors
    >>> X = load_old_faithful().data
    >>> mixture = GaussianMixture(n_components=2).fit(X)
    >>> errors = standard_errors(mixture, X)
    >>> errors.means.round(2)
    array([[0.03, 0.59],
           [0.03, 0.46]])
    """
    methods = {
        "information": _by_information,
        "bootstrap": _by_bootstrap,
        "weighted": _by_weights,
    }
    if method not in methods:
        raise ValueError(f"method must be one of {sorted(methods)}; got {method!r}.")
    if not (isinstance(n_resamples, (int, np.integer)) and n_resamples >= 2):
        raise ValueError(
            f"n_resamples must be a whole number of at least 2; got {n_resamples!r}."
        )
    check_mixture(mixture)
    model, X = mixture._rows_in_memory(X)
    weight = check_sample_weight(sample_weight, len(X))
    kept = weight > 0
    rows, weight = X[kept], weight[kept]
    frame = Frame.of(rows, weight, per_feature=model.family.per_feature)
    source = ArraySource(rows, weight, frame)
    inward = frame.inward(model.mixture)
    rng = check_random_state(random_state)
    matrix = methods[method](mixture, model, inward, source, rng, n_resamples)
    return _arranged(model.mixture, matrix)


def _scale(mixture, frame):
    """Return the units of the parameters: of weights, means and covariances."""
    form, n_components = type(mixture.covariances), mixture.n_components
    squares = frame.scale * frame.scale[:, np.newaxis]
    i, j, members = form.directions(mixture.n_features)
    units = squares[i, j][np.argmax(members != 0, axis=1)]
    copies = 1 if form.shared else n_components
    means = np.tile(frame.scale, n_components)
    return np.concatenate([np.ones(n_components), means, np.tile(units, copies)])


def _arranged(mixture, matrix):
    """Return the errors in the shapes of the parameters."""
    form, (k, d) = type(mixture.covariances), mixture.means.shape
    weights, means, free = np.split(
        np.sqrt(np.maximum(np.diagonal(matrix), 0.0)), [k, k + k * d]
    )
    copies = 1 if form.shared else k
    covariances = form.arranged(free.reshape(copies, -1), k, d)
    return StandardErrors(weights, means.reshape(k, d), covariances, matrix)


# ---- observed information -------------------------------------------------
def _by_information(mixture, model, inward, source, rng, n_resamples):
    family, (k, d) = model.family, inward.means.shape
    directions = family.form.directions(d)
    free = 0
    if directions is not None:
        free = len(directions[2]) * (1 if family.form.shared else k)
    if free != family.n_covariance_parameters(k, d):
        raise ValueError(
            "method='information' needs covariances without a constraint that is not "
            f"linear; got covariance_type={family.name!r}. Use method='weighted' or "
            "'bootstrap'."
        )
    if np.any(inward.weights == 0):
        raise ValueError(
            f"Component {int(np.argmin(inward.weights))} has weight zero: its "
            "parameters have no information. Use fewer components."
        )
    information = observed_information(inward, _blocks(source))
    size = len(information) - k
    # The weights sum to one: only changes along this basis are possible.
    basis = block_diag(null_space(np.ones((1, k))), np.eye(size))
    reduced = basis.T @ information @ basis
    diagonal = np.diagonal(reduced)
    try:
        if not np.all(diagonal > 0):
            raise np.linalg.LinAlgError
        unit = 1.0 / np.sqrt(diagonal)
        factor = cho_factor(reduced * unit * unit[:, np.newaxis])
        right = unit[:, np.newaxis] * basis.T
        matrix = right.T @ cho_solve(factor, right)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "The observed information is not positive definite: the mixture is at no "
            "strict maximum of the likelihood of X. Fit it to these rows, with a "
            "smaller tol; use fewer components; or use method='weighted'."
        ) from error
    scale = _scale(inward, source.frame)
    return matrix * scale * scale[:, np.newaxis]


def _blocks(source):
    """Yield blocks of the rows in their frame, with their weights."""
    frame = source.frame
    for start in range(0, len(source.rows), _ROWS):
        block = slice(start, start + _ROWS)
        rows = (source.rows[block] - frame.centre) / frame.scale
        yield rows, source.sample_weight[block]


def observed_information(mixture, blocks):
    """Return minus the Hessian of the log-likelihood, shape (p, p).

    ``blocks`` yields rows and their weights.

    The parameters are the weights (K, as if they were free), the means, and the free
    parameters of the covariances.  With ``u_k`` the gradient of the logarithm of the
    component's ``weight * density``, ``h_k`` its Hessian and ``r_k`` the
    responsibility, the Hessian of a row is ``sum r_k (u_k u_k' + h_k) - s s'`` with
    ``s = sum r_k u_k`` (Louis 1982, JRSS B 44:226; Boldea and Magnus 2009).
    """
    parts = [_Component(mixture, k) for k in range(mixture.n_components)]
    size = 1 + max(part.index.max() for part in parts)
    information = np.zeros((size, size))
    for rows, weight in blocks:
        _, logs = mixture.log_responsibilities(rows)
        shares = np.exp(logs)
        scores = np.zeros((len(weight), size))
        for k, part in enumerate(parts):
            gradients = part.gradients(rows)
            scores[:, part.index] += shares[:, [k]] * gradients
            part.add(gradients, weight * shares[:, k])
        information += (scores.T * weight) @ scores
    for part in parts:
        information[np.ix_(part.index, part.index)] -= part.curvature()
    return information


class _Component:
    """Gradients and Hessians of the logarithm of one component's weighted density."""

    def __init__(self, mixture, k):
        (n_components, d), covariances = mixture.means.shape, mixture.covariances
        self._i, self._j, self._members = covariances.directions(d)
        # Of the symmetric matrix with ones at (i, j) and (j, i).
        self._units = np.where(self._i == self._j, 0.5, 1.0)
        self._weight, self._mean = mixture.weights[k], mixture.means[k]
        dense = covariances.take([k]).dense()
        [self._precision] = inverses(dense)
        q = len(self._members)
        first = n_components * (1 + d) + (0 if covariances.shared else k * q)
        means = n_components + k * d + np.arange(d)
        self.index = np.concatenate([[k], means, first + np.arange(q)])
        self._sums = np.zeros((len(self.index), len(self.index)))
        self._count, self._y, self._yy = 0.0, np.zeros(d), np.zeros((d, d))

    def gradients(self, rows):
        """Return the gradients of rows (n, D), shape (n, 1 + D + q)."""
        y = (rows - self._mean) @ self._precision
        products = y[:, self._i] * y[:, self._j] - self._precision[self._i, self._j]
        free = (self._units * products) @ self._members.T
        return np.hstack([np.full((len(y), 1), 1.0 / self._weight), y, free])

    def add(self, gradients, weight):
        """Add rows, with the weights of their shares."""
        d = len(self._y)
        y = gradients[:, 1 : d + 1]
        self._sums += (gradients.T * weight) @ gradients
        self._count += weight.sum()
        self._y += weight @ y
        self._yy += (y.T * weight) @ y

    def curvature(self):
        """Return the sum of ``share * (u u' + h)`` over the rows."""
        d, p, members = len(self._y), self._precision, self._members
        i, j, c = self._i, self._j, self._units
        hessian = np.zeros_like(self._sums)
        hessian[0, 0] = -self._count / self._weight**2
        means, free = slice(1, d + 1), slice(d + 1, None)
        hessian[means, means] = -self._count * p
        cross = -c * (p[:, i] * self._y[j] + p[:, j] * self._y[i]) @ members.T
        hessian[means, free], hessian[free, means] = cross, cross.T
        traces = 0.5 * self._count * self._traces(p, p) - self._traces(p, self._yy)
        hessian[free, free] = members @ traces @ members.T
        return self._sums + hessian

    def _traces(self, a, b):
        """Return ``tr(E_p A E_q B)`` of the unit matrices E of all pairs of entries."""
        i, j, c = self._i, self._j, self._units
        total = a[np.ix_(j, i)] * b[np.ix_(i, j)] + a[np.ix_(j, j)] * b[np.ix_(i, i)]
        total += a[np.ix_(i, i)] * b[np.ix_(j, j)] + a[np.ix_(i, j)] * b[np.ix_(j, i)]
        return c * total * c[:, np.newaxis]


# ---- bootstrap ------------------------------------------------------------
def _by_bootstrap(mixture, model, inward, source, rng, n_resamples):
    weight = source.sample_weight
    n_rows, shares = round(float(weight.sum())), weight / weight.sum()

    def drawn(rng):
        return rng.multinomial(n_rows, shares).astype(float)

    return _covariance_of_fits(mixture, model, inward, source, drawn, rng, n_resamples)


def _by_weights(mixture, model, inward, source, rng, n_resamples):
    weight = source.sample_weight

    def drawn(rng):
        # A row that counts w times has the sum of w exponential weights.
        gamma = rng.standard_gamma(weight)
        return gamma * (weight.sum() / gamma.sum())

    return _covariance_of_fits(mixture, model, inward, source, drawn, rng, n_resamples)


def _covariance_of_fits(mixture, model, inward, source, drawn, rng, n_resamples):
    """Return the covariance matrix of the parameters of fits to drawn weights."""
    whole = _problem(mixture, source, model.family)
    options = {
        "tol": mixture.tol,
        "max_iter": mixture.max_iter,
        "accelerated": mixture.acceleration is not None,
        "monitor": Silent(),
        "fast": True,
    }

    def fitted(seed):
        """Return the parameters of a fit, or why it failed."""
        weight = drawn(np.random.RandomState(seed))
        present = weight > 0
        part = ArraySource(source.rows[present], weight[present], source.frame)
        try:
            fit = em(replace(whole, source=part), inward, **options)
        except (StartFailed, NotPositiveDefinite) as error:
            return str(error)
        return _vector(source.frame.outward(fit.mixture))

    # Each has random numbers of its own: they do not depend on the number of threads.
    seeds = rng.randint(2**31 - 1, size=n_resamples)
    # Fits of more than one call each share the threads among their own rows.
    form, n_steps = model.family.form, mixture.max_iter
    small = source.takes_one_call(inward.means, form, n_steps)
    with single_threaded_blas():
        ends = list((ordered_map if small else map)(fitted, seeds))
    vectors = [end for end in ends if not isinstance(end, str)]
    failures = [end for end in ends if isinstance(end, str)]
    if len(vectors) < 2:
        last = failures[-1]
        raise ValueError(f"No fit to a resample succeeded. The last one: {last}.")
    if failures:
        warn(
            f"{len(failures)} of the {n_resamples} fits to resamples failed and were "
            f"left out. The last one: {failures[-1]}.",
            ConvergenceWarning,
        )
    return np.cov(np.array(vectors), rowvar=False)


def _vector(mixture):
    """Return the weights, means and different entries of the covariances."""
    free = mixture.covariances.free(mixture.covariances.values)
    return np.concatenate([mixture.weights, mixture.means.ravel(), free.ravel()])
