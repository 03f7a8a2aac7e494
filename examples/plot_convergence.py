"""
How EM converges, and how it is accelerated
===========================================

Where components overlap plain EM crawls: the gap to the maximum shrinks by the same
small part each time.  SQUAREM, the default, extrapolates the steps.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.plotting import ConvergenceDisplay, MixtureDisplay

rng = np.random.default_rng(0)
X = rng.normal(np.repeat([0.0, 2.2], [2000, 1000]), 1)[:, np.newaxis]
start = {"means_init": [[-1.0], [1.0]], "tol": 1e-9, "max_iter": 5000}
plain = GaussianMixture(2, acceleration=None, **start).fit(X)
leaps = GaussianMixture(2, **start).fit(X)
best = GaussianMixture(2, **(start | {"tol": 1e-13})).fit(X).lower_bound_
print(f"plain EM {plain.n_iter_} iterations, SQUAREM {leaps.n_iter_}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for mixture, name in (plain, "plain EM"), (leaps, "SQUAREM"):
    ConvergenceDisplay.from_estimator(mixture, name=name, gap=best, ax=axes[0])
MixtureDisplay.from_estimator(leaps, X, ax=axes[1])
