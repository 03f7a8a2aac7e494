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

import numpy as np

from skgmm import GaussianMixture
from skgmm.datasets import load_galaxies
from skgmm.plotting import MixtureDisplay

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
# The data are ticks below the density; the mean and one standard deviation to each side
# are marked.
display = MixtureDisplay.from_estimator(gaussian, X)
display.figure_.savefig(FOLDER / "one_gaussian.png", dpi=120)

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
# The density is the sum of the components, each times its weight.  The ticks have the
# colours of the components, mixed by responsibility.
display = MixtureDisplay.from_estimator(mixture, X)
display.ax_.set_xlabel("velocity (thousands of km/s)")
display.figure_.savefig(FOLDER / "galaxies.png", dpi=120)
