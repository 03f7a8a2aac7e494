"""The pictures, by the data of their artists."""

import subprocess
import sys
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn.mixture
from matplotlib.colors import to_rgb
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import Truth, matrices_of

from skgmm import GaussianMixture
from skgmm._mixture import Mixture
from skgmm.datasets import load_galaxies, load_old_faithful, load_reaven_miller
from skgmm.forms import Full
from skgmm.plotting import (
    ConvergenceDisplay,
    CriterionDisplay,
    EMDisplay,
    MixtureDisplay,
    UncertaintyDisplay,
)
from skgmm.plotting._mixture import Points
from skgmm.plotting._panels import emptiest_corner, histogram, region_levels
from skgmm.plotting._style import COLOURS, component_colours
from skgmm.plotting._views import separating_directions, subsample

mpl.use("Agg")
PALETTE = np.array([to_rgb(colour) for colour in COLOURS])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def geyser():
    X = load_old_faithful(as_frame=True).data
    return GaussianMixture(2).fit(X), X


@pytest.fixture(scope="module")
def galaxies():
    X = load_galaxies().data
    return GaussianMixture(4, covariance_type="tied").fit(X), X


@pytest.fixture(scope="module")
def iris():
    from sklearn.datasets import load_iris

    X = load_iris(as_frame=True).data
    return GaussianMixture(3, covariance_type="tied").fit(X), X


def drawn(display):
    """Draw the figure as a file would; return its pixels."""
    display.figure_.canvas.draw()
    return np.asarray(display.figure_.canvas.buffer_rgba())[..., :3]


