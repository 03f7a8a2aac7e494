"""Cost against the number of rows: a log-log table, and the exponent.

    python benchmarks/rows.py [--most 100000000] [--output rows.json]

Rows of ten features in float32, ten components.  An iteration is one pass over all
rows and one M-step; a fit has a start, on a sample of the rows, and five iterations.
The exponents are slopes of the logarithms from 100 000 rows on.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from files import N_COMPONENTS, N_FEATURES, truth
from provenance import provenance

TYPES = ("diag", "full")
LEAST = 10_000
TURNS = 5


def main():
    """Measure every number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=100_000_000)
    parser.add_argument("--output", type=Path, default=Path("rows.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    X = made(arguments.most)
    numbers = [LEAST]
    while numbers[-1] * 10 <= arguments.most:
        numbers.append(numbers[-1] * 10)
    tables = [table(X, numbers, covariance_type) for covariance_type in TYPES]
    result = {"provenance": provenance(), "tables": tables}
    arguments.output.write_text(json.dumps(result, indent=1))


def made(n_rows):
    """Return random rows, a million of them over and over again."""
    rows, _ = truth().sample(min(n_rows, 1_000_000), random_state=1)
    X = np.empty((n_rows, N_FEATURES), np.float32)
    for start in range(0, n_rows, len(rows)):
        X[start : start + len(rows)] = rows[: n_rows - start]
    return X


def table(X, numbers, covariance_type):
    """Return the seconds for each number of rows, and the exponents; print them."""
    print(f"{covariance_type:>9} rows   iteration  per million        fit", flush=True)
    lines = []
    for n_rows in numbers:
        iteration, fit = seconds(X[:n_rows], covariance_type)
        lines.append({"rows": n_rows, "iteration": iteration, "fit": fit})
        print(
            f"{n_rows:14d} {iteration:9.4f} s {1e6 * iteration / n_rows:10.4f} s "
            f"{fit:8.3f} s",
            flush=True,
        )
    exponents = {name: exponent(lines, name) for name in ("iteration", "fit")}
    print(f"exponents: {exponents['iteration']:.3f}, {exponents['fit']:.3f}")
    return {"covariance_type": covariance_type, "lines": lines, "exponents": exponents}


def exponent(lines, name):
    """Return the slope of log seconds against log rows."""
    lines = [line for line in lines if line["rows"] >= 10 * LEAST]
    rows, values = (np.log([line[key] for line in lines]) for key in ("rows", name))
    return float(np.polyfit(rows, values, 1)[0]) if len(lines) > 1 else np.nan


def seconds(X, covariance_type):
    """Return the seconds of an iteration (median), and of a fit (least)."""
    from skgmm import GaussianMixture
    from skgmm._em import Problem
    from skgmm._frame import Frame
    from skgmm._regularisation import PseudoObservations
    from skgmm._sources import ArraySource
    from skgmm._threads import single_threaded_blas

    mixture = GaussianMixture(
        N_COMPONENTS, covariance_type=covariance_type, max_iter=5, tol=0, random_state=0
    )
    fits = []
    for _ in range(1 if len(X) > 1_000_000 else 3):
        begun = time.perf_counter()
        mixture.fit(X)
        fits.append(time.perf_counter() - begun)
    weight = np.broadcast_to(1.0, (len(X),))
    model, frame = mixture._model(), Frame.of(X, weight)
    regularisation = PseudoObservations.of(frame, 1.0)
    problem = Problem(ArraySource(X, weight, frame), model.family, regularisation)
    now, times = frame.inward(model.mixture), []
    for _ in range(TURNS if len(X) > 1_000_000 else 5 * TURNS):
        begun = time.perf_counter()
        with single_threaded_blas():
            now = problem.maximisation(problem.expectation(now)[0], now)
        times.append(time.perf_counter() - begun)
    return float(np.median(times)), min(fits)


if __name__ == "__main__":
    main()
