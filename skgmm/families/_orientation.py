"""Families with orientations apart from volumes and shapes: EEV, VEV, EVE, VVE."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..forms import _matrices
from ._volume_shape import geometric_means, volumes_about_diagonal

# Steps of each candidate for common axes, of the best one, and from previous axes; the
# gain of the mean log-likelihood that ends them.
_TRIAL_STEPS, _FIRST_STEPS, _STEPS, _GAIN = 3, 10, 3, 1e-14
# No step turns a pair of axes by more, in radians.  A step that does not gain is cut.
_LARGEST_TURN, _CUTS = 0.5, 8


# ---- orientations of their own --------------------------------------------
def eev(count, scatter):
    """EEV: a common volume and shape, orientations of their own."""
    spreads, axes = _principal_axes(scatter)
    variances = spreads.sum(axis=0) / count.sum()
    return _along(axes, np.broadcast_to(variances, spreads.shape))


def vev(count, scatter, previous):
    """VEV: a common shape, volumes and orientations of their own."""
    spreads, axes = _principal_axes(scatter)
    if previous is not None:
        previous = _principal_axes(previous)[0]
    return _along(axes, volumes_about_diagonal(count, spreads, previous))


# ---- a common orientation -------------------------------------------------
def eve(count, scatter, previous):
    """EVE: a common volume and orientation, shapes of their own."""
    axes, spreads = _common_axes(_EqualVolumes(count), scatter, previous)
    sizes = geometric_means(spreads)
    scale = sizes.sum() / count.sum() / sizes
    return _along(axes, spreads * scale[:, np.newaxis])


def vve(count, scatter, previous):
    """VVE: a common orientation, volumes and shapes of their own."""
    axes, spreads = _common_axes(_OwnVolumes(count), scatter, previous)
    return _along(axes, spreads / count[:, np.newaxis])


@dataclass(frozen=True, eq=False)
class _OwnVolumes:
    """What sums of squares along common axes (K, D) lose of the log-likelihood.

    The variances that go with given axes are known, which leaves a function of the
    sums of squares alone.
    """

    count: np.ndarray

    def loss(self, spreads):
        """Return twice the loss, but for a constant."""
        return float(self.count @ np.log(spreads).sum(axis=1))

    def shares(self, spreads):
        """Return the derivatives of `loss` by the logarithms of a component, (K,)."""
        return self.count


class _EqualVolumes(_OwnVolumes):
    """The same for variances whose product is the same in all components."""

    def loss(self, spreads):
        sizes = geometric_means(spreads)
        return float(self.count.sum() * spreads.shape[1] * np.log(sizes.sum()))

    def shares(self, spreads):
        sizes = geometric_means(spreads)
        return (self.count.sum() / sizes.sum()) * sizes


def _common_axes(volumes, scatter, previous):
    """Return axes (D, D) of small loss, and the sums of squares (K, D) along them.

    The search goes on from the axes that previous covariances share.  Without any it
    tries the features, and the principal axes of all and of each component: there
    are several local optima.
    """
    if previous is None:
        pooled = _principal_axes(scatter.sum(axis=0))[1]
        starts = [np.eye(len(pooled)), pooled, *_principal_axes(scatter)[1]]
        trials = [_Axes(volumes, scatter, s).turned(_TRIAL_STEPS) for s in starts]
        best = min(trials, key=lambda trial: trial.loss).turned(_FIRST_STEPS)
    else:
        best = _Axes(volumes, scatter, _axes_shared_by(previous)).turned(_STEPS)
    return best.axes, best.spreads


def _axes_shared_by(matrices):
    """Return axes (D, D) along which all the matrices are diagonal, if there are any.

    They are those of a sum of the matrices, unless variances in it are nearly equal:
    then the search for axes finds them.
    """
    sizes = np.trace(matrices, axis1=1, axis2=2)
    parts = 1.0 + 0.5 * np.cos(np.arange(len(matrices)))  # in no simple proportion
    start = _principal_axes(np.tensordot(parts / sizes, matrices, 1))[1]
    volumes = _OwnVolumes(np.ones(len(matrices)))
    return _Axes(volumes, matrices, start).turned(_FIRST_STEPS, gain=1e-20).axes


@dataclass(frozen=True, eq=False)
class _Axes:
    """Orthogonal axes, as columns, and how much is lost with a scatter (K, D, D)."""

    volumes: _OwnVolumes
    scatter: np.ndarray
    axes: np.ndarray

    @cached_property
    def seen(self):
        """The scatter along the axes."""
        return self.axes.T @ self.scatter @ self.axes

    @cached_property
    def spreads(self):
        """Sums of squares along the axes, (K, D)."""
        return np.diagonal(self.seen, axis1=1, axis2=2)

    @cached_property
    def loss(self):
        """See `_OwnVolumes.loss`."""
        return self.volumes.loss(self.spreads)

    def turned(self, n_steps, gain=_GAIN):
        """Return axes of smaller loss, after so many steps or when little is to gain.

        A step is Newton's for each pair of axes as if it were the only one, which is
        a descent; Cayley's transform makes a rotation of it.  It needs tens of steps
        where the majorisation of Browne and McNicholas (2014), Adv. Data Anal.
        Classif. 8:217, needs hundreds.
        """
        axes = self
        for _ in range(n_steps):
            turn, expected = axes._newton_turn()
            nearer = axes._rotated(turn) if expected > gain else None
            if nearer is None:
                break
            axes = nearer
        return axes

    def _rotated(self, turn):
        """Return axes of smaller loss on the way of a turn, or None."""
        eye = np.eye(len(turn))
        for _ in range(_CUTS):
            half = 0.5 * turn
            rotation = np.linalg.solve(eye - half, eye + half)
            axes = _Axes(self.volumes, self.scatter, self.axes @ rotation)
            if axes.loss < self.loss:
                return axes
            turn = 0.25 * turn
        return None

    def _newton_turn(self):
        """Return the angles for all pairs of axes, antisymmetric, and what they gain.

        The gain is that of the mean log-likelihood of an observation.
        """
        shares = self.volumes.shares(self.spreads)
        total = shares.sum()
        precisions = shares[:, np.newaxis] / self.spreads
        slopes = (self.seen * precisions[:, :, np.newaxis]).sum(axis=0)
        slopes = slopes - slopes.T
        crossed = self.spreads.T @ precisions
        # Pairs of equal variances may turn as they like.
        curvatures = np.maximum(crossed + crossed.T - 2.0 * total, 1e-12 * total)
        turn = slopes / curvatures
        gain = 0.25 * float(np.sum(slopes * turn)) / total
        largest = np.abs(turn).max()
        return turn * min(1.0, _LARGEST_TURN / max(largest, _LARGEST_TURN)), gain


def _principal_axes(matrices):
    """Return the eigenvalues (..., D), above zero, and the eigenvectors as columns."""
    values, vectors = np.linalg.eigh(matrices)
    # Rounding may have made those of a nearly singular matrix negative.
    smallest = np.finfo(float).eps ** 2 * values[..., -1:]
    return np.maximum(values, smallest), vectors


def _along(axes, variances):
    """Return the matrices (K, D, D) of variances (K, D) along axes (..., D, D)."""
    scaled = axes * variances[:, np.newaxis, :]
    return _matrices.symmetrised(scaled @ np.swapaxes(axes, -1, -2))
