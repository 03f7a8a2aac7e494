"""
Choose K by a criterion, then merge
===================================

`GaussianMixtureIC` fits numbers of components by types of covariances and keeps the
best.  The BIC looks for the density: a cluster that is no Gaussian takes several
components.  Merging them gives the clusters.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixtureIC
from skgmm.plotting import CriterionDisplay
from skgmm.selection import merge_components

rng = np.random.default_rng(1)
cross = rng.normal(size=(400, 2)) * [2.0, 0.3]
cross[200:] = cross[200:, ::-1]
heap = rng.normal(size=(200, 2)) * 0.6 + [5.0, 4.0]
X = np.concatenate([cross, heap])

types = ["full", "tied", "diag", "spherical"]
best = GaussianMixtureIC(range(1, 7), covariance_type=types).fit(X)
print(f"BIC: {best.n_components_} components, {best.covariance_type_}")

# %%
# Merging goes step by step; the entropy of the responsibilities falls fast as long as
# components are joined that share rows.
merged = merge_components(best, X)
for n_clusters in range(best.n_components_, 0, -1):
    print(n_clusters, "clusters:", merged.components(n_clusters))

# %%
# The criterion, the components that it chose, and two clusters.
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
CriterionDisplay.from_estimator(best, ax=axes[0])
for ax, labels, title in (
    (axes[1], best.predict(X), f"{best.n_components_} components"),
    (axes[2], merged.predict(X, 2), "2 clusters"),
):
    ax.scatter(*X.T, c=labels, s=10, cmap="cividis", edgecolor="k", linewidth=0.2)
    ax.set(title=title, aspect="equal")
