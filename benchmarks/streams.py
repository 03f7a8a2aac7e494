"""One pass of partial_fit against fit: what is lost, and how long it takes.

    python benchmarks/streams.py [--rows 1000000] [--output streams.json]

What is lost is a part of what the optimum that EM reaches from the end of the stream
gains over one Gaussian.  The problems go from separated components to such that
overlap, whose optimum is hardly better than one Gaussian.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from provenance import provenance
from sklearn.base import clone

BATCH = 1000
# Seed, K, D, distance of the means in standard deviations.
PROBLEMS = ((0, 3, 2, 1.0), (0, 5, 5, 1.5), (0, 10, 10, 1.0), (1, 10, 3, 1.5))
TYPES = ("full", "tied", "diag", "spherical")


def main():
    """Measure every problem and covariance type."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("streams.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [
        cell(problem, covariance_type, arguments.rows)
        for problem in PROBLEMS
        for covariance_type in TYPES
    ]
    result = {"provenance": provenance(), "rows": arguments.rows, "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def make(seed, n_components, n_features, distance, n_rows):
    """Return rows of a random mixture, in random order."""
    from skgmm import GaussianMixture

    rng = np.random.default_rng(seed)
    square = n_components, n_features, n_features
    axes = np.linalg.qr(rng.normal(size=square))[0]
    variances = rng.uniform(0.3, 3.0, size=(n_components, 1, n_features))
    weights = rng.dirichlet(np.full(n_components, 5.0))
    means = distance * rng.normal(size=square[:2])
    covariances = (axes * variances) @ np.swapaxes(axes, 1, 2)
    truth = GaussianMixture.from_parameters(weights, means, covariances=covariances)
    return truth.sample(n_rows, random_state=rng)[0]


def cell(problem, covariance_type, n_rows):
    """Return the measurements of one problem, and print them."""
    from skgmm import GaussianMixture

    X = make(*problem, n_rows)
    mixture = GaussianMixture(
        problem[1], covariance_type=covariance_type, random_state=0
    )
    begun = time.perf_counter()
    learnt = clone(mixture)
    for start in range(0, n_rows, BATCH):
        learnt.partial_fit(X[start : start + BATCH])
    seconds = time.perf_counter() - begun
    score = learnt.score(X)
    own = learnt.set_params(warm_start=True).fit(X).score(X)
    begun = time.perf_counter()
    mixture.fit(X)
    seconds_fit = time.perf_counter() - begun
    one = clone(mixture).set_params(n_components=1).fit(X).score(X)
    result = {
        "problem": problem,
        "covariance_type": covariance_type,
        "excess": own - one,
        "lost": (own - score) / (own - one),
        "lost_to_fit": (mixture.score(X) - score) / (mixture.score(X) - one),
        "seconds": seconds,
        "seconds_fit": seconds_fit,
    }
    print(
        f"{problem!s:18} {covariance_type:9} excess {own - one:.4f}, lost "
        f"{result['lost']:.3%} (to fit {result['lost_to_fit']:.3%}), {seconds:.1f} s "
        f"(fit {seconds_fit:.1f} s)",
        flush=True,
    )
    return result


if __name__ == "__main__":
    main()
