"""
Regions of highest density
==========================

The smallest region that holds half of the mass is where the density is above some
level.  For a Gaussian it is an ellipse; for a mixture it may have several parts, and
shapes that no single component has.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.plotting import MixtureDisplay

rng = np.random.default_rng(0)
angle = rng.uniform(0, 1.5 * np.pi, size=3000)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
X = ring * rng.normal(4, 0.5, size=(3000, 1))
mixture = GaussianMixture(8).fit(X)

# %%
# On the left the components, on the right their sum.
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="constrained")
MixtureDisplay.from_estimator(mixture, X, ax=axes[0], masses=(), legend=False)
right = MixtureDisplay.from_estimator(
    mixture, X, ax=axes[1], masses=(0.5, 0.8, 0.95), deviations=(), data=None
)

# %%
# Rows drawn from the mixture fall into the regions as often as they should.
rows, _ = mixture.sample(100_000, random_state=0)
density = mixture.score_samples(rows)
for mass, level in zip((0.95, 0.8, 0.5), right.regions_.levels, strict=False):
    print(f"{mass:.2f} of the mass: {np.mean(density > level):.3f} of the rows")
