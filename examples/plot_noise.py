"""
Clusters among noise
====================

A Gaussian that has to account for outliers is bent by them.  With ``noise=True`` there
is one more component, of constant density, which takes the rows that are of no cluster.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.plotting import MixtureDisplay

# Two clusters, and one row in four anywhere.
rng = np.random.default_rng(2)
X = np.concatenate(
    [
        rng.normal([0.0, 0.0], [1.0, 0.4], size=(300, 2)),
        rng.normal([5.0, 3.0], [0.5, 0.8], size=(300, 2)),
        rng.uniform([-8, -8], [13, 11], size=(200, 2)),
    ]
)
plain = GaussianMixture(2).fit(X)
mixture = GaussianMixture(2, noise=True).fit(X)
print(f"{mixture.noise_weight_:.0%} of the rows are noise")
print("means:", mixture.means_.round(1).tolist())
print(f"BIC without noise {plain.bic(X):.0f}, with noise {mixture.bic(X):.0f}")

# %%
# Rows are coloured by their responsibilities; those of the noise are grey.
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, fit, title in zip(
    axes, (plain, mixture), ("without noise", "with noise"), strict=True
):
    MixtureDisplay.from_estimator(fit, X, masses=(), deviations=(1, 2), ax=ax)
    ax.set(xlim=(-9, 14), ylim=(-9, 12), title=title)
    if ax.get_legend():
        ax.get_legend().remove()

# %%
# `predict` calls noise -1, as the clusterings of scikit-learn do.
labels = mixture.predict(X)
for label in np.unique(labels):
    print(f"label {label:2d}: {np.sum(labels == label)} rows")
