"""
Classes of several parts
========================

A classifier with a mixture for each class.  Here each class has two parts, and they
take turns: one Gaussian a class cannot tell them apart, and BIC finds that two are
needed.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixtureClassifier

rng = np.random.default_rng(0)
centres = np.array([[-4.5, -1.0], [1.5, -1.0], [-1.5, 1.0], [4.5, 1.0]])
parts = np.repeat(np.arange(4), 80)
X = centres[parts] + rng.normal(size=(len(parts), 2)) * [0.9, 1.5]
y = np.where(parts < 2, "circle", "square")

one = GaussianMixtureClassifier(1).fit(X, y)
chosen = GaussianMixtureClassifier([1, 2, 3]).fit(X, y)
print("components:", [mixture.n_components for mixture in chosen.mixtures_])
print(f"accuracy: {one.score(X, y):.2f} and {chosen.score(X, y):.2f}")

# %%
# The line is where both classes are equally probable.
fig, axes = plt.subplots(
    1, 2, figsize=(10, 4.2), layout="constrained", sharex=True, sharey=True
)
side = np.linspace(-8, 8, 201)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
titles = "one Gaussian a class", "two a class, by BIC"
for ax, classifier, title in zip(axes, (one, chosen), titles, strict=True):
    probability = classifier.predict_proba(grid)[:, 0].reshape(201, 201)
    image = ax.contourf(side, side, probability, np.linspace(0, 1, 11), cmap="RdBu")
    ax.contour(side, side, probability, [0.5], colors="black")
    for label, marker in (("circle", "o"), ("square", "s")):
        rows = X[y == label]
        ax.plot(*rows.T, marker, ms=4, mfc="white", mec="black", mew=0.6, label=label)
    ax.set(title=title, aspect="equal")
axes[0].legend(loc="lower left")
fig.colorbar(image, ax=axes, label="probability of a circle")

# %%
# A feature may be missing.  Here the first coordinate alone says as much as both, the
# second one less.
rows = [[1.5, -1.0], [1.5, np.nan], [np.nan, -1.0]]
print(chosen.predict_proba(rows).round(2))
