"""Gaussian mixture models with the interface of scikit-learn.

Public names
------------
GaussianMixture
    The estimator: `fit`, `predict`, `score`, `sample`.
ConjugatePrior
    A prior of means and covariances for it.
GaussianMixtureIC
    The best by an information criterion of a grid of mixtures.
GaussianMixtureRegressor, GaussianMixtureClassifier, GaussianMixtureOutlierDetector
    What can be predicted with one: targets, classes, outliers.
selection
    Tests of K components against K + 1; components merged into clusters.
inference
    Standard errors of the parameters.
GaussianMixtureImputer
    A transformer that fills what is missing by the mixture of what is not.
show_versions
    What a report of a fault should say: versions, kernels, threads.
families
    `Family`, for a constraint of your own on the covariances.
plotting
    Pictures: displays in scikit-learn's manner.
datasets
    Small data sets that ship with the package.

The map of the package, from the user down
------------------------------------------
``_ic``, ``_grid``, ``_search``, ``_criteria``
    The best of a grid of models.
``_regressor``, ``_classifier``, ``_outlier_detector``, ``_inner``
    Estimators made of mixtures, and the parameters that they pass on to these.
``_gaussian_mixture``, ``_fitted``, ``_distribution_methods``
    The estimator, and what every estimator that holds a mixture can do.
``_imputer``
    Estimators on top of it.
``_validation``, ``_progress``, ``_sklearn``
    The border: checks, reports and callbacks, conversion.
``_checkpoint``, ``_version``
    Fits that go on in another process; which saved models may be read.
``_online``, ``_em``, ``_starts``
    Streams; the iteration and its starting points.
``_dask``, ``_sources``, ``_missing``, ``_lazy``, ``_frame``, ``_statistics``
    Who holds the rows, the coordinates they are seen in, what is summed over them.
``_regularisation``, ``families``
    From statistics to covariances.
``_distribution``, ``_divergence``
    What a mixture says of itself: probabilities, modes, distances.
``_mixture``, ``forms``
    The mixture as a value; how its Gaussians are evaluated.
``kernels``, ``_files``, ``_threads``
    The passes over rows, in NumPy and compiled; rows of files; the pool that runs the
    passes.
"""

from ._classifier import GaussianMixtureClassifier
from ._gaussian_mixture import GaussianMixture
from ._ic import GaussianMixtureIC
from ._imputer import GaussianMixtureImputer
from ._outlier_detector import GaussianMixtureOutlierDetector
from ._prior import ConjugatePrior
from ._progress import ProgressBar
from ._regressor import GaussianMixtureRegressor
from ._show_versions import show_versions
from ._version import __version__

__all__ = [
    "ConjugatePrior",
    "GaussianMixture",
    "GaussianMixtureClassifier",
    "GaussianMixtureIC",
    "GaussianMixtureImputer",
    "GaussianMixtureOutlierDetector",
    "GaussianMixtureRegressor",
    "ProgressBar",
    "__version__",
    "show_versions",
]
