"""The passes over rows, compiled: what `reference` does, on vectors of rows."""

import numpy as np

from . import _compiled, holes, reference
from .reference import LOG_2PI

FORMS = {"full": 0, "tied": 1, "diag": 2, "spherical": 3}

# Families whose steps are compiled, by mclust's codes, and the most features for which
# they are: above, LAPACK is so much faster that steps are better made one by one.
FAMILIES = dict.fromkeys(("EII", "VII", "EEI", "VEI", "EVI", "VVI"), np.inf) | {
    "EEE": 128,
    "VEE": 64,
    "EVE": 20,
    "VVE": 20,
    "EEV": 20,
    "VEV": 20,
    "EVV": 128,
    "VVV": 128,
}

# Instruction sets of this processor, the best one first.
SUPPORTED = tuple(_compiled.supported())
instruction_set = SUPPORTED[0]

moments = reference.moments

# Multiplications that are worth being handed to a thread: a fraction of a millisecond.
WORK_OF_A_THREAD = 1e6

# See `reference.parts_of`, and crew.hpp.
parts_of = _compiled.parts_of
Crew = _compiled.Crew

# Whether steps in single precision are faster than others.
SINGLE = True

# Matrices above this size are LAPACK's: below, to call it is most of the work.
_LAPACK_FROM = 32


def statistics(rows, sample_weight, centre, scale, mixture, *, within=True):
    """See `reference.statistics`."""
    kind = mixture.covariances.kind
    if kind not in FORMS or within == (kind == "tied"):
        return reference.statistics(
            rows, sample_weight, centre, scale, mixture, within=within
        )
    means = mixture.means
    count, first = np.zeros(len(means)), np.zeros(means.shape)
    second = np.zeros(mixture.covariances.shape(*means.shape)) if within else None
    log_likelihood = _compiled.statistics(
        instruction_set,
        FORMS[kind],
        _readable(rows),
        sample_weight,
        centre,
        1.0 / scale,
        *_arguments(mixture),
        count,
        first,
        second,
    )
    return count, first, second if within else np.zeros(()), log_likelihood


def statistics_with_holes(
    rows, sample_weight, centre, scale, mixture, patterns, varies
):
    """See `holes.statistics`."""
    arguments = rows, sample_weight, centre, scale, mixture, patterns, varies
    kind = mixture.covariances.kind
    if kind not in ("full", "diag"):
        return holes.statistics(*arguments)
    means, values = mixture.means, mixture.covariances.values
    shapes = len(means), means.shape, values.shape
    count, first, second = (np.zeros(shape) for shape in shapes)
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    log_likelihood, failed = _compiled.statistics_with_holes(
        instruction_set,
        FORMS[kind],
        _readable(rows),
        sample_weight,
        centre,
        1.0 / scale,
        means,
        values,
        log_weights,
        patterns.offsets,
        patterns.observed,
        varies,
        count,
        first,
        second,
    )
    if failed:
        # Rounding left a matrix without a factor: NumPy's pass repairs it.
        return holes.statistics(*arguments)
    return count, first, second, log_likelihood


def log_responsibilities_with_holes(rows, mixture, patterns):
    """See `holes.log_responsibilities`."""
    shape = rows.shape[0], len(mixture.means)
    if mixture.covariances.kind != "full" or not shape[0]:
        return holes.log_responsibilities(rows, mixture, patterns)
    densities, out = np.empty(shape[0]), np.empty(shape)
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    failed = _compiled.densities_with_holes(
        instruction_set,
        _readable(rows),
        mixture.means,
        mixture.covariances.values,
        log_weights,
        patterns.offsets,
        patterns.observed,
        np.zeros(rows.shape[1], dtype=bool),
        densities,
        out,
    )
    if failed:
        return holes.log_responsibilities(rows, mixture, patterns)
    return holes.with_nothing_known(densities, out, mixture, patterns)


def class_moments(rows, sample_weight, centre, scale, labels, n_classes, form):
    """See `reference.class_moments`."""
    arguments = rows, sample_weight, centre, scale, labels, n_classes, form
    if form.kind not in FORMS:
        return reference.class_moments(*arguments)
    shape = n_classes, rows.shape[1]
    count, means = np.zeros(n_classes), np.zeros(shape)
    second = np.zeros(form.shape(*shape))
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    _compiled.class_moments(
        FORMS[form.kind],
        _readable(rows),
        sample_weight,
        centre,
        1.0 / scale,
        labels,
        count,
        means,
        second,
    )
    return count, means, second


