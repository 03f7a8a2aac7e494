"""How far default fits move when features are rescaled and mixed.

python benchmarks/equivariance.py [--trials 2]

On the problems of `optimum.py`: features are rescaled by factors from 1e-6 to 1e6, and
for 'full' and 'tied' covariances mixed by a random well-conditioned matrix before that
('spherical': all are rescaled by one factor). The differences of the log-likelihoods
of all rows, after the change of units, and the adjusted Rand index of the partitions
tell whether it is the same fit.
"""

import argparse
import warnings

import numpy as np
from optimum import problems
from sklearn.metrics import adjusted_rand_score

from skgmm import GaussianMixture


def changed(X, covariance_type, rng):
    """Return rows in other features, and the log of the volume that one unit has."""
    d = X.shape[1]
    scale = 10.0 ** rng.uniform(-6, 6, d)
    if covariance_type == "spherical":
        scale[:] = scale[0]
    if covariance_type not in ("full", "tied"):
        return X * scale, np.log(scale).sum()
    mixing = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.3, 3, d)
    spread = X.std(axis=0)
    jacobian = np.linalg.slogdet(mixing)[1] + np.log(scale / spread).sum()
    return (X / spread) @ mixing * scale, jacobian


def main():
    """Measure all problems, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2)
    trials = parser.parse_args().trials
    warnings.simplefilter("ignore")
    largest, same = 0.0, []
    for name, X, k, covariance_type in problems():
        # Above 5000 rows a start sees a random sample: with one state, the same rows.
        mixture = GaussianMixture(k, covariance_type=covariance_type, random_state=0)
        score, labels = mixture.fit(X).score(X), mixture.predict(X)
        moved, agree = [], []
        for seed in range(trials):
            rng = np.random.default_rng(seed)
            Z, jacobian = changed(X, covariance_type, rng)
            gap = mixture.fit(Z).score(Z) + jacobian - score
            moved.append(abs(gap) * len(X))
            agree.append(adjusted_rand_score(labels, mixture.predict(Z)))
        largest, same = max(largest, *moved), [*same, *agree]
        print(
            f"{name:13} {X.shape!s:11} {k:2} {covariance_type:9} log-likelihood "
            f"{max(moved):.1e}, Rand index {min(agree):.4f}",
            flush=True,
        )
    print(
        f"largest difference {largest:.1e}; partitions are equal in "
        f"{np.mean(np.array(same) == 1):.0%}, the least index is {min(same):.4f}"
    )


if __name__ == "__main__":
    main()
