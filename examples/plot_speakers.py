"""
Many features: who speaks?
==========================

A classical recogniser of speakers has a mixture of diagonal Gaussians for the spectra
of each voice, some dozens of numbers every ten milliseconds.  The mixture whose density
of a whole utterance is highest names the speaker.  These voices are made up: each
speaker says the same sounds, in a way of their own.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from skgmm import GaussianMixture

n_speakers, n_sounds, n_features = 8, 12, 39
rng = np.random.default_rng(0)
sounds = rng.normal(size=(n_sounds, n_features))
voices = sounds + 0.15 * rng.normal(size=(n_speakers, n_sounds, n_features))
loudness = rng.uniform(0.8, 1.25, size=(n_speakers, n_sounds, n_features))


def speech(speaker, n_frames):
    """Return frames of a speaker, shape (n_frames, n_features)."""
    said = rng.integers(n_sounds, size=n_frames)
    noise = rng.normal(size=(n_frames, n_features))
    return voices[speaker, said] + loudness[speaker, said] * noise


# %%
# Twenty seconds of each speaker to learn from, a mixture for each.
voice = GaussianMixture(n_sounds, covariance_type="diag", random_state=0)
models = [clone(voice).fit(speech(speaker, 2000)) for speaker in range(n_speakers)]

# %%
# Frames are taken as independent: their log-densities add up, and even a short
# utterance tells speakers apart.
lengths = [1, 2, 5, 10, 20, 50]
right = []
for n_frames in lengths:
    truth = np.repeat(np.arange(n_speakers), 25)
    frames = np.concatenate([speech(speaker, n_frames) for speaker in truth])
    density = np.column_stack([model.score_samples(frames) for model in models])
    total = density.reshape(len(truth), n_frames, n_speakers).sum(axis=1)
    right.append(np.mean(total.argmax(axis=1) == truth))
    print(f"{10 * n_frames:4} ms: {right[-1]:.0%} right")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].plot([10 * n for n in lengths], right, "o-", color="k")
axes[0].axhline(1 / n_speakers, color="0.6", linestyle=":")
axes[0].text(500, 1 / n_speakers + 0.02, "guessing", ha="right", color="0.4")
axes[0].set(
    xscale="log", xlabel="length of the utterance, ms", ylabel="share that is right"
)
axes[0].set(title="speakers recognised", ylim=(0, 1.03))
axes[0].set_xticks([10, 100, 500], ["10", "100", "500"])
found = models[0].means_[np.argsort(models[0].means_[:, 0])]
image = axes[1].imshow(found, aspect="auto", cmap="PuOr", vmin=-3, vmax=3)
axes[1].set(title="means of the first speaker", xlabel="feature", ylabel="component")
fig.colorbar(image, ax=axes[1])
