"""This package: one expectation and one maximisation."""

import numpy as np

import skgmm
from skgmm._em import Problem
from skgmm._frame import Frame
from skgmm._mixture import Mixture
from skgmm._regularisation import Ridge
from skgmm._sources import ArraySource
from skgmm._threads import single_threaded_blas
from skgmm.families import FAMILIES

name = "skgmm"


def version():
    return skgmm.__version__


def supports(problem):
    return True


class start:
    """The iteration of `skgmm._em.em`, one step at a time."""

    def __init__(self, problem):
        family = FAMILIES[problem.covariance_type]
        frame = Frame.of(problem.X, np.ones(problem.n), per_feature=family.per_feature)
        source = ArraySource(problem.X, np.broadcast_to(1.0, (problem.n,)), frame)
        self._problem = Problem(source, family, Ridge.of(frame, 0.0))
        covariances = family.form(problem.covariances(), problem.k, problem.d)
        mixture = Mixture(problem.weights, problem.means, covariances)
        self._frame, self._mixture = frame, frame.inward(mixture)

    def step(self):
        with single_threaded_blas():  # as in a fit
            statistics, _ = self._problem.expectation(self._mixture)
            self._mixture = self._problem.maximisation(statistics)

    def parameters(self):
        mixture = self._frame.outward(self._mixture)
        return mixture.weights, mixture.means, mixture.covariances.values
