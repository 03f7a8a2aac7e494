"""Sums that carry their rounding errors along: the order of adding does not matter."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of arrays, each with what rounding has left out of it.

    Attributes
    ----------
    total, rest : ndarray of shape (size,)
        The arrays one after the other: one addition, and one message, for all.
    shapes : tuple
        Of the arrays.
    """

    total: np.ndarray
    rest: np.ndarray
    shapes: tuple

    @classmethod
    def of(cls, arrays):
        """Return the sums of one term each."""
        arrays = [np.asarray(array, dtype=float) for array in arrays]
        total = np.concatenate([array.ravel() for array in arrays])
        return cls(total, np.zeros_like(total), tuple(a.shape for a in arrays))

    def __add__(self, other):
        """Return the sums of the terms of both (Knuth's two-sum)."""
        total = self.total + other.total
        with np.errstate(invalid="ignore"):
            seen = total - self.total
            left_out = (self.total - (total - seen)) + (other.total - seen)
        left_out[~np.isfinite(total)] = 0.0
        left_out += self.rest
        left_out += other.rest
        return Sums(total, left_out, self.shapes)

    def arrays(self):
        """Return the arrays, rounded once."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(self.total + self.rest, np.cumsum(sizes)[:-1])
        return [
            part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]