def kmeans(rows, weight, centres, n_iterations):
    """See `reference.kmeans`."""
    labels = np.empty(len(rows), dtype=np.int64)
    _compiled.kmeans(
        instruction_set, rows, weight, n_iterations, centres.copy(), labels
    )
    return labels


def climb(data, starts, terms, n_steps, of_moments, single, crew):
    """See `reference.climb`."""
    if not _climbs(data, terms):
        return [(None, np.zeros(0)) for _ in starts[0]]
    starts = [array.copy() for array in starts]
    task = _task(data, starts, terms, crew)
    objectives = np.empty((len(starts[0]), n_steps + 1))
    made = np.empty(len(objectives), dtype=np.int64)
    _compiled.climb(*task, of_moments, single, objectives, made)
    ends = zip(*starts, strict=True)
    return [
        (end, out[: n + 1])
        for end, out, n in zip(ends, objectives, made.tolist(), strict=True)
    ]


def leap(data, start, terms, n_passes, tol, crew):
    """See `reference.leap`."""
    if not _climbs(data, terms):
        return None, np.zeros(0), False
    starts = [array[np.newaxis].copy() for array in start]
    task = _task(data, starts, terms, crew)
    out = np.empty(n_passes + 1)
    made, converged = _compiled.leap(*task, tol, out)
    return [array[0] for array in starts], out[: made + 1], converged


def _climbs(data, terms):
    """Tell whether steps of EM can be made in one call."""
    return data.rows.shape[1] <= FAMILIES.get(terms[0], 0)


def _task(data, starts, terms, crew):
    """Return the arguments of steps; the starts will change in place."""
    code, equal_weights, *regularisation = terms
    family = list(FAMILIES).index(code), equal_weights
    rows = _readable(data.rows), data.sample_weight, data.centre, 1.0 / data.scale
    total = data.total or (np.zeros(0), np.zeros(0))
    with_holes = None
    if data.with_holes is not None:
        others, weight, patterns, varies = data.with_holes
        offsets, observed = patterns.offsets, patterns.observed
        with_holes = _readable(others), weight, offsets, observed, varies
    data = *rows, *total, with_holes, data.log_noise
    return instruction_set, family, *data, *starts, *regularisation, crew


def log_density(rows, mixture):
    """See `reference.log_density`."""
    if mixture.covariances.kind not in FORMS:
        return reference.log_density(rows, mixture)
    out = np.empty(len(rows))
    _densities(rows, mixture, out, None, None)
    return out


def log_responsibilities(rows, mixture):
    """See `reference.log_responsibilities`."""
    if mixture.covariances.kind not in FORMS:
        return reference.log_responsibilities(rows, mixture)
    densities, out = np.empty(len(rows)), np.empty((len(rows), len(mixture.means)))
    _densities(rows, mixture, densities, out, None)
    return densities, out


def labels(rows, mixture):
    """See `reference.labels`."""
    if mixture.covariances.kind not in FORMS:
        return reference.labels(rows, mixture)
    largest, out = np.empty(len(rows)), np.empty(len(rows), dtype=np.int64)
    _densities(rows, mixture, largest, None, out)
    return largest, out


def whiteners(matrices):
    """See `reference.whiteners`."""
    if matrices.shape[1] > _LAPACK_FROM:
        return reference.whiteners(matrices)
    out = np.empty(matrices.shape)
    failed = _compiled.whiteners(matrices, out)
    return out, None if failed < 0 else failed


def _densities(rows, mixture, *out):
    kind = FORMS[mixture.covariances.kind]
    rows = _readable(rows)
    _compiled.densities(instruction_set, kind, rows, *_arguments(mixture), *out)


def _arguments(mixture):
    """Return a mixture as the kernels take it: see Model in interface.hpp."""
    means, covariances = mixture.means, mixture.covariances
    with np.errstate(divide="ignore"):
        coefficients = np.log(mixture.weights)
    coefficients -= 0.5 * (means.shape[1] * LOG_2PI + covariances.log_determinants)
    return means, covariances.whiteners, coefficients, means.mean(axis=0)


def _readable(rows):
    """Return rows where the kernels can read them: a copy, if they lie elsewhere.

    Such as those that came in a message, or lie in a file of another byte order.
    """
    dtype = rows.dtype.newbyteorder("=")
    known = dtype in (np.float64, np.float32)
    return np.require(rows, dtype if known else np.float64, "A")
