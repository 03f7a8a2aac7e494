"""Mixture: the immutable value that is fitted, evaluated and sampled."""

from dataclasses import dataclass, replace

import numpy as np

from . import _threads, kernels
from ._files import Blocks
from ._noise import Noise
from .forms import Covariances, frozen


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K Gaussians in D dimensions, and noise if wanted.

    Attributes
    ----------
    weights : ndarray of shape (K,)
        Mixing weights of the Gaussians; they sum to one, some may be zero.
    means : ndarray of shape (K, D)
    covariances : Covariances
    noise : Noise or None
        Comes after the Gaussians where parts are counted.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: Covariances
    noise: Noise | None = None

    def __post_init__(self):
        object.__setattr__(self, "weights", frozen(self.weights))
        object.__setattr__(self, "means", frozen(self.means))

    def __reduce__(self):
        arrays = np.array(self.weights), np.array(self.means)
        return Mixture, (*arrays, self.covariances, self.noise)

    @property
    def n_components(self):
        """K."""
        return self.means.shape[0]

    @property
    def n_features(self):
        """D."""
        return self.means.shape[1]

    @property
    def shares(self):
        """Weights of all parts, (K,) or, with that of the noise, (K + 1,)."""
        if self.noise is None:
            return self.weights
        share = self.noise.weight
        return np.append((1.0 - share) * self.weights, share)

    @classmethod
    def of_shares(cls, shares, means, covariances, noise):
        """Return the mixture with such `shares`, and noise with that of it, if any."""
        if noise is not None:
            noise = replace(noise, weight=float(shares[-1]))
            shares = shares[:-1] / shares[:-1].sum()
        return cls(shares, means, covariances, noise)

    def in_two(self, offsets, factors):
        """Return `Mixtures` of K + 1 components, of which two are halves of one.

        They have half of its weight, and lie at plus and minus one of the ``offsets``
        (K, D) from its mean; or on it.  See `Covariances.in_two`.
        """
        k, each = self.n_components, np.arange(self.n_components)
        values = self.covariances.in_two(offsets, factors)
        n_kinds = len(values) // k
        shares = np.zeros((k, len(self.shares) + 1))
        shares[:, :k], shares[:, k + 1 :] = np.split(self.shares, [k])
        shares[each, each] = shares[:, k] = 0.5 * self.shares[:k]
        means = np.empty((n_kinds, k, k + 1, self.n_features))
        means[:, :, :k] = means[:, :, k] = self.means
        means[0, each, each] += offsets
        means[0, :, k] -= offsets
        return Mixtures(
            np.tile(shares, (n_kinds, 1)),
            means.reshape(-1, *means.shape[2:]),
            values,
            type(self.covariances),
            self.noise,
        )

    def log_density(self, rows):
        """Return the log-densities of rows (n, D), shape (n,).

        Minus infinity for a row so far away that the logarithm overflows.
        """
        out = np.empty(len(rows))

        def part(chunk, block):
            out[chunk] = self._log_density(block)

        self._in_chunks(part, rows)
        return out

    def log_likelihood(self, rows, sample_weight):
        """Return the log-likelihood of weighted rows; weight zero is no row."""

        def part(chunk, block):
            weight = sample_weight[chunk]
            counted = weight > 0
            # No product by BLAS: its order of sums depends on its number of threads.
            return np.sum(self._log_density(block)[counted] * weight[counted])

        return float(sum(self._in_chunks(part, rows)))

    def log_responsibilities(self, rows):
        """Return the log-densities (n,) and log-responsibilities (n, K).

        A row too far away for any density belongs to the nearest component.  With noise
        there are K + 1, the last those of the noise.
        """
        densities, out = np.empty(len(rows)), np.empty((len(rows), len(self.shares)))

        def part(chunk, block):
            if kernels.has_holes(block):
                densities[chunk], logs = self._with_holes(block)
            else:
                densities[chunk], logs = kernels.log_responsibilities(block, self)
            far = np.flatnonzero(densities[chunk] == -np.inf)
            if far.size:
                logs[far] = -np.inf
                logs[far, self._nearest(block[far])] = 0.0
            if self.noise is not None:
                total, gaussian, noise = self.noise.mixed(block, densities[chunk])
                logs = np.column_stack([logs + gaussian[:, np.newaxis], noise])
                densities[chunk] = total
            out[chunk] = logs

        self._in_chunks(part, rows)
        return densities, out

    def component_log_density(self, rows):
        """Return the log-densities of rows under each component, shape (n, K)."""
        out = np.empty((len(rows), self.n_components))
        constant = self.n_features * kernels.LOG_2PI + self.covariances.log_determinants

        def part(chunk, block):
            z = np.array(block.T, dtype=np.float64, order="C")
            with np.errstate(over="ignore"):
                distances = self.covariances.mahalanobis(z, self.means)
            out[chunk] = -0.5 * (constant[:, np.newaxis] + distances).T

        self._in_chunks(part, rows)
        return out

    def likelihood_and_entropy(self, rows, sample_weight):
        """Return the log-likelihood and the entropy of the responsibilities."""
        sums = np.zeros(2)
        slices = [slice(s, s + 16384) for s in range(0, len(rows), 16384)]
        for part, block in Blocks(rows, slices):
            densities, logs = self.log_responsibilities(block)
            logs[logs == -np.inf] = 0.0  # so that p log p is zero at p = 0
            entropies = -np.sum(np.exp(logs) * logs, axis=1)
            sums += np.stack([densities, entropies]) @ sample_weight[part]
        return sums.tolist()

    def labels(self, rows):
        """Return the most probable components of rows, shape (n,); -1 is noise."""
        out = np.empty(len(rows), dtype=np.intp)

        def part(chunk, block):
            if kernels.has_holes(block):
                largest, logs = self._with_holes(block)
                labels = logs.argmax(axis=1)
                largest = largest + logs.max(axis=1)
            else:
                largest, labels = kernels.labels(block, self)
            far = np.flatnonzero(~(largest > -np.inf))
            if far.size:
                labels[far] = self._nearest(block[far])
            if self.noise is not None:
                gaussian = largest + self.noise.log_rest
                labels[~(gaussian >= self.noise.log_joint(block))] = -1
            out[chunk] = labels

        self._in_chunks(part, rows)
        return out

    def completed(self, rows, noise=None):
        """Return rows (n, D) with a value for each NaN.

        The conditional mean, given what was observed of the row; or a draw from the
        conditional distribution, by ``noise`` of shape (n, D + 1), uniform in the
        first column and normal in the others.
        """
        out, general = np.empty(rows.shape), self.general()

        def part(chunk, block):
            own = out[chunk]
            own[...] = block
            order, patterns = kernels.Patterns.of(own)
            others = order[patterns.n_complete :]
            if len(others):
                drawn = None if noise is None else noise[chunk][others]
                own[others] = kernels.completed(
                    own[others], general, patterns.incomplete(), drawn
                )

        self._in_chunks(part, rows)
        return out

    def plain(self):
        """Return the same mixture in a form that scikit-learn has too."""
        return replace(self, covariances=self.covariances.plain)

    def general(self):
        """Return the same mixture with covariances in the form that knows holes."""
        return replace(self, covariances=self.covariances.general)

    def _log_density(self, rows):
        if kernels.has_holes(rows):
            densities = self._with_holes(rows)[0]
        else:
            densities = kernels.log_density(rows, self)
        return densities if self.noise is None else self.noise.mixed(rows, densities)[0]

    def _with_holes(self, rows):
        """Return log-densities and log-responsibilities of rows of which some have NaN.

        Of the Gaussians; those of complete rows are what they are without the others.
        """
        densities, out = np.empty(len(rows)), np.empty((len(rows), self.n_components))
        order, patterns = kernels.Patterns.of(rows)
        whole, others = order[: patterns.n_complete], order[patterns.n_complete :]
        if len(whole):
            answer = kernels.log_responsibilities(rows[whole], self)
            densities[whole], out[whole] = answer
        answer = kernels.log_responsibilities_with_holes(
            rows[others], self.general(), patterns.incomplete()
        )
        densities[others], out[others] = answer
        return densities, out

    def _in_chunks(self, part, rows):
        """Return ``part`` of chunks of rows, computed by several threads."""
        blocks = Blocks(rows, _threads.chunks(len(rows), self.means))
        return list(_threads.ordered_map(lambda item: part(*item), blocks))

    def _nearest(self, rows):
        """Return the component nearest to each row, by Mahalanobis distance.

        Each row is divided by its size first, so that no square overflows.
        """
        z = np.asarray(rows.T, dtype=np.float64)
        size = np.exp2(np.floor(np.log2(np.nanmax(np.abs(z), axis=0))))
        if np.isnan(z).any():
            return self._nearest_with_holes(z.T / size[:, np.newaxis], size)
        origin = np.zeros((1, self.n_features))
        distances = np.empty((self.n_components, len(rows)))
        for k, mean in enumerate(self.means):
            residual = z / size - mean[:, np.newaxis] / size
            distances[k] = self.covariances.take([k]).mahalanobis(residual, origin)
        distances[self.weights == 0] = np.inf
        return distances.argmin(axis=0)

    def _nearest_with_holes(self, rows, size):
        answer, covariances = [], self.covariances.general
        for row, unit in zip(rows, size, strict=True):
            observed = ~np.isnan(row)
            holes = covariances.with_holes(observed[np.newaxis], observed)
            e = np.where(observed, row - self.means / unit, 0.0)
            distances = holes.mahalanobis(e[:, np.newaxis, np.newaxis])[:, 0, 0]
            distances[self.weights == 0] = np.inf
            answer.append(distances.argmin())
        return np.array(answer)

    def sample(self, counts, rng):
        """Draw ``counts[k]`` rows of each part, one part after another."""
        counts, of_noise = counts[: self.n_components], counts[self.n_components :]
        normal = rng.standard_normal((int(np.sum(counts)), self.n_features))
        parts = np.split(normal, np.cumsum(counts)[:-1])
        rows = [
            self.means[k] + self.covariances.colorize(k, part)
            for k, part in enumerate(parts)
        ]
        return np.concatenate(rows + [self.noise.sample(n, rng) for n in of_noise])

    def take(self, indices):
        """Return the mixture of the components ``indices``.

        One that is named twice is there twice, with half its weight each.
        """
        indices = np.asarray(indices)
        copies = np.bincount(indices, minlength=self.n_components)[indices]
        weights = self.weights[indices] / copies
        covariances = self.covariances.take(indices)
        weights = weights / weights.sum()
        return Mixture(weights, self.means[indices], covariances, self.noise)

    def marginal(self, features):
        """Return the mixture of the features ``features``, in their order."""
        means = self.means[:, features]
        covariances = self.covariances.marginal(features)
        noise = self.noise and self.noise.marginal(features)
        return Mixture(self.weights, means, covariances, noise)

    def given(self, features):
        """Return the distributions of the other features, given ``features``.

        There may be none of these.
        """
        if not len(features):
            nothing = Mixture(self.weights, self.means[:, :0], self.covariances)
            slopes = np.zeros((*self.means.shape, 0))
            return Conditional(nothing, self.means, slopes, self.covariances)
        kept = set(features)
        free = [j for j in range(self.n_features) if j not in kept]
        slopes, covariances = self.covariances.split(features, free)
        return Conditional(
            self.marginal(features), self.means[:, free], slopes, covariances
        )


