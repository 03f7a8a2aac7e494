"""
Rows with weights
=================

Data often come as counts in bins.  A weight says how often a row counts: so the middles
of the bins, weighted by the counts, give all but the mixture of the single rows.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.plotting import MixtureDisplay

rng = np.random.default_rng(0)
rows = np.concatenate([rng.normal(20, 3, 60_000), rng.normal(35, 5, 40_000)])
counts, edges = np.histogram(rows, bins=50)
middles = (edges[:-1] + edges[1:])[:, np.newaxis] / 2

single = GaussianMixture(2).fit(rows[:, np.newaxis])
binned = GaussianMixture(2).fit(middles, sample_weight=counts)
print(single.summary())
print()
print(binned.summary())

# %%
# Without weights the bins alone say nothing of how many rows are in them.
careless = GaussianMixture(2).fit(middles)
fig, axes = plt.subplots(
    1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained"
)
everything = rows[:, np.newaxis]
for ax, mixture, title in (
    (axes[0], single, "100 000 rows"),
    (axes[1], binned, "50 bins, weighted"),
    (axes[2], careless, "50 bins, not weighted"),
):
    MixtureDisplay.from_estimator(mixture, everything, ax=ax, legend=False)
    ax.set_title(title)
    ax.label_outer()
