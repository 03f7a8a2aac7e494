"""Compare the compiled pass with what the machine could do at best.

    python benchmarks/floor.py [--output floor.json]

For the full form: the floating-point rate, counted as 2 n K D^2 an iteration, as a part
of that of ``dgemm`` in the same run (rows that have no part in a component are skipped,
so well separated components can exceed what the count suggests: both overlapping and
separated data are shown); and for small D the time over that of the bare exponentials
plus reading X.  One thread; then the speed-up of two.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import problems
import threadpoolctl
from competitors import skgmm_
from provenance import provenance

from skgmm import _threads
from skgmm.kernels import _compiled, compiled


def main():
    """Measure every shape with full covariances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("floor.json"))
    arguments = parser.parse_args()
    cells = []
    for shape in problems.SHAPES:
        for overlap in (False, True):
            cells.append(measure(shape, overlap))
            print(cells[-1], flush=True)
    result = {"provenance": provenance(), "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def measure(shape, overlap):
    """Return the times of one iteration, of dgemm and of the exponentials."""
    n, d, k = shape
    problem = problems.make(shape, "full")
    if overlap:
        rng = np.random.default_rng(0)
        problem.X[:] = rng.normal(size=(n, d))
        problem.means[:] = 0.3 * rng.normal(size=(k, d)) / np.sqrt(d)
    run = skgmm_.start(problem)
    run.step()
    with threadpoolctl.threadpool_limits(1):
        one = best(run.step)
        exponentials = _exponentials(n * k)
        reading = best(problem.X.sum)
        rate = _dgemm_rate()
    two = best(run.step) if _threads.n_threads() > 1 else None
    return {
        "shape": shape,
        "overlapping": overlap,
        "instruction_set": compiled.instruction_set,
        "seconds": one,
        "of_dgemm_rate": 2 * n * k * d * d / one / rate,
        "over_exponentials_and_reading": one / (exponentials + reading),
        "speed_up_of_two_threads": two and one / two,
    }


def _exponentials(count):
    """Return the seconds that the exponentials take in cache-sized pieces."""
    x = -np.random.default_rng(0).random(16_384) * 20
    out = np.empty_like(x)
    isa = compiled.instruction_set
    return best(lambda: _compiled.exponentials(isa, x, out), 50) * count / x.size


def _dgemm_rate(size=1536):
    a = np.random.default_rng(0).random((size, size))
    return 2 * size**3 / best(lambda: a @ a)


def best(function, times=5):
    """Return the shortest of some times."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


if __name__ == "__main__":
    main()
