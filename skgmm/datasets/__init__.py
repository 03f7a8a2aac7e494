"""Small data sets that ship with the package.

Public names
------------
load_old_faithful
    Eruptions of a geyser: 272 rows, two features, two clusters.
load_galaxies
    Velocities of 82 galaxies: one feature, an unknown number of clusters.
load_reaven_miller
    Diabetes: 145 rows, three features, three known classes of unequal shapes.

Each returns a `sklearn.utils.Bunch`, as the loaders of scikit-learn do.
"""

from ._base import load_galaxies, load_old_faithful, load_reaven_miller

__all__ = ["load_galaxies", "load_old_faithful", "load_reaven_miller"]
