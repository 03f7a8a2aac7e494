"""Noise: a component of constant density, so that outliers bend no Gaussian."""

from dataclasses import dataclass, replace

import numpy as np

from . import kernels

# The share that the noise begins with.
INITIAL_WEIGHT = 0.1


def is_asked_for(noise):
    """Tell whether a parameter ``noise`` is anything but false."""
    return not isinstance(noise, bool | np.bool_) or bool(noise)


def n_parameters(noise):
    """Return the number of parameters of a `Noise`, or of none."""
    return 0 if noise is None else noise.n_parameters


@dataclass(frozen=True, eq=False)
class Noise:
    """A component whose density is one over the volume of a box, in the box and beyond.

    A mixture with noise is ``(1 - weight) p(x) + weight / volume``, where p is that of
    its Gaussians, whose weights sum to one (Banfield and Raftery 1993, Biometrics
    49:803).  Of some features the density is that of their sides of the box.

    Attributes
    ----------
    weight : float
    centre, sides : ndarray of shape (D,)
        Of the box, from which samples are drawn.
    n_parameters : int
        Number of parameters estimated: the weight and, if it was not given, the volume.
    """

    weight: float
    centre: np.ndarray
    sides: np.ndarray
    n_parameters: int

    @classmethod
    def of(cls, low, high, deviations, volume=None):
        """Return noise about rows, with its initial weight.

        Parameters
        ----------
        low, high : ndarray of shape (D,)
            Extremes of the features.
        deviations : ndarray of shape (D,)
            Of the components, in features that have one value only: there the density
            is that of the components, so that they play no part.
        volume : float, optional
            Of the box in the other features, if not that of the extremes.
        """
        centre, sides = 0.5 * low + 0.5 * high, high - low
        constant = sides == 0
        if volume is not None and not constant.all():
            logs = np.log(sides[~constant])
            sides = sides * np.exp((np.log(volume) - logs.sum()) / len(logs))
        sides = np.where(constant, np.sqrt(2 * np.pi) * deviations, sides)
        n_parameters = 2 if volume is None else 1
        return cls(INITIAL_WEIGHT, centre, sides, n_parameters)

    @property
    def log_density(self):
        """The log-density of a row of which everything was observed."""
        return -float(np.log(self.sides).sum())

    @property
    def log_rest(self):
        """The logarithm of the weight of the Gaussians."""
        with np.errstate(divide="ignore"):
            return np.log1p(-self.weight)

    def moved(self, centre, scale):
        """Return the same noise in the coordinates ``centre + scale * x``."""
        centre = centre + scale * self.centre
        return replace(self, centre=centre, sides=scale * self.sides)

    def marginal(self, features):
        """Return the noise of some features."""
        centre, sides = self.centre[features], self.sides[features]
        return replace(self, centre=centre, sides=sides)

    def sample(self, n_rows, rng):
        """Return rows drawn from the box."""
        uniform = rng.uniform(-0.5, 0.5, size=(n_rows, len(self.sides)))
        return self.centre + self.sides * uniform

    def log_joint(self, rows):
        """Return the log-density of rows (n, D), times the weight; NaN is a hole."""
        with np.errstate(divide="ignore"):
            log_weight = np.log(self.weight)
        if kernels.has_holes(rows):
            return log_weight - ~np.isnan(rows) @ np.log(self.sides)
        return np.full(len(rows), log_weight + self.log_density)

    def mixed(self, rows, log_densities):
        """Return log-densities of the mixture, and logs of the shares of its parts.

        Parameters
        ----------
        rows : ndarray of shape (n, D)
        log_densities : ndarray of shape (n,)
            Of the Gaussians.

        Returns
        -------
        total : ndarray of shape (n,)
        log_gaussian, log_noise : ndarray of shape (n,)
            Logs of the probabilities that a row is of a Gaussian, or noise.
        """
        gaussian, noise = log_densities + self.log_rest, self.log_joint(rows)
        total = np.logaddexp(gaussian, noise)
        seen = total > -np.inf  # others are left to the Gaussians
        shift = np.where(seen, total, 0.0)
        return total, np.where(seen, gaussian - shift, 0.0), noise - shift

    def parted(self, rows, log_densities, sample_weight):
        """Return the weights (n,) left to the Gaussians, and two sums over the rows.

        These are the weight of the noise, and the log-likelihood.
        """
        total, gaussian, noise = self.mixed(rows, log_densities)
        sums = (np.sum(sample_weight * part) for part in (np.exp(noise), total))
        return sample_weight * np.exp(gaussian), *map(float, sums)


def statistics(rows, sample_weight, centre, scale, mixture, *, within=True):
    """Return the sums of `kernels.statistics` under a mixture with noise, and its mass.

    To the Gaussians noise is a matter of weights: each row has what is left of its own
    by the probability that it is noise.
    """
    z, form = (rows - centre) / scale, type(mixture.covariances)
    weight, mass, log_likelihood = mixture.noise.parted(
        z, kernels.log_density(z, mixture), sample_weight
    )
    unit = np.ones(len(centre))
    seen = z, weight, 0.0 * unit, unit
    sums = kernels.statistics(*seen, mixture, within=within)
    count, first, second, _ = sums
    if not within:  # the total scatter is that of these weights
        labels, one = np.zeros(len(z), dtype=np.int64), form.for_total()
        _, mean, scatter = kernels.class_moments(*seen, labels, 1, one)
        offsets = mixture.means - mean[0]
        second = form.second_from_total(scatter[0], offsets, count, first)
    return count, first, second, log_likelihood, mass


def statistics_with_holes(
    rows, sample_weight, centre, scale, mixture, patterns, varies
):
    """Return the sums of `kernels.statistics_with_holes`, and the mass of the noise."""
    z, unit = (rows - centre) / scale, np.ones(len(centre))
    log_densities, _ = kernels.log_responsibilities_with_holes(z, mixture, patterns)
    weight, mass, log_likelihood = mixture.noise.parted(z, log_densities, sample_weight)
    sums = kernels.statistics_with_holes(
        z, weight, 0.0 * unit, unit, mixture, patterns, varies
    )
    return (*sums[:3], log_likelihood, mass)
