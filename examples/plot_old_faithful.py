"""
Old Faithful: choose, fit and watch a mixture
=============================================

Eruptions of the geyser Old Faithful are short or long, and a long one is followed by
a long wait.  The number of components is chosen by the likelihood of rows left out;
then EM is watched on its way from a poor start.  Pictures go to the folder named on
the command line, or to ``pictures``.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful

COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"]  # Okabe and Ito
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
FOLDER.mkdir(parents=True, exist_ok=True)

# %%
# How many components?
# --------------------
# A quarter of the eruptions is set aside.  Five-fold cross-validation on the others
# compares the numbers of components K by the mean log-density of the rows left out.
# Of those within a standard error of the best the simplest is taken.
X_train, X_test = train_test_split(load_old_faithful().data, random_state=0)


def simplest(results):
    """Return the first K within a standard error of the best held-out score."""
    means, deviations = results["mean_test_score"], results["std_test_score"]
    best = np.argmax(means)
    return int(np.argmax(means >= means[best] - deviations[best] / np.sqrt(5)))


search = GridSearchCV(
    Pipeline([("scale", StandardScaler()), ("mixture", GaussianMixture())]),
    {"mixture__n_components": range(1, 6)},
    cv=KFold(5, shuffle=True, random_state=0),
    refit=simplest,
).fit(X_train)

print("Held-out log-likelihood, nats per eruption (standardised features)")
print("  K      mean  sd of folds")
scores = [search.cv_results_[name] for name in ("mean_test_score", "std_test_score")]
for K, mean, deviation in zip(range(1, 6), *scores, strict=True):
    mark = "   chosen" if search.best_params_["mixture__n_components"] == K else ""
    print(f"{K:3d} {mean:9.3f} {deviation:12.3f}{mark}")

# %%
# The mixture in minutes
# ----------------------
# The pipeline has fitted standardised features.  Undoing the scaling of means and
# covariances gives the same mixture in minutes.
scale, fitted = search.best_estimator_
mixture = GaussianMixture.from_parameters(
    fitted.weights_,
    scale.inverse_transform(fitted.means_),
    covariances=fitted.covariances_ * np.outer(scale.scale_, scale.scale_),
)
sd = np.sqrt(np.diagonal(mixture.covariances_, axis1=1, axis2=2))
correlations = mixture.covariances_[:, 0, 1] / sd.prod(axis=1)

print("\nFitted mixture, in minutes: means (standard deviations)")
print("weight      eruption         waiting  correlation")
rows = zip(mixture.weights_, mixture.means_, sd, correlations, strict=True)
for w, m, s, r in rows:
    print(f"{w:6.3f} {m[0]:6.2f} ({s[0]:.2f}) {m[1]:8.2f} ({s[1]:.2f}) {r:12.2f}")
print(f"\nTest rows: {len(X_test)} eruptions, {mixture.score(X_test):.3f} nats each")

# %%
# The density
# -----------
# Ellipses are at one and two standard deviations, contours at equal steps of the
# log-density.
ANGLES = np.linspace(0, 2 * np.pi, 200)
CIRCLE = np.array([np.cos(ANGLES), np.sin(ANGLES)])


def draw_mixture(ax, mixture):
    """Draw mean and ellipses of each component."""
    factors = np.linalg.cholesky(mixture.covariances_)
    for mean, factor, colour in zip(mixture.means_, factors, COLOURS, strict=False):
        for radius, style in (1, "-"), (2, "--"):
            ax.plot(*(mean[:, None] + radius * factor @ CIRCLE), style, color=colour)
        ax.plot(*mean, "X", color=colour, markersize=10, markeredgecolor="black")


fig, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
grid = np.meshgrid(np.linspace(1.2, 5.6, 200), np.linspace(38, 102, 200))
log_density = mixture.score_samples(np.reshape(grid, (2, -1)).T).reshape(200, 200)
levels = log_density.max() + np.arange(-6, 1)
ax.contourf(*grid, log_density, levels, cmap="Greys", vmax=levels[-1] + 8)
ax.plot(*X_train.T, ".", color="black", markersize=4, label="used to fit")
ax.plot(*X_test.T, "o", color="black", markersize=4, mfc="white", label="held out")
draw_mixture(ax, mixture)
ax.legend(loc="lower right")
ax.set(xlabel="length of the eruption (min)", ylabel="time to the next (min)")
ax.set_title("Density, means, and ellipses of 1 and 2 standard deviations")
fig.savefig(FOLDER / "old_faithful.png", dpi=120)

# %%
# EM at work
# ----------
# As in figure 9.8 of Bishop (2006), two round components start at wrong places.  The
# colour of a row shows its responsibilities; the log-likelihood is per row.
Z = scale.transform(X_train)
start = GaussianMixture.from_parameters(
    [0.5, 0.5], [[-1.5, 1.2], [1.5, -1.2]], covariances=[np.eye(2) / 4] * 2
)
blend = LinearSegmentedColormap.from_list("blend", COLOURS[:2])
fig, axes = plt.subplots(2, 3, figsize=(8, 6), sharex=True, sharey=True)
for ax, n_iter in zip(axes.flat, [0, 1, 2, 5, 10, 20], strict=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped on the way
        mixture = GaussianMixture(
            2, init_params=start, max_iter=n_iter, tol=0, acceleration=None
        )
        state = mixture.fit(Z)
    shade = state.predict_proba(Z)[:, 1]
    ax.scatter(*Z.T, c=shade, cmap=blend, vmin=0, vmax=1, s=16, alpha=0.4, lw=0)
    draw_mixture(ax, state)
    ax.set_title(f"iteration {n_iter}" if n_iter else "start")
    ax.set_xlabel(f"log-likelihood ${state.score(Z):.3f}$")
fig.supxlabel("length of the eruption (standardised)")
fig.supylabel("time to the next (standardised)")
fig.tight_layout()
fig.savefig(FOLDER / "old_faithful_em.png", dpi=120)
