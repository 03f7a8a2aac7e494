"""
Contours of a density
=====================

A mixture is a smooth estimate of a density.  Here it stands beside a kernel density
estimate of the same rows: five components follow the curve, with 29 numbers instead of
all rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import KernelDensity

from skgmm import GaussianMixture

rng = np.random.default_rng(0)
angle = rng.uniform(0.0, np.pi, size=600)
curve = np.column_stack([3 * np.cos(angle), 2 * np.sin(angle)])
X = curve + 0.25 * rng.normal(size=curve.shape)

mixture = GaussianMixture(5).fit(X)
kernels = KernelDensity(bandwidth=0.25).fit(X)

# %%
# Both are evaluated on a grid; the lines are drawn at the same densities.
x, y = np.meshgrid(np.linspace(-4.5, 4.5, 100), np.linspace(-1.5, 3.5, 60))
grid = np.column_stack([x.ravel(), y.ravel()])
levels = [0.01, 0.03, 0.06, 0.12, 0.18]
fig, axes = plt.subplots(
    1, 2, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained"
)
for ax, model, title in (
    (axes[0], mixture, "mixture of five components"),
    (axes[1], kernels, "kernel density estimate"),
):
    density = np.exp(model.score_samples(grid)).reshape(x.shape)
    ax.scatter(*X.T, s=4, color="0.75")
    lines = ax.contour(x, y, density, levels=levels, cmap="viridis")
    ax.clabel(lines, fontsize=7)
    ax.set(title=title, aspect="equal")

# %%
# New rows say which of the two is nearer to the truth.
angle = rng.uniform(0.0, np.pi, size=1000)
new = np.column_stack([3 * np.cos(angle), 2 * np.sin(angle)])
new += 0.25 * rng.normal(size=new.shape)
print(f"mixture  {mixture.score(new):.3f} nats per row")
print(f"kernels  {kernels.score(new) / len(new):.3f} nats per row")
