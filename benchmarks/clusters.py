"""Dask on one machine: speed-up by workers, overhead of an iteration, against Spark.

    python benchmarks/clusters.py [--rows 5000000] [--spark-rows 1000000]
        [--only workers limit overhead spark] [--output clusters.json]

The rows are made where they stay, in 64 blocks.  An iteration is timed as the
difference of a long fit and a short one, from the same start, by plain steps; workers
take turns.  The limit is what two processes that know nothing of each other gain over
one, each on half of the rows.  Overhead is an iteration on blocks of 100 rows.  Spark
is used if SPARK_PYTHON names a Python that has it, see `competitors/spark_.py`.
"""

import argparse
import json
import logging
import multiprocessing
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import threadpoolctl
from competitors import spark_
from files import N_COMPONENTS, N_FEATURES, truth
from provenance import provenance

BLOCKS = 64
WORKERS = (1, 2)
FEW, MANY = 3, 33
DISTANCE = 1.0  # components overlap, so that EM goes on for long
TURNS = 5


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--spark-rows", type=int, default=1_000_000)
    parts = {
        "workers": workers,
        "limit": limit,
        "overhead": overhead,
        "spark": spark,
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--output", type=Path, default=Path("clusters.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    result = {
        "provenance": provenance(),
        "shape": [arguments.rows, N_FEATURES, N_COMPONENTS],
        "blocks": BLOCKS,
    }
    for name in arguments.only:
        result[name] = parts[name](arguments)
    arguments.output.write_text(json.dumps(result, indent=1))


@contextmanager
def cluster(n_workers, n_rows, make):
    """Yield rows that so many workers of one thread hold."""
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    size = n_rows // BLOCKS
    options = {"threads_per_worker": 1, "dashboard_address": None}
    options |= {"silence_logs": logging.CRITICAL, "memory_limit": 0}
    with LocalCluster(n_workers=n_workers, **options) as local, Client(local):
        seeds = da.arange(BLOCKS, chunks=1)
        rows = seeds.map_blocks(
            make,
            size,
            new_axis=1,
            chunks=((size,) * BLOCKS, (N_FEATURES,)),
            dtype=float,
            meta=np.empty((0, N_FEATURES)),
        ).persist()
        wait(rows)
        plain("full", 2).fit(rows)  # warms up
        yield rows


def made(seed, size):
    """Return the rows of one block."""
    return truth(DISTANCE).sample(size, random_state=int(seed[0]))[0]


def noise(seed, size):
    """Return rows without components, on which EM goes on for long."""
    return np.random.default_rng(int(seed[0])).normal(size=(size, N_FEATURES))


def seconds_of_an_iteration(rows, covariance_type, few=FEW, many=MANY):
    """Return the seconds of an iteration, and the mean log-density in the end."""
    times = []
    for n_iter in (few, many):
        mixture = plain(covariance_type, n_iter)
        begun = time.perf_counter()
        mixture.fit(rows)
        times.append(time.perf_counter() - begun)
        assert mixture.n_iter_ == n_iter
    return (times[1] - times[0]) / (many - few), mixture.lower_bound_


def plain(covariance_type, n_iter):
    """Return an estimator that makes so many plain steps from a given start."""
    from skgmm import GaussianMixture

    true, rng = truth(DISTANCE), np.random.default_rng(2)
    variances = np.full((N_COMPONENTS, N_FEATURES), 2.0)
    matrices = variances[:, :, np.newaxis] * np.eye(N_FEATURES)
    return GaussianMixture(
        N_COMPONENTS,
        covariance_type=covariance_type,
        weights_init=np.full(N_COMPONENTS, 1 / N_COMPONENTS),
        means_init=true.means_ + 0.3 * rng.normal(size=true.means_.shape),
        covariances_init=matrices if covariance_type == "full" else variances,
        max_iter=n_iter,
        tol=0,
        acceleration=None,
    )


def workers(arguments):
    """Return the seconds of an iteration on each number of workers, the speed-up."""
    types = ("diag", "full")
    times = {(kind, n): [] for kind in types for n in WORKERS}
    for _ in range(TURNS):
        for n_workers in WORKERS:
            with cluster(n_workers, arguments.rows, made) as rows:
                for kind in types:
                    seconds, _ = seconds_of_an_iteration(rows, kind)
                    times[kind, n_workers].append(seconds)
    cells = []
    for kind in types:
        one, two = (float(np.median(times[kind, n_workers])) for n_workers in WORKERS)
        seconds = [times[kind, n_workers] for n_workers in WORKERS]
        cell = {"covariance_type": kind, "workers": WORKERS, "seconds": seconds}
        cells.append(cell | {"speed_up": one / two})
        print(
            f"{kind:5} an iteration {one:.3f} s on one worker, {two:.3f} s "
            f"on two: {one / two:.2f} times as fast",
            flush=True,
        )
    return cells


def limit(arguments):
    """Return how many times faster two processes are than one, without Dask.

    Each has half of the rows, so that one alone takes half of the time for all.
    """
    spawn, cells = multiprocessing.get_context("spawn"), []
    for kind in ("diag", "full"):
        times = {n: [] for n in WORKERS}
        for _ in range(TURNS):
            for n in WORKERS:
                times[n].append(at_once(spawn, n, arguments.rows // 2, kind))
        one, two = (float(np.median(times[n])) for n in WORKERS)
        cells.append({"covariance_type": kind, "seconds": times, "gain": 2 * one / two})
        print(
            f"{kind:5} two processes at once: {2 * one / two:.2f} times one", flush=True
        )
    return cells


def at_once(spawn, n_processes, n_rows, covariance_type):
    """Return the seconds of an iteration, the mean of processes that run at once."""
    barrier, queue = spawn.Barrier(n_processes), spawn.Queue()
    arguments = n_rows, covariance_type, barrier, queue
    processes = [
        spawn.Process(target=alone, args=arguments) for _ in range(n_processes)
    ]
    for process in processes:
        process.start()
    seconds = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return float(np.mean(seconds))


def alone(n_rows, covariance_type, barrier, queue):
    """Put the seconds of an iteration on rows of its own, on one thread."""
    size = n_rows // (BLOCKS // 2)
    rows = np.concatenate([made([seed], size) for seed in range(BLOCKS // 2)])
    warnings.simplefilter("ignore")
    with threadpoolctl.threadpool_limits(1):
        plain(covariance_type, FEW).fit(rows[:size])
        barrier.wait()
        queue.put(seconds_of_an_iteration(rows, covariance_type)[0])


def overhead(arguments):
    """Return the seconds of an iteration on blocks that are next to nothing."""
    with cluster(2, 100 * BLOCKS, noise) as rows:
        times = [seconds_of_an_iteration(rows, "full", 10, 60)[0] for _ in range(TURNS)]
    print(
        f"overhead of an iteration on {BLOCKS} blocks, two workers: "
        f"{1e3 * np.median(times):.0f} ms (least {1e3 * min(times):.0f})",
        flush=True,
    )
    return times


def spark(arguments):
    """Return the seconds of an iteration, and the fits, of Spark and of ours."""
    if spark_.version() is None:
        print("no Spark: set SPARK_PYTHON")
        return None
    n_rows = arguments.spark_rows // BLOCKS * BLOCKS
    with cluster(2, n_rows, made) as rows:
        dask, score = seconds_of_an_iteration(rows, "full")
        X = rows.compute()
    memory, same = seconds_of_an_iteration(X, "full")
    np.testing.assert_allclose(score, same, rtol=1e-9)
    theirs = spark_.fit(X, N_COMPONENTS, FEW, MANY)
    best = plain("full", 200).fit(X).lower_bound_
    result = {
        "version": spark_.version(),
        "rows": n_rows,
        "spark": theirs,
        "dask": {"iteration": dask, "score": score, "iterations": MANY},
        "memory": {"iteration": memory, "score": same, "iterations": MANY},
        "score_of_200_iterations": best,
        "times_as_fast": theirs["iteration"] / dask,
    }
    print(
        f"{n_rows} rows, an iteration: Spark {theirs['iteration']:.3f} s, Dask "
        f"{dask:.3f} s ({result['times_as_fast']:.1f} times as fast), memory "
        f"{memory:.3f} s; mean log-density after {MANY} iterations: Spark "
        f"{theirs['score']:.4f}, ours {score:.4f}, after 200 {best:.4f}",
        flush=True,
    )
    return result


if __name__ == "__main__":
    main()
