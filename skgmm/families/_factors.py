"""Mixtures of factor analysers: covariances of low rank plus noise."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from ..forms.factors import LEAST_NOISE, canonical, low_rank, means_of, parts
from ._base import Family


def factor_analysers(n_factors, *, equal_weights=False) -> Family:
    r"""Return the family of mixtures of factor analysers, for hundreds of features.

    The covariance of a component is :math:`\Lambda_k \Lambda_k^\top + \Psi_k` with q
    columns of loadings :math:`\Lambda_k` and a diagonal matrix :math:`\Psi_k`: its rows
    are :math:`\mu_k + \Lambda_k h + e`, with standard normal factors h and noise e of
    variances :math:`\Psi_k` [1]_ [2]_.  Time and memory of an iteration grow linearly
    with the number of features, and so does the number of parameters,
    :math:`Dq - q(q-1)/2 + D` a component (no more than those of a matrix are counted).

    Parameters
    ----------
    n_factors : int
        Number of factors q, fewer than features.
    equal_weights : bool, default=False
        See `Family`.

    Returns
    -------
    family : Family
        For ``covariance_type``.

    Raises
    ------
    ValueError
        If `n_factors` is no whole number above zero.

    Notes
    -----
    ``covariances_`` has shape (n_components, n_features, q + 1): the loadings are
    ``covariances_[:, :, :q]``, the variances of the noise ``covariances_[:, :, q]``.
    Loadings are determined up to a rotation of the factors; those of a fit are turned
    so that :math:`\Lambda_k^\top \Psi_k^{-1} \Lambda_k` is diagonal, in descending
    order, and the largest entry of each column of :math:`\Psi_k^{-1/2} \Lambda_k` is
    positive.
    ``precisions_`` has the same shape, with B and the precisions of the noise: the
    inverse is :math:`\Psi_k^{-1} - B_k B_k^\top`.
    ``precisions_cholesky_`` is of the matrices, as is `GaussianMixture.marginal` of
    all features: both take time and memory with the square of D and more.

    The steps of EM also estimate the covariance of the factors, which then becomes part
    of the loadings [3]_.  ``reg_covar`` acts on the variances of the noise.  Where
    factors explain a feature wholly (a Heywood case) its noise is held at 1e-8 of
    about the variance of the feature.  Loadings of zero, as given by
    ``covariances_init``, stay zero.  Rows with missing values cannot be fitted.

    References
    ----------
    .. [1] Z. Ghahramani and G. E. Hinton (1997). The EM algorithm for mixtures of
       factor analyzers.  Technical Report CRG-TR-96-1, University of Toronto.
    .. [2] G. McLachlan and D. Peel (2000). Finite Mixture Models, chapter 8.
    .. [3] C. Liu, D. B. Rubin and Y. N. Wu (1998). Parameter expansion to accelerate
       EM.  Biometrika 85, 755-770.

    Examples
    --------
    Two groups of rows in 100 dimensions; each varies along one direction of its own.

    >>> import numpy as np
    >>> from skgmm import GaussianMixture
    >>> from skgmm.families import factor_analysers
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(300, 100))
    >>> X = noise + rng.normal(size=(300, 1)) * rng.normal(size=100)
    >>> X[:100] = 1 + noise[:100] + rng.normal(size=(100, 1)) * rng.normal(size=100)
    >>> mixture = GaussianMixture(2, covariance_type=factor_analysers(1)).fit(X)
    >>> np.bincount(mixture.predict(X))
    array([200, 100])
    >>> loadings, noise = mixture.covariances_[:, :, :1], mixture.covariances_[:, :, 1]
    >>> round(float(noise.mean()), 1)
    1.0
    """
    if not isinstance(n_factors, Integral) or n_factors < 1:
        raise ValueError(
            f"n_factors must be a whole number, at least 1; got {n_factors!r}. Without "
            "factors use covariance_type='diag'."
        )
    form = low_rank(int(n_factors))
    name = f"factor_analysers({n_factors})"
    parameters = form.n_parameters
    return _FactorAnalysers(
        name, "VVV", form, maximum, parameters, equal_weights=equal_weights
    )


@dataclass(frozen=True, repr=False)
class _FactorAnalysers(Family):
    """A family that pickles name by its number of factors."""

    def __reduce__(self):
        return _restored, (self.form.n_factors, self.equal_weights)


def _restored(n_factors, equal_weights):
    return factor_analysers(n_factors, equal_weights=equal_weights)


def maximum(count, scatter):
    """Return the loadings and the noise after a step of EM, shape (K, D, q + 1).

    With ``c`` the covariance of the rows, ``b`` the directions and ``v`` the variances
    of the posterior of the factors, and ``t = v + b' c b`` their second moments, the
    loadings are ``c b t^-1`` and the noise ``diag(c - c b t^-1 b' c)`` (Ghahramani and
    Hinton 1997, Technical Report CRG-TR-96-1, Toronto; McLachlan and Peel 2000, chapter
    8).  Letting the factors have the covariance t, which is the same as loadings
    ``c b t^-1/2``, climbs faster and as surely (Liu, Rubin and Wu 1998, Biometrika
    85:755).  Where ``v`` is zero it is the approximation of c by that of Nystroem.
    """
    products, bases, rests, total, squares = parts(scatter)
    products = products / count[:, np.newaxis, np.newaxis]
    basis, rest = means_of(bases, total), means_of(rests, total)[:, 0, :]
    second = np.swapaxes(basis, 1, 2) @ products
    second = 0.5 * (second + np.swapaxes(second, 1, 2))
    second += rest[:, np.newaxis, :] * np.eye(rest.shape[1])
    values, vectors = np.linalg.eigh(second)
    kept = values > 1e-12 * values[:, -1:]
    roots = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    loadings = products @ (vectors * roots[:, np.newaxis, :])
    noise = squares / count[:, np.newaxis] - np.sum(loadings**2, axis=2)
    noise = np.maximum(noise, LEAST_NOISE)
    return canonical(loadings, noise)
