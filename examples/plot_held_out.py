"""
Choose K by rows left out
=========================

The likelihood of rows that were not fitted falls when a mixture has too many
components.  Beside it the BIC, for every number of components and kind of covariances.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import KFold, cross_val_score

from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful
from skgmm.plotting import CriterionDisplay

X = load_old_faithful().data
folds = KFold(3, shuffle=True, random_state=0)
table = {"n_components": [], "covariance_type": [], "bic": [], "held_out": []}
for name in "full", "tied":
    for n_components in range(1, 6):
        mixture = GaussianMixture(n_components, covariance_type=name)
        table["n_components"].append(n_components)
        table["covariance_type"].append(name)
        table["held_out"].append(cross_val_score(mixture, X, cv=folds).mean())
        table["bic"].append(mixture.fit(X).bic(X))

# %%
# Each curve is a kind of covariances; the ring is about the winner.
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
display = CriterionDisplay.from_results(
    table, criterion="held_out", lower_is_better=False, ax=axes[0]
)
CriterionDisplay.from_results(table, criterion="bic", ax=axes[1])
best = display.best_index_
print("best held out:", table["n_components"][best], table["covariance_type"][best])
