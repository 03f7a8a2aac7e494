"""
Outliers by their density
=========================

Rows where the density is low are unusual.  A threshold on the log-density of the rows
that were fitted, here its lowest per cent, tells which new rows are.
"""

import numpy as np

from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful
from skgmm.plotting import MixtureDisplay

X = load_old_faithful(as_frame=True).data
mixture = GaussianMixture(2).fit(X)
threshold = np.quantile(mixture.score_samples(X), 0.01)

# Invented eruptions: two usual ones, a short one after which it took long, a long wait.
new = X.iloc[:4].copy()
new[:] = [[1.8, 60.0], [4.0, 72.0], [2.0, 85.0], [4.5, 120.0]]
densities = mixture.score_samples(new)
unusual = densities < threshold
for row, density, mark in zip(new.to_numpy(), densities, unusual, strict=True):
    print(f"{row[0]:4.1f} {row[1]:6.1f} {density:8.2f}  {'unusual' if mark else ''}")

# %%
# The region that holds 99 per cent of the mass is the same idea: outside of it are the
# outliers.
display = MixtureDisplay.from_estimator(mixture, X, masses=(0.5, 0.99), deviations=())
ax = display.ax_
ax.plot(*new[~unusual].to_numpy().T, "o", ms=9, mfc="none", mec="black")
ax.plot(*new[unusual].to_numpy().T, "x", ms=9, mew=2, color="black")
ax.set(xlim=(1, 5.8), ylim=(38, 125), title="Rings: usual; crosses: unusual")
