"""
Missing values: fit, do not fill
================================

Six in ten of the waiting times after long eruptions are deleted.  To fill them with
the mean, or to leave these rows out, bends what is estimated; a mixture is fitted to
what is there.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer

from skgmm import GaussianMixture, GaussianMixtureImputer
from skgmm.datasets import load_old_faithful
from skgmm.plotting import MixtureDisplay

X = load_old_faithful().data
rng = np.random.default_rng(0)
rows = X.copy()
rows[(X[:, 0] > 3) & (rng.random(len(X)) < 0.6), 1] = np.nan
missing = np.isnan(rows[:, 1])

mixture = GaussianMixture(2).fit(rows)
print(f"mean waiting time           {X[:, 1].mean():.1f}")
print(f"of the rows that have one   {np.nanmean(rows[:, 1]):.1f}")
print(f"of the mixture with holes   {mixture.mean()[1]:.1f}")

# %%
# Three ways to fill the holes, for software that takes none: the mean, the conditional
# mean, and a draw from the conditional distribution, which alone has the spread of the
# data.  The ellipses are of the mixture that was fitted with holes.
imputer = GaussianMixtureImputer(mixture=GaussianMixture(2))
drawn = GaussianMixtureImputer(
    mixture=GaussianMixture(2), sample_posterior=True, random_state=0
)
filled = {
    "the mean": SimpleImputer().fit_transform(rows),
    "the conditional mean": imputer.fit_transform(rows),
    "a draw": drawn.fit_transform(rows),
}
fig, axes = plt.subplots(
    1, 3, figsize=(10, 3.6), layout="constrained", sharex=True, sharey=True
)
for ax, (title, table) in zip(axes, filled.items(), strict=True):
    MixtureDisplay.from_estimator(mixture, masses=(), deviations=(1, 2), ax=ax)
    ax.plot(*table[~missing].T, ".", ms=4, color="0.6")
    ax.plot(*table[missing].T, ".", ms=5, color="#D55E00")
    ax.set(title=title, xlabel="eruption (min)", ylabel="")
    if ax.get_legend():
        ax.get_legend().remove()
axes[0].set(ylabel="waiting (min)")

# %%
# The correlation within long eruptions is lost by the mean, and too high by the
# conditional mean.
long_ones = X[:, 0] > 3
print(f"correlation: {np.corrcoef(X[long_ones].T)[0, 1]:.2f}")
for title, table in filled.items():
    print(f"{title:21}{np.corrcoef(table[long_ones].T)[0, 1]:.2f}")
