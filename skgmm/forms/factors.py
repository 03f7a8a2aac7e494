"""Factor analysers: covariances of low rank, plus a variance for each feature.

``C_k = L_k L_k' + diag(p_k)`` with q columns of loadings ``L_k``.  Nothing here is of
size (D, D) but `dense` and what follows from it: all goes by the singular values of the
loadings over the deviations of the noise, ``diag(p)^-1/2 L = U S R'``, so that

    C^-1 = diag(p)^-1/2 (I - U diag(s^2 / (1 + s^2)) U') diag(p)^-1/2

(Woodbury) and ``log|C| = sum log p + sum log(1 + s^2)``.
"""

from functools import cache, cached_property

import numpy as np

from ._base import (
    Covariances,
    NotPositiveDefinite,
    keeps_digits,
    residuals,
    squared_norms,
)
from ._variances import inverse_roots
from .diag import Diag, accumulate_products
from .full import Full

# Smallest variance of the noise, in coordinates where features have variances near 1:
# where the factors explain a feature wholly (a Heywood case) it would become zero.
LEAST_NOISE = 1e-8

# Steps of bisection for an eigenvalue: by 60 orders of magnitude, to six digits.
_BISECTIONS = 40


@cache
def low_rank(n_factors):
    """Return the form with so many factors, a subclass of `Factors`."""
    return type(f"Factors{n_factors}", (Factors,), {"n_factors": n_factors})


