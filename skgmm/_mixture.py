"""Mixture: the immutable value that is fitted, evaluated and sampled."""

from dataclasses import dataclass

import numpy as np

from . import _threads, kernels
from ._files import Blocks
from .forms import Covariances, frozen


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K Gaussians in D dimensions.

    Attributes
    ----------
    weights : ndarray of shape (K,)
        Mixing weights; they sum to one, some may be zero.
    means : ndarray of shape (K, D)
    covariances : Covariances
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: Covariances

    def __post_init__(self):
        object.__setattr__(self, "weights", frozen(self.weights))
        object.__setattr__(self, "means", frozen(self.means))

    def __reduce__(self):
        arrays = np.array(self.weights), np.array(self.means)
        return Mixture, (*arrays, self.covariances)

    @property
    def n_components(self):
        """K."""
        return self.means.shape[0]

    @property
    def n_features(self):
        """D."""
        return self.means.shape[1]

    def log_density(self, rows):
        """Return the log-densities of rows (n, D), shape (n,).

        Minus infinity for a row so far away that the logarithm overflows.
        """
        out = np.empty(len(rows))

        def part(chunk, block):
            out[chunk] = kernels.log_density(block, self)

        self._in_chunks(part, rows)
        return out

    def log_likelihood(self, rows, sample_weight):
        """Return the log-likelihood of weighted rows; weight zero is no row."""

        def part(chunk, block):
            weight = sample_weight[chunk]
            counted = weight > 0
            # No product by BLAS: its order of sums depends on its number of threads.
            return np.sum(kernels.log_density(block, self)[counted] * weight[counted])

        return float(sum(self._in_chunks(part, rows)))

    def log_responsibilities(self, rows):
        """Return the log-densities (n,) and log-responsibilities (n, K).

        A row too far away for any density belongs to the nearest component.
        """
        densities, out = np.empty(len(rows)), np.empty((len(rows), self.n_components))

        def part(chunk, block):
            densities[chunk], logs = kernels.log_responsibilities(block, self)
            far = np.flatnonzero(densities[chunk] == -np.inf)
            if far.size:
                logs[far] = -np.inf
                logs[far, self._nearest(block[far])] = 0.0
            out[chunk] = logs

        self._in_chunks(part, rows)
        return densities, out

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
        """Return the most probable components of rows, shape (n,)."""
        out = np.empty(len(rows), dtype=np.intp)

        def part(chunk, block):
            largest, labels = kernels.labels(block, self)
            far = np.flatnonzero(largest == -np.inf)
            if far.size:
                labels[far] = self._nearest(block[far])
            out[chunk] = labels

        self._in_chunks(part, rows)
        return out

    def _in_chunks(self, part, rows):
        """Return ``part`` of chunks of rows, computed by several threads."""
        blocks = Blocks(rows, _threads.chunks(len(rows), self.means))
        return list(_threads.ordered_map(lambda item: part(*item), blocks))

    def _nearest(self, rows):
        """Return the component nearest to each row, by Mahalanobis distance.

        Each row is divided by its size first, so that no square overflows.
        """
        z = np.asarray(rows.T, dtype=np.float64)
        size = np.exp2(np.floor(np.log2(np.abs(z).max(axis=0))))
        origin = np.zeros((1, self.n_features))
        distances = np.empty((self.n_components, len(rows)))
        for k, mean in enumerate(self.means):
            residual = z / size - mean[:, np.newaxis] / size
            distances[k] = self.covariances.take([k]).mahalanobis(residual, origin)
        distances[self.weights == 0] = np.inf
        return distances.argmin(axis=0)

    def sample(self, counts, rng):
        """Draw ``counts[k]`` rows of each component, one component after another."""
        noise = rng.standard_normal((int(np.sum(counts)), self.n_features))
        parts = np.split(noise, np.cumsum(counts)[:-1])
        return np.concatenate(
            [
                self.means[k] + self.covariances.colorize(k, part)
                for k, part in enumerate(parts)
            ]
        )

    def take(self, indices):
        """Return the mixture of the components ``indices``.

        One that is named twice is there twice, with half its weight each.
        """
        indices = np.asarray(indices)
        copies = np.bincount(indices, minlength=self.n_components)[indices]
        weights = self.weights[indices] / copies
        covariances = self.covariances.take(indices)
        return Mixture(weights / weights.sum(), self.means[indices], covariances)
