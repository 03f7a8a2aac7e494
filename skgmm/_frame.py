"""Frame: the centre and scale in which everything is computed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._files import Blocks
from ._mixture import Mixture

# Rows that one pass over the data looks at together.
_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates ``z = (x - centre) / scale`` in which the data are of size one.

    Shifting or rescaling the features changes the frame and nothing else, so every
    fit is as exact far from zero, and in any units, as near zero in good ones.

    Attributes
    ----------
    centre : ndarray of shape (D,)
        Weighted means of the features.
    scale : ndarray of shape (D,)
        Standard deviations rounded to powers of two, so that scaling is exact;
        the same for all features if the model needs that; 1 for a constant feature.
    variance : ndarray of shape (D,)
        Weighted variances of the features in these coordinates; their mean, if the
        scale is common.
    deviation : ndarray of shape (D,)
        Standard deviation of each feature, in the user's units.
    """

    centre: np.ndarray
    scale: np.ndarray
    variance: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, rows, sample_weight, *, per_feature=True, holes=False):
        """Return the frame of weighted rows.

        Parameters
        ----------
        rows : ndarray or StoredRows of shape (n, D)
        sample_weight : ndarray of shape (n,)
            Positive.
        per_feature : bool, default=True
            Whether each feature has a scale of its own.
        holes : bool, default=False
            Whether there are NaN: moments are those of the other values.
        """
        total = sample_weight.sum()
        if holes:
            total = sum(sample_weight[b] @ ~np.isnan(part) for b, part in _blocks(rows))
        return cls.of_sums(
            *extremes(rows, holes),
            total,
            lambda *arguments: power_sums(rows, sample_weight, *arguments, holes),
            per_feature=per_feature,
        )

    @classmethod
    def of_sums(cls, low, high, total, sums, *, per_feature=True):
        """Return the frame of rows between extremes, from sums over them.

        ``sums(power, origin, size)`` is that of ``((row - origin) / size) ** power``
        over the rows, with their weights; ``total`` is that of the weights, for each
        feature if they differ.
        """
        centre, variance, size = _moments(low, high, total, sums)
        variance[low == high] = 0.0
        return cls._made(centre, variance, size, per_feature)

    @classmethod
    def of_moments(cls, centre, variance, *, per_feature=True):
        """Return the frame of rows with given means and variances (D,)."""
        size = np.where(variance > 0, np.sqrt(variance), 1.0)
        size = np.exp2(np.round(np.log2(size)))
        return cls._made(centre, variance / size**2, size, per_feature)

    @classmethod
    def _made(cls, centre, variance, size, per_feature):
        """Return the frame, from variances in units of ``size**2``."""
        deviation = np.sqrt(variance) * size
        if not per_feature:
            largest = size.max()
            variance = np.full_like(size, np.mean(variance * (size / largest) ** 2))
            size = np.full_like(size, largest)
        step = np.exp2(np.round(0.5 * np.log2(np.where(variance > 0, variance, 1.0))))
        scale = np.where(variance > 0, size * step, 1.0)
        return cls(centre, scale, variance / step**2, deviation)

    @cached_property
    def constant(self):
        """Which features have one value only (or, with a common scale, all)."""
        return self.variance == 0

    @property
    def unit_deviations(self):
        """Standard deviations in these coordinates; 1 for constant features."""
        return np.sqrt(np.where(self.constant, 1.0, self.variance))

    @cached_property
    def log_jacobian(self):
        """What ``log p(x)`` is short of ``log p(z)``."""
        return float(np.log(self.scale).sum())

    def inward(self, mixture):
        """Return a mixture of the user's units in these coordinates."""
        means = (mixture.means - self.centre) / self.scale
        covariances = mixture.covariances.rescaled(1.0 / self.scale)
        noise = mixture.noise
        noise = noise and noise.moved(-self.centre / self.scale, 1.0 / self.scale)
        return Mixture(mixture.weights, means, covariances, noise)

    def outward(self, mixture):
        """Return a mixture of these coordinates in the user's units."""
        means = self.centre + self.scale * mixture.means
        covariances = mixture.covariances.rescaled(self.scale)
        noise = mixture.noise and mixture.noise.moved(self.centre, self.scale)
        return Mixture(mixture.weights, means, covariances, noise)


def _blocks(rows):
    slices = [slice(start, start + _ROWS) for start in range(0, len(rows), _ROWS)]
    return Blocks(rows, slices)


def extremes(rows, holes=False):
    """Return the smallest and the largest values of the features."""
    least, greatest = (np.fmin, np.fmax) if holes else (np.minimum, np.maximum)
    pairs = [(least.reduce(b), greatest.reduce(b)) for _, b in _blocks(rows)]
    low, high = zip(*pairs, strict=True)
    return least.reduce(low).astype(float), greatest.reduce(high).astype(float)


def power_sums(rows, sample_weight, power, origin, size, holes=False):
    """Return the sum of powers of weighted rows, see `Frame.of_sums`."""
    sums = np.zeros(rows.shape[1])
    for part, block in _blocks(rows):
        cells = ((block - origin) / size) ** power
        if holes:
            cells = np.nan_to_num(cells, copy=False)
        sums = sums + sample_weight[part] @ cells
    return sums


def _moments(low, high, total, sums):
    """Return means, and variances in units of ``size**2``, and the sizes.

    Sizes are powers of two near half the range: nothing overflows, and nothing is
    lost to an offset, since the sums are taken of differences.
    """
    middle = 0.5 * low + 0.5 * high
    half = np.maximum(high - middle, middle - low)
    size = np.exp2(np.ceil(np.log2(np.where(half > 0, half, 1.0))))
    centre = middle + size * sums(1, middle, size) / total
    return centre, sums(2, centre, size) / total, size
