"""How good the default fit is: gaps to the best optimum known, and time.

    python benchmarks/optimum.py [--output optimum.json] [--runs 200]
        [--known earlier.json] [--problems 0 1 ...]

The best known log-likelihood of a problem is the largest of `--runs` converged runs
of scikit-learn and of this package from random starts, of all fits that are compared,
and of earlier results, without those that `spurious` excludes.  Then the default fit,
with 1 and 10 starts, and scikit-learn's, with its defaults, are made from the same
seeds.
"""

import argparse
import json
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import sklearn.datasets
from provenance import provenance
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture as Peer

from skgmm import GaussianMixture, datasets

SEEDS = 5
METHODS = (None, "squarem")
ALL = ("full", "tied", "diag", "spherical")

# Made mixtures: name, (n, D, K), how they are made, covariance types of the fits.
MADE = [
    ("separated", (1000, 2, 3), {"distance": 8, "seed": 1}, ("full", "diag")),
    ("many", (5000, 2, 25), {"distance": 12, "seed": 2}, ("full", "spherical")),
    ("close", (2000, 2, 4), {"distance": 3, "seed": 3}, ("full",)),
    ("overlapping", (2000, 5, 5), {"distance": 3, "seed": 4}, ("full", "tied")),
    (
        "elongated",
        (2000, 3, 6),
        {"distance": 6, "stretch": 100, "seed": 5},
        ("full",),
    ),
    ("long", (3000, 6, 8), {"distance": 6, "stretch": 30, "seed": 6}, ("full",)),
    (
        "scaled",
        (2000, 4, 5),
        {"distance": 5, "scale": 1e6, "seed": 7},
        ("full", "diag"),
    ),
    ("wide", (3000, 15, 6), {"distance": 6, "seed": 8}, ("full", "tied", "diag")),
    ("larger", (20000, 10, 10), {"distance": 6, "seed": 9}, ("full", "diag")),
    ("large", (20000, 5, 15), {"distance": 6, "seed": 10}, ("full",)),
    ("line", (3000, 1, 4), {"distance": 6, "seed": 11}, ("full",)),
    (
        "rounded",
        (2000, 2, 4),
        {"distance": 5, "duplicates": True, "seed": 12},
        ("full",),
    ),
]


