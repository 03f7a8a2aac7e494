"""scikit-learn: its own E-step and M-step, as its ``fit`` calls them."""

import sklearn
from sklearn.mixture import GaussianMixture

name = "scikit-learn"


def version():
    return sklearn.__version__


def supports(problem):
    return True


class start:
    def __init__(self, problem):
        precisions = problem.covariances()  # unit matrices are their own inverses
        self._mixture = GaussianMixture(
            problem.k,
            covariance_type=problem.covariance_type,
            reg_covar=0.0,
            weights_init=problem.weights,
            means_init=problem.means,
            precisions_init=precisions,
        )
        self._mixture._initialize(problem.X, None)
        self._X = problem.X

    def step(self):
        _, log_resp = self._mixture._e_step(self._X)
        self._mixture._m_step(self._X, log_resp)

    def parameters(self):
        mixture = self._mixture
        return mixture.weights_, mixture.means_, mixture.covariances_
