"""Time and memory of mixtures of factor analysers as the number of features grows.

    python benchmarks/factors.py [--features 125 250 500 1000] [--output factors.json]

Rows of 5 components with 5 factors each.  Seconds are of one iteration, E-step and
M-step: the least, and the median, of those of a run of EM that begins at labels of
which a tenth are wrong.  Memory is the most that an iteration has allocated at a time,
by `tracemalloc`, which NumPy tells, and is not traced while iterations are timed.
Before anything is timed densities are compared with those of the dense matrices.
"""

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
from provenance import provenance

from skgmm import GaussianMixture
from skgmm._em import Problem
from skgmm._frame import Frame
from skgmm._regularisation import PseudoObservations
from skgmm._sources import ArraySource
from skgmm._threads import single_threaded_blas
from skgmm.families import factor_analysers

K, Q = 5, 5
FEATURES = (125, 250, 500, 1000)


def main():
    """Measure each number of features."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--features", type=int, nargs="+", default=[125, 250, 500, 1000]
    )
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path("factors.json"))
    parser.add_argument("--one", type=int)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.one:
        cell = measured(arguments.rows, arguments.one, arguments.iterations)
        print(json.dumps(cell))
        return
    cells = []
    for d in arguments.features:
        sizes = "--rows", arguments.rows, "--iterations", arguments.iterations
        command = [sys.executable, __file__, "--one", d, *sizes]
        output = subprocess.check_output([str(part) for part in command], text=True)
        cell = json.loads(output)
        cells.append(cell)
        print(
            "D = {features:5}: {seconds:.4f} s an iteration ({median_seconds:.4f}), "
            "X {x_megabytes:5.1f} MB, beyond it {megabytes:5.1f} MB".format(**cell),
            flush=True,
        )
    result = {"provenance": provenance(), "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def measured(n, d, n_iterations):
    """Return the time and memory of an iteration, after a check of the densities."""
    X, labels = rows(n, d)
    check(*rows(1000, d))

    source = ArraySource(X, np.ones(n), Frame.of(X, np.ones(n)))
    problem = Problem(
        source, factor_analysers(Q), PseudoObservations.of(source.frame, 1)
    )
    moments = source.class_moments(labels, K, problem.family.form)
    seconds = []
    with single_threaded_blas():
        mixture = problem.maximisation(moments)
        for _ in range(n_iterations):
            begun = time.perf_counter()
            mixture = problem.maximisation(source.statistics(mixture), mixture)
            seconds.append(time.perf_counter() - begun)
        tracemalloc.start()
        problem.maximisation(source.statistics(mixture), mixture)
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    return {
        "features": d,
        "seconds": min(seconds),
        "median_seconds": float(np.median(seconds)),
        "x_megabytes": X.nbytes / 1e6,
        "megabytes": megabytes,
    }


def rows(n, d):
    """Return rows and their components, a tenth of these at random."""
    rng = np.random.default_rng(d)
    labels = np.arange(n) % K
    loadings, means = rng.normal(size=(K, d, Q)), rng.normal(size=(K, d))
    X = rng.normal(size=(n, d)) + means[labels]
    for k in range(K):
        own = labels == k
        X[own] += rng.normal(size=(own.sum(), Q)) @ loadings[k].T
    labels[: n // 10] = rng.integers(K, size=n // 10)
    return X, labels


def check(X, labels):
    """Raise unless densities are those of the dense matrices."""
    family = factor_analysers(Q)
    low = GaussianMixture(
        K, covariance_type=family, init_params=labels, max_iter=2, tol=0.0
    ).fit(X)
    values = low.covariances_
    loadings, noise = values[..., :-1], values[..., -1]
    dense = loadings @ np.swapaxes(loadings, 1, 2)
    dense += noise[:, :, np.newaxis] * np.eye(X.shape[1])
    full = GaussianMixture.from_parameters(low.weights_, low.means_, covariances=dense)
    np.testing.assert_allclose(
        low.score_samples(X[:200]), full.score_samples(X[:200]), 1e-9
    )


if __name__ == "__main__":
    main()