def synthetic(
    n,
    d,
    k,
    *,
    distance,
    seed,
    stretch=1.0,
    scale=1.0,
    duplicates=False,
    n_fresh=0,
):
    """Return rows of a mixture whose centres are ``distance`` deviations apart.

    And others of the same mixture, if they are wanted.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d)) * distance / np.sqrt(2 * d)
    shares = rng.dirichlet(np.full(k, 5.0))
    labels, noise = rng.choice(k, size=n, p=shares), rng.normal(size=(n, d))
    maps = []
    for _ in range(k):
        axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
        maps.append((axes * stretch ** rng.uniform(-0.5, 0.5, size=d)).T)

    def rows_of(labels, noise):
        for component in range(k):
            noise[labels == component] @= maps[component]
        rows = (centres[labels] + noise) * np.logspace(0, np.log10(scale), d)
        return np.round(rows, 1) if duplicates else rows

    rows = rows_of(labels, noise)
    if not n_fresh:
        return rows
    labels = rng.choice(k, size=n_fresh, p=shares)
    return rows, rows_of(labels, rng.normal(size=(n_fresh, d)))


def stripes(n, seed):
    """Return two long thin stripes, side by side."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 2)) * [100.0, 1.0]
    rows[: n // 2, 1] += 10.0
    return rows


@cache
def problems():
    """Return (name, rows, K, covariance types) of every problem."""
    load = sklearn.datasets
    digits = PCA(10, random_state=0).fit_transform(load.load_digits().data)
    cancer = load.load_breast_cancer().data[:, :10]
    table = [
        ("faithful", datasets.load_old_faithful().data, 2, ALL),
        ("faithful", datasets.load_old_faithful().data, 3, ("full",)),
        ("galaxies", datasets.load_galaxies().data, 3, ("tied",)),
        ("diabetes", datasets.load_reaven_miller().data, 3, ALL),
        ("iris", load.load_iris().data, 3, ALL),
        ("wine", load.load_wine().data, 3, ("tied", "diag")),
        ("breast cancer", cancer, 2, ("full", "diag")),
        ("digits", digits, 10, ALL),
        *(
            (name, synthetic(n, d, k, **rest), k, types)
            for name, (n, d, k), rest, types in MADE
        ),
        ("stripes", stripes(1000, 0), 2, ("full", "tied", "diag")),
    ]
    return [(name, X, k, t) for name, X, k, types in table for t in types]


def main():
    """Run every problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("optimum.json"))
    parser.add_argument("--problems", nargs="+", type=int)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--known", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = arguments.problems or range(len(problems()))
    runs, known = earlier(arguments.known)
    cells = []
    for index in chosen:
        cell = measure(*problems()[index], range(runs, runs + arguments.runs))
        cell["best"] = max(cell["best"], known.get(key(cell), -np.inf))
        cells.append(cell)
        print(line(index, cell), flush=True)
    runs += arguments.runs
    report = {"provenance": provenance(), "runs": runs, "cells": cells}
    arguments.output.write_text(json.dumps(report, indent=1))
    summarise(cells)


def key(cell):
    """Return what names a problem."""
    return cell["name"], *cell["shape"], cell["covariance_type"]


def earlier(path):
    """Return the number of runs of earlier results, and the best known from them."""
    if path is None:
        return 0, {}
    report = json.loads(path.read_text())
    return report["runs"], {key(cell): cell["best"] for cell in report["cells"]}


def measure(name, X, k, covariance_type, seeds):
    """Return the log-likelihoods and seconds of all fits of a problem."""
    common = {"n_components": k, "covariance_type": covariance_type}
    fits = {
        "skgmm": lambda seed: GaussianMixture(**common, random_state=seed),
        "skgmm, n_init=10": lambda seed: GaussianMixture(
            **common, n_init=10, random_state=seed
        ),
        "scikit-learn": lambda seed: Peer(**common, random_state=seed),
        "scikit-learn, n_init=10": lambda seed: Peer(
            **common, n_init=10, random_state=seed
        ),
    }
    fits["skgmm"](0).fit(X)  # what is loaded at first use is not timed
    cell = {"name": name, "shape": [*X.shape, k], "covariance_type": covariance_type}
    cell["fits"] = {
        name: [fitted(make(seed), X) for seed in range(SEEDS)]
        for name, make in fits.items()
    }
    cell["passes"] = [passes(X, common, acceleration) for acceleration in METHODS]
    starts = ("kmeans", "k-means++", "random_from_data")
    searched = [
        fitted(
            GaussianMixture(
                **common,
                init_params=starts[seed % 3],
                tol=1e-9,
                max_iter=5000,
                random_state=seed,
            ),
            X,
        )
        for seed in seeds
    ]
    searched += [
        fitted(Peer(**common, tol=1e-6, max_iter=2000, random_state=seed), X)
        for seed in seeds[::20]
    ]
    everything = [fit for fits in cell["fits"].values() for fit in fits] + searched
    healthy = [fit["log_likelihood"] for fit in everything if not fit["spurious"]]
    cell["best"] = max(healthy, default=-np.inf)
    return cell


def passes(X, common, acceleration):
    """Return the passes from the same start to 1e-3 units below the end."""
    mixture = GaussianMixture(
        **common,
        init_params="bisect",
        random_state=0,
        acceleration=acceleration,
        tol=1e-10,
        max_iter=20_000,
    ).fit(X)
    bounds = len(X) * np.array(mixture.lower_bounds_)
    return int(np.argmax(bounds >= bounds[-1] - 1e-3)) + 1


def fitted(mixture, X):
    """Return what a fit reached, and its cost."""
    begun = time.perf_counter()
    try:
        mixture.fit(X)
    except ValueError:  # scikit-learn's, of a singular covariance
        return {"log_likelihood": -np.inf, "seconds": np.nan, "spurious": True}
    return {
        "seconds": time.perf_counter() - begun,
        "log_likelihood": float(mixture.score(X) * len(X)),
        "passes": mixture.n_iter_,
        "spurious": spurious(mixture, X),
    }


def spurious(mixture, X):
    """Tell whether some component is a few rows, or flat.

    With fewer than D + 2 effective rows, or, in the metric of all rows, with a smallest
    variance below 1e-6, or below 1e-3 on fewer than 5 (D + 1) rows.
    """
    d = X.shape[1]
    means = np.asarray(mixture.means_)
    k = len(means)
    values = np.asarray(mixture.covariances_)
    dense = {
        "full": lambda: values,
        "tied": lambda: np.broadcast_to(values, (k, d, d)),
        "diag": lambda: values[:, :, np.newaxis] * np.eye(d),
        "spherical": lambda: values[:, np.newaxis, np.newaxis] * np.eye(d),
    }[mixture.covariance_type]()
    scale = X.std(axis=0)
    correlation = np.cov((X / scale).T, ddof=0).reshape(d, d)
    whitener = np.linalg.inv(np.linalg.cholesky(correlation)) / scale
    smallest = np.linalg.eigvalsh(whitener @ dense @ whitener.T)[:, 0]
    rows = mixture.weights_ * len(X)
    if mixture.covariance_type == "tied":  # all rows make the one matrix
        rows = np.array([len(X)])
    few = np.round(rows) < d + 2
    return bool(
        np.any(few | (smallest < 1e-6) | ((smallest < 1e-3) & (rows < 5 * (d + 1))))
    )


def gaps(cell, name):
    """Return how far each fit is from the best one known; inf if spurious."""
    return [
        np.inf if fit["spurious"] else cell["best"] - fit["log_likelihood"]
        for fit in cell["fits"][name]
    ]


def seconds(cell, name):
    """Return the median seconds of a fit."""
    return float(np.median([fit["seconds"] for fit in cell["fits"][name]]))


def line(index, cell):
    """Return a problem as a line of text."""
    n, d, k = cell["shape"]
    text = (
        f"{index:2} {cell['name']:13} ({n:5}, {d:2}, {k:2}) {cell['covariance_type']:9}"
    )
    for name in cell["fits"]:
        found = gaps(cell, name)
        hits = sum(gap < 0.5 for gap in found)
        text += f" | {hits}/{len(found)} {np.median(found):8.2f} "
        text += f"{1e3 * seconds(cell, name):7.1f} ms"
    plain, accelerated = cell["passes"]
    return f"{text} | passes {plain} plain, {accelerated} accelerated"


def summarise(cells):
    """Print hits, and times relative to scikit-learn's default."""
    for name in cells[0]["fits"]:
        found = np.concatenate([gaps(cell, name) for cell in cells])
        ratios = [seconds(cell, name) / seconds(cell, "scikit-learn") for cell in cells]
        print(
            f"{name:24} within 0.5: {np.mean(found < 0.5):.1%}, median gap "
            f"{np.median(found):.3g}, 90 % {np.quantile(found, 0.9):.3g}; time over "
            f"scikit-learn's: geometric mean {np.exp(np.mean(np.log(ratios))):.2f}, "
            f"largest {max(ratios):.1f}"
        )
    ratios = [cell["passes"][0] / cell["passes"][1] for cell in cells]
    print(
        f"passes to 1e-3 units, plain over accelerated: geometric mean "
        f"{np.exp(np.mean(np.log(ratios))):.2f}, smallest {min(ratios):.2f}"
    )


if __name__ == "__main__":
    main()