@dataclass(frozen=True, eq=False)
class Conditional:
    """Mixtures of some features given the others, for any values of these.

    Each component is a regression of its own: the mean of the free features is
    ``means + slopes (x - given.means)``, and their covariance is the same for all x.
    The weights are the responsibilities of the components for x.

    Attributes
    ----------
    given : Mixture
        Of the features that are given, G of them.
    means : ndarray of shape (K, M)
        Means of the M free features.
    slopes : ndarray of shape (K, M, G)
    covariances : Covariances
        Of the free features, within components.
    """

    given: Mixture
    means: np.ndarray
    slopes: np.ndarray
    covariances: Covariances

    def means_of(self, component, rows):
        """Return the means (n, M) of a component, given rows (n, G)."""
        residuals = rows - self.given.means[component]
        return self.means[component] + residuals @ self.slopes[component].T

    def log_weights(self, rows):
        """Return the logarithms of the weights (n, K), given rows (n, G)."""
        if not rows.shape[1]:
            with np.errstate(divide="ignore"):
                return np.tile(np.log(self.given.weights), (len(rows), 1))
        return self.given.log_responsibilities(rows)[1]

    def at(self, row):
        """Return the mixture of the free features at one row (1, G)."""
        weights = np.exp(self.log_weights(row)[0])
        means = [self.means_of(k, row)[0] for k in range(len(self.means))]
        return Mixture(weights / weights.sum(), np.array(means), self.covariances)


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Several mixtures of K Gaussians, some of which may turn out to be impossible.

    Attributes
    ----------
    shares : ndarray of shape (R, K) or (R, K + 1)
        See `Mixture.shares`.
    means : ndarray of shape (R, K, D)
    values : ndarray of shape (R, ...)
        Of the covariances.
    form : type
    noise : Noise or None
    """

    shares: np.ndarray
    means: np.ndarray
    values: np.ndarray
    form: type[Covariances]
    noise: Noise | None = None

    @classmethod
    def of(cls, mixtures):
        """Return mixtures of the same form in one array each."""
        arrays = ((one.shares, one.means, one.covariances.values) for one in mixtures)
        stacked = [np.stack(several) for several in zip(*arrays, strict=True)]
        return cls(*stacked, type(mixtures[0].covariances), mixtures[0].noise)

    @property
    def arrays(self):
        """Shares, means and values."""
        return self.shares, self.means, self.values

    def __len__(self):
        return len(self.shares)

    def __getitem__(self, index):
        """Return one of them, or raise `NotPositiveDefinite`."""
        means = self.means[index]
        covariances = self.form(self.values[index], *means.shape)
        return Mixture.of_shares(self.shares[index], means, covariances, self.noise)
