"""
Rows on a cluster
=================

Blocks of a Dask array are summed where they are; no more than sums travel.  Here Dask
computes on threads.  With a ``distributed.Client`` the same lines run on a cluster.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture, GaussianMixtureIC

truth = GaussianMixture.from_parameters(
    [0.2, 0.3, 0.5],
    [[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]],
    covariances=[[[1.0, 0.8], [0.8, 1.0]], [[2.0, 0.0], [0.0, 0.3]], np.eye(2)],
)


def block(seeds):
    """Return the rows of one block: they are made where they stay."""
    return truth.sample(20_000, random_state=int(seeds[0]))[0]


rows = da.arange(10, chunks=1).map_blocks(
    block, new_axis=1, chunks=((20_000,) * 10, (2,)), dtype=float
)
rows = rows.persist()
search = GaussianMixtureIC(range(1, 5), covariance_type=["full", "tied"])
search.fit(rows)
print(f"{len(rows)} rows: {search.n_components_} components, {search.covariance_type_}")

# %%
# Predictions are lazy.  Counts of labels are computed block by block, and so is a
# histogram: nothing here holds all rows.
labels = search.predict(rows)
counts = da.bincount(labels, minlength=search.n_components_).compute()
print("rows of each component:", counts)
edges = np.linspace(-4, 9, 80)
image, _, _ = da.histogram2d(rows[:, 0], rows[:, 1], bins=(edges, edges))

fig, ax = plt.subplots(figsize=(5, 4.4), layout="constrained")
ax.imshow(
    np.sqrt(image.compute().T), origin="lower", extent=(-4, 9, -4, 9), cmap="Greys"
)
middles = (edges[:-1] + edges[1:]) / 2
grid = np.stack(np.meshgrid(middles, middles), axis=-1)
density = np.exp(search.score_samples(grid.reshape(-1, 2))).reshape(grid.shape[:2])
ax.contour(middles, middles, density, levels=6, cmap="viridis")
ax.set(title="200 000 rows in 10 blocks, and the fitted density")
