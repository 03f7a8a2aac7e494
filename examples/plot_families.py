"""
Kinds of covariances
====================

The same rows with each kind of covariances: a matrix for each component, one for all,
diagonal ones, and spheres.  Fewer parameters describe fewer shapes; the BIC weighs the
one against the other, lower is better.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.plotting import MixtureDisplay

rng = np.random.default_rng(0)
long = rng.normal(size=(300, 2)) @ [[2.0, 1.5], [0.0, 0.4]]
flat = rng.normal(size=(200, 2)) @ [[2.0, -0.6], [0.0, 0.4]] + [1.0, 5.0]
X = np.concatenate([long, flat])

fits = {}
fig, axes = plt.subplots(1, 4, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, name in zip(axes, ("full", "tied", "diag", "spherical"), strict=True):
    fits[name] = GaussianMixture(2, covariance_type=name).fit(X)
    MixtureDisplay.from_estimator(fits[name], X, ax=ax, masses=(), legend=False)
    ax.set_title(f"{name}: BIC {fits[name].bic(X):.0f}")
    ax.label_outer()
    print(f"{name:10} {fits[name].bic(X):8.1f}")
