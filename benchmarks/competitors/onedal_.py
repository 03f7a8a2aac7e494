"""Intel oneDAL's em_gmm, from scikit-learn-intelex: an environment of its own."""

from importlib import metadata

import numpy as np

name = "oneDAL"


def version():
    return metadata.version("scikit-learn-intelex")


def supports(problem):
    return problem.covariance_type in ("full", "diag")


class start:
    def __init__(self, problem):
        import daal4py

        storage = {"full": "full", "diag": "diagonal"}[problem.covariance_type]
        self._full = storage == "full"
        self._algorithm = daal4py.em_gmm(
            nComponents=problem.k,
            maxIterations=1,
            accuracyThreshold=0.0,
            covarianceStorage=storage,
        )
        self._X = problem.X
        covariances = problem.covariances()
        if not self._full:
            covariances = covariances[:, np.newaxis, :]
        self._state = problem.weights[np.newaxis], problem.means, list(covariances)

    def step(self):
        result = self._algorithm.compute(self._X, *self._state)
        self._state = result.weights, result.means, list(result.covariances)

    def parameters(self):
        weights, means, covariances = self._state
        stacked = np.stack(covariances)
        return weights[0], means, stacked if self._full else stacked[:, 0, :]
