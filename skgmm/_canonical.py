"""Coordinates of rows that depend neither on units nor, often, on the features."""

from dataclasses import dataclass, replace

import numpy as np

from ._field import SINGLE_FROM, Field
from ._frame import Frame
from ._mixture import Mixture
from ._regularisation import PseudoObservations
from ._sources import ArraySource

# The part of the differences of rows, one after another, that rounding may take away.
_LOST = 0.01


@dataclass(frozen=True, eq=False)
class Canonical:
    """A field in such coordinates, in single precision: it does not depend on units.

    Features have unit variances, on average if the family needs a common scale, or, if
    it is closed under linear maps, are the invariant axes of the rows.  What rounding
    has changed on the way to them is lost in single precision, so that races in any
    units have the same numbers, to the last bit.  Where more than the rows depends on
    the features, and of few rows, coordinates are those of the frame.

    Attributes
    ----------
    field : Field
    origin : ndarray of shape (D,)
        The mean of the rows, in the frame of the problem.
    into : ndarray of shape (D,) or (D, D), or None
        Factors or a matrix that lead from there into the coordinates.
    """

    field: Field
    origin: np.ndarray | None = None
    into: np.ndarray | None = None

    @classmethod
    def of(cls, problem, sample):
        """Return the field of a problem and a sample of its rows."""
        field = Field.of(problem, sample)
        into, rows = _map(field) if _depends_on_rows_only(field) else (None, None)
        if into is None:
            return cls(field)
        moved = _moved(field.problem, into, _rounded(rows))
        return cls(Field.of(moved, moved.source), field.cloud.mean, into)

    def inward(self, mixture):
        """Return a mixture in the frame of the problem in these coordinates."""
        if self.into is None or mixture is None:
            return mixture
        weights = _single(mixture.weights)
        means = _single(_product(mixture.means - self.origin, self.into))
        covariances = mixture.covariances.mapped(self.into)
        covariances = covariances.mended(_single(covariances.values), *means.shape)
        return Mixture(weights / weights.sum(), means, covariances)

    def outward(self, mixture):
        """Return a mixture in these coordinates in the frame of the problem."""
        if self.into is None:
            return mixture
        out = 1.0 / self.into if self.into.ndim == 1 else np.linalg.inv(self.into)
        means = self.origin + _product(mixture.means, out)
        return Mixture(mixture.weights, means, mixture.covariances.mapped(out))


def _depends_on_rows_only(field):
    """Tell whether there are no noise, ridge, prior, holes and constant features.

    And enough rows for single precision.
    """
    problem = field.problem
    source, penalty = problem.source, problem.regularisation.is_penalty
    free = problem.noise is None and source.complete and penalty
    varying = free and problem.terms and not source.frame.constant.any()
    return bool(varying) and len(field.rows) >= SINGLE_FROM


def _map(field):
    """Return what leads into the coordinates, and the rows there; None if nothing."""
    family, cloud = field.problem.family, field.cloud
    if not family.is_affine:
        sizes = cloud.deviations
        if not family.per_feature:
            sizes = np.full_like(sizes, np.sqrt(np.mean(sizes**2)))
        return 1.0 / sizes, cloud.centred / sizes
    into = field.axes
    if into.shape[0] > into.shape[1]:  # the rows fill no volume
        return None, None
    rows = cloud.centred @ into
    signs = np.where(field.weight @ (rows * rows * rows) < 0, -1.0, 1.0)
    return into * signs, rows * signs


def _moved(problem, into, rows):
    """Return a problem in other coordinates, of the rows there."""
    source, before = problem.source, problem.regularisation
    variance = np.ones(len(into))
    if into.ndim == 1:
        variance = _single(before.variance * into**2)
    frame = Frame(np.zeros(len(into)), np.ones(len(into)), variance, np.sqrt(variance))
    return replace(
        problem,
        source=ArraySource(rows, source.sample_weight, frame),
        regularisation=PseudoObservations(before.size, variance, before.constant),
        n_observations=problem.observations,
    )


def _product(rows, into):
    return rows * into if into.ndim == 1 else rows @ into


def _rounded(rows):
    """Return the rows in single precision if that leaves them apart, else as they are.

    A value far from all others would make these one.
    """
    rounded = _single(rows)
    lost = (np.diff(rounded, axis=0) == 0) & (np.diff(rows, axis=0) != 0)
    return rows if np.count_nonzero(lost) > _LOST * lost.size else rounded


def _single(array):
    return array.astype(np.float32).astype(float)
