"""What a mixture says of itself: moments, probabilities, quantiles, modes."""

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp
from scipy.stats import chi2

from ._mixture import Mixture
from .forms import Full
from .kernels import LOG_2PI

# Randomly shifted lattices, and their number of points.
_SHIFTS = 12
_LATTICE = 1024

# Rows of a block of multivariate probabilities, and points of one on the line.
_ROWS = 64
_POINTS = 4096

# How near two modes are one, in deviations of the narrowest component: where two just
# part, the valley between them is as shallow as rounding.
_SAME = 1e-3

_EPS = np.finfo(float).eps


# ---- moments --------------------------------------------------------------
def mean(mixture):
    """Return the mean of a mixture, shape (D,)."""
    origin = mixture.means[0]
    return origin + mixture.weights @ (mixture.means - origin)


def covariance(mixture):
    """Return the covariance matrix of a mixture, shape (D, D)."""
    offsets = mixture.means - mean(mixture)
    within = np.tensordot(mixture.weights, mixture.covariances.dense(), axes=1)
    return within + (mixture.weights * offsets.T) @ offsets


def draws(mixture, n, rng):
    """Draw n rows; the components have as nearly their share of them as they can."""
    expected = n * mixture.weights
    counts = np.floor(expected).astype(int)
    rest = n - counts.sum()
    if rest > 0:
        share = expected - counts
        counts += rng.multinomial(rest, share / share.sum())
    return mixture.sample(counts, rng), np.repeat(np.arange(len(counts)), counts)


# ---- probabilities --------------------------------------------------------
def probability_below(mixture, rows, rng):
    """Return P(X_j <= x_j for all j) of each row, and the standard errors.

    Genz's separation of variables (1992, J. Comput. Graph. Statist. 1:141): each
    Gaussian is integrated over the unit cube of D - 1 dimensions by randomly shifted
    lattices.  Of one feature, and where features are independent, it is exact.
    """
    estimates = np.zeros((_SHIFTS, len(rows)))
    roots = mixture.covariances.roots()
    lattices = _lattices(mixture.n_features - 1, rng)
    for k in np.flatnonzero(mixture.weights):
        bounds = np.asarray(rows - mixture.means[k], dtype=float)
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            for estimate, points in zip(estimates, lattices, strict=True):
                inside = _separated(roots[k], bounds[part], points)
                estimate[part] += mixture.weights[k] * inside
    error = estimates.std(axis=0, ddof=1) / np.sqrt(_SHIFTS)
    return np.minimum(estimates.mean(axis=0), 1.0), error


def _lattices(n_dimensions, rng):
    """Return Richtmyer's lattices, shifted at random, of (D - 1) coordinates each."""
    if n_dimensions == 0:
        return np.empty((_SHIFTS, 1, 0))
    points = np.arange(1, _LATTICE + 1)[:, np.newaxis] * np.sqrt(_primes(n_dimensions))
    shifts = rng.uniform(size=(_SHIFTS, 1, n_dimensions))
    # Folded, so that the integrand is periodic.
    return np.abs(2.0 * ((points + shifts) % 1.0) - 1.0)


def _primes(n):
    """Return the first n primes."""
    limit = 16 + int(2 * n * np.log(n + 1))
    numbers = np.arange(2, limit)
    is_prime = [np.all(m % np.arange(2, int(np.sqrt(m)) + 1)) for m in numbers]
    return numbers[is_prime][:n]


def _separated(root, bounds, points):
    """Return P(root @ noise <= bounds) of each row of bounds, shape (n,)."""
    shape = len(bounds), len(points)
    noise = np.empty((len(root) - 1, *shape))
    product = np.ones(shape)
    for j, coefficients in enumerate(root):
        known = np.tensordot(coefficients[:j], noise[:j], axes=1)
        inside = ndtr((bounds[:, j, np.newaxis] - known) / coefficients[j])
        product *= inside
        if j < len(noise):
            # A smallest number, since a quantile of zero is infinite.
            noise[j] = ndtri(np.maximum(points[:, j] * inside, np.finfo(float).tiny))
    return product.mean(axis=1)


def tail(weights, means, deviations, x, *, upper):
    """Return the probabilities below x (n,), or above, of parameters (K,)."""
    out = np.empty(len(x))
    for part in _blocks(len(x)):
        z = (x[part, np.newaxis] - means) / deviations
        out[part] = ndtr(-z if upper else z) @ weights
    return np.minimum(out, 1.0)


