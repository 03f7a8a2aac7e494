"""Times one EM iteration with holes against one without, on the same rows.

python benchmarks/missing.py [--output FILE] [--rows N] [--fraction F] [--turns T]

Cells are deleted at random.  The statistics of the pass are compared with those of a
plain loop over patterns in NumPy before anything is timed, and that loop is timed too.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import threadpoolctl
from provenance import provenance
from scipy.linalg import solve_triangular

from skgmm import kernels
from skgmm._frame import Frame
from skgmm._missing import HolesSource
from skgmm._regularisation import Ridge
from skgmm._sources import ArraySource
from skgmm.families import FAMILIES
from skgmm.kernels import LOG_2PI

# (n, D, K): the last one has about as many patterns as rows.
SHAPES = ((1_000_000, 10, 5), (1_000_000, 4, 3), (100_000, 20, 5), (10_000, 30, 5))

HEADER = (
    "| n, D, K | family | patterns | complete (ms) | with holes (ms) | ratio "
    "| densities with holes (ms) | plain NumPy over with holes | difference |\n"
    + "|---" * 9
    + "|"
)

# Rows on which the plain loop is compared and timed.
PLAIN_ROWS = 20_000


def main():
    """Time all shapes and families, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--families", nargs="+", default=["full", "tied", "diag"])
    arguments = parser.parse_args()
    cells = []
    print(HEADER)
    with threadpoolctl.threadpool_limits(arguments.threads):
        for n, d, k in SHAPES:
            shape = min(n, arguments.largest), d, k
            for name in arguments.families:
                cell = measure(shape, name, arguments.fraction, arguments.turns)
                print(line(cell), flush=True)
                cells.append(cell)
    report = {
        "provenance": provenance(),
        "kernels": kernels.name,
        "instruction_set": kernels.instruction_set,
        "threads": arguments.threads,
        "fraction": arguments.fraction,
        "cells": cells,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1))


def measure(shape, name, fraction, turns):
    """Return the seconds of passes with and without holes, taken in turns."""
    n, d, k = shape
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d))
    mixing = np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d)
    whole = means[rng.integers(k, size=n)] + rng.normal(size=(n, d)) @ mixing
    holed = np.where(rng.random((n, d)) < fraction, np.nan, whole)
    holed = holed[~np.isnan(holed).all(axis=1)]
    family = FAMILIES[name]
    complete = ArraySource(whole, np.ones(n), Frame.of(whole, np.ones(n)))
    weight = np.ones(len(holed))
    frame = Frame.of(holed, weight, holes=True)
    source = HolesSource(holed, weight, frame, family.form)
    mixture = family.maximise(
        source.moments(np.eye(k)[rng.integers(k, size=len(holed))], family.form),
        Ridge.of(frame, 0.0),
    )
    few = holed[:PLAIN_ROWS]
    part = HolesSource(few, np.ones(len(few)), frame, family.form)
    z, groups = grouped(few, frame)
    expected = alone(z, groups, mixture)
    difference = compare(part.statistics(mixture), expected, family.form)
    outward = frame.outward(mixture)
    passes = {
        "complete": lambda: complete.statistics(mixture),
        "holes": lambda: source.statistics(mixture),
        "plain": lambda: alone(z, groups, mixture),
        "holes of the same rows": lambda: part.statistics(mixture),
        "densities": lambda: outward.log_density(holed),
    }
    seconds = {kind: [] for kind in passes}
    for run in passes.values():
        run()
    for turn in range(turns):
        for kind, run in passes.items():
            if kind != "plain" or turn < 2:
                time.sleep(0.05)
                seconds[kind].append(timed(run))
    return {
        "shape": [n, d, k],
        "family": name,
        "patterns": source.n_patterns,
        "difference": difference,
        "seconds": seconds,
    }


def timed(run):
    """Return the seconds of a call."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def grouped(rows, frame):
    """Return rows in their frame, and which have each pattern."""
    z = (rows - frame.centre) / frame.scale
    codes, index = np.unique(np.isnan(z), axis=0, return_inverse=True)
    order = np.argsort(index, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(index))[:-1])
    return z, list(zip(codes, groups, strict=True))


def alone(*arguments):
    """Run the plain loop on one thread: its products are too small for more."""
    with threadpoolctl.threadpool_limits(1):
        return plain(*arguments)


def plain(z, groups, mixture):
    """Return counts, first and dense second moments, pattern by pattern in NumPy."""
    means, matrices = mixture.means, mixture.covariances.dense()
    k, d = means.shape
    count, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for missing, group in groups:
        o, m = np.flatnonzero(~missing), np.flatnonzero(missing)
        part = z[np.ix_(group, o)]
        joint = np.empty((k, len(group)))
        filled = []
        for c in range(k):
            S = matrices[c]
            factor = np.linalg.cholesky(S[np.ix_(o, o)])
            e = part - means[c, o]
            white = solve_triangular(factor, e.T, lower=True)
            cross = solve_triangular(factor, S[np.ix_(o, m)], lower=True)
            joint[c] = np.log(mixture.weights[c]) - 0.5 * (
                np.sum(white**2, axis=0)
                + 2 * np.log(np.diagonal(factor)).sum()
                + len(o) * LOG_2PI
            )
            row = np.zeros((len(group), d))
            row[:, o], row[:, m] = e, white.T @ cross
            filled.append((row, S[np.ix_(m, m)] - cross.T @ cross))
        joint -= np.logaddexp.reduce(joint, axis=0)
        parts = np.exp(joint)
        for c, (row, conditional) in enumerate(filled):
            weighted = row * parts[c][:, None]
            count[c] += parts[c].sum()
            first[c] += weighted.sum(axis=0)
            second[c] += weighted.T @ row
            second[c][np.ix_(m, m)] += parts[c].sum() * conditional
    return count, first, second


def compare(statistics, expected, form):
    """Return the largest difference, relative to the sizes."""
    count, first, second = expected
    if form.kind == "diag":
        second = np.diagonal(second, axis1=1, axis2=2)
    second = form.from_general(second)
    pairs = [
        (statistics.count, count),
        (statistics.first, first),
        (np.tril(statistics.second), np.tril(second))
        if form.kind in ("full", "tied")
        else (statistics.second, second),
    ]
    sizes = [np.abs(b).max() for _, b in pairs]
    sizes[1] = max(sizes[1], sizes[0])
    return max(
        float(np.abs(a - b).max() / size)
        for (a, b), size in zip(pairs, sizes, strict=True)
    )


def line(cell):
    """Return a cell as a line of a table."""
    seconds = {kind: np.median(times) for kind, times in cell["seconds"].items()}
    complete, holes = seconds["complete"], seconds["holes"]
    slower = seconds["plain"] / seconds["holes of the same rows"]
    same = "" if cell["difference"] < 1e-9 else " DIFFERENT RESULT"
    return (
        f"| {cell['shape']} | {cell['family']} | {cell['patterns']} "
        f"| {1e3 * complete:.1f} | {1e3 * holes:.1f} | {holes / complete:.1f} "
        f"| {1e3 * seconds['densities']:.1f} | {slower:.0f} "
        f"| {cell['difference']:.0e}{same} |"
    )


if __name__ == "__main__":
    main()
