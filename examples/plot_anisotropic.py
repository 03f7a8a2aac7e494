"""
Stripes side by side
====================

Long, thin clusters that lie side by side are a trap for starts by k-means, which cuts
them across.  The default start here is a race between several metrics, and finds them.
"""

import matplotlib.pyplot as plt
import numpy as np
import sklearn.mixture

from skgmm import GaussianMixture
from skgmm.plotting import MixtureDisplay

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
X = rng.normal(size=(1200, 2)) * [5.0, 0.2] + np.repeat(centres, 300, axis=0)

ours = GaussianMixture(4).fit(X)
theirs = sklearn.mixture.GaussianMixture(4, random_state=0).fit(X)

# %%
# The picture takes scikit-learn's mixtures too.
fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, mixture, name in (axes[0], ours, "skgmm"), (axes[1], theirs, "scikit-learn"):
    MixtureDisplay.from_estimator(mixture, X, ax=ax, masses=(), legend=False)
    ax.set_title(f"{name}: {mixture.score(X):.3f} nats per row")
    ax.label_outer()
    print(f"{name:12} {mixture.score(X):.3f}")
