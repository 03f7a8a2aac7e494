"""
Regression with several answers
===============================

Where one x goes with several y no single curve is an answer.  A mixture of x and y
together gives the whole distribution of y for each x.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixtureRegressor

# The inverse of a function that turns back (Bishop 2006, section 5.6).
rng = np.random.default_rng(0)
y = rng.uniform(size=1000)
x = y + 0.3 * np.sin(2 * np.pi * y) + rng.normal(scale=0.05, size=1000)
model = GaussianMixtureRegressor(n_components=8).fit(x[:, np.newaxis], y)

# %%
# Grey is the density of y for each x.  Where there are three branches the mean is an
# answer that few rows give; the quantiles tell how far the branches reach.
points, answers = np.linspace(0, 1, 101), np.linspace(-0.1, 1.1, 201)
pairs = np.stack(np.meshgrid(points, answers), axis=-1).reshape(-1, 2)
density = np.exp(model.log_predictive_density(pairs[:, :1], pairs[:, 1]))

fig, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
ax.pcolormesh(
    points, answers, density.reshape(201, 101), cmap="Greys", vmax=10, rasterized=True
)
ax.plot(x, y, ".", ms=2, color="#0072B2", alpha=0.5)
inputs = points[:, np.newaxis]
ax.plot(points, model.predict(inputs), color="#D55E00", label="mean")
low, high = model.predict_interval(inputs, 0.9).T
ax.plot(points, low, "--", color="#D55E00", label="90 per cent")
ax.plot(points, high, "--", color="#D55E00")
ax.set(xlim=(0, 1), ylim=(-0.1, 1.1), xlabel="x", ylabel="y")
ax.legend(loc="upper left")

# %%
# Intervals with equal tails hold what they say.
low, high = model.predict_interval(x[:, np.newaxis], 0.9).T
held = np.mean((low <= y) & (y <= high))
print(f"rows within their 90 per cent interval: {held:.1%}")
