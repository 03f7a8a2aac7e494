"""Count how often intervals of 1.96 standard errors contain the true parameters.

python benchmarks/coverage.py [--fits 1000] [--rows 1000] [--methods information]
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from provenance import provenance

from skgmm import GaussianMixture
from skgmm.inference import standard_errors

WEIGHTS, MEANS = [0.4, 0.6], [[0.0, 0.0], [3.0, 1.0]]
COVARIANCES = {
    "full": [[[1.0, 0.3], [0.3, 0.8]], [[1.5, -0.4], [-0.4, 1.0]]],
    "tied": [[1.0, 0.3], [0.3, 0.8]],
    "diag": [[1.0, 0.8], [1.5, 1.0]],
    "spherical": [1.0, 1.5],
}


def main():
    """Simulate, fit, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--methods", nargs="+", default=["information"])
    parser.add_argument("--output", type=Path, default=Path("coverage.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [
        cell(covariance_type, method, arguments.fits, arguments.rows)
        for method in arguments.methods
        for covariance_type in COVARIANCES
    ]
    result = {"provenance": provenance(), "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def cell(covariance_type, method, n_fits, n_rows):
    """Count for one type of covariances."""
    truth = GaussianMixture.from_parameters(
        WEIGHTS,
        MEANS,
        covariances=COVARIANCES[covariance_type],
        covariance_type=covariance_type,
    )
    names = "weights", "means", "covariances"
    hits = dict.fromkeys(names, 0.0)
    for seed in range(n_fits):
        X, _ = truth.sample(n_rows, random_state=seed)
        # From the truth, so that components keep their numbers.
        mixture = GaussianMixture(
            2, covariance_type=covariance_type, init_params=truth
        ).fit(X)
        errors = standard_errors(mixture, X, method=method, random_state=seed)
        for name in names:
            true, found = getattr(truth, name + "_"), getattr(mixture, name + "_")
            inside = np.abs(found - true) <= 1.96 * getattr(errors, name)
            hits[name] += inside.mean() / n_fits
    shares = ", ".join(f"{name} {100 * hits[name]:.1f} %" for name in names)
    line = f"{method:12} {covariance_type:10} {n_fits} fits of {n_rows} rows: {shares}"
    print(line, flush=True)
    return {"type": covariance_type, "method": method, "coverage": hits}


if __name__ == "__main__":
    main()
