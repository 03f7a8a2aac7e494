"""Clumps: small dense clusters are found, wherever and however they lie."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

import skgmm._moves
from skgmm import GaussianMixture
from skgmm._clumps import clumps


def cloud(seed, n_rows=1500, d=2, n_clump=20, spread=0.1):
    """Return rows of one Gaussian of which the first ones are a clump."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, d))
    rows[:n_clump] = rng.normal(size=d) + spread * rng.normal(size=(n_clump, d))
    return rows


def found_in(rows, weight=None, order=None):
    weight = np.ones(len(rows)) if weight is None else weight
    order = np.argsort(np.sum(rows**2, axis=1)) if order is None else order
    return clumps(rows, weight, np.zeros(len(rows), dtype=int), order, least=6.0)


@pytest.mark.parametrize(("d", "spread"), [(2, 0.02), (3, 0.05), (5, 0.1), (8, 0.2)])
def test_a_clump_is_found(d, spread):
    n_found = 0
    for seed in range(8):
        found = found_in(cloud(seed, d=d, n_clump=40, spread=spread))
        assert 0 < len(found) <= 12
        shares = [np.mean(group < 40) for groups in found for group in groups]
        n_found += max(shares) > 0.7
        for groups in found:
            assert [len(group) for group in groups] == [6, 12, 24]
            for inner, outer in pairwise(groups):
                assert set(inner) < set(outer)
    assert n_found >= 7


@given(st.integers(0, 10**6))
def test_the_order_in_memory_does_not_matter(seed):
    rows = cloud(seed, n_rows=600)
    order = np.random.default_rng(seed).permutation(len(rows))
    found, moved = found_in(rows), found_in(rows[order])
    assert len(found) == len(moved)
    for one, other in zip(found, moved, strict=True):
        for group, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(order[same], group)


def test_sizes_are_those_of_weights():
    [groups, *_] = found_in(cloud(0), np.full(1500, 2.0))
    assert [len(group) for group in groups] == [3, 6, 12]


def test_rows_that_are_all_the_same_have_no_clumps():
    assert found_in(np.zeros((600, 2))) == []


# ---- fits -----------------------------------------------------------------
def rare(seed, n_clump=25, spread=0.2, n_rows=2000, d=3):
    """Return rows of three wide clusters and a small dense one, and their classes."""
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.normal(size=(3, d))
    classes = rng.integers(3, size=n_rows)
    X = centres[classes] + rng.normal(size=(n_rows, d))
    X[:n_clump] = centres[classes[0]] + rng.normal(size=d)
    X[:n_clump] += spread * rng.normal(size=(n_clump, d))
    classes[:n_clump] = 3
    return X, classes


def without_clumps(monkeypatch):
    monkeypatch.setattr(skgmm._moves, "_with_clumps", lambda field, run: ({}, []))


@pytest.mark.parametrize("kind", ["complete", "holes", "noise"])
def test_further_starts_find_rare_dense_clusters(kind, monkeypatch):
    """Not all, but many more than without looking for clumps."""
    mixture = GaussianMixture(4, n_init=2, random_state=0, noise=kind == "noise")
    n_better = 0
    for seed in range(12):
        X, _ = rare(seed)
        if kind == "holes":
            X[np.random.default_rng(0).random(X.shape) < 0.005] = np.nan
        best = clone(mixture).fit(X)
        assert not best.degenerate_
        with monkeypatch.context() as patch:
            without_clumps(patch)
            without = clone(mixture).fit(X)
        gain = len(X) * (best.lower_bound_ - without.lower_bound_)
        assert gain > -3.0
        n_better += gain > 3.0
    assert n_better >= 1


@pytest.mark.parametrize("covariance_type", ["diag", "VEV", "VEI"])
def test_in_families_with_a_volume_of_their_own(covariance_type, monkeypatch):
    X, _ = rare(5)
    options = {"covariance_type": covariance_type, "n_init": 2, "random_state": 0}
    best = GaussianMixture(4, **options).fit(X)
    without_clumps(monkeypatch)
    without = GaussianMixture(4, **options).fit(X)
    assert best.lower_bound_ >= without.lower_bound_ - 1e-6
    assert not best.degenerate_


def test_components_that_share_a_volume_have_no_clumps():
    X, _ = rare(0)
    mixture = GaussianMixture(4, covariance_type="tied", n_init=2, random_state=0)
    assert mixture.fit(X).converged_
