"""The problems that are timed: data and a start, made from a seed."""

from dataclasses import dataclass

import numpy as np

SHAPES = (
    (1_000_000, 1, 3),
    (1_000_000, 2, 5),
    (1_000_000, 4, 8),
    (500_000, 10, 10),
    (200_000, 16, 20),
    (100_000, 50, 20),
    (50_000, 128, 64),
    (10_000, 784, 10),
)
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows and a starting mixture, whose covariances are unit matrices."""

    n: int
    d: int
    k: int
    covariance_type: str
    X: np.ndarray
    weights: np.ndarray
    means: np.ndarray

    @property
    def name(self):
        return f"({self.n}, {self.d}, {self.k}) {self.covariance_type}"

    def covariances(self):
        """Return the starting covariances in the shape of the covariance type."""
        return {
            "full": np.tile(np.eye(self.d), (self.k, 1, 1)),
            "tied": np.eye(self.d),
            "diag": np.ones((self.k, self.d)),
            "spherical": np.ones(self.k),
        }[self.covariance_type]


def make(shape, covariance_type, *, seed=0, dtype=np.float64):
    """Return a problem of overlapping clusters with correlated features."""
    n, d, k = shape
    rng = np.random.default_rng(seed)
    # Distances between centres of a few standard deviations at any D.
    centres = rng.normal(scale=3.0 / np.sqrt(d) + 0.5, size=(k, d))
    labels = rng.integers(k, size=n)
    mixing = np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d)
    X = centres[labels]
    X += rng.normal(size=(n, d)) @ mixing
    means = centres + rng.normal(scale=0.1, size=(k, d))
    weights = np.full(k, 1 / k)
    return Problem(n, d, k, covariance_type, X.astype(dtype), weights, means)