def shown_area(axes, x, y):
    """Tell which points lie within the axes."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return (x >= left) & (x <= right) & (y >= low) & (y <= high)


# ---- two dimensions --------------------------------------------------------
def test_points_have_the_colours_of_their_responsibilities(geyser):
    mixture, X = geyser
    display = MixtureDisplay.from_estimator(mixture, X)
    np.testing.assert_array_equal(display.data_.get_offsets(), X)
    expected = mixture.predict_proba(X) @ PALETTE[:2]
    display.figure_.canvas.draw()
    np.testing.assert_allclose(display.data_.get_facecolors()[:, :3], expected)
    assert shown_area(display.ax_, *X.to_numpy().T).all()


def test_ellipses_are_at_one_and_two_standard_deviations(geyser):
    mixture, X = geyser
    display = MixtureDisplay.from_estimator(mixture, X)
    for radius, collection in zip((1, 2), display.ellipses_, strict=True):
        for k, path in enumerate(collection.get_segments()):
            offset = path - mixture.means_[k]
            distance = np.einsum(
                "ni,ij,nj->n", offset, np.linalg.inv(mixture.covariances_[k]), offset
            )
            np.testing.assert_allclose(distance, radius**2, rtol=1e-9)
            # The farthest point is at the root of the largest eigenvalue.
            longest = np.linalg.norm(offset, axis=1).max()
            largest = np.linalg.eigvalsh(mixture.covariances_[k])[-1]
            assert longest == pytest.approx(radius * np.sqrt(largest), rel=1e-3)
            assert shown_area(display.ax_, *path.T).all()
        np.testing.assert_allclose(collection.get_colors()[:, :3], PALETTE[:2])
    styles = [collection.get_linestyle()[0] for collection in display.ellipses_]
    assert styles[0] != styles[1]  # in grey too


def test_means_are_marked_with_the_numbers_of_the_components(geyser):
    mixture, X = geyser
    display = MixtureDisplay.from_estimator(mixture, X)
    np.testing.assert_allclose(display.means_.get_offsets(), mixture.means_)
    assert [text.get_text() for text in display.numbers_] == ["0", "1"]
    positions = [text.get_position() for text in display.numbers_]
    np.testing.assert_allclose(positions, mixture.means_)


def test_axes_have_the_names_of_the_features(geyser):
    mixture, X = geyser
    display = MixtureDisplay.from_estimator(mixture, X)
    assert display.ax_.get_xlabel() == "eruptions"
    assert display.ax_.get_ylabel() == "waiting"
    swapped = MixtureDisplay.from_estimator(mixture, X, features=["waiting", 0])
    assert swapped.ax_.get_xlabel() == "waiting"
    np.testing.assert_allclose(swapped.means_.get_offsets(), mixture.means_[:, ::-1])


def test_region_of_one_gaussian_is_that_of_chi_squared():
    truth = Truth.random(3, 1, 2)
    mixture = Mixture(truth.weights, truth.means, Full(truth.matrices, 1, 2))
    masses = [0.25, 0.5, 0.75, 0.95]
    peak = stats.multivariate_normal(truth.means[0], truth.matrices[0]).logpdf(
        truth.means[0]
    )
    expected = peak - 0.5 * stats.chi2(2).ppf(masses)
    np.testing.assert_allclose(region_levels(mixture, masses), expected, atol=5e-3)


@pytest.mark.parametrize("n_components", [2, 5, 50])
def test_regions_hold_the_stated_mass(n_components):
    truth = Truth.random(n_components, n_components, 2, distance=3.0)
    mixture = GaussianMixture.from_parameters(
        truth.weights, truth.means, covariances=truth.matrices
    )
    display = MixtureDisplay.from_estimator(mixture)
    levels = display.regions_.levels
    rows, _ = mixture.sample(200_000, random_state=1)
    density = mixture.score_samples(rows)
    masses = [np.mean(density > level) for level in levels]
    np.testing.assert_allclose(masses, [0.95, 0.75, 0.5, 0.25, 0], atol=0.006)
    # The area drawn is where the density is above the level.
    for path, level in zip(display.regions_.get_paths(), levels[:-1], strict=True):
        edge = mixture.score_samples(path.vertices)
        assert np.quantile(np.abs(edge - level), 0.2) < 0.05


def test_masses_are_checked(geyser):
    with pytest.raises(ValueError, match=r"masses must lie between 0 and 1.*1\.5"):
        MixtureDisplay.from_estimator(*geyser, masses=(0.5, 1.5))


def test_parts_can_be_left_out(geyser):
    display = MixtureDisplay.from_estimator(
        *geyser, masses=(), deviations=(), data=None, legend=False
    )
    assert display.regions_ is None
    assert display.ellipses_ == []
    assert display.data_ is None
    assert display.legend_ is None


def test_legend_says_what_is_drawn(geyser):
    display = MixtureDisplay.from_estimator(*geyser, masses=(0.5, 0.9))
    texts = [text.get_text() for text in display.legend_.get_texts()]
    assert texts == ["1 sd", "2 sd", "50 % of mass", "90 % of mass"]
    shades = display.regions_.get_facecolor()[::-1]
    patches = display.legend_.get_patches()
    np.testing.assert_allclose([p.get_facecolor() for p in patches], shades)
    assert shades[0, 0] < shades[1, 0]  # the smaller region is darker


def test_legend_lies_in_the_emptiest_corner():
    limits = np.array([[0.0, 1.0], [0.0, 1.0]])
    size = np.array([0.3, 0.3])
    corners = {"lower left": (0, 0), "lower right": (1, 0), "upper left": (0, 1)}
    rows = [(0.5, 0.5), *corners.values()]
    assert emptiest_corner(rows, limits, size) == "upper right"
    rows = [(1, 1), (0, 0), (1, 0)]
    assert emptiest_corner(rows, limits, size) == "upper left"


def test_weights_are_areas():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5], [3.0, 3.0]])
    mixture = GaussianMixture.from_parameters([1.0], [[1, 1]], covariances=[np.eye(2)])
    display = MixtureDisplay.from_estimator(mixture, X, sample_weight=[1, 2, 0, 3])
    np.testing.assert_array_equal(display.data_.get_offsets(), X[[0, 1, 3]])
    sizes = display.data_.get_sizes()
    np.testing.assert_allclose(sizes / sizes[0], [1, 2, 3])


def test_pictures_are_the_same_at_any_offset_and_scale(geyser):
    X = geyser[1].to_numpy()
    mixture = GaussianMixture(2).fit(X)
    scale, offset = np.array([2.0**-60, 2.0**40]), np.array([2.0**-30, -(2.0**60)])
    moved = GaussianMixture.from_parameters(
        mixture.weights_,
        mixture.means_ * scale + offset,
        covariances=mixture.covariances_ * np.outer(scale, scale),
    )
    plain = MixtureDisplay.from_estimator(mixture, X)
    other = MixtureDisplay.from_estimator(moved, X * scale + offset)
    box, box2 = (
        np.array([display.ax_.get_xlim(), display.ax_.get_ylim()]).T
        for display in (plain, other)
    )
    np.testing.assert_allclose((box2 - offset) / scale, box, rtol=1e-4)
    for a, b in zip(plain.ellipses_, other.ellipses_, strict=True):
        for path, path2 in zip(a.get_segments(), b.get_segments(), strict=True):
            np.testing.assert_allclose((path2 - offset) / scale, path, rtol=1e-4)
    assert np.ptp(drawn(other)[..., :3], axis=2).max() > 100  # colours are there


def test_dead_components_are_not_drawn():
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.0, 0.5],
        [[0, 0], [1e6, 1e6], [5, 5]],
        covariances=[np.eye(2)] * 3,
    )
    display = MixtureDisplay.from_estimator(mixture)
    np.testing.assert_array_equal(display.means_.get_offsets(), [[0, 0], [5, 5]])
    assert [text.get_text() for text in display.numbers_] == ["0", "2"]
    assert display.ax_.get_xlim()[1] < 10


def test_narrow_components_are_not_missed_by_the_grid():
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0, 0], [500.0, 0]], covariances=[np.eye(2) * 1e4, np.eye(2) / 100]
    )
    display = MixtureDisplay.from_estimator(mixture, masses=(0.25,))
    vertices = np.concatenate([path.vertices for path in display.regions_.get_paths()])
    near = np.linalg.norm(vertices - [500, 0], axis=1) < 1
    assert near.sum() > 8


def test_neighbours_have_different_colours():
    means = np.stack([np.arange(30.0), np.zeros(30)], axis=1)
    colours = component_colours(means, np.ones_like(means))
    steps = np.abs(np.diff(colours, axis=0)).max(axis=1)
    assert (steps > 0.1).all()
    np.testing.assert_array_equal(colours[:7], PALETTE)


def test_large_data_are_thinned_and_rasterised(geyser):
    mixture, _ = geyser
    X, _ = mixture.sample(300_000, random_state=0)
    X[12345] = 50.0, 60.0
    import pandas as pd

    X = pd.DataFrame(X, columns=["eruptions", "waiting"])
    display = MixtureDisplay.from_estimator(mixture, X, max_points=3000)
    assert len(display.data_.get_offsets()) == 3000
    assert display.data_.get_rasterized()
    assert display.ax_.get_xlim()[1] > 50  # ranges are those of all rows


def test_subsample_is_drawn_by_weight():
    weight = np.repeat([0.0, 1.0, 9.0], 10_000)
    shown = subsample(30_000, weight, 1000)
    assert len(shown) == len(set(shown)) == 1000
    assert (weight[shown] > 0).all()
    assert 0.85 < np.mean(weight[shown] == 9) < 0.95
    np.testing.assert_array_equal(subsample(5, None, 5), np.arange(5))


@pytest.mark.parametrize("n_rows", [8, 1000])
@pytest.mark.parametrize("n_features", [1, 2])
def test_rows_with_gaps_are_left_out(n_rows, n_features):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_rows, n_features))
    rows[::4, -1] = np.nan
    everything = Points(rows, np.ones((n_rows, 1)), rows)
    display = MixtureDisplay(
        np.ones(1),
        np.zeros((1, n_features)),
        np.eye(n_features)[None],
        points=everything,
    )
    display.plot()
    assert np.isfinite(display.ax_.axis()).all()
    drawn(display)
    if n_features == 1 and n_rows > 400:
        heights, edges, _ = display.histogram_.get_data()
        assert np.sum(heights * np.diff(edges)) == pytest.approx(1)


def test_float32_and_integers_are_drawn(geyser):
    X = geyser[1].to_numpy()
    for dtype in np.float32, np.int64:
        rows = X.astype(dtype)
        display = MixtureDisplay.from_estimator(GaussianMixture(2).fit(rows), rows)
        np.testing.assert_allclose(display.data_.get_offsets(), rows)


# ---- one dimension ---------------------------------------------------------
def test_density_and_components_of_one_feature(galaxies):
    mixture, X = galaxies
    display = MixtureDisplay.from_estimator(mixture, X)
    x, density = display.density_.get_data()
    sd = np.sqrt(mixture.covariances_[0, 0])
    parts = [
        w * stats.norm(m, sd).pdf(x)
        for w, m in zip(mixture.weights_, mixture.means_[:, 0], strict=True)
    ]
    np.testing.assert_allclose(density, np.sum(parts, axis=0), rtol=1e-9, atol=1e-300)
    for line, part in zip(display.components_, parts, strict=True):
        np.testing.assert_allclose(line.get_ydata(), part, rtol=1e-9, atol=1e-300)
    assert trapezoid(density, x) == pytest.approx(1, abs=0.02)
    styles = {line.get_linestyle() for line in display.components_}
    assert len(styles) == 4  # in grey too


def test_means_and_standard_deviations_of_one_feature(galaxies):
    mixture, X = galaxies
    display = MixtureDisplay.from_estimator(mixture, X)
    means, sd = mixture.means_[:, 0], np.sqrt(mixture.covariances_[0, 0])
    for k, path in enumerate(display.means_.get_segments()):
        np.testing.assert_allclose(path[:, 0], means[k])
        top = mixture.weights_[k] * stats.norm.pdf(0) / sd
        np.testing.assert_allclose(path[:, 1], [0, top])
    for k, path in enumerate(display.deviations_.get_segments()):
        np.testing.assert_allclose(path[:, 0], [means[k] - sd, means[k] + sd])
        side = mixture.weights_[k] * stats.norm.pdf(1) / sd
        np.testing.assert_allclose(path[:, 1], side)


def test_rug_has_a_tick_for_each_row(galaxies):
    mixture, X = galaxies
    display = MixtureDisplay.from_estimator(mixture, X)
    ticks = np.array(display.data_.get_segments())
    np.testing.assert_array_equal(ticks[:, :, 0], np.repeat(X, 2, axis=1))
    expected = mixture.predict_proba(X) @ PALETTE[:4]
    np.testing.assert_allclose(display.data_.get_colors()[:, :3], expected)
    # Below the curves: the ticks end under the line of density zero.
    low, high = display.ax_.get_ylim()
    assert ticks[:, :, 1].max() * (high - low) + low < 0


def test_histogram_has_area_one_and_counts_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 1))
    weight = rng.integers(0, 3, size=1000).astype(float)
    mixture = GaussianMixture(1).fit(X, sample_weight=weight)
    display = MixtureDisplay.from_estimator(mixture, X, sample_weight=weight)
    heights, edges, _ = display.histogram_.get_data()
    assert np.sum(heights * np.diff(edges)) == pytest.approx(1)
    repeated = np.repeat(X[:, 0], weight.astype(int))
    counts, _ = np.histogram(repeated, edges)
    np.testing.assert_allclose(heights, counts / len(repeated) / np.diff(edges))
    assert display.data_ is None


@pytest.mark.parametrize(
    "values", [np.zeros(10), np.append(np.zeros(99), 1.0), 1e9 + np.arange(1e5)]
)
def test_histogram_of_odd_data(values):
    heights, edges = histogram(values, None, np.array([[-1.0, 1.0]]))
    assert len(heights) <= 120
    assert np.sum(heights * np.diff(edges)) == pytest.approx(1)


def test_curve_does_not_miss_a_narrow_component():
    mixture = GaussianMixture.from_parameters(
        [0.9, 0.1], [[0.0], [3.0]], covariances=[[[1.0]], [[1e-10]]]
    )
    density = MixtureDisplay.from_estimator(mixture).density_.get_ydata()
    assert density.max() == pytest.approx(0.1 / np.sqrt(2 * np.pi * 1e-10), rel=1e-3)


def test_legend_of_one_feature_covers_no_peak(galaxies):
    mixture, X = galaxies
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(3.3, 2.5), layout="constrained")
    display = MixtureDisplay.from_estimator(mixture, X, ax=ax)
    assert display.ax_ is ax
    drawn(display)
    box = display.legend_.get_window_extent()
    curve = ax.transData.transform(display.density_.get_xydata())
    assert not np.any(
        (curve[:, 0] > box.x0)
        & (curve[:, 0] < box.x1)
        & (curve[:, 1] > box.y0)
        & (curve[:, 1] < box.y1)
    )


def test_data_are_checked(galaxies):
    with pytest.raises(ValueError, match=r"data must be 'auto', 'rug'.*'scatter'"):
        MixtureDisplay.from_estimator(*galaxies, data="scatter")


# ---- more dimensions -------------------------------------------------------
def test_pairs_show_the_marginal_mixtures(iris):
    mixture, X = iris
    display = MixtureDisplay.from_estimator(mixture, X)
    assert display.ax_.shape == (4, 4)
    assert display.ax_[0, 1] is None
    names = list(X.columns)
    assert [axis.get_xlabel() for axis in display.ax_[3]] == names
    assert [axis.get_ylabel() for axis in display.ax_[1:, 0]] == names[1:]
    for (i, j), panel in display.panels_.items():
        axis = display.ax_[i, j]
        if i == j:
            x, density = panel["density"].get_data()
            sd = np.sqrt(mixture.covariances_[i, i])
            expected = mixture.weights_ @ [
                stats.norm(m[i], sd).pdf(x) for m in mixture.means_
            ]
            np.testing.assert_allclose(density, expected, rtol=1e-9)
            continue
        np.testing.assert_array_equal(panel["data"].get_offsets(), X.iloc[:, [j, i]])
        np.testing.assert_allclose(
            panel["means"].get_offsets(), mixture.means_[:, [j, i]]
        )
        block = mixture.covariances_[np.ix_([j, i], [j, i])]
        offset = panel["ellipses"][1].get_segments()[2] - mixture.means_[2, [j, i]]
        distance = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(block), offset)
        np.testing.assert_allclose(distance, 4)
        assert shown_area(axis, *X.iloc[:, [j, i]].to_numpy().T).all()


def test_pairs_take_the_place_of_one_axes(iris):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    display = MixtureDisplay.from_estimator(*iris, features=[0, 1, 2], ax=axes[1])
    assert display.figure_ is figure
    assert not axes[1].axison
    alone = plt.figure().add_axes([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"one of a grid, as from plt\.subplots"):
        MixtureDisplay.from_estimator(*iris, ax=alone)
    with pytest.raises(ValueError, match="array of 4 x 4 of them; got 2"):
        MixtureDisplay.from_estimator(*iris, ax=axes)


def test_many_features_are_projected():
    bunch = load_reaven_miller(as_frame=True)
    mixture = GaussianMixture(3).fit(bunch.data)
    display = MixtureDisplay.from_estimator(mixture, bunch.data, features="projection")
    np.testing.assert_allclose(
        display.data_.get_offsets(),
        (bunch.data - mixture.weights_ @ mixture.means_)
        @ separating_directions(mixture._model().mixture)[0],
    )
    assert display.ax_.get_xlabel().startswith("direction 1 (")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 6))
    display = MixtureDisplay.from_estimator(GaussianMixture(1).fit(X), X)
    assert "direction 2" in display.ax_.get_ylabel()


def test_projection_of_equal_covariances_is_fishers():
    """Compare with the eigenvectors of the between in the metric of the total."""
    from scipy.linalg import eigh

    truth = Truth.random(5, 3, 6)
    matrices = np.broadcast_to(truth.matrices[0], (3, 6, 6))
    scale = np.array([1e-6, 1, 1e6, 1, 1, 1])
    mixture = Mixture(
        truth.weights,
        truth.means * scale,
        Full(matrices * np.outer(scale, scale), 3, 6),
    )
    directions, shares = separating_directions(mixture)
    offsets = truth.means - truth.weights @ truth.means
    between = (offsets.T * truth.weights) @ offsets
    values, vectors = eigh(between, between + matrices[0])
    for ours, theirs in zip(directions.T, vectors.T[::-1], strict=False):
        ours = ours * scale
        theirs = theirs * np.sign(theirs @ ours)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    expected = values[::-1] ** 2 / np.sum(values**2)
    np.testing.assert_allclose(shares, expected, atol=1e-9)


def test_projection_finds_differences_of_covariances():
    matrices = np.stack([np.eye(5), np.diag([1, 1, 1, 25.0, 1])])
    mixture = Mixture(np.array([0.5, 0.5]), np.zeros((2, 5)), Full(matrices, 2, 5))
    directions, shares = separating_directions(mixture)
    np.testing.assert_allclose(directions[[0, 1, 2, 4], 0], 0, atol=1e-12)
    assert directions[3, 0] == pytest.approx(1 / np.sqrt(13))
    assert shares[0] == pytest.approx(1)


def test_projection_of_one_component_is_on_principal_axes():
    mixture = Mixture(np.ones(1), np.zeros((1, 3)), Full([np.diag([1.0, 9, 4])], 1, 3))
    directions, _ = separating_directions(mixture)
    assert directions.shape == (3, 2)
    assert np.isfinite(directions).all()


# ---- what displays take ----------------------------------------------------
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_all_families_and_scikit_learn_are_drawn(geyser, covariance_type):
    _, X = geyser
    ours = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    theirs = ours.to_sklearn()
    assert isinstance(theirs, sklearn.mixture.GaussianMixture)
    for estimator in ours, theirs:
        display = MixtureDisplay.from_estimator(estimator, X)
        np.testing.assert_allclose(display.covariances, matrices_of(ours), rtol=1e-6)


def test_other_estimators_are_refused(geyser):
    _, X = geyser
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2)).fit(X)
    with pytest.raises(TypeError, match=r"got Pipeline\. Of a pipeline pass the last"):
        MixtureDisplay.from_estimator(pipeline, X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        MixtureDisplay.from_estimator(GaussianMixture(2), X)


def test_features_are_checked(iris):
    for wrong, said in (
        ([7], "numbers below 4 or names of features, which are 'sepal length"),
        (["petal"], "got 'petal'"),
        ("petal width (cm)", r"Write \['petal width \(cm\)'\] for one feature"),
        ([], "at least one feature; got none"),
        ([0, "sepal length (cm)"], "different ones; got .'sepal length"),
    ):
        with pytest.raises(ValueError, match=said):
            MixtureDisplay.from_estimator(*iris, features=wrong)
    with pytest.raises(ValueError, match="is expecting 1 features"):
        MixtureDisplay.from_estimator(GaussianMixture().fit([[0.0], [1.0]]), np.eye(2))


def test_without_matplotlib_the_error_says_what_to_do():
    code = """if True:
        import sys
        import numpy as np
        from skgmm import GaussianMixture
        from skgmm.plotting import *
        assert "matplotlib" not in sys.modules
        sys.modules["matplotlib"] = None
        mixture = GaussianMixture().fit(np.eye(5)[:, :2])
        table = {"n_components": [1], "covariance_type": ["full"], "criterion": [1.0]}
        for call in (
            lambda: MixtureDisplay.from_estimator(mixture),
            lambda: ConvergenceDisplay.from_estimator(mixture),
            lambda: CriterionDisplay.from_results(table),
            lambda: EMDisplay.from_estimator(mixture, np.eye(2)),
            lambda: UncertaintyDisplay.from_estimator(mixture, np.eye(2)),
        ):
            try:
                call()
            except ImportError as error:
                print(error)
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = out.stdout.splitlines()
    assert len(lines) == 5, out.stderr
    assert all(
        "requires matplotlib. You can install matplotlib with `pip install" in line
        for line in lines
    )
    assert lines[0].startswith("MixtureDisplay.from_estimator")


