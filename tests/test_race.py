"""The race of starts, its k-means, swaps, and degenerate components."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from strategies import TYPES, Truth, case

import skgmm._moves
import skgmm._starts
from skgmm import GaussianMixture, kernels
from skgmm._degeneracy import Degenerate
from skgmm._em import Problem
from skgmm._field import Field, Run
from skgmm._frame import Frame
from skgmm._kmeans import kmeans, seeds
from skgmm._mixture import Mixture
from skgmm._moves import _longest_axes, _moved, _pairs
from skgmm._regularisation import PseudoObservations
from skgmm._sources import ArraySource
from skgmm.families import FAMILIES
from skgmm.forms import Full

types = pytest.mark.parametrize("covariance_type", TYPES)


def test_kmeans_ends_where_that_of_sklearn_does():
    X = case(3, 4, 3, distance=8.0, n_rows=600).X
    rng = np.random.RandomState(0)
    weight = rng.uniform(0.5, 2.0, len(X))
    centres = seeds(X, weight, 4, rng)
    labels = kmeans(X, weight, centres)
    theirs = KMeans(4, init=centres, n_init=1, tol=0).fit(X, sample_weight=weight)
    assert adjusted_rand_score(labels, theirs.labels_) == 1


@pytest.mark.parametrize("n_rows", [6, 60])
@pytest.mark.parametrize("pairs", [0, 10_000])  # a component at a time, or together
def test_longest_axes(n_rows, pairs, monkeypatch):
    monkeypatch.setattr(skgmm._moves, "_PAIRS", pairs)
    rng = np.random.default_rng(0)
    rows, mass = rng.normal(size=(n_rows, 9)), rng.uniform(size=(n_rows, 3))
    rows[:, 0] *= 3.0
    mass[:, 1] = 0.0
    axes = _longest_axes(rows, rows, mass)
    for k in (0, 2):
        matrix = np.cov(rows.T, aweights=mass[:, k], bias=True)
        along = axes[k] * (axes[k] @ axes[k])
        np.testing.assert_allclose(matrix @ axes[k], along, 1e-12, 1e-12)
        largest = np.linalg.eigvalsh(matrix)[-1]
        assert axes[k] @ axes[k] == pytest.approx(largest, rel=1e-12)
    np.testing.assert_array_equal(axes[1], 0.0)
    # They move with the features if the metric stays.
    mixing = rng.normal(size=(9, 9))
    moved = _longest_axes(rows @ mixing + 1e3, rows, mass)
    np.testing.assert_allclose(moved, axes @ mixing, rtol=1e-9, atol=1e-9)


def test_mixtures_with_one_component_in_two():
    X = case(3, 3, 2, n_rows=200).X
    fitted = GaussianMixture(3, noise=True, random_state=0).fit(X)
    mixture = fitted._model().mixture
    offsets = 0.1 * np.arange(6.0).reshape(3, 2)
    sets = mixture.in_two(offsets, (1.75, 0.25))
    assert len(sets) == 6
    for r in range(6):
        one, c, offset = sets[r], r % 3, offsets[r % 3] * (r < 3)
        assert one.noise.weight == pytest.approx(mixture.noise.weight)
        half = mixture.weights[c] / 2
        expected = np.append(mixture.weights, half)
        expected[c] = half
        np.testing.assert_allclose(one.weights, expected, rtol=1e-12)
        means = np.vstack([mixture.means, mixture.means[c] - offset])
        means[c] += offset
        np.testing.assert_allclose(one.means, means, rtol=1e-12)


def test_seeds_of_few_distinct_rows():
    X = np.repeat([[0.0], [1.0]], 5, axis=0)
    chosen = seeds(X, np.ones(10), 4, np.random.RandomState(0))
    assert set(chosen[:2, 0]) == {0.0, 1.0}
    assert chosen.shape == (4, 1)


def test_seeds_are_never_rows_without_weight():
    X = np.arange(10.0)[:, np.newaxis]
    weight = (X[:, 0] < 3).astype(float)
    chosen = seeds(X, weight, 3, np.random.RandomState(0))
    assert set(chosen[:, 0]) == {0.0, 1.0, 2.0}


def stripes(n_rows=1000):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 2)) * [100.0, 1.0]
    X[: n_rows // 2, 1] += 10.0
    return X, np.arange(n_rows) < n_rows // 2


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_stripes_are_found(covariance_type):
    X, labels = stripes()
    mixture = GaussianMixture(2, covariance_type=covariance_type)
    assert adjusted_rand_score(mixture.fit_predict(X), labels) == 1


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("distance", [7.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_mixed_features_give_the_same_partition(covariance_type, seed, distance):
    """Where components overlap too, and there are many optima."""
    rng = np.random.default_rng(seed)
    X = case(seed, 4, 3, distance=distance, n_rows=600).X
    mixing = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [1.0, 3.0, 0.2]
    scale = 10.0 ** rng.uniform(-6, 6, 3)
    one = GaussianMixture(4, covariance_type=covariance_type).fit(X)
    other = GaussianMixture(4, covariance_type=covariance_type).fit(X @ mixing * scale)
    labels = other.predict(X @ mixing * scale)
    assert adjusted_rand_score(one.predict(X), labels) == 1
    jacobian = np.linalg.slogdet(mixing)[1] + np.log(scale).sum()
    score = other.score(X @ mixing * scale) + jacobian
    assert score == pytest.approx(one.score(X), abs=1e-6)


@types
@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_and_state_do_not_matter(covariance_type, seed):
    X = case(seed, 4, 2, distance=6.0, n_rows=400).X
    order = np.random.default_rng(seed).permutation(len(X))
    one = GaussianMixture(4, covariance_type=covariance_type, random_state=1).fit(X)
    other = GaussianMixture(4, covariance_type=covariance_type).fit(X[order])
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-6)


@types
@pytest.mark.parametrize("seed", range(3))
def test_default_fits_obey_the_laws(covariance_type, seed):
    """Up to `tol`: leaps and choices make more of rounding than it was."""
    X = case(seed, 4, 3, distance=6.0, n_rows=400).X
    weight = np.random.default_rng(seed).integers(0, 4, len(X))
    factor, shift = 2.0**13, 1e4 * np.arange(3)
    one = GaussianMixture(4, covariance_type=covariance_type).fit(
        X, sample_weight=weight
    )
    repeated = GaussianMixture(4, covariance_type=covariance_type)
    repeated.fit(np.repeat(X, weight, axis=0))
    assert repeated.lower_bound_ == pytest.approx(one.lower_bound_, abs=1e-6)
    np.testing.assert_allclose(repeated.means_, one.means_, atol=0.02)
    moved = GaussianMixture(4, covariance_type=covariance_type)
    moved.fit(factor * X + shift, sample_weight=weight)
    expected = one.lower_bound_ - 3 * np.log(factor)
    assert moved.lower_bound_ == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose((moved.means_ - shift) / factor, one.means_, atol=0.02)


@pytest.mark.parametrize("covariance_type", ["diag", "spherical"])
def test_no_matrices_of_many_features(covariance_type):
    """A start of diagonal covariances needs nothing of size D x D: here 128 MB."""
    X = np.random.default_rng(0).normal(size=(60, 4000))
    X[:30] += 1.0
    tracemalloc.start()
    try:
        GaussianMixture(2, covariance_type=covariance_type).fit(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 * X.nbytes


def test_components_are_in_the_order_of_their_means():
    X = case(0, 5, 2, distance=10.0, n_rows=600).X
    means = GaussianMixture(5).fit(X).means_
    assert np.all(np.diff(means[:, 0]) > 0)


def test_swaps_find_higher_optima():
    gains = []
    for seed in range(8):
        X = case(seed, 8, 2, distance=4.0, n_rows=500).X
        none, some = (GaussianMixture(8, n_swaps=n).fit(X) for n in (0, 20))
        assert len(some.degenerate_) <= len(none.degenerate_)
        gains.append(some.lower_bound_ - none.lower_bound_)
    # What looked like the end of a climb may have been a plateau: not each is a gain.
    assert min(gains) > -2e-3
    assert np.mean(gains) > 1e-3


def test_further_starts_never_end_lower_and_find_more():
    """They wander from the best fit so far, on all rows or on a sample of them."""
    gains = []
    for seed in range(2):
        X = case(seed, 6, 2, distance=3.0, n_rows=600).X
        one, five = (
            GaussianMixture(6, n_init=n, n_swaps=2, random_state=0).fit(X)
            for n in (1, 5)
        )
        assert len(five.degenerate_) <= len(one.degenerate_)
        if len(five.degenerate_) == len(one.degenerate_):
            assert five.lower_bound_ >= one.lower_bound_
        gains.append(five.lower_bound_ - one.lower_bound_)
    assert np.mean(gains) > 1e-3


def field_of_race(X):
    source = ArraySource.of(X, np.ones(len(X)))
    penalty = PseudoObservations.of(source.frame, 1.0)
    return Field.of(Problem(source, FAMILIES["full"], penalty), source)


@pytest.mark.skipif(not kernels.SINGLE, reason="of the compiled kernels")
@types
def test_single_precision_leads_to_fits_as_good(covariance_type, monkeypatch):
    model, precisions = GaussianMixture(6, covariance_type=covariance_type), []
    steps = Problem.steps

    def watched(self, *arguments, single=False):
        precisions.append(single)
        return steps(self, *arguments, single=single)

    monkeypatch.setattr(Problem, "steps", watched)
    gains = []
    for seed in range(8):
        X = case(2 + seed, 6, 1 + seed % 4, distance=4.0, n_rows=1500).X
        precisions.clear()
        one = clone(model).fit(X)
        assert set(precisions) == {True}
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "SINGLE", False)
            precisions.clear()
            other = clone(model).fit(X)
        assert set(precisions) == {False}
        gains.append(one.lower_bound_ - other.lower_bound_)
    # Slow climbs, which `tol` ends, may end elsewhere, within some hundredths of a unit
    # for all rows; or another optimum is found.
    assert np.median(np.abs(gains)) < 1e-8
    assert np.min(gains) * len(X) > -0.05


def test_moves_have_any_size_that_is_healthy():
    field = field_of_race(case(0, 3, 2, n_rows=600).X)
    mixture = field.problem.single_gaussian().mixture.take([0, 0, 0])
    rng = np.random.RandomState(0)
    moved = [_moved(field, mixture, np.arange(3.0), rng).mixture for _ in range(300)]
    for one in moved:
        k = int(np.argmax(np.any(one.means != mixture.means, axis=1)))
        row, others = one.means[k], np.delete(one.weights, k)
        assert np.any(np.all(field.rows == row, axis=1))
        share = one.weights[k] / others[0]
        # At least 1.5 times the four rows that a healthy one has, of 200.
        assert 0.03 - 1e-9 <= share <= 1 + 1e-9
        volumes = np.sqrt(np.linalg.det(one.covariances.values))
        assert volumes[k] / volumes.max() == pytest.approx(share)
    shares = [one.weights.min() / one.weights.max() for one in moved]
    assert np.quantile(shares, 0.5) == pytest.approx(np.sqrt(0.03), rel=0.3)


def test_a_cluster_within_another_is_found():
    """No start that cuts rows into cells separates the two; a nested split does."""
    rng = np.random.default_rng(0)
    size = np.where(np.arange(900) < 600, 1.0, 0.1)[:, np.newaxis]
    X = np.vstack([rng.normal(size=(900, 2)) * size, rng.normal(8, 1, size=(300, 2))])
    mixture = GaussianMixture(3).fit(X)
    means = np.array([[0.0, 0.0], [0.0, 0.0], [8.0, 8.0]])
    sizes = np.linalg.det(mixture.covariances_)
    order = np.argsort(mixture.means_[:, 0] + 0.1 * np.log(sizes))
    np.testing.assert_allclose(mixture.means_[order], means, atol=0.2)
    np.testing.assert_allclose(np.sort(sizes)[0], 1e-4, rtol=0.3)


def test_what_halves_and_swaps_are_tried_first():
    gains, losses = {0: 5.0, 1: 40.0, 2: 0.1}, np.array([30.0, 60.0, 10.0])
    none = np.zeros(3, dtype=bool)
    # Of a split in two the second half is the last one, 3; what gains little is left.
    halves = [(1, 1), (3, 1), (0, 0), (3, 0)]
    assert _pairs(gains, losses, none) == [(2, 1), (0, 1), (2, 0), (1, 0), *halves]
    empty = np.array([False, False, True])
    assert _pairs(gains, losses, empty)[0] == (2, 1)
    assert not {(1, 1), (3, 1), (0, 0), (3, 0)} & {*_pairs(gains, losses, empty)}
    many = {k: 100.0 - k for k in range(9)}
    pairs = _pairs(many, np.arange(9.0), np.zeros(9, dtype=bool))
    halved = [pair for pair in pairs if pair[0] in (pair[1], 9)]
    assert pairs[8:16] == halved == [(h, k) for k in range(4) for h in (k, 9)]
    assert len(pairs) == 30 + len(halved)


def test_halves_find_higher_optima(monkeypatch):
    """Of the digits no swap leads on: one half alone does."""
    X = PCA(10, random_state=0).fit_transform(load_digits().data)
    best = GaussianMixture(10).fit(X)
    monkeypatch.setattr(skgmm._moves, "HALVED", 0)
    without = GaussianMixture(10).fit(X)
    assert not best.degenerate_
    assert len(X) * (best.lower_bound_ - without.lower_bound_) > 20


def rare(seed):
    """Return rows of three wide clusters and of a small dense one, which come first."""
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.normal(size=(3, 3))
    classes = rng.integers(3, size=2000)
    X = centres[classes] + rng.normal(size=(2000, 3))
    X[:25] = centres[classes[0]] + rng.normal(size=3) + 0.2 * rng.normal(size=(25, 3))
    return X


@pytest.mark.parametrize("kind", ["complete", "holes", "noise"])
def test_rare_dense_clusters_are_found(kind):
    """Most of them, where two starts are made."""
    mixture = GaussianMixture(4, n_init=2, random_state=0, noise=kind == "noise")
    n_found = 0
    for seed in range(12):
        X = rare(seed)
        if kind == "holes":
            X[np.random.default_rng(0).random(X.shape) < 0.005] = np.nan
        labels = clone(mixture).fit_predict(X)
        counts = np.bincount(labels[:25] + 1, minlength=5)[1:]
        n_found += np.any(
            (counts > 15) & (np.bincount(labels + 1, minlength=5)[1:] < 60)
        )
    assert n_found >= 7


# ---- degenerate components ----
def test_a_few_rows_are_degenerate():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(100, 2)), 20 + 0.05 * rng.normal(size=(3, 2))])
    labels = np.repeat([0, 1], [100, 3])
    mixture = GaussianMixture(2, init_params=labels).fit(X)
    [(component, rows, condition)] = mixture.degenerate_
    assert isinstance(mixture.degenerate_[0], Degenerate)
    assert component == 1
    assert rows == pytest.approx(3, abs=1e-3)
    assert condition >= 1


def test_rows_in_a_line_are_degenerate():
    rng = np.random.default_rng(0)
    line = np.linspace(0, 1, 300)[:, np.newaxis] * [1.0, 2.0] + 10
    line += 1e-3 * rng.normal(size=line.shape)
    X = np.vstack([rng.normal(size=(100, 2)), line])
    labels = np.repeat([0, 1], [100, 300])
    mixture = GaussianMixture(2, init_params=labels).fit(X)
    assert [sick.component for sick in mixture.degenerate_] == [1]
    assert mixture.degenerate_[0].condition_number > 1e4


@types
def test_healthy_components_are_not_degenerate(covariance_type):
    X = case(0, 3, 2, distance=8.0).X
    X = np.column_stack([X, np.full(len(X), 7.0)])
    with pytest.warns(UserWarning, match="have one value only"):
        mixture = GaussianMixture(3, covariance_type=covariance_type).fit(X)
    assert mixture.degenerate_ == []


def test_healthy_fits_come_before_spurious_ones():
    # Noise: the likelihood is largest about single rows.
    X = np.random.default_rng(1).normal(size=(50, 2))
    collapsed = GaussianMixture(3, init_params="bisect").fit(X)
    healthy = GaussianMixture(3).fit(X)
    assert collapsed.degenerate_
    assert healthy.degenerate_ == []
    assert healthy.lower_bound_ < collapsed.lower_bound_


def test_components_of_a_sample_are_judged_by_its_rows():
    rows, weight = np.random.default_rng(0).normal(size=(4000, 2)), np.ones(4000)
    source = ArraySource(rows, weight, Frame.of(rows, weight))
    problem = Problem(source, FAMILIES["full"], PseudoObservations.of(source.frame, 1))

    def health(sample, share):
        field = Field.of(problem, sample)
        weights = np.array([1.0 - share, share])
        mixture = Mixture(weights, np.zeros((2, 2)), Full.unit(2, 2))
        run = Run(mixture, (0.0,))
        return field.is_healthy(run), field.rank(run)[0][0]

    sample = source.sample(1000, np.random.RandomState(0))
    # Five rows of a sample stand for 20, which are enough, but EM saw the five.
    assert health(sample, 0.005) == (False, 0)
    assert health(sample, 0.06) == (True, 0)
    assert health(sample, 0.001) == (False, -1)
    assert health(source, 0.006) == (True, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_race_on_a_small_sample_goes_on_on_a_larger_one(seed, monkeypatch):
    """On few rows other optima look as good: fits would differ by 100 and more."""
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 500)
    monkeypatch.setattr(skgmm._starts, "_ALL", 10_000)
    X, _ = Truth.random(seed, 5, 4, 1.2).sample(20_000, seed)
    mixtures = [
        GaussianMixture(5, covariance_type="spherical", random_state=state).fit(X)
        for state in range(4)
    ]
    heights = [len(X) * mixture.lower_bound_ for mixture in mixtures]
    assert max(heights) - min(heights) < 1.0


@pytest.mark.parametrize("seed", [18, 24, 49, 59])
def test_what_collapses_on_all_rows_is_refined_there(seed, monkeypatch):
    """A component that is healthy on the sample shrinks to a few other rows."""
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 300)
    rng = np.random.default_rng(seed)
    centres = 2.0 * rng.normal(size=(8, 3))
    X = centres[rng.integers(8, size=3000)] + rng.normal(size=(3000, 3))
    mixture = GaussianMixture(8, random_state=0)
    with monkeypatch.context() as patch:
        patch.setattr(Field, "has_collapsed", lambda field, run: False)
        assert clone(mixture).fit(X).degenerate_
    assert not mixture.fit(X).degenerate_
    assert mixture.converged_


@pytest.mark.parametrize("given", ["holes", "noise", "no swaps", "two components"])
def test_a_larger_sample_of_any_kind(given, monkeypatch):
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 300)
    monkeypatch.setattr(skgmm._starts, "_ALL", 3000)
    X = case(0, 3, 2, n_rows=8000, distance=3.0).X
    if given == "holes":
        X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    mixture = GaussianMixture(2 if given == "two components" else 3, random_state=0)
    mixture.set_params(noise=given == "noise")
    mixture.set_params(n_swaps=0 if given == "no swaps" else mixture.n_swaps)
    sizes = []
    raced_further = skgmm._starts.raced_further

    def noted(field, *rest):
        sizes.append(len(field.rows))
        return raced_further(field, *rest)

    monkeypatch.setattr(skgmm._starts, "raced_further", noted)
    best = clone(mixture).fit(X)
    [size] = sizes
    assert 700 < size <= 800  # rows of holes only are left out
    plain = clone(mixture).set_params(init_params="bisect").fit(X)
    assert len(X) * (best.lower_bound_ - plain.lower_bound_) > -0.1
