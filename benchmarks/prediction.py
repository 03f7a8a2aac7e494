"""Time predictions and small fits against scikit-learn, for the same parameters.

python benchmarks/prediction.py [--output prediction.json]
"""

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from provenance import provenance
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture as Reference

from skgmm import GaussianMixture, kernels


def main():
    """Measure, compare results, and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("prediction.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [*predictions(1_000_000, turns=5), *predictions(10, turns=500), iris()]
    result = {"provenance": provenance(), "kernels": kernels.name, "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def predictions(n, turns, d=10, k=10):
    """Yield the cells of predictions for n rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    factors = rng.normal(size=(k, d, 2 * d))
    ours = GaussianMixture.from_parameters(
        np.full(k, 1 / k), rng.normal(size=(k, d)), covariances=factors @ factors.mT / d
    )
    theirs = ours.to_sklearn()
    for method in ("score_samples", "predict", "predict_proba"):
        one, other = getattr(ours, method), getattr(theirs, method)
        np.testing.assert_allclose(one(X), other(X), rtol=1e-6, atol=1e-12)
        name = f"{method}, {n} rows, D=10, K=10"
        yield cell(name, turns, partial(one, X), partial(other, X))


def iris(turns=50):
    """Return the cell of a fit of iris, K = 3, from the same start."""
    X = load_iris().data
    start = Reference(3, random_state=0, max_iter=1).fit(X)
    given = {
        "weights_init": start.weights_,
        "means_init": start.means_,
        "precisions_init": start.precisions_,
    }
    ours, theirs = GaussianMixture(3, **given), Reference(3, tol=1e-6, **given)
    assert abs(ours.fit(X).score(X) - theirs.fit(X).score(X)) < 1e-4
    return cell("fit of iris, K=3", turns, lambda: ours.fit(X), lambda: theirs.fit(X))


def cell(name, turns, ours, theirs):
    """Time two functions in turns."""
    seconds = {"skgmm": [], "scikit-learn": []}
    for _ in range(turns):
        for who, function in zip(seconds, (ours, theirs), strict=True):
            begun = time.perf_counter()
            function()
            seconds[who].append(time.perf_counter() - begun)
    ratio = float(np.median(np.divide(seconds["scikit-learn"], seconds["skgmm"])))
    medians = {who: float(np.median(times)) for who, times in seconds.items()}
    print(f"{name:40} {1e3 * medians['skgmm']:10.3f} ms   scikit-learn x{ratio:.1f}")
    return {"name": name, "median_seconds": medians, "ratio": ratio}


if __name__ == "__main__":
    main()
