"""Try an installed package: ``python .ci/smoke.py compiled`` (or ``numpy``)."""

import sys

import numpy as np

import skgmm
from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful

skgmm.show_versions()
wanted = sys.argv[1]
assert skgmm.kernels.name == wanted, f"{skgmm.kernels.name}, not {wanted}"
X = load_old_faithful().data
for kind, expected in (
    ("full", -4.1554),
    ("tied", -4.1919),
    ("diag", -4.2199),
    ("spherical", -6.2850),
):
    mixture = GaussianMixture(2, covariance_type=kind).fit(X)
    np.testing.assert_allclose(mixture.score(X), expected, atol=1e-4)
    assert np.bincount(mixture.predict(X)).sum() == 272
print("It works.")
