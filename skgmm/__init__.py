"""Gaussian mixture models with the interface of scikit-learn.

Public names
------------
GaussianMixture
    The estimator: `fit`, `predict`, `score`, `sample`.
datasets
    Small data sets that ship with the package.

The map of the package, from the user down
------------------------------------------
``_gaussian_mixture``, ``_fitted``
    The estimator, and what every estimator that holds a mixture can do.
``_validation``, ``_progress``, ``_sklearn``
    The border: checks, reports and callbacks, conversion.
``_em``, ``_starts``
    The iteration and its starting points.
``_sources``, ``_frame``, ``_statistics``
    Who holds the rows, the coordinates they are seen in, what is summed over them.
``_regularisation``, ``families``
    From statistics to covariances.
``_mixture``, ``forms``
    The mixture as a value; how its Gaussians are evaluated.
``kernels``
    The passes over rows.
"""

from ._gaussian_mixture import GaussianMixture

__version__ = "0.1.0.dev0"

__all__ = ["GaussianMixture"]
