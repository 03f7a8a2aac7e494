"""Time one EM iteration against competitors, from the same start.

    python benchmarks/iteration.py --output iteration.json [--threads 2]

For each shape and covariance type every competitor makes the same iterations from
the same start; the parameters reached are compared before anything is timed.  Then
the competitors take turns, a burst of iterations each, and a ratio is the median over
the turns of (competitor's time / skgmm's time): machines are shared and noisy.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np
import problems
import threadpoolctl
from provenance import provenance

from skgmm import kernels

# Seconds of iterations that are timed together.
BURST = 0.2


def main():
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("iteration.json"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--types", nargs="+", default=problems.COVARIANCE_TYPES)
    parser.add_argument("--shapes", nargs="+", type=int, help="indices of shapes")
    parser.add_argument("--against", nargs="+", default=["sklearn_"])
    parser.add_argument("--dtype", default="float64")
    arguments = parser.parse_args()
    names = ["skgmm_", *arguments.against]
    adapters = [importlib.import_module(f"competitors.{name}") for name in names]
    adapters = [adapter for adapter in adapters if adapter.version() is not None]
    with threadpoolctl.threadpool_limits(arguments.threads):
        cells = list(measure_all(arguments, adapters))
    report = {
        "provenance": provenance(),
        "kernels": kernels.name,
        "instruction_set": kernels.instruction_set,
        "competitors": {adapter.name: adapter.version() for adapter in adapters},
        "threads": arguments.threads,
        "dtype": arguments.dtype,
        "cells": cells,
    }
    arguments.output.write_text(json.dumps(report, indent=1))
    summarise(cells)


def measure_all(arguments, adapters):
    """Yield a cell for each shape and covariance type."""
    shapes = [problems.SHAPES[i] for i in arguments.shapes or range(8)]
    for shape in shapes:
        for covariance_type in arguments.types:
            problem = problems.make(shape, covariance_type, dtype=arguments.dtype)
            able = [adapter for adapter in adapters if adapter.supports(problem)]
            cell = measure(problem, able, arguments.turns)
            print(line(cell), flush=True)
            yield cell


def measure(problem, adapters, turns):
    """Return the times of one iteration and the difference of the results."""
    runs = {adapter.name: adapter.start(problem) for adapter in adapters}
    for run in runs.values():
        run.step()
    reached = {name: run.parameters() for name, run in runs.items()}
    differences = {
        name: difference(parameters, reached["skgmm"])
        for name, parameters in reached.items()
    }
    seconds = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            seconds[name].append(timed_step(run))
    return {
        "shape": [problem.n, problem.d, problem.k],
        "covariance_type": problem.covariance_type,
        "seconds": seconds,
        "differences": differences,
    }


def timed_step(run):
    """Return the seconds of an iteration in a burst of them, as in a fit.

    The threads of the competitor before spin for a while after their work: they are
    left to fall asleep first, and a short iteration is made once before any is timed.
    """
    time.sleep(0.2)
    first = _step(run)
    if first > BURST:
        return first
    steps = max(1, round(BURST / first))
    return sum(_step(run) for _ in range(steps)) / steps


def _step(run):
    begun = time.perf_counter()
    own = run.step()  # a competitor in another process times itself
    return own or time.perf_counter() - begun


def difference(one, other):
    """Return the largest difference of parameters, relative to their size."""
    return max(
        float(np.abs(np.subtract(a, b)).max() / np.abs(b).max())
        for a, b in zip(one, other, strict=True)
    )


def ratios(cell):
    """Return the median ratio of each competitor's time to skgmm's."""
    own = np.array(cell["seconds"]["skgmm"])
    return {
        name: float(np.median(np.array(times) / own))
        for name, times in cell["seconds"].items()
        if name != "skgmm"
    }


def line(cell):
    """Return a cell as a line of text."""
    n, d, k = cell["shape"]
    own = 1e3 * np.median(cell["seconds"]["skgmm"])
    text = f"({n:>7}, {d:>3}, {k:>2}) {cell['covariance_type']:9} {own:9.1f} ms"
    for name, ratio in ratios(cell).items():
        ok = "" if cell["differences"][name] < 1e-6 else " DIFFERENT RESULT"
        text += f"   {name} x{ratio:.1f}{ok} ({cell['differences'][name]:.0e})"
    return text


def summarise(cells):
    """Print the geometric mean and the smallest ratio of each competitor."""
    for name in {name for cell in cells for name in ratios(cell)}:
        values = [ratios(cell)[name] for cell in cells if name in ratios(cell)]
        mean = np.exp(np.mean(np.log(values)))
        print(f"{name}: geometric mean x{mean:.2f}, smallest x{min(values):.2f}")


if __name__ == "__main__":
    main()