class Factors(Covariances):
    """Loadings and the variances of the noise: ``values`` of shape (K, D, q + 1).

    The loadings are ``values[:, :, :q]``, the noise is ``values[:, :, q]``.  The
    whiteners have the same shape: the loadings over the deviations of the noise, turned
    so that their columns are orthogonal (``U S``), and the inverse deviations.

    The scatter that these covariances collect is that in the directions of the
    posterior means of the factors, ``b' (x - m)`` with ``b = C^-1 L``, which is all
    that a step of EM needs.  It tells what the directions were; see `parts`.
    """

    kind = "factors"
    n_factors: int
    closed = False
    knows_holes = False
    has_prior = False
    additive = False  # they are in the directions of a mixture

    def __reduce__(self):
        arrays = np.array(self.values), np.array(self.whiteners)
        return _restored, (self.n_factors, *arrays)

    # ---- shapes -----------------------------------------------------------
    @classmethod
    def shape(cls, n_components, n_features):
        return (n_components, n_features, cls.n_factors + 1)

    @classmethod
    def moments_shape(cls, n_components, n_features):
        return (n_components, n_features, 3 * cls.n_factors + 2)

    @classmethod
    def shape_for(cls, scatter):
        return cls.shape(*scatter.shape[:2])

    @classmethod
    def n_parameters(cls, n_components, n_features):
        d, q = n_features, cls.n_factors
        # Loadings are free up to a rotation; a matrix has no more than its entries.
        return n_components * min(d * q - q * (q - 1) // 2 + d, d * (d + 1) // 2)

    @classmethod
    def rank(cls, n_features):
        return min(n_features, cls.n_factors + 1)

    @classmethod
    def least_features(cls):
        return cls.n_factors + 1

    @classmethod
    def unit(cls, n_components, n_features):
        values = np.zeros(cls.shape(n_components, n_features))
        values[..., -1] = 1.0
        return cls(values, n_components, n_features, values)

    # ---- evaluation -------------------------------------------------------
    def _factorise(self):
        roots = inverse_roots(self.values[..., -1])
        u, s, _ = np.linalg.svd(
            self.values[..., :-1] * roots[..., np.newaxis], full_matrices=False
        )
        out = np.zeros(self.values.shape)  # there may be fewer features than factors
        out[..., : s.shape[1]] = u * s[:, np.newaxis, :]
        out[..., -1] = roots
        return out

    def _log_determinants(self):
        logs = np.log(self._roots).sum(axis=1)
        return np.log1p(self._sizes**2).sum(axis=1) - 2.0 * logs

    @property
    def _roots(self):
        """The inverse deviations of the noise, shape (K, D)."""
        return self.whiteners[..., -1]

    @cached_property
    def _sizes(self):
        """The singular values ``s``, shape (K, q)."""
        return np.linalg.norm(self.whiteners[..., :-1], axis=1)

    @cached_property
    def _axes(self):
        """The singular vectors ``U``, shape (K, D, q); zero where ``s`` is."""
        sizes = np.where(self._sizes > 0, self._sizes, 1.0)
        return self.whiteners[..., :-1] / sizes[:, np.newaxis, :]

    @cached_property
    def _noise(self):
        sizes = self.n_components, self.n_features
        return Diag(self.values[..., -1], *sizes, self._roots)

    @cached_property
    def _explained(self):
        """``B`` (K, D, q), with ``diag(p)^-1 - B B'`` the precisions."""
        shares = self._sizes / np.hypot(1.0, self._sizes)
        return self._axes * self._roots[..., np.newaxis] * shares[:, np.newaxis, :]

    def mahalanobis(self, z, means):
        out = self._noise.mahalanobis(z, means)
        if keeps_digits(out, np.sum((self._roots * means) ** 2, axis=1)):
            explained = _projected(self._explained, z, means)
            out -= np.einsum("kqb,kqb->kb", explained, explained)
            return np.maximum(out, 0.0, out=out)
        for k, mean in enumerate(means):
            white = residuals(z, mean)
            white *= self._roots[k][:, np.newaxis]
            scores = self._axes[k].T @ white
            white -= self._axes[k] @ scores
            scores /= np.hypot(1.0, self._sizes[k])[:, np.newaxis]
            out[k] = squared_norms(white) + squared_norms(scores)
        return out

    def _stretched_along(self, k, white, factors):
        """Return white rows (n, D), times so much along the axes of a component."""
        axes = self._axes[k]
        return white + ((white @ axes) * (factors - 1.0)) @ axes.T

    def colorize(self, component, noise):
        factors = np.hypot(1.0, self._sizes[component])
        return self._stretched_along(component, noise, factors) / self._roots[component]

    def whiten(self, offsets):
        white = offsets * self._roots
        factors = 1.0 / np.hypot(1.0, self._sizes)
        return np.stack(
            [
                self._stretched_along(k, row[np.newaxis], factors[k])[0]
                for k, row in enumerate(white)
            ]
        )

    def unwhiten(self, offsets):
        return np.stack(
            [self.colorize(k, row[np.newaxis])[0] for k, row in enumerate(offsets)]
        )

    def dense(self):
        loadings, noise = self.values[..., :-1], self.values[..., -1]
        diagonals = noise[:, :, np.newaxis] * np.eye(self.n_features)
        return loadings @ np.swapaxes(loadings, 1, 2) + diagonals

    @property
    def variances(self):
        return np.sum(self.values[..., :-1] ** 2, axis=2) + self.values[..., -1]

    @property
    def precisions(self):
        """``B`` and the precisions of the noise: ``diag(precision) - B B'``."""
        noise = self._roots[..., np.newaxis] ** 2
        return np.concatenate([self._explained, noise], axis=2)

    @property
    def precisions_cholesky(self):
        """Of the dense matrices, shape (K, D, D)."""
        return self.plain.precisions_cholesky

    @property
    def precision_diagonals(self):
        # What the factors explain of a feature is at most all.
        shares = (self._axes**2) @ (self._sizes**2 / (1.0 + self._sizes**2))[..., None]
        return self._roots**2 * np.maximum(1.0 - shares[..., 0], 0.0)

    def expected_mahalanobis(self, scatter):
        products, bases, _, total, squares = parts(scatter)
        explained = np.sum(bases * products, axis=1) * (1.0 + self._sizes**2)
        explained /= np.maximum(total[:, :1], np.finfo(float).tiny)
        return float(np.sum(self._roots**2 * squares) - np.sum(explained))

    # ---- in the metric of all rows ----------------------------------------
    @classmethod
    def for_total(cls):
        return Diag

    def relative_eigenvalues(self, metric):
        """Return the smallest and the largest one; the rank is that of the form."""
        varies = metric > 0
        if not varies.any():
            return np.zeros((1, 0)), 0
        units = np.sqrt(metric[varies])
        loadings = self.values[:, varies, :-1] / units[:, np.newaxis]
        noise = self.values[:, varies, -1] / units**2
        count = int(varies.sum())
        ends = _eigenvalue(loadings, noise, 1), _eigenvalue(loadings, noise, count)
        return np.stack(ends, axis=1), self.rank(count)

    sphered = staticmethod(Diag.sphered)

    def average(self, weights):
        return weights @ self.variances

    @staticmethod
    def scaled(values, factor):
        sizes = np.full(values.shape[-1], np.sqrt(factor))
        sizes[-1] = factor  # loadings are roots, noise is not
        return sizes * values

    def with_average(self, component, weights, factor):
        values = self.values.copy()
        values[component] = 0.0  # no factors: they are found anew
        values[component, :, -1] = factor * self.average(weights)
        return type(self)(values, self.n_components, self.n_features)

    def _halves(self, offsets):
        # What the factors know of the offsets is taken out of them.
        halves, white = self.values.copy(), self.whiteners[:, :, :-1]
        scores = np.einsum("kdq,kd->kq", self._explained, offsets)
        sizes = np.maximum(np.linalg.norm(scores, axis=1), np.finfo(float).tiny)
        scores /= sizes[:, np.newaxis]
        taken = 1.0 - np.sqrt(1.0 - np.minimum(sizes, 0.9) ** 2)
        along = np.einsum("kdq,kq,k->kd", white, scores, taken)
        white = white - along[:, :, np.newaxis] * scores[:, np.newaxis, :]
        halves[:, :, :-1] = white / self._roots[:, :, np.newaxis]
        return halves

    # ---- coordinates of acceleration --------------------------------------
    def relative_to(self, base):
        """Return loadings over the other noise, turned to be near the others' own.

        Next to them the logarithms of the deviations of the noise over the others'.
        """
        loadings = self.values[..., :-1] * base._roots[..., np.newaxis]
        target = base.values[..., :-1] * base._roots[..., np.newaxis]
        u, _, right = np.linalg.svd(np.swapaxes(loadings, 1, 2) @ target)
        logs = np.log(base._roots / self._roots)
        return np.concatenate([loadings @ (u @ right), logs[..., np.newaxis]], axis=2)

    def stretched(self, relative):
        loadings = relative[..., :-1] / self._roots[..., np.newaxis]
        with np.errstate(over="ignore"):
            noise = self.values[..., -1] * np.exp(2.0 * relative[..., -1])
        bad = ~(np.isfinite(noise) & np.isfinite(loadings).all(axis=2)).all(axis=1)
        if bad.any():
            raise NotPositiveDefinite(int(np.argmax(bad)))
        values = canonical(loadings, np.maximum(noise, LEAST_NOISE))
        return type(self)(values, self.n_components, self.n_features)

    # ---- other covariances ------------------------------------------------
    def rescaled(self, scale):
        values = self.values * scale[:, np.newaxis]
        values[..., -1] *= scale
        whiteners = np.array(self.whiteners)
        whiteners[..., -1] /= scale
        return type(self)(values, self.n_components, self.n_features, whiteners)

    @classmethod
    def repaired(cls, values, n_components, n_features):
        values = np.array(values)
        values[..., -1] = np.maximum(values[..., -1], LEAST_NOISE)
        return cls(values, n_components, n_features)

    @classmethod
    def from_precisions(cls, precisions, n_components, n_features):
        roots = 1.0 / inverse_roots(precisions[..., -1])
        u, shares, _ = np.linalg.svd(
            precisions[..., :-1] / roots[..., np.newaxis], full_matrices=False
        )
        if np.any(shares >= 1.0):
            raise NotPositiveDefinite(int(np.argmax(np.any(shares >= 1.0, axis=1))))
        sizes = shares / np.sqrt((1.0 - shares) * (1.0 + shares))
        values = np.zeros(precisions.shape)
        values[..., : sizes.shape[1]] = (
            u * sizes[:, np.newaxis, :] / roots[..., np.newaxis]
        )
        values[..., -1] = roots**-2.0
        return cls(values, n_components, n_features)

    @classmethod
    def from_factors(cls, values, factors, n_components, n_features):
        return cls(values, n_components, n_features)  # factors are dense matrices

    @staticmethod
    def squared_factors(factors):
        raise ValueError(
            "Covariances of factor analysers follow from loadings and noise, not from "
            "factors of the precisions. Use covariances_ or precisions_."
        )

    @property
    def plain(self):
        return Full(self.dense(), self.n_components, self.n_features)

    # ---- second moments ---------------------------------------------------
    @cached_property
    def _posterior(self):
        """Directions ``b`` (K, D, q) of the posterior means of the factors."""
        return self._explained / np.hypot(1.0, self._sizes)[:, np.newaxis, :]

    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        basis, rest = self._posterior, 1.0 / (1.0 + self._sizes**2)
        if hard:
            basis, rest = _sketch(*basis.shape), np.zeros(rest.shape)
        products, bases, rests, total, squares = parts(second)
        count = responsibilities.sum(axis=1)
        bases += count[:, np.newaxis, np.newaxis] * basis
        rests += (count[:, np.newaxis] * rest)[:, np.newaxis, :]
        total += count[:, np.newaxis]
        precisions = self._noise.precisions
        if not hard and accumulate_products(
            z, responsibilities, means, precisions, first, squares
        ):
            scores = _projected(basis, z, means)
            scores *= responsibilities[:, np.newaxis, :]
            sums = scores.reshape(-1, z.shape[1]) @ z.T
            sums = sums.reshape(*scores.shape[:2], -1)
            sums -= scores.sum(axis=2)[..., np.newaxis] * means[:, np.newaxis, :]
            products += np.swapaxes(sums, 1, 2)
            return
        for k, part in enumerate(responsibilities):
            residual = residuals(z, means[k])
            first[k] += residual @ part
            products[k] += residual @ ((basis[k].T @ residual) * part).T
            residual *= residual
            squares[k] += residual @ part

    @staticmethod
    def shift_scatter(second, count, shift):
        out = np.array(second)
        products, bases, _, _, squares = parts(out)
        scores = np.einsum("kd,kdq->kq", shift, bases)
        products -= shift[:, :, np.newaxis] * scores[:, np.newaxis, :]
        squares -= count[:, np.newaxis] * shift**2
        return out

    @staticmethod
    def add_to_scatter(scatter, diagonals):
        out = np.array(scatter)
        products, bases, _, total, squares = parts(out)
        products += diagonals[:, :, np.newaxis] * means_of(bases, total)
        squares += diagonals
        return out

    @staticmethod
    def add_to_values(values, diagonal):
        out = np.array(values)
        out[..., -1] += diagonal
        return out

    @classmethod
    def scatter_of(cls, values, count):
        covariances = cls(values, *values.shape[:2])
        basis = covariances._posterior
        loadings, noise = values[..., :-1], values[..., -1:]
        out = np.empty(cls.moments_shape(*values.shape[:2]))
        products, bases, rests, total, squares = parts(out)
        products[:] = loadings @ (np.swapaxes(loadings, 1, 2) @ basis) + noise * basis
        bases[:], total[:], squares[:] = basis, 1.0, covariances.variances
        rests[:] = (1.0 / (1.0 + covariances._sizes**2))[:, np.newaxis, :]
        return out * count[:, np.newaxis, np.newaxis]

    @staticmethod
    def of_features(array, chosen):
        return array[:, chosen]

    @staticmethod
    def with_features(values, chosen, variance):
        out = np.zeros((len(values), len(chosen), values.shape[2]))
        out[..., -1] = variance
        out[:, chosen] = values
        return out

    @staticmethod
    def diagonal_sums(scatter, n_features):
        raise NotImplementedError("scatter of different directions does not add up")

    @staticmethod
    def pooled(scatter, count, small):
        share = (count / count.sum())[:, np.newaxis, np.newaxis] * scatter.sum(axis=0)
        return np.where(small[:, np.newaxis, np.newaxis], share, scatter)

    # ---- rows with holes --------------------------------------------------
    @property
    def general(self):
        return self.plain

    @staticmethod
    def from_general(second):
        raise NotImplementedError  # see `knows_holes`


def parts(scatter):
    """Return views of the parts of second moments (K, D, 3 q + 2).

    They are sums over rows, and so add up; ``r`` are the responsibilities.

    Returns
    -------
    products : ndarray of shape (K, D, q)
        ``sum r (x - m) (x - m)' b``.
    bases : ndarray of shape (K, D, q)
        ``sum r b``: the directions, times the count.
    rests : ndarray of shape (K, D, q)
        ``sum r v``, with v the posterior variances of the factors; the same for all
        features.
    total : ndarray of shape (K, D)
        ``sum r``, the same for all features.
    squares : ndarray of shape (K, D)
        ``sum r (x - m)^2``.
    """
    q = (scatter.shape[-1] - 2) // 3
    blocks = (scatter[..., j * q : (j + 1) * q] for j in range(3))
    return *blocks, scatter[..., -2], scatter[..., -1]


def canonical(loadings, noise):
    """Return values (K, D, q + 1) with ``L' diag(noise)^-1 L`` diagonal.

    That is what turns of the factors leave open; in descending order, and with signs
    that do not depend on units.
    """
    roots = np.sqrt(noise)[..., np.newaxis]
    u, s, _ = np.linalg.svd(loadings / roots, full_matrices=False)
    largest = np.argmax(np.abs(u), axis=1)[:, np.newaxis]
    u *= np.sign(np.take_along_axis(u, largest, axis=1))
    out = np.zeros((*noise.shape, loadings.shape[2] + 1))
    out[..., : s.shape[1]] = u * s[:, np.newaxis, :] * roots
    out[..., -1] = noise
    return out


def _restored(n_factors, values, whiteners):
    return low_rank(n_factors)(values, *values.shape[:2], whiteners)


def means_of(sums, total):
    """Return sums (K, D, q) over the total (K, D); those of nothing are zero."""
    return sums / np.maximum(total, np.finfo(float).tiny)[..., np.newaxis]


@cache
def _sketch(n_components, n_features, n_factors):
    """Return directions that know nothing of the data: the same for all components."""
    draws = np.random.RandomState(0).standard_normal((n_features, n_factors))
    return np.broadcast_to(draws, (n_components, *draws.shape))


def _projected(bases, z, means):
    """Return ``basis' (z - mean)`` for all components, shape (K, q, B)."""
    n_components, _, q = bases.shape
    stacked = np.swapaxes(bases, 1, 2).reshape(n_components * q, -1)
    out = (stacked @ z).reshape(n_components, q, -1)
    out -= np.einsum("kdq,kd->kq", bases, means)[..., np.newaxis]
    return out


def _eigenvalue(loadings, noise, index):
    """Return the eigenvalue number ``index``, from one up, of each matrix.

    By bisection: ``L L' + diag(p) - x`` has as many negative eigenvalues as there are p
    below x, less those of ``I + L' diag(p - x)^-1 L`` (Sylvester's law of inertia).
    """
    low = np.log(noise.min(axis=1)) - 1e-6
    high = np.log(noise.max(axis=1) + np.sum(loadings**2, axis=(1, 2))) + 1e-6
    eye = np.eye(loadings.shape[2])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        x = np.exp(middle)[:, np.newaxis]
        gaps = noise - x
        gaps = np.where(gaps == 0, np.finfo(float).eps * x, gaps)
        inner = np.swapaxes(loadings / gaps[..., np.newaxis], 1, 2) @ loadings + eye
        below = np.sum(gaps < 0, axis=1)
        below -= np.sum(np.linalg.eigvalsh(inner) < 0, axis=1)
        low = np.where(below >= index, low, middle)
        high = np.where(below >= index, middle, high)
    return np.exp(high)
