"""
Old Faithful: choose, fit and watch a mixture
=============================================

Eruptions of the geyser Old Faithful are short or long, and a long one is followed by
a long wait.  The number of components is chosen by the likelihood of rows left out;
then EM is watched on its way from a poor start.  Pictures go to the folder named on
the command line, or to ``pictures``.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful
from skgmm.plotting import EMDisplay, MixtureDisplay

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
# Ellipses are at one and two standard deviations.  The shaded regions are the smallest
# that hold a quarter, a half, three quarters and 95 per cent of the mass.
display = MixtureDisplay.from_estimator(mixture, X_train)
held_out = {"marker": "o", "ls": "", "ms": 4, "mfc": "white", "mec": "black"}
display.ax_.plot(*X_test.T, **held_out)
display.ax_.set(xlabel="length of the eruption (min)", ylabel="time to the next (min)")
display.ax_.set_title("Old Faithful: eruptions used to fit, and held out (white)")
display.figure_.savefig(FOLDER / "old_faithful.png", dpi=120)

# %%
# EM at work
# ----------
# As in figure 9.8 of Bishop (2006), two round components start at wrong places.  The
# colour of a row shows its responsibilities; the log-likelihood is per row.
start = GaussianMixture.from_parameters(
    [0.5, 0.5], [[-1.5, 1.2], [1.5, -1.2]], covariances=[np.eye(2) / 4] * 2
)
Z = scale.transform(X_train)
display = EMDisplay.from_estimator(GaussianMixture(2, init_params=start), Z)
for ax in display.axes_:
    ax.set(xlabel="", ylabel="")
display.figure_.supxlabel("length of the eruption (standardised)")
display.figure_.supylabel("time to the next (standardised)")
display.figure_.savefig(FOLDER / "old_faithful_em.png", dpi=120)
