"""Count how often the tests of K against K + 1 reject, where K is right and not.

python benchmarks/size_of_tests.py [--trials 200] [--resamples 39]
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from provenance import provenance

from skgmm import GaussianMixture
from skgmm.selection import likelihood_ratio_test, split_likelihood_ratio_test

TRUTHS = {
    "one component": ([1.0], [[0.0, 0.0]]),
    "two, 3 deviations apart": ([0.5, 0.5], [[0.0, 0.0], [3.0, 0.0]]),
    "two, 5 deviations apart": ([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]]),
}


def main():
    """Simulate, test, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=39)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("size_of_tests.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [
        cell(name, k, arguments)
        for name, (weights, _) in TRUTHS.items()
        for k in range(1, len(weights) + 1)
    ]
    result = {"provenance": provenance(), "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def cell(name, k, arguments):
    """Test K against K + 1 in samples of one truth."""
    weights, means = TRUTHS[name]
    truth = GaussianMixture.from_parameters(
        weights, means, covariances=np.eye(2), covariance_type="tied"
    )
    mixture = GaussianMixture(k, covariance_type="tied", n_swaps=0)
    pvalues = {"bootstrap": [], "split": []}
    for seed in range(arguments.trials):
        X, _ = truth.sample(arguments.rows, random_state=seed)
        by_bootstrap = likelihood_ratio_test(
            mixture, X, n_resamples=arguments.resamples, random_state=seed
        )
        by_split = split_likelihood_ratio_test(mixture, X, random_state=seed)
        pvalues["bootstrap"].append(by_bootstrap.pvalue)
        pvalues["split"].append(by_split.pvalue)
    shares = {
        test: {level: float(np.mean(np.array(p) <= level)) for level in (0.05, 0.1)}
        for test, p in pvalues.items()
    }
    print(f"{name}, K = {k}: rejected {shares}", flush=True)
    return {"truth": name, "n_components": k, "rejected": shares}


if __name__ == "__main__":
    main()