def test_plot_draws_again_on_other_axes(geyser):
    import matplotlib.pyplot as plt

    display = MixtureDisplay.from_estimator(*geyser)
    first = display.ax_
    _, ax = plt.subplots()
    assert display.plot(ax=ax) is display
    assert display.ax_ is ax is not first
    assert len(ax.collections) == len(first.collections)


# ---- the way of EM ---------------------------------------------------------
def test_em_states_are_those_of_plain_em(geyser):
    _, X = geyser
    estimator = GaussianMixture(2, init_params="random", random_state=3)
    before = estimator.get_params()
    display = EMDisplay.from_estimator(estimator, X, iterations=[0, 1, 7])
    assert estimator.get_params() == before
    assert not hasattr(estimator, "means_")
    for state, panel in zip(display.states, display.panels_, strict=True):
        theirs = GaussianMixture(
            2,
            init_params="random",
            random_state=3,
            max_iter=state.n_iter,
            tol=0,
            acceleration=None,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.fit(X)
        np.testing.assert_allclose(state.mixture.means, theirs.means_, rtol=1e-6)
        np.testing.assert_allclose(
            panel["means"].get_offsets(), theirs.means_, rtol=1e-6
        )
        expected = theirs.predict_proba(X) @ PALETTE[:2]
        colours = panel["data"].get_facecolors()[:, :3]
        np.testing.assert_allclose(colours, expected, atol=1e-6)
        assert state.log_likelihood == pytest.approx(theirs.score(X))
    titles = [axis.get_title(loc="left") for axis in display.axes_]
    assert titles == ["start", "iteration 1", "iteration 7"]
    values = [state.log_likelihood for state in display.states]
    assert values == sorted(values)


def test_em_starts_at_a_mixture(geyser):
    start = GaussianMixture.from_parameters(
        [0.5, 0.5], [[2, 80], [4, 50]], covariances=[np.diag([0.1, 20])] * 2
    )
    estimator = GaussianMixture(2, init_params=start)
    display = EMDisplay.from_estimator(estimator, geyser[1], iterations=[0, 30])
    first, last = display.states
    np.testing.assert_allclose(first.mixture.means, start.means_)
    assert estimator.init_params is start
    assert last.log_likelihood > first.log_likelihood


def test_em_of_one_and_of_many_features(galaxies, iris):
    _, X = galaxies
    estimator = GaussianMixture(3, init_params="random", random_state=0)
    display = EMDisplay.from_estimator(estimator, X, iterations=[0, 2])
    tops = {axis.get_ylim() for axis in display.axes_}
    assert len(tops) == 1  # the panels can be compared
    for panel, state in zip(display.panels_, display.states, strict=True):
        x, density = panel["density"].get_data()
        expected = np.exp(state.mixture.log_density(x[:, np.newaxis]))
        np.testing.assert_allclose(density, expected, rtol=1e-9)
    _, X = iris
    display = EMDisplay.from_estimator(estimator, X, iterations=[0, 2, 4, 6])
    assert "direction" in display.axes_[3].get_xlabel()
    assert len(display.axes_) == 4


def test_em_animation_has_a_frame_for_each_state(geyser, tmp_path):
    from PIL import Image

    estimator = GaussianMixture(2, init_params="random", random_state=3)
    display = EMDisplay.from_estimator(estimator, geyser[1], iterations=[0, 4, 20])
    animation = display.animate()
    animation.save(tmp_path / "em.gif", writer="pillow", dpi=40)
    with Image.open(tmp_path / "em.gif") as image:
        assert image.n_frames == 3
        frames = []
        for index in range(3):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB"), dtype=int))
    assert np.abs(frames[1] - frames[0]).max() > 50
    assert np.abs(frames[2] - frames[1]).max() > 50


@pytest.mark.parametrize("iterations", [[], [-1, 2], [3, 2], [0, 1.5]])
def test_em_iterations_are_checked(geyser, iterations):
    with pytest.raises(ValueError, match="iterations must be whole numbers from 0 on"):
        EMDisplay.from_estimator(GaussianMixture(2), geyser[1], iterations=iterations)


@pytest.mark.parametrize("estimator", [StandardScaler(), 3])
def test_em_needs_an_estimator_that_starts_from_mixtures(geyser, estimator):
    with pytest.raises(TypeError, match="estimator must have init_params and max_iter"):
        EMDisplay.from_estimator(estimator, geyser[1])


# ---- convergence -----------------------------------------------------------
def test_convergence_shows_the_objective(galaxies):
    mixture, _ = galaxies
    display = ConvergenceDisplay.from_estimator(mixture)
    passes, values = display.line_.get_data()
    np.testing.assert_array_equal(passes, np.arange(1, mixture.n_iter_ + 1))
    np.testing.assert_array_equal(values, mixture.lower_bounds_)
    assert display.end_.get_ydata()[0] == mixture.lower_bounds_[-1]
    assert display.ax_.get_yscale() == "linear"


def test_convergence_gap_and_comparison():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    bounds = [-5.0, -4.5, -4.25, -4.25]
    first = ConvergenceDisplay(bounds, name="a").plot(ax, gap=True)
    np.testing.assert_array_equal(first.line_.get_data(), [[1, 2], [0.75, 0.25]])
    second = ConvergenceDisplay(bounds, name="b", converged=False).plot(ax, gap=-4.0)
    np.testing.assert_array_equal(second.line_.get_ydata(), [1, 0.5, 0.25, 0.25])
    assert ax.get_yscale() == "log"
    assert first.line_.get_linestyle() != second.line_.get_linestyle()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["a", "b", "not converged"]
    with pytest.raises(NotFittedError, match=r"has none\. Call its fit"):
        ConvergenceDisplay.from_estimator(GaussianMixture())


def test_convergence_of_a_fit_without_iterations():
    display = ConvergenceDisplay([]).plot()
    assert display.end_ is None


# ---- criteria --------------------------------------------------------------
RESULTS = {
    "n_components": np.array([2, 1, 3, 1, 2, 3]),
    "covariance_type": np.array(["full"] * 3 + ["tied"] * 3),
    "criterion": np.array([20.0, 30.0, np.nan, 25.0, 18.0, 19.0]),
    "log_likelihood": np.array([-8.0, -9.0, -np.inf, -8.5, -7.0, -6.0]),
}


def test_criterion_has_a_curve_for_each_family():
    display = CriterionDisplay.from_results(RESULTS)
    assert list(display.lines_) == ["full", "tied"]
    x, y = display.lines_["full"].get_data()
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_array_equal(y, [30, 20, np.nan])
    np.testing.assert_array_equal(display.lines_["tied"].get_ydata(), [25, 18, 19])
    assert display.best_index_ == 4
    np.testing.assert_array_equal(display.best_.get_offsets(), [[2, 18]])
    texts = [text.get_text() for text in display.legend_.get_texts()]
    assert texts == ["full", "tied", "best: tied, 2"]
    markers = {line.get_marker() for line in display.lines_.values()}
    assert len(markers) == 2


def test_criterion_takes_frames_and_other_columns():
    pandas = pytest.importorskip("pandas")
    display = CriterionDisplay.from_results(
        pandas.DataFrame(RESULTS), criterion="log_likelihood", lower_is_better=False
    )
    assert display.best_index_ == 5
    assert display.ax_.get_ylabel() == "log likelihood (higher is better)"


def test_criterion_of_an_estimator_with_results():
    class Selector:
        results_ = RESULTS
        criterion = "bic"

    display = CriterionDisplay.from_estimator(Selector())
    assert display.ax_.get_ylabel() == "BIC (lower is better)"
    assert display.best_index_ == 4
    with pytest.raises(ValueError, match="GaussianMixture has none"):
        CriterionDisplay.from_estimator(GaussianMixture())


def test_degenerate_models_are_hollow_and_win_only_among_themselves():
    flawed = np.array([False, False, False, False, True, False])
    display = CriterionDisplay.from_results(RESULTS | {"degenerate": flawed})
    assert display.best_index_ == 5
    [marks] = display.degenerate_
    np.testing.assert_array_equal(marks.get_offsets(), [[2, 18]])
    np.testing.assert_array_equal(marks.get_facecolors(), [[1, 1, 1, 1]])
    all_flawed = RESULTS | {"degenerate": np.ones(6, dtype=bool)}
    assert CriterionDisplay.from_results(all_flawed).best_index_ == 4


def test_criterion_errors():
    with pytest.raises(ValueError, match=r"without \['bic'\]"):
        CriterionDisplay.from_results(RESULTS, criterion="bic")
    with pytest.raises(ValueError, match=r"one shape, \(n_models,\); got \(6,\)"):
        CriterionDisplay.from_results(RESULTS | {"criterion": [1.0]})


def test_criterion_of_fourteen_families():
    names = [f"family{i}" for i in range(14)]
    results = {
        "n_components": [k for _ in names for k in (1, 2)],
        "covariance_type": [name for name in names for _ in (1, 2)],
        "criterion": np.arange(28.0),
    }
    display = CriterionDisplay.from_results(results)
    looks = {
        (line.get_color(), line.get_linestyle(), line.get_marker())
        for line in display.lines_.values()
    }
    assert len(looks) == 14
    drawn(display)
    legend, axes = display.legend_.get_window_extent(), display.ax_.bbox
    assert legend.x0 > axes.x1  # beside the curves


def test_criterion_where_nothing_was_fitted():
    display = CriterionDisplay.from_results(RESULTS | {"criterion": np.full(6, np.nan)})
    assert display.best_ is display.best_index_ is None


# ---- uncertainty -----------------------------------------------------------
def test_uncertainty_is_one_minus_the_largest_responsibility(geyser):
    mixture, X = geyser
    expected = 1 - mixture.predict_proba(X).max(axis=1)
    display = UncertaintyDisplay.from_estimator(mixture, X)
    np.testing.assert_allclose(display.uncertainty, expected, atol=1e-12)
    order = np.argsort(display.uncertainty)
    np.testing.assert_array_equal(display.points_.get_offsets(), X.to_numpy()[order])
    sizes = display.points_.get_sizes()
    assert (np.diff(sizes) >= 0).all()
    assert sizes[-1] > 3 * sizes[0]
    shade = display.points_.get_array()
    assert np.sum(shade == 0) == pytest.approx(0.05 * len(X), abs=1)
    assert len(display.ellipses_) == 2


def test_uncertainty_in_order(geyser):
    mixture, X = geyser
    display = UncertaintyDisplay.from_estimator(mixture, X, kind="sorted")
    count, values = display.line_.get_data()
    for n, value in zip(count, values, strict=True):
        assert np.sum(display.uncertainty >= value) >= n
    assert values[0] == display.uncertainty.max()
    assert values[-1] == display.uncertainty.min()
    assert count[-1] == len(X)


def test_uncertainty_over_one_feature(galaxies):
    mixture, X = galaxies
    display = UncertaintyDisplay.from_estimator(mixture, X)
    x, curve = display.line_.get_data()
    expected = 1 - mixture.predict_proba(x[:, np.newaxis]).max(axis=1)
    np.testing.assert_allclose(curve, expected, atol=1e-12)
    at = np.interp(display.points_.get_offsets()[:, 0], x, curve)
    np.testing.assert_allclose(display.points_.get_offsets()[:, 1], at, atol=0.03)


def test_uncertainty_of_many_rows_and_features(iris):
    mixture, _ = iris
    X, _ = mixture.sample(150_000, random_state=0)
    import pandas as pd

    X = pd.DataFrame(X, columns=mixture.feature_names_in_)
    display = UncertaintyDisplay.from_estimator(mixture, X)
    assert len(display.points_.get_offsets()) == 5000
    assert len(display.uncertainty) == 150_000
    assert "direction" in display.ax_.get_xlabel()
    display.plot(kind="sorted")
    assert len(display.line_.get_xdata()) < 2200
    with pytest.raises(ValueError, match="one or two of the features; got 3"):
        UncertaintyDisplay.from_estimator(mixture, X, features=[0, 1, 2])
    with pytest.raises(ValueError, match=r"kind must be one of .*got 'best'"):
        display.plot(kind="best")


def test_pictures_fit_a_column(geyser):
    """Axis labels are not clipped 8 cm wide; one iteration has one tick."""
    mixture, X = geyser
    draw = {
        ConvergenceDisplay: {"gap": 0.0},
        MixtureDisplay: {"X": X},
        UncertaintyDisplay: {"X": X},
    }
    for display, options in draw.items():
        fig, ax = plt.subplots(figsize=(3.15, 2.5), layout="constrained")
        display.from_estimator(mixture, ax=ax, **options)
        fig.draw_without_rendering()
        for label in ax.xaxis.label, ax.yaxis.label:
            box = label.get_window_extent()
            assert fig.bbox.x0 <= box.x0 < box.x1 <= fig.bbox.x1
            assert fig.bbox.y0 <= box.y0 < box.y1 <= fig.bbox.y1
    again = GaussianMixture(2, init_params=mixture).fit(X)
    ax = ConvergenceDisplay.from_estimator(again).ax_
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks == list(range(1, again.n_iter_ + 1))


def test_ellipses_stand_out_from_rows_of_their_colour(geyser):
    mixture, X = geyser
    for ellipses in MixtureDisplay.from_estimator(mixture, X).ellipses_:
        [edge] = ellipses.get_path_effects()
        assert edge._gc["foreground"] == "white"
        assert edge._gc["linewidth"] > ellipses.get_linewidths()[0]
