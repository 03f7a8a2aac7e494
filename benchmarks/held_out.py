"""What the search for higher optima is worth: the log-likelihood of rows not fitted.

    python benchmarks/held_out.py [--output held_out.json] [--drawn 200]

The problems are those of `optimum.py`, or so many random mixtures (``--drawn``), of
300 to 3000 rows, 1 to 8 features and 2 to 12 components, that overlap more or less.
Made mixtures are scored on 100,000 further rows of the same mixture, real data by ten
splits in halves, of which each scores the fit to the other.  Numbers are
log-likelihoods, of as many rows as were fitted, minus those of the default fit: of the
rows that were fitted, and of the others.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from optimum import MADE, SEEDS, problems, synthetic
from provenance import provenance
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import RepeatedKFold

from skgmm import GaussianMixture

N_FRESH = 100_000
SPLITS = 10
REAL = ("faithful", "diabetes", "iris", "wine", "breast cancer", "digits")
FITS = {
    "skgmm": (GaussianMixture, 1),
    "skgmm, n_init=10": (GaussianMixture, 10),
    "scikit-learn": (Peer, 1),
    "scikit-learn, n_init=10": (Peer, 10),
}


def main():
    """Score every problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("held_out.json"))
    parser.add_argument("--drawn", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = []
    for name, k, covariance_type, pairs in drawn(arguments.drawn) or cases():
        scores = {fit: scored(fit, k, covariance_type, pairs) for fit in FITS}
        shape = [*pairs[0][0].shape, k]
        cell = {"name": name, "shape": shape, "covariance_type": covariance_type}
        cells.append(cell | {"scores": scores})
        print(line(cells[-1]), flush=True)
    report = {"provenance": provenance(), "cells": cells}
    arguments.output.write_text(json.dumps(report, indent=1))
    summarise(cells)


def cases():
    """Yield names, K, covariance types, and pairs of rows: to fit, and to score."""
    for name, X, k, covariance_type in problems():
        if name in REAL:
            folds = RepeatedKFold(n_splits=2, n_repeats=SPLITS, random_state=0)
            pairs = [(X[fitted], X[others]) for fitted, others in folds.split(X)]
            yield name, k, covariance_type, pairs
    for name, sizes, rest, types in MADE:
        rows, fresh = synthetic(*sizes, **rest, n_fresh=N_FRESH)
        for covariance_type in types:
            yield name, sizes[2], covariance_type, [(rows, fresh)] * SEEDS


def drawn(n_mixtures):
    """Return the same of random mixtures."""
    return [_drawn(seed) for seed in range(n_mixtures)]


def _drawn(seed):
    rng = np.random.default_rng(seed)
    choices = (300, 600, 1000, 2000, 3000), (1, 2, 3, 4, 6, 8), (2, 3, 4, 6, 12)
    n, d, k = (int(rng.choice(sizes)) for sizes in choices)
    stretch = float(rng.choice([1.0, 1.0, 1.0, 10.0, 100.0]))
    shape = {"distance": rng.uniform(2, 7), "stretch": stretch, "seed": seed}
    types = ("full", "full", "full", "tied", "diag", "spherical")
    pair = synthetic(n, d, k, **shape, n_fresh=N_FRESH)
    return f"drawn {seed}", k, str(rng.choice(types)), [pair]


def scored(fit, k, covariance_type, pairs):
    """Return the mean log-likelihoods of what was fitted, and of as many others."""
    make, n_init = FITS[fit]
    scores = []
    for seed, (rows, others) in enumerate(pairs):
        options = {"covariance_type": covariance_type, "n_init": n_init}
        mixture = make(k, **options, random_state=seed).fit(rows)
        n_rows = len(rows)
        scores.append([n_rows * mixture.score(rows), n_rows * mixture.score(others)])
    return np.mean(scores, axis=0).tolist()


def differences(cell):
    """Return by fit what it has more than the default fit: fitted, and others."""
    scores = {fit: np.array(pair) for fit, pair in cell["scores"].items()}
    return {fit: pair - scores["skgmm"] for fit, pair in scores.items()}


def line(cell):
    """Return a problem as a line of text."""
    title = f"{cell['name']:14} {cell['covariance_type']:9} {cell['shape']!s:15}"
    more = differences(cell)
    columns = [
        f"{fit}: {more[fit][0]:8.1f} {more[fit][1]:8.1f}" for fit in list(FITS)[1:]
    ]
    return f"{title} | {' | '.join(columns)}"


def summarise(cells):
    """Print in how many problems each fit is better or worse than the default one."""
    for fit in list(FITS)[1:]:
        more = np.array([differences(cell)[fit] for cell in cells])
        for place, name in enumerate(("fitted", "held out")):
            gain, n = more[:, place], len(cells)
            print(
                f"{fit}, {name}: better than the default by more than 0.5 units in "
                f"{np.sum(gain > 0.5)}, worse in {np.sum(gain < -0.5)} of {n}; "
                f"median {np.median(gain):.2f}"
            )


if __name__ == "__main__":
    main()
