"""Rows in a file: speed of an iteration, and peak memory of a fit.

    python benchmarks/files.py [--rows 10000000] [--folder /tmp] [--output files.json]

A file of float32 rows is written, and removed at the end.  An iteration over it (from
the page cache, if it fits there) is compared with reading the file alone and with the
same iteration over the array in memory; the statistics must be the same to the bit.
The peak is that of a process that fits the file and nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from memory import _peak, _reset_peak, _resident
from provenance import provenance

N_FEATURES, N_COMPONENTS = 10, 10
TYPES = ("diag", "full")
ITERATIONS = 5


def main():
    """Measure speed here, memory in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--output", type=Path, default=Path("files.json"))
    parser.add_argument("--peak", nargs=2)
    arguments = parser.parse_args()
    if arguments.peak:
        print(json.dumps(peak(*arguments.peak)))
        return
    path = arguments.folder / "skgmm_rows.npy"
    try:
        write(path, arguments.rows)
        cells = [cell(path, covariance_type) for covariance_type in TYPES]
    finally:
        path.unlink(missing_ok=True)
    result = {
        "provenance": provenance(),
        "shape": [arguments.rows, N_FEATURES, N_COMPONENTS],
        "cells": cells,
    }
    arguments.output.write_text(json.dumps(result, indent=1))


def truth(distance=3.0):
    """Return the mixture that rows are drawn from."""
    from skgmm import GaussianMixture

    rng = np.random.default_rng(0)
    means = distance * rng.normal(size=(N_COMPONENTS, N_FEATURES))
    factors = rng.normal(size=(N_COMPONENTS, N_FEATURES, N_FEATURES))
    covariances = factors @ np.swapaxes(factors, 1, 2) / N_FEATURES
    covariances += 0.3 * np.eye(N_FEATURES)
    weights = np.full(N_COMPONENTS, 1 / N_COMPONENTS)
    return GaussianMixture.from_parameters(weights, means, covariances=covariances)


def write(path, n_rows):
    """Write rows, in random order, a million at a time."""
    mixture, rng = truth(), np.random.default_rng(1)
    shape = n_rows, N_FEATURES
    rows = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=shape)
    for start in range(0, n_rows, 1_000_000):
        size = min(1_000_000, n_rows - start)
        rows[start : start + size], _ = mixture.sample(size, random_state=rng)
    rows.flush()


def cell(path, covariance_type):
    """Return the measurements of one covariance type, and print them."""
    speed = speeds(path, covariance_type)
    command = [sys.executable, __file__, "--peak", str(path), covariance_type]
    fit = json.loads(subprocess.check_output(command, text=True))
    slower = min(speed["reading"], speed["memory"])
    print(
        f"{covariance_type:5} million rows a second: reading {speed['reading']:.1f}, "
        f"memory {speed['memory']:.1f}, file {speed['file']:.1f} "
        f"({slower / speed['file']:.2f} of the slower); fit of {fit['iterations']} "
        f"iterations {fit['seconds']:.1f} s, {fit['megabytes']:.0f} MB",
        flush=True,
    )
    return {"covariance_type": covariance_type, **speed, **fit}


def speeds(path, covariance_type):
    """Return rows a second of reading alone and of iterations, in millions."""
    from skgmm._files import Blocks, StoredRows
    from skgmm._frame import Frame
    from skgmm._sources import ArraySource

    stored = np.load(path, mmap_mode="r")
    weight = np.broadcast_to(1.0, (len(stored),))
    head = np.array(stored[:100_000])
    frame = Frame.of(head, weight[: len(head)])
    mixture = frame.inward(_start(head, covariance_type)._model().mixture)
    rows = StoredRows.of(stored)
    file = ArraySource(rows, weight, frame)
    memory = ArraySource(np.array(stored), weight, frame)

    def read():
        for _ in Blocks(rows, rows.slices()):
            pass

    one, other = file.statistics(mixture), memory.statistics(mixture)
    np.testing.assert_array_equal(one.second, other.second)
    runs = {
        "reading": read,
        "memory": lambda: memory.statistics(mixture),
        "file": lambda: file.statistics(mixture),
    }
    times = {name: [] for name in runs}
    for _ in range(ITERATIONS):  # in turns, so that noise meets all
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begun)
    return {name: len(stored) / np.median(t) / 1e6 for name, t in times.items()}


def _start(head, covariance_type):
    from skgmm import GaussianMixture

    warnings.simplefilter("ignore")
    mixture = GaussianMixture(
        N_COMPONENTS, covariance_type=covariance_type, max_iter=5, tol=0, random_state=0
    )
    return mixture.fit(head)


def peak(path, covariance_type):
    """Return seconds of a fit, and the megabytes that it needs at its peak."""
    from skgmm import GaussianMixture

    warnings.simplefilter("ignore")
    parameters = {"covariance_type": covariance_type, "random_state": 0}
    GaussianMixture(2, **parameters).fit(np.random.default_rng(0).normal(size=(500, 2)))
    _reset_peak()
    before, begun = _resident(), time.perf_counter()
    rows = np.load(path, mmap_mode="r")
    mixture = GaussianMixture(N_COMPONENTS, max_iter=5, tol=0, **parameters).fit(rows)
    return {
        "iterations": mixture.n_iter_,
        "seconds": time.perf_counter() - begun,
        "megabytes": (_peak() - before) / 1e6,
    }


if __name__ == "__main__":
    main()
