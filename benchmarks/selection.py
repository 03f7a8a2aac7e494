"""Time the default grid, K = 1..9 with all families, beside R's mclust.

python benchmarks/selection.py [--turns 3] [--output selection.json]

mclust is run if R has it, on the models that both have. Values of the criterion are
compared before times: ours may be worse by no more than half a unit.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from competitors import mclust_
from provenance import provenance

from skgmm import GaussianMixtureIC, datasets, kernels
from skgmm.families import FAMILIES

NUMBERS = range(1, 10)


def main():
    """Measure, compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("selection.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [cell(name, X, arguments.turns) for name, X in problems()]
    versions = {"mclust": mclust_.version(), "kernels": kernels.name}
    result = {"provenance": provenance() | versions, "cells": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def problems():
    """Yield the names and the rows of the problems."""
    yield "galaxies", datasets.load_galaxies().data
    yield "faithful", datasets.load_old_faithful().data
    yield "diabetes", datasets.load_reaven_miller().data
    for n in (2000, 20_000):
        yield f"synthetic, {n} rows of 5", synthetic(n)


def synthetic(n, n_components=4, n_features=5, seed=0):
    """Return rows of overlapping clusters of different shapes."""
    rng = np.random.default_rng(seed)
    means = 3 * rng.normal(size=(n_components, n_features))
    mixing = np.eye(n_features) + 0.5 * rng.normal(
        size=(n_components, n_features, n_features)
    )
    labels = rng.integers(n_components, size=n)
    noise = rng.normal(size=(n, n_features))
    return means[labels] + np.einsum("nij,nj->ni", mixing[labels], noise)


def cell(name, X, turns):
    """Time a problem."""
    times = []
    for _ in range(turns):
        begun = time.perf_counter()
        search = GaussianMixtureIC(NUMBERS).fit(X)
        times.append(time.perf_counter() - begun)
    code = FAMILIES[search.covariance_type_].code
    found = {"model": code, "n_components": search.n_components_}
    found |= {"bic": search.criterion_, "seconds": float(np.median(times))}
    out = {"name": name, "n_models": len(search.results_["error"]), "skgmm": found}
    line = f"{name:28} {code} {search.n_components_} {search.criterion_:12.2f} "
    line += f"{found['seconds']:8.2f} s"
    if mclust_.version():
        codes = [family.code for family in FAMILIES.values()]
        codes = codes if X.shape[1] > 1 else ["E", "V"]
        seconds, model, k, bic = mclust_.select(X, NUMBERS, codes)
        out["mclust"] = {"model": model, "n_components": k, "bic": bic}
        out["mclust"] |= {"seconds": seconds}
        line += f"   mclust {model} {k} {bic:12.2f} x{seconds / found['seconds']:.1f}"
        assert found["bic"] <= bic + 0.5, "a worse model than mclust's"
    print(line, flush=True)
    return out


if __name__ == "__main__":
    main()
