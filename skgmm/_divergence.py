"""How far mixtures, and components, are from each other; how uncertain they are."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, xlogy

from ._distribution import covariance, draws
from .kernels import LOG_2PI


@dataclass(frozen=True)
class Estimate:
    """An estimate from random draws.

    Attributes
    ----------
    value : float
        The estimate, in nats.
    standard_error : float
        The standard deviation that it has over repeated draws.
    lower, upper : float
        Bounds that need no draws: the exact value lies between them.
    """

    value: float
    standard_error: float
    lower: float
    upper: float


# ---- between Gaussians ----------------------------------------------------
def gaussian_entropies(mixture):
    """Return the entropies of the components, shape (K,)."""
    constant = mixture.n_features * (1.0 + LOG_2PI)
    return 0.5 * (constant + mixture.covariances.log_determinants)


def gaussian_divergences(p, q):
    """Return the Kullback-Leibler divergences of components, p to q, shape (K, L)."""
    roots = p.covariances.roots()
    out = np.empty((p.n_components, q.n_components))
    for j, root in enumerate(q.covariances.roots()):
        offsets = (q.means[j] - p.means)[:, :, np.newaxis]
        white = np.linalg.solve(root, np.concatenate([roots, offsets], axis=2))
        out[:, j] = np.sum(white**2, axis=(1, 2)) - p.n_features
    q_log, p_log = q.covariances.log_determinants, p.covariances.log_determinants
    return np.maximum(0.5 * (out + q_log - p_log[:, np.newaxis]), 0.0)


def _log_determinants(roots):
    return 2.0 * np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(axis=-1)


def _of_sums(p, q):
    """Return what Gaussians with sums of covariances make of the means' distances.

    Squared distances and log-determinants, each (K, L), of ``p + q``.
    """
    transposed = [np.swapaxes(m.covariances.roots(), 1, 2) for m in (p, q)]
    sizes = p.n_components, q.n_components
    distances, log_determinants = np.empty(sizes), np.empty(sizes)
    for j, of_q in enumerate(transposed[1]):
        both = [transposed[0], np.broadcast_to(of_q, transposed[0].shape)]
        upper = np.linalg.qr(np.concatenate(both, axis=1), mode="r")
        roots = np.swapaxes(upper, 1, 2)
        offsets = (q.means[j] - p.means)[:, :, np.newaxis]
        distances[:, j] = np.sum(np.linalg.solve(roots, offsets) ** 2, axis=(1, 2))
        log_determinants[:, j] = _log_determinants(np.abs(roots))
    return distances, log_determinants


def log_overlaps(mixture):
    """Return the logarithms of the Bhattacharyya coefficients of components (K, K)."""
    distances, of_sums = _of_sums(mixture, mixture)
    own = mixture.covariances.log_determinants
    of_means = of_sums - mixture.n_features * np.log(2.0)
    relative = of_means - 0.5 * (own + own[:, np.newaxis])
    out = -0.25 * distances - 0.5 * np.maximum(relative, 0.0)
    np.fill_diagonal(out, 0.0)
    return out


# ---- between mixtures -----------------------------------------------------
def _log(weights):
    with np.errstate(divide="ignore"):
        return np.log(weights)


def _entropy_bounds(mixture):
    """Return bounds of the entropy.

    Pairwise distances between components give both (Kolchinsky and Tracey 2017,
    Entropy 19:361); the Gaussian of the same moments gives another upper one.
    """
    weights, log_weights = mixture.weights, _log(mixture.weights)
    own = weights @ gaussian_entropies(mixture)

    def bound(divergences):
        return own - weights @ logsumexp(log_weights - divergences, axis=1)

    scale = np.sqrt(np.diagonal(covariance(mixture)))
    correlation = covariance(mixture) / scale / scale[:, np.newaxis]
    log_determinant = np.linalg.slogdet(correlation)[1] + 2.0 * np.log(scale).sum()
    gaussian = 0.5 * (mixture.n_features * (1.0 + LOG_2PI) + log_determinant)
    lower = bound(-log_overlaps(mixture))
    upper = min(bound(gaussian_divergences(mixture, mixture)), gaussian)
    return float(lower), float(max(lower, upper))


def entropy(mixture, n, rng):
    """Return the entropy of a mixture as an `Estimate`.

    It is the mean entropy of the components plus that of the weights, less the mean
    entropy of the responsibilities: only the last is estimated, and it is small where
    components are clusters, and never above ``log K``.
    """
    rows, labels = draws(mixture, n, rng)
    responsibilities = np.exp(mixture.log_responsibilities(rows)[1])
    unsure = -xlogy(responsibilities, responsibilities).sum(axis=1)
    of_weights = -xlogy(mixture.weights, mixture.weights).sum()
    known = mixture.weights @ gaussian_entropies(mixture) + of_weights
    return _estimate(known - unsure, labels, *_entropy_bounds(mixture))


def divergence(p, q, n, rng):
    """Return the Kullback-Leibler divergence from p to q as an `Estimate`.

    The mean of ``log p(x) - log q(x)`` over draws from p, after regression on the part
    of it whose mean is known: that of single Gaussians is exact, as is zero.
    """
    rows, labels = draws(p, n, rng)
    differences = p.log_density(rows) - q.log_density(rows)
    control = _control(p, q, rows, labels)
    centred = control - control.mean()
    size = np.sum(centred**2)
    if size > 0:
        differences = differences - (centred @ differences / size) * control
    return _estimate(differences, labels, *_divergence_bounds(p, q))


def _control(p, q, rows, labels):
    """Return what varies as log p - log q does and has mean zero in each component.

    In component a it is ``log N_a - sum_b share_ab log N_b`` less its mean, with the
    shares of Hershey and Olsen's variational approximation (2007, ICASSP).
    """
    divergences = gaussian_divergences(p, q)
    logs = _log(q.weights) - divergences
    shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    own = p.component_log_density(rows)[np.arange(len(rows)), labels]
    other = np.sum(shares[labels] * q.component_log_density(rows), axis=1)
    return own - other - np.sum(shares * divergences, axis=1)[labels]


def _divergence_bounds(p, q):
    """Return bounds of the Kullback-Leibler divergence.

    Those of the cross entropy, from above by Jensen's inequality within each component
    (Hershey and Olsen 2007), from below over each (Durrieu et al. 2012, ICASSP), with
    those of the entropy; and from above the convexity bound of components in pairs.
    """
    entropy_lower, entropy_upper = _entropy_bounds(p)
    divergences = gaussian_divergences(p, q)
    log_weights = _log(q.weights)
    above = gaussian_entropies(p) - logsumexp(log_weights - divergences, axis=1)
    distances, log_determinants = _of_sums(p, q)
    log_products = -0.5 * (distances + log_determinants + p.n_features * LOG_2PI)
    below = -logsumexp(log_weights + log_products, axis=1)
    lower = max(float(p.weights @ below) - entropy_upper, 0.0)
    upper = float(p.weights @ above) - entropy_lower
    if p.n_components == q.n_components and np.all(q.weights > 0):
        pairs = xlogy(p.weights, p.weights / q.weights).sum()
        upper = min(upper, float(pairs + p.weights @ np.diagonal(divergences)))
    return lower, max(lower, upper)


def _estimate(values, labels, lower, upper):
    """Return the mean of values of stratified draws, kept within its bounds."""
    counts = np.bincount(labels)
    present = counts > 0
    means = np.bincount(labels, values)[present] / counts[present]
    within = values - np.repeat(means, counts[present])
    error = np.sqrt(np.sum(within**2) / max(len(values) - present.sum(), 1))
    value = float(np.clip(values.mean(), lower, upper))
    return Estimate(value, float(error / np.sqrt(len(values))), lower, upper)