def line(mixture):
    """Return the weights, means and standard deviations of a mixture on the line."""
    deviations = np.sqrt(mixture.covariances.dense()[:, 0, 0])
    return mixture.weights, mixture.means[:, 0], deviations


def quantiles(weights, means, deviations, probabilities, *, upper=False):
    """Return the points below which (or above which) the probabilities lie.

    Each is found from its own tail, so that it is as exact there as in the middle;
    between the smallest and the largest quantile of the components there is one.

    Parameters
    ----------
    weights, means, deviations : ndarray, broadcastable to (..., K)
    probabilities : ndarray of shape (Q,)
    upper : bool

    Returns
    -------
    x : ndarray of shape (..., Q)
        Monotone in the probabilities.
    """
    p = np.asarray(probabilities, dtype=float)
    arrays = np.broadcast_arrays(weights, means, deviations)
    weights, means, deviations = (a[..., np.newaxis, :] for a in arrays)
    mirrored = (p > 0.5) != upper
    with np.errstate(divide="ignore"):
        log_tail = np.log(np.minimum(p, 1.0 - p))
        log_weights = np.log(weights)
    side = np.where(mirrored, -1.0, 1.0)
    parts = [
        _lower_quantile(
            log_tail[part], log_weights, side[part, np.newaxis] * means, deviations
        )
        for part in _blocks(len(p))
    ]
    x = side * np.concatenate(parts, axis=-1)
    order = np.argsort(-p if upper else p, kind="stable")
    x[..., order] = np.maximum.accumulate(x[..., order], axis=-1)
    return x


def _blocks(n):
    """Return slices of points that are looked at together."""
    return [slice(start, start + _POINTS) for start in range(0, max(n, 1), _POINTS)]


def _lower_quantile(log_p, log_weights, means, deviations):
    """Return the x of a log-probability below one half, shape (..., Q)."""
    shape = np.broadcast_shapes(means.shape, log_weights.shape)
    log_p = np.broadcast_to(log_p, shape[:-1]).ravel()
    parameters = [
        np.broadcast_to(array, shape).reshape(-1, shape[-1])
        for array in (log_weights, means, deviations)
    ]
    return _solved(log_p, *parameters).reshape(shape[:-1])


def _solved(log_p, log_weights, means, deviations):
    """Return the x of log-probabilities (m,); the parameters have shape (m, K).

    Newton's method on the logarithm of the distribution function, kept within a
    bracket, and bisection where a step is not half the one before.
    """
    of_components = means + deviations * ndtri_exp(log_p)[:, np.newaxis]
    present = log_weights > -np.inf
    low = np.where(present, of_components, np.inf).min(axis=1)
    high = np.where(present, of_components, -np.inf).max(axis=1)
    x = low.copy()
    resolution = _EPS * deviations.min(axis=1)
    left = np.flatnonzero(np.isfinite(x) & (low < high))
    x[left] = 0.5 * low[left] + 0.5 * high[left]
    step = np.full(len(x), np.inf)
    while left.size:
        now = x[left]
        parameters = (a[left] for a in (log_p, log_weights, means, deviations))
        value, newton = _newton(now, *parameters)
        low[left] = bottom = np.where(value <= 0, now, low[left])
        high[left] = top = np.where(value >= 0, now, high[left])
        newton = np.where(value == 0, 0.0, newton)
        fast = np.abs(newton) <= 0.5 * np.abs(step[left])
        fast &= (now + newton > bottom) & (now + newton < top)
        step[left] = np.where(fast, newton, 0.5 * bottom + 0.5 * top - now)
        x[left] += step[left]
        wanted = 2 * _EPS * np.abs(x[left]) + resolution[left]
        left = left[(np.abs(step[left]) > wanted) & (bottom < top)]
    return x


def _newton(x, log_p, log_weights, means, deviations):
    """Return ``log F(x) - log p`` and the step that would make it zero."""
    z = (x[:, np.newaxis] - means) / deviations
    log_below = _log_sum_exp(log_weights + log_ndtr(z))
    log_density = _log_sum_exp(log_weights - 0.5 * z * z - np.log(deviations))
    value = log_below - log_p
    with np.errstate(over="ignore", invalid="ignore"):
        # Not a number in a gap without any density, where only bisection helps.
        return value, -value * np.exp(log_below - log_density + 0.5 * LOG_2PI)


def _log_sum_exp(logs):
    """Return the logarithms of sums; SciPy's takes ten times as long."""
    largest = logs.max(axis=1)
    return largest + np.log(np.exp(logs - largest[:, np.newaxis]).sum(axis=1))


