"""
One dimension: learn a Gaussian, then a mixture
===============================================

A mixture with one component is a Gaussian: `fit` learns its mean and its standard
deviation.  With several components it describes data with several modes, here the
velocities of galaxies.  Pictures go to the folder named on the command line, or to
``pictures``.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.datasets import load_galaxies

BLUE, ORANGE = "#0072B2", "#E69F00"  # safe for colour-blind readers (Okabe and Ito)
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
FOLDER.mkdir(parents=True, exist_ok=True)

# %%
# One Gaussian
# ------------
# Draw 200 numbers from a Gaussian, and learn it from them.  Rows are observations and
# columns are features, so X has one column.
MEAN, SD = 5.0, 2.0
X = np.random.default_rng(0).normal(MEAN, SD, size=(200, 1))
gaussian = GaussianMixture(n_components=1).fit(X)
mean, sd = gaussian.means_[0, 0], np.sqrt(gaussian.covariances_[0, 0, 0])

print("            mean  standard deviation")
print(f"original {MEAN:7.3f} {SD:19.3f}")
print(f"learned  {mean:7.3f} {sd:19.3f}")

# %%
# The data are ticks at the top, the density is the curve below them.


def draw_density(ax, mixture, X, x):
    """Draw the density of a mixture at the points x, and the data at the top."""
    density = np.exp(mixture.score_samples(x))
    top = density.max()
    ax.plot(X[:, 0], np.full(len(X), 1.2 * top), "|", color=BLUE, ms=14, label="data")
    ax.plot(x[:, 0], density, color="black", linewidth=2, label="density")
    ax.set(xlim=(x[0, 0], x[-1, 0]), ylim=(0, 1.3 * top))


fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
draw_density(ax, gaussian, X, np.linspace(-2, 12, 400)[:, None])
peak, side = np.exp(gaussian.score_samples([[mean], [mean + sd]]))
ax.vlines(mean, 0, peak, color=ORANGE, linestyle="--", label="mean")
ax.hlines(side, mean - sd, mean + sd, color=ORANGE, linewidth=2, label="mean ± 1 sd")
ax.set(xlabel="x", ylabel="density")
ax.legend(loc="center left")
fig.savefig(FOLDER / "one_gaussian.png", dpi=120)

# %%
# A mixture
# ---------
# The velocity of a galaxy grows with its distance: clusters of velocities are clusters
# in space.  All components share one variance ('tied'), so that none can shrink onto
# two or three galaxies.  The Bayesian information criterion (BIC) weighs the likelihood
# against the number of parameters; lower is better.  It chooses among these models
# only: with a variance for each component it prefers three components.
X = load_galaxies().data
fits = [GaussianMixture(K, covariance_type="tied").fit(X) for K in range(1, 9)]
criteria = [fit.bic(X) for fit in fits]
mixture = fits[np.argmin(criteria)]

print("\n  K  log-likelihood     BIC")
for fit, bic in zip(fits, criteria, strict=True):
    mark = "   best" if fit is mixture else ""
    print(f"{fit.n_components:3d} {len(X) * fit.score(X):15.1f} {bic:7.1f}{mark}")

shared_sd = np.sqrt(mixture.covariances_[0, 0])
print("\nweight   mean     sd   (thousands of km/s)")
for weight, mean in zip(mixture.weights_, mixture.means_[:, 0], strict=True):
    print(f"{weight:6.3f} {mean:6.2f} {shared_sd:6.2f}")

# %%
# The density is the sum of the components, each times its weight.
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
x = np.linspace(5, 40, 1000)[:, None]
draw_density(ax, mixture, X, x)
parts = mixture.predict_proba(x) * np.exp(mixture.score_samples(x))[:, None]
for index, part in enumerate(parts.T):
    label = "components" if index == 0 else None
    ax.fill_between(x[:, 0], part, color=ORANGE, alpha=0.5, linewidth=0, label=label)
ax.set(xlabel="velocity (thousands of km/s)", ylabel="density")
ax.legend(loc="center left", bbox_to_anchor=(0.62, 0.6))
fig.savefig(FOLDER / "galaxies.png", dpi=120)
