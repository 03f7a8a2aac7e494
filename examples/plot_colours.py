"""
The colours of a picture
========================

A mixture fitted to the colours of pixels finds the paints of a picture, with how much
each varies.  Painting each pixel in the mean of its component needs eight colours only;
the mean by responsibility softens the borders.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skgmm import GaussianMixture

image = load_sample_image("china.jpg")[::2, ::2] / 255
pixels = image.reshape(-1, 3)
mixture = GaussianMixture(8, n_swaps=2, random_state=0).fit(pixels[::10])

order = np.argsort(-mixture.weights_)
for k in order:
    red, green, blue = np.round(255 * mixture.means_[k]).astype(int)
    print(f"{mixture.weights_[k]:.3f}  #{red:02x}{green:02x}{blue:02x}")

# %%
hard = mixture.means_[mixture.predict(pixels)]
soft = mixture.predict_proba(pixels) @ mixture.means_
fig, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
titles = "original", "eight colours", "mixed by responsibility", "the paints, by weight"
for ax, colours, title in zip(axes.flat, (pixels, hard, soft), titles, strict=False):
    ax.imshow(np.clip(colours, 0, 1).reshape(image.shape))
    ax.set(title=title, xticks=[], yticks=[])
ends = np.cumsum(mixture.weights_[order])
starts = ends - mixture.weights_[order]
axes[1, 1].barh(
    0, mixture.weights_[order], left=starts, color=np.clip(mixture.means_[order], 0, 1)
)
axes[1, 1].set(title=titles[3], xlim=(0, 1), ylim=(-0.4, 0.4), yticks=[])
