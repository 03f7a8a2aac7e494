"""Passes over rows with holes (NaN), in NumPy; the specification of the compiled one.

Rows come sorted by pattern: which features are observed.  What depends on the pattern
only is computed once for all its rows, and patterns of few rows each go together, in
batches of (P, R, D): R rows of each of P patterns, some of them padding.

A mixture here has covariances in general form (`Covariances.general`).
"""

from dataclasses import dataclass

import numpy as np

from .reference import LOG_2PI, normalise

# Doubles in a batch: matrices of its patterns, and residuals of its rows.
_BATCH = 262_144


@dataclass(frozen=True, eq=False)
class Patterns:
    """Which features are observed in rows that are sorted by that.

    Attributes
    ----------
    offsets : ndarray of shape (P + 1,), int64
        Rows ``offsets[p]`` to ``offsets[p + 1]`` have pattern p.
    observed : ndarray of shape (P, D), bool
    """

    offsets: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, rows):
        """Return the order in which rows (n, D) are sorted by pattern, and these.

        Complete rows come first, rows of which nothing is observed last.
        """
        missing = np.isnan(rows)
        bits = np.packbits(missing, axis=1)
        codes = np.zeros((len(rows), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
        codes[:, : bits.shape[1]] = bits
        codes = codes.view(">u8").astype(np.uint64)
        order = np.lexsort(codes.T[::-1])
        codes = codes[order]
        new = np.flatnonzero(np.any(codes[1:] != codes[:-1], axis=1)) + 1
        offsets = np.unique([0, *new, len(rows)])  # of no rows one, and no pattern
        return order, cls(offsets, ~missing[order[offsets[:-1]]])

    @property
    def n_complete(self):
        """Number of rows without holes: they are the first ones."""
        first = self.observed[:1].all(axis=1)
        return int(self.offsets[1]) if first.any() else 0

    def incomplete(self):
        """Return the patterns of the rows with holes."""
        return self.of_slice(slice(self.n_complete, int(self.offsets[-1])))

    def of_slice(self, rows):
        """Return the patterns of a slice of the rows."""
        start, stop = rows.start, min(rows.stop, self.offsets[-1])
        first = np.searchsorted(self.offsets, start, "right") - 1
        last = np.searchsorted(self.offsets, stop, "left")
        offsets = np.clip(self.offsets[first : last + 1], start, stop) - start
        return Patterns(offsets, self.observed[first:last])

    def batches(self, n_components, whitener_size):
        """Yield patterns (P,), and indices and presence (P, R) of rows of each.

        Patterns of similar sizes go together, and what is large is cut.
        """
        n_features = self.observed.shape[1]
        longest = max(16, _BATCH // (n_components * n_features))
        patterns, starts, sizes = _pieces(self.offsets, longest)
        begin = 0
        while begin < len(sizes):
            limit = max(8, 2 * sizes[begin])
            end = np.searchsorted(sizes, limit, "right")
            size = n_components * (whitener_size + n_features * min(limit, sizes[-1]))
            end = min(end, begin + max(1, _BATCH // size))
            part = slice(begin, end)
            steps = np.arange(sizes[end - 1])
            present = steps < sizes[part, np.newaxis]
            rows = starts[part, np.newaxis] + np.where(present, steps, 0)
            yield patterns[part], rows, present
            begin = end


def _pieces(offsets, longest):
    """Return patterns, starts and sizes of pieces of rows, the smallest first."""
    sizes = np.diff(offsets)
    n_pieces = -(-sizes // longest)
    patterns = np.repeat(np.arange(len(sizes)), n_pieces)
    number = np.arange(len(patterns)) - np.repeat(
        np.cumsum(n_pieces) - n_pieces, n_pieces
    )
    starts = offsets[patterns] + number * longest
    sizes = np.minimum(longest, offsets[patterns + 1] - starts)
    order = np.argsort(sizes, kind="stable")
    return patterns[order], starts[order], sizes[order]


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of rows under a mixture.

    Attributes
    ----------
    rows, present : ndarray of shape (P, R)
        Indices of the rows, and which are no padding.
    holes : MatrixHoles or VarianceHoles
    residuals : ndarray of shape (K, P, R, D)
        Zero where nothing was observed.
    log_joint : ndarray of shape (K, P, R)
        Of the observed part and the component.
    """

    rows: np.ndarray
    present: np.ndarray
    holes: object
    residuals: np.ndarray
    log_joint: np.ndarray

    def posterior(self):
        """Return the responsibilities (K, P, R) and the log-densities (P, R)."""
        shape = self.log_joint.shape
        joint = self.log_joint.reshape(shape[0], -1).copy()
        densities = np.add(*normalise(joint))
        return joint.reshape(shape), densities.reshape(shape[1:])


def batches(rows, mixture, patterns, *, varies=None, centre=0.0, scale=1.0):
    """Yield the rows in batches, evaluated under a mixture.

    ``varies`` (D,) tells which features have a conditional variance, by default all.
    """
    means, covariances = mixture.means, mixture.covariances
    if varies is None:
        varies = np.ones(means.shape[1], dtype=bool)
    size = covariances.whiteners[0].size
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    for chosen, indices, present in patterns.batches(len(means), size):
        observed = patterns.observed[chosen]
        holes = covariances.with_holes(observed, varies)
        z = (rows[indices] - centre) / scale
        e = z - means[:, np.newaxis, np.newaxis]
        e[:, ~np.broadcast_to(observed[:, np.newaxis], z.shape)] = 0.0
        normaliser = holes.log_determinants + LOG_2PI * observed.sum(axis=1)
        with np.errstate(over="ignore"):
            joint = -0.5 * (holes.mahalanobis(e) + normaliser[..., np.newaxis])
        joint += log_weights[:, np.newaxis, np.newaxis]
        yield Batch(indices, present, holes, e, joint)


def statistics(rows, sample_weight, centre, scale, mixture, patterns, varies):
    """Return the sums of an E-step, see `reference.statistics`.

    Moments are those of the rows completed by their conditional means and covariances
    (Ghahramani and Jordan 1994, NIPS 6:120).

    Parameters
    ----------
    rows, sample_weight, centre, scale
        As in `reference.statistics`, sorted by pattern.
    mixture : Mixture
        With covariances in general form; second moments have its shape.
    patterns : Patterns
    varies : ndarray of shape (D,), bool
        Features that have conditional variances.
    """
    shape = mixture.means.shape
    count, first = np.zeros(shape[0]), np.zeros(shape)
    second = np.zeros(mixture.covariances.shape(*shape))
    log_likelihood = 0.0
    frame = {"centre": centre, "scale": scale}
    for batch in batches(rows, mixture, patterns, varies=varies, **frame):
        weight = np.where(batch.present, sample_weight[batch.rows], 0.0)
        parts, densities = batch.posterior()
        log_likelihood += float(np.sum(weight * densities))
        parts *= weight
        holes, e = batch.holes, batch.residuals
        counts = parts.sum(axis=2)
        sums = np.einsum("kpr,kprd->kpd", parts, e)
        sums = holes.complete(counts, sums, holes.moments(e, parts))
        count += counts.sum(axis=1)
        first += sums[0]
        second += sums[1]
    return count, first, second, log_likelihood


def conditional_scatter(mixture, patterns, counts, varies):
    """Return what holes add to second moments, for given counts (P, K).

    The mixture is one Gaussian, in general form.
    """
    covariances, n_components = mixture.covariances, counts.shape[1]
    total = np.zeros(covariances.shape(n_components, mixture.n_features))
    size = max(1, _BATCH // covariances.whiteners.size)
    for begin in range(0, len(counts), size):
        part = slice(begin, begin + size)
        holes = covariances.with_holes(patterns.observed[part], varies)
        total += np.tensordot(counts[part].T, holes.conditional[0], 1)
    return total


def log_responsibilities(rows, mixture, patterns):
    """Return the log-densities (n,) and log-responsibilities (n, K).

    Where the log-density is minus infinity the responsibilities are undefined.
    """
    densities = np.empty(len(rows))
    out = np.empty((len(rows), len(mixture.means)))
    for batch in batches(rows, mixture, patterns):
        joint = batch.log_joint[:, batch.present]
        largest, log_total = normalise(joint.copy())
        chosen = batch.rows[batch.present]
        densities[chosen] = largest + log_total
        with np.errstate(invalid="ignore"):
            out[chosen] = (joint - largest - log_total).T
    return with_nothing_known(densities, out, mixture, patterns)


def with_nothing_known(densities, out, mixture, patterns):
    """Return densities and responsibilities, those of empty rows without rounding."""
    if not patterns.observed[-1].any():
        empty = slice(patterns.offsets[-2], None)
        densities[empty] = 0.0
        with np.errstate(divide="ignore"):
            out[empty] = np.log(mixture.weights)
    return densities, out


def has_holes(rows):
    """Tell whether any value is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = np.isnan(np.sum(rows))  # a sum takes a fraction of the time
    return bool(suspicious and np.isnan(rows).any())


def _drawn(parts, uniform):
    """Return components (...) drawn with probabilities ``parts`` (K, ...)."""
    ladder = np.cumsum(parts, axis=0)
    return np.sum(ladder[:-1] <= uniform * ladder[-1], axis=0)


def completed(rows, mixture, patterns, noise=None):
    """Return rows (n, D) with holes filled.

    By conditional means under the mixture or, with ``noise`` (n, 1 + D), uniform in the
    first column and normal in the others, by draws from the conditional distribution.
    """
    out = np.array(rows, dtype=np.float64)
    for batch in batches(rows, mixture, patterns):
        parts, densities = batch.posterior()
        lost = ~np.isfinite(densities)
        if lost.any():  # too far away for any density: the nearest one
            nearest = batch.log_joint.argmax(axis=0)
            hard = np.arange(len(parts))[:, np.newaxis, np.newaxis] == nearest
            parts = np.where(lost, hard, parts)
        values = mixture.means[:, np.newaxis, np.newaxis]
        values = values + batch.holes.completed(batch.residuals)
        if noise is None:
            filled = np.einsum("kpr,kprd->prd", parts, values)
        else:
            own = noise[batch.rows]
            drawn = _drawn(parts, own[..., 0])
            filled = np.take_along_axis(
                values, drawn[np.newaxis, ..., np.newaxis], axis=0
            )[0]
            filled += batch.holes.noise(drawn, own[..., 1:])
        chosen = batch.rows[batch.present]
        holes = np.isnan(rows[chosen])
        out[chosen] = np.where(holes, filled[batch.present], out[chosen])
    return out