# ---- regions of highest density -------------------------------------------
def density_levels(mixture, contents, n, rng):
    """Return the log-densities above which the given probabilities lie, shape (Q,).

    Of one Gaussian they are exact; else quantiles of a sample (Hyndman 1996, The
    American Statistician 50:120).
    """
    if mixture.n_components == 1:
        distances = chi2.isf(1.0 - contents, mixture.n_features)
        log_determinant = mixture.covariances.log_determinants[0]
        return -0.5 * (mixture.n_features * LOG_2PI + log_determinant + distances)
    rows, _ = draws(mixture, n, rng)
    return np.quantile(mixture.log_density(rows), 1.0 - contents)


# ---- modes ----------------------------------------------------------------
def modes(mixture, max_iter=10_000):
    """Return the local maxima of the density, the highest first, shape (M, D).

    From each mean the fixed-point iteration that never falls (Carreira-Perpinan 2000,
    IEEE Trans. PAMI 22:1318), or Newton's step where that is higher.  Where it ends
    on a saddle it goes on to either side.
    """
    hill = _Hill(mixture)
    tops = hill.climb(hill.means[mixture.weights > 0], max_iter)
    for _ in range(mixture.n_features):
        sides = hill.beside_saddles(tops)
        if not len(sides):
            break
        tops = np.concatenate([hill.settled(tops), hill.climb(sides, max_iter)])
    tops = hill.settled(tops)
    heights = hill.log_density(tops)
    found = []
    for top in tops[np.argsort(-heights, kind="stable")]:
        if all(np.abs(top - other).max() > _SAME for other in found):
            found.append(top)
    return hill.outward(np.array(found))


class _Hill:
    """The density in coordinates in which the narrowest component has size one."""

    def __init__(self, mixture):
        matrices = mixture.covariances.dense()
        self._centre = mean(mixture)
        self._scale = np.sqrt(
            np.diagonal(matrices, axis1=1, axis2=2)[mixture.weights > 0].min(axis=0)
        )
        outer = self._scale * self._scale[:, np.newaxis]
        roots = mixture.covariances.roots() / self._scale[:, np.newaxis]
        whiteners = np.tril(np.linalg.inv(roots))
        self._precisions = np.swapaxes(whiteners, 1, 2) @ whiteners
        self.means = (mixture.means - self._centre) / self._scale
        covariances = Full(matrices / outer, *self.means.shape, whiteners)
        self._mixture = Mixture(mixture.weights, self.means, covariances)
        self.log_density = self._mixture.log_density

    def outward(self, points):
        return self._centre + self._scale * points

    def climb(self, points, max_iter):
        """Return where the points (S, D) come to rest."""
        for _ in range(max_iter):
            fixed, newton = self._steps(points)
            higher = self.log_density(newton) > self.log_density(fixed)
            following = np.where(higher[:, np.newaxis], newton, fixed)
            moved = np.abs(following - points).max()
            points = following
            if moved < 1e-9:
                break
        return points

    def _steps(self, points):
        """Return where the fixed-point iteration and Newton's method go."""
        pull, weighted, hessian = self._derivatives(points)
        step = np.linalg.solve(weighted, pull[..., np.newaxis])[..., 0]
        concave = np.linalg.eigvalsh(hessian)[:, -1] < 0
        newton = step.copy()
        newton[concave] = np.linalg.solve(
            -hessian[concave], pull[concave][..., np.newaxis]
        )[..., 0]
        return points + step, points + newton

    def _derivatives(self, points):
        """Return gradients, mean precisions and second derivatives over densities."""
        shares = np.exp(self._mixture.log_responsibilities(points)[1])
        offsets = self.means - points[:, np.newaxis]
        pulls = np.einsum("kij,skj->ski", self._precisions, offsets)
        weighted = np.einsum("sk,kij->sij", shares, self._precisions)
        outer = np.einsum("sk,ski,skj->sij", shares, pulls, pulls)
        return np.einsum("sk,ski->si", shares, pulls), weighted, outer - weighted

    def _curvatures(self, points):
        values, vectors = np.linalg.eigh(self._derivatives(points)[2])
        return values[:, -1], vectors[:, :, -1]

    def beside_saddles(self, points):
        """Return points on both sides of those that are not maxima."""
        largest, axes = self._curvatures(points)
        saddle = largest > 1e-8
        step = 1e-2 * axes[saddle]
        return np.concatenate([points[saddle] + step, points[saddle] - step])

    def settled(self, points):
        """Return those of the points that are maxima, or the nearest to being one."""
        largest = self._curvatures(points)[0]
        return points[largest <= max(1e-8, largest.min())]
