"""
Clusters, and how sure they are
===============================

Reaven and Miller measured 145 people, some with overt or chemical diabetes.  A mixture
that knows no diagnosis finds the three groups; where they meet it is not sure.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgmm import GaussianMixture
from skgmm.datasets import load_reaven_miller
from skgmm.plotting import MixtureDisplay, UncertaintyDisplay

people = load_reaven_miller(as_frame=True)
X = people.data
mixture = GaussianMixture(3).fit(X)
print(mixture.summary(X))

# %%
# All pairs of the three measurements:
MixtureDisplay.from_estimator(mixture, X)

# %%
# The plane in which the groups differ most, in means and in covariances, and how sure
# the component of each person is there:
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
MixtureDisplay.from_estimator(
    mixture, X, features="projection", ax=axes[0], masses=(), legend=False
)
display = UncertaintyDisplay.from_estimator(mixture, X, ax=axes[1])

# %%
# How many people of each diagnosis are in each component:
labels = mixture.predict(X)
for diagnosis, name in enumerate(people.target_names):
    print(f"{name:10}", np.bincount(labels[people.target == diagnosis], minlength=3))
unsure = display.uncertainty > 0.2
print(f"{np.sum(unsure)} people have an uncertainty above 0.2")
