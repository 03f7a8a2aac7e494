"""
A stream that drifts
====================

``partial_fit`` learns from one batch after the other and keeps only sums.  With
``half_life`` rows are forgotten: the mixture follows a source that moves.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture

rng = np.random.default_rng(0)
batches, size = 100, 1000
# One component stays at 0, the other moves from 4 to 8 after a while.
places = 4 + 4 * np.clip((np.arange(batches) - 40) / 30, 0, 1)

remembers = GaussianMixture(2, random_state=0)
forgets = GaussianMixture(2, half_life=5000, random_state=0)
seen = {"remembers all": [], "half_life=5000": []}
for place in places:
    centres = np.where(rng.random(size) < 0.5, 0.0, place)
    batch = (centres + rng.normal(size=size))[:, np.newaxis]
    for mixture, means in zip((remembers, forgets), seen.values(), strict=True):
        means.append(np.sort(mixture.partial_fit(batch).means_[:, 0]))

# %%
# The first 50 batches, or 5 with the half-life, are kept and fitted; all others were
# seen once.
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rows = size * np.arange(1, batches + 1)
ax.plot(rows, places, color="0.6", linewidth=5, label="truth")
ax.plot(rows, np.zeros(batches), color="0.6", linewidth=5)
for (name, means), color in zip(seen.items(), ("C1", "C0"), strict=True):
    lines = ax.plot(rows, means, color=color)
    lines[0].set_label(name)
ax.set(xlabel="rows seen", ylabel="means of the components")
ax.legend()
