"""The passes over rows in NumPy: the specification of the compiled ones.

Every pass reads its rows once, in blocks that fit the cache, and keeps nothing of
size (n, K) unless that is what it returns.  Within a block the rows are columns:
``z`` (D, B), log-densities and responsibilities (K, B).

A mixture here is anything with ``weights`` (K,), ``means`` (K, D) and
``covariances`` (a form).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

LOG_2PI = float(np.log(2.0 * np.pi))

# Responsibilities of less than 2^-60 of the largest are zero: less than rounding in
# every sum.
NEGLIGIBLE = -60 * float(np.log(2.0))

# Multiplications of steps that are worth being handed to a thread: some milliseconds.
# Steps that Python makes take turns at the GIL: with less work two threads took 13 to
# 65 % more processor time than one (measured).
WORK_OF_A_THREAD = 1e7

# What threads make up that share the passes of one call: here there are none.
Crew = None

# Doubles in a block.  With the temporaries beside it that is more than an L2 cache: the
# threads hand each other the GIL between the operations, which small ones spend more
# on than on the cache (measured).
_BLOCK = 262_144


def statistics(rows, sample_weight, centre, scale, mixture, *, within=True):
    """Return the sums of an E-step, in one reading.

    Parameters
    ----------
    rows : ndarray of shape (n, D), any real dtype
    sample_weight : ndarray of shape (n,)
    centre, scale : ndarray of shape (D,)
        The coordinates ``(rows - centre) / scale`` in which the mixture is given.
    mixture : Mixture
    within : bool, default=True
        Whether second moments are wanted.

    Returns
    -------
    count : ndarray of shape (K,)
    first : ndarray of shape (K, D)
    second : ndarray in the shape of the form
        Moments about the means of the mixture; zero if not wanted.
    log_likelihood : float
    """
    sums = _Sums(mixture.covariances, mixture.means, within=within)
    for block in _blocks(len(rows), mixture.means):
        z = columns(rows[block], centre, scale)
        joint = log_joint(z, mixture)
        log_densities = np.add(*normalise(joint))
        joint *= sample_weight[block]
        sums.add(z, joint, float(sample_weight[block] @ log_densities))
    return sums.result()


def moments(rows, sample_weight, centre, scale, responsibilities, means, form):
    """Return the sums for given responsibilities (n, K), about given means."""
    sums = _Sums(form.unit(*means.shape), means, hard=True)
    for block in _blocks(len(rows), means):
        z = columns(rows[block], centre, scale)
        sums.add(z, responsibilities[block].T * sample_weight[block], 0.0)
    return sums.result()


def class_moments(rows, sample_weight, centre, scale, labels, n_classes, form):
    """Return the moments of classes of rows.

    Parameters
    ----------
    rows, sample_weight, centre, scale
        See `statistics`.
    labels : ndarray of shape (n,)
    n_classes : int
    form : type
        The form of covariances whose second moments are wanted.

    Returns
    -------
    count : ndarray of shape (K,)
    means : ndarray of shape (K, D)
        Zero for an empty class.
    second : ndarray in the shape of the form
        About the means.
    """
    hard = (labels[:, np.newaxis] == np.arange(n_classes)).astype(float)
    arguments = rows, sample_weight, centre, scale, hard
    zero = np.zeros((n_classes, rows.shape[1]))
    count, first, _, _ = moments(*arguments, zero, form)
    means = first / np.where(count > 0, count, 1.0)[:, np.newaxis]
    return count, means, moments(*arguments, means, form)[2]


def kmeans(rows, weight, centres, n_iterations):
    """Return the labels (n,) of so many iterations of Lloyd, at most, from centres.

    A centre without rows stays where it is.
    """
    centres, n_clusters = centres.copy(), len(centres)
    weighted = np.ascontiguousarray((rows * weight[:, np.newaxis]).T)
    labels = _nearest(rows, centres)
    for _ in range(n_iterations):
        mass = np.bincount(labels, weight, n_clusters)
        sums = [np.bincount(labels, column, n_clusters) for column in weighted]
        filled = mass > 0
        centres[filled] = np.stack(sums, axis=1)[filled] / mass[filled, np.newaxis]
        previous, labels = labels, _nearest(rows, centres)
        if np.array_equal(labels, previous):
            break
    return labels


def _nearest(rows, centres):
    products = rows @ centres.T
    return np.argmin(np.einsum("ij,ij->i", centres, centres) - 2 * products, axis=1)


@dataclass(frozen=True, eq=False)
class Data:
    """What steps of EM in one call climb.

    Attributes
    ----------
    rows, sample_weight, centre, scale
        Complete rows; see `statistics`.
    total : tuple (mean, scatter) or None
        Of these, where the form follows from them.
    with_holes : tuple (rows, sample_weight, patterns, varies) or None
        See `holes.statistics`.
    log_noise : float or None
        Log-density of noise, if there is any; all rows are complete then.
    """

    rows: np.ndarray
    sample_weight: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    total: tuple | None = None
    with_holes: tuple | None = None
    log_noise: float | None = None


# Whether steps in single precision are faster than others.
SINGLE = False


def parts_of(n_rows, n_components, n_features):
    """Return in how many parts threads share each of several passes in one call."""
    return 1


def climb(data, starts, terms, n_steps, of_moments, single, crew):
    """Make steps of EM from several starts, as far as that is possible: here none.

    Parameters
    ----------
    data : Data
    starts : list of ndarray
        Weights (R, K), or (R, K + 1) with noise, means (R, K, D), and covariances
        (R, ...).
    terms : tuple (code, equal_weights, size, variance, held, ridge)
        See `Family.steps` and `PseudoObservations.terms`.
    n_steps : int
    of_moments : bool
        Whether the starts are counts, means, and second moments about these.
    single : bool
        Whether densities and products of single precision will do, as in a search:
        they halve the time of a pass.  Log-likelihoods have six digits then.
    crew : Crew or None
        Threads that share the starts, or the passes of a single one, see
        `_threads.with_crew`; results do not depend on it.

    Returns
    -------
    list of ((weights, means, values), ndarray of shape (at most n_steps + 1,))
        The last mixture that was reached from each start; log-likelihoods, penalised,
        of the start and after each step; fewer than wanted where it takes more care to
        go on.
    """
    return [(None, np.zeros(0)) for _ in starts[0]]


def leap(data, start, terms, n_passes, tol, crew):
    """Make leaps of SQUAREM in one call, as far as that is possible: here none.

    Parameters
    ----------
    data, terms, crew
        See `climb`.
    start : tuple (weights, means, covariances)
    n_passes : int
        At most.
    tol : float
        What may be left to gain of the penalised log-likelihood.

    Returns
    -------
    end : tuple (weights, means, values) or None
    log_likelihoods : ndarray
        See `climb`; after each pass.
    converged : bool
    """
    return None, np.zeros(0), False


def log_density(rows, mixture):
    """Return the log-densities of rows, shape (n,)."""
    out = np.empty(len(rows))
    for block in _blocks(len(rows), mixture.means):
        out[block] = np.add(*normalise(log_joint(columns(rows[block]), mixture)))
    return out


def log_responsibilities(rows, mixture):
    """Return the log-densities (n,) and the log-responsibilities (n, K).

    Where the log-density is minus infinity the responsibilities are undefined.
    """
    densities = np.empty(len(rows))
    out = np.empty((len(rows), len(mixture.means)))
    for block in _blocks(len(rows), mixture.means):
        joint = log_joint(columns(rows[block]), mixture)
        largest, log_total = normalise(joint.copy())
        densities[block] = largest + log_total
        # In this order: their sum would round the smaller one away.
        with np.errstate(invalid="ignore"):
            out[block] = (joint - largest - log_total).T
    return densities, out


def labels(rows, mixture):
    """Return the largest log joint densities (n,) and their components (n,)."""
    largest = np.empty(len(rows))
    out = np.empty(len(rows), dtype=np.intp)
    for block in _blocks(len(rows), mixture.means):
        joint = log_joint(columns(rows[block]), mixture)
        largest[block] = joint.max(axis=0)
        out[block] = joint.argmax(axis=0)
    return largest, out


def whiteners(matrices):
    """Return the inverses of the lower Cholesky factors of matrices (K, D, D).

    The matrices are brought to diagonals near one first, by powers of two: features
    of any scale then neither overflow nor underflow, and no digit is lost.

    Returns
    -------
    whiteners : ndarray of shape (K, D, D)
    failed : int or None
        The first matrix that has no factor; the whiteners end before it then.
    """
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    sound = np.isfinite(matrices).all(axis=(1, 2)) & (variances > 0).all(axis=1)
    roots = 0.5 * np.log2(np.where(sound[:, np.newaxis], variances, 1.0))
    scale = np.exp2(np.round(roots))
    out = np.empty(matrices.shape)
    np.divide(matrices, scale[:, np.newaxis, :], out=out)
    out /= scale[:, :, np.newaxis]
    has_factor = (sound[k] and _whiten(matrix) for k, matrix in enumerate(out))
    failed = next((k for k, good in enumerate(has_factor) if not good), None)
    out[:failed] /= scale[:failed, np.newaxis, :]
    return out, failed


def _whiten(matrix):
    """Replace a matrix by its whitener; return whether it has one."""
    # LAPACK sees the transpose, and works in place on its upper triangle.
    factor, info = lapack.dpotrf(matrix.T, lower=0, overwrite_a=1)
    # A pivot of the size of rounding errors might as well have been negative.
    smallest = len(matrix) * np.finfo(float).eps
    if info != 0 or np.diagonal(factor).min() ** 2 <= smallest:
        return False
    matrix[:] = lapack.dtrtri(factor, lower=0, overwrite_c=1)[0].T
    return True


def columns(rows, centre=None, scale=None):
    """Return rows as float64 columns, shape (D, B), centred and scaled if asked."""
    if centre is None:
        return np.array(rows.T, dtype=np.float64, order="C")
    z = np.empty(rows.shape[::-1])
    np.subtract(rows.T, centre[:, np.newaxis], out=z)
    z /= scale[:, np.newaxis]
    return z


def log_joint(z, mixture):
    """Return ``log(weight) + log N(z; mean, covariance)``, shape (K, B)."""
    with np.errstate(divide="ignore", over="ignore"):
        out = mixture.covariances.mahalanobis(z, mixture.means)
        log_weights = np.log(mixture.weights)
    normaliser = len(z) * LOG_2PI + mixture.covariances.log_determinants
    out *= -0.5
    out += (log_weights - 0.5 * normaliser)[:, np.newaxis]
    return out


def normalise(joint):
    """Turn log joint densities (K, B) into responsibilities, in place.

    Returns the largest of each column and the logarithm of the sum of all, divided
    by that one; together they are the log-densities.
    """
    largest = joint.max(axis=0)
    largest[largest == -np.inf] = 0.0
    joint -= largest
    joint[joint < NEGLIGIBLE] = -np.inf
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        joint /= total
        return largest, np.log(total)


class _Sums:
    """The sums of blocks, added up in place."""

    def __init__(self, covariances, means, *, within=True, hard=False):
        self._covariances, self._means = covariances, means
        self._within, self._hard = within, hard
        self._count = np.zeros(len(means))
        self._first = np.zeros(means.shape)
        self._second = np.zeros(
            covariances.moments_shape(*means.shape) if within else ()
        )
        self._log_likelihood = 0.0

    def add(self, z, responsibilities, log_likelihood):
        count = responsibilities.sum(axis=1)
        self._count += count
        self._log_likelihood += log_likelihood
        sums = self._means, self._first, self._second
        if self._within:
            self._covariances.accumulate(z, responsibilities, *sums, hard=self._hard)
        else:
            self._first += responsibilities @ z.T - count[:, np.newaxis] * self._means

    def result(self):
        return self._count, self._first, self._second, self._log_likelihood


def _blocks(n_rows, means):
    """Yield slices of rows; their length depends on D and K only."""
    size = max(256, _BLOCK // sum(means.shape))
    return (slice(start, start + size) for start in range(0, n_rows, size))
