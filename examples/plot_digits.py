"""
Many features: handwritten digits
=================================

With 64 features a full matrix has 2080 parameters, a diagonal one 64.  A mixture of
diagonal Gaussians learns typical digits from images without their labels, and draws new
ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skgmm import GaussianMixture

X, digits = load_digits(return_X_y=True)
used = X.std(axis=0) > 0  # some pixels at the border are always empty
X = X[:, used]


def image(values):
    """Return the image (8, 8) of the pixels that are used."""
    out = np.zeros(64)
    out[used] = values
    return out.reshape(8, 8)


mixture = GaussianMixture(20, covariance_type="diag", reg_covar=0.5, n_swaps=0).fit(X)
labels = mixture.predict(X)
usual = [np.bincount(digits[labels == k], minlength=10).argmax() for k in range(20)]
right = np.mean(np.array(usual)[labels] == digits)
print(f"{right:.0%} of the images are in a component where most have their digit")

# %%
# The means are images, ordered by the digit that most of their rows show.
fig, axes = plt.subplots(2, 10, figsize=(9, 2.2), layout="constrained")
for ax, k in zip(axes.flat, np.argsort(usual, kind="stable"), strict=True):
    ax.imshow(image(mixture.means_[k]), cmap="gray_r")
    ax.set(xticks=[], yticks=[], title=str(usual[k]))

# %%
# New images, drawn from the mixture.  Pixels are independent given the component: edges
# are rough.
rows, components = mixture.sample(20, random_state=0)
fig, axes = plt.subplots(2, 10, figsize=(9, 2.2), layout="constrained")
for ax, row, k in zip(axes.flat, rows, components, strict=True):
    ax.imshow(image(row), cmap="gray_r", vmin=0, vmax=16)
    ax.set(xticks=[], yticks=[], title=str(usual[k]))
