"""Gaussian mixture models with the interface of scikit-learn.

Public names
------------
GaussianMixture
    The estimator: `fit`, `predict`, `score`, `sample`.
show_versions
    What a report of a fault should say: versions, kernels, threads.
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
``kernels``, ``_threads``
    The passes over rows, in NumPy and compiled; the pool that runs them.
"""

from ._gaussian_mixture import GaussianMixture
from ._show_versions import show_versions
from ._version import __version__

__all__ = ["GaussianMixture", "__version__", "show_versions"]
