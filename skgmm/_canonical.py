"""Coordinates of rows that depend neither on units nor, often, on the features."""

from dataclasses import dataclass, replace

import numpy as np

from ._field import SINGLE_FROM, Cloud, Field, outwards, stay_apart
from ._frame import Frame
from ._mixture import Mixture
from ._regularisation import PseudoObservations
from ._sources import ArraySource

# Of size one numbers in single precision are multiples of this.
_GRID = 2.0**-24


@dataclass(frozen=True, eq=False)
class Canonical:
    """A field in such coordinates, in single precision: it does not depend on units.

    Nor on the order of the rows, unless these are symmetric: sums in single precision
    would.

    Features have unit variances, on average if the family needs a common scale, or, if
    it is closed under linear maps, are the invariant axes of the rows.  What rounding
    has changed on the way to them is lost in single precision but for a few numbers in
    a million, so races in any units have the same numbers.  Coordinates are those of
    the frame for few rows, where a map would have to be followed by noise, a ridge, a
    prior or holes, and where it is not known whether a family would be left as it is.

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
    def of(cls, problem, sample, *, in_order=True):
        """Return the field of a problem and a sample of its rows.

        It is not worth while to put rows in order that nobody races on.
        """
        field = Field.of(problem, sample)
        into, rows, tails = _map(field) if _is_movable(field) else (None, None, None)
        if into is None or not stay_apart(rows, rounded := _rounded(rows)):
            return cls(field.in_order() if in_order and field.is_single else field)
        del rows  # there may be many
        places, order = None, slice(None)
        if tails is not None:  # the rows are on the axes of their form already
            varies = ~problem.source.frame.constant
            places = rounded[:, varies] * problem.family.form.stretches(tails)
        if in_order:
            order = outwards(rounded, rounded if places is None else places)
            rounded = rounded[order]
        cloud = Cloud(rounded, field.weight[order])
        there = _problem_there(field.problem, into, rounded, order)
        if places is not None:
            cloud.coordinates[problem.family.form, there.source] = places[order]
        return cls(Field(there, cloud, in_order), field.cloud.mean, into)

    def inward(self, mixture):
        """Return a mixture in the frame of the problem in these coordinates."""
        if self.into is None or mixture is None:
            return mixture
        weights = _single(mixture.weights)
        means = _rounded(_product(mixture.means - self.origin, self.into))
        covariances = mixture.covariances.mapped(self.into).in_single()
        return Mixture(weights / weights.sum(), means, covariances)

    def outward(self, mixture):
        """Return a mixture in these coordinates in the frame of the problem."""
        if self.into is None:
            return mixture
        out = 1.0 / self.into if self.into.ndim == 1 else np.linalg.inv(self.into)
        means = self.origin + _product(mixture.means, out)
        return Mixture(mixture.weights, means, mixture.covariances.mapped(out))


def _is_movable(field):
    """Tell whether all that the race knows of the features can be mapped.

    That is a family of the registry and the penalty; and whether there are so many rows
    that steps in single precision may be worth while.
    """
    problem, enough = field.problem, len(field.rows) >= SINGLE_FROM
    simple = problem.noise is None and problem.source.complete and problem.terms
    return bool(enough and simple and problem.regularisation.is_penalty)


def _map(field):
    """Return what leads into the coordinates, the rows there, and tails of axes.

    None if nothing does; there are tails where all features are mixed.
    """
    family, cloud = field.problem.family, field.cloud
    if not family.is_affine:
        sizes = cloud.deviations
        if not family.per_feature:
            sizes = np.full_like(sizes, np.sqrt(np.mean(sizes**2)))
        return 1.0 / sizes, cloud.centred / sizes, None
    constant, (axes, tails) = field.problem.source.frame.constant, field.axes
    if axes.shape[1] < max(np.count_nonzero(~constant), 1):  # the rows fill no volume
        return None, None, None
    into = np.diag(constant.astype(float))
    into[:, ~constant] = axes
    rows = cloud.centred @ into
    signs = np.where(field.weight @ (rows * rows * rows) < 0, -1.0, 1.0)
    return into * signs, rows * signs, tails


def _problem_there(problem, into, rows, order):
    """Return a problem in other coordinates, of the rows there in another order."""
    source, before = problem.source, problem.regularisation
    constant = source.frame.constant
    variance = _single(before.variance * into**2) if into.ndim == 1 else 1.0
    held = np.where(constant, before.variance, variance)
    variance = np.where(constant, 0.0, variance)
    frame = Frame(np.zeros_like(held), np.ones_like(held), variance, np.sqrt(variance))
    return replace(
        problem,
        source=ArraySource(rows, source.sample_weight[order], frame),
        regularisation=PseudoObservations(before.size, held, before.constant),
        n_observations=problem.observations,
    )


def _product(rows, into):
    return rows * into if into.ndim == 1 else rows @ into


def _rounded(places):
    """Return places in single precision, and no finer near zero than near one."""
    out = places / _GRID
    np.round(out, out=out)
    out *= _GRID
    out[...] = out.astype(np.float32)
    return out


def _single(array):
    return array.astype(np.float32).astype(float)
