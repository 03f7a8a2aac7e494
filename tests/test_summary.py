"""The summary says what the mixture is."""

import pickle
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from strategies import Truth, matrices_of

from skgmm import GaussianMixture
from skgmm.datasets import load_old_faithful


@pytest.fixture(scope="module")
def geyser():
    X = load_old_faithful(as_frame=True).data
    return GaussianMixture(2).fit(X), X


def facts(summary):
    """Return what is said above the table."""
    lines = [line.split("  ", 1) for line in summary.split("\n\n")[1].splitlines()]
    return {name: value.strip() for name, value in lines}


def cells(summary):
    """Return weights, means and standard deviations in the table."""
    lines = summary.split("\n\n")[2].splitlines()[1:]
    numbers = [re.findall(r"[-+\d.e]+", line)[1:] for line in lines]
    values = np.array(numbers, dtype=float)
    return values[:, 0], values[:, 1::2], values[:, 2::2]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_table_has_the_parameters(geyser, covariance_type):
    _, X = geyser
    mixture = GaussianMixture(2, covariance_type=covariance_type).fit(X)
    weights, means, sd = cells(mixture.summary())
    expected = np.sqrt(np.diagonal(matrices_of(mixture), axis1=1, axis2=2))
    variances = mixture._model().mixture.covariances.variances
    np.testing.assert_allclose(variances, expected**2)
    np.testing.assert_allclose(weights, mixture.weights_, atol=1e-4)
    assert (np.abs(means - mixture.means_) <= 0.01 * expected.min(axis=0)).all()
    np.testing.assert_allclose(sd, expected, rtol=0.006)


def test_facts_of_rows(geyser):
    mixture, X = geyser
    weight = np.arange(len(X)) % 3
    said = facts(mixture.summary(X, sample_weight=weight))
    assert said["covariances"] == "full (VVV)"
    assert said["free parameters"] == "11"
    assert said["observations"] == str(weight.sum())
    total = mixture.score(X, sample_weight=weight) * weight.sum()
    assert float(said["log-likelihood"]) == pytest.approx(total, abs=0.01)
    for name in "BIC", "ICL":
        value = getattr(mixture, name.lower())(X, sample_weight=weight)
        assert float(said[name]) == pytest.approx(value, abs=0.01)
    assert said["converged"].startswith(f"yes, {mixture.n_iter_} iteration")
    assert "BIC" not in facts(mixture.summary())


@pytest.mark.parametrize(
    ("scale", "offset"), [(1e-9, 1.0), (1e9, -1e18), (1.0, 1e12), (1e200, 0.0)]
)
def test_digits_follow_the_standard_deviation(geyser, scale, offset):
    mixture, _ = geyser
    moved = GaussianMixture.from_parameters(
        mixture.weights_,
        mixture.means_ * scale + offset,
        covariances=mixture.covariances_ * np.minimum(scale, 1e150) ** 2,
    )
    _, means, _ = cells(moved.summary())
    smallest = np.sqrt(moved.covariances_.diagonal(axis1=1, axis2=2)).min(axis=0)
    rounding = 1e-15 * np.abs(moved.means_).max(axis=0)
    assert (np.abs(means - moved.means_) <= np.maximum(0.01 * smallest, rounding)).all()
    assert max(map(len, moved.summary().splitlines())) < 100


def test_degenerate_components_are_named():
    X = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 2, axis=0)
    with pytest.warns(UserWarning, match="less variance"):
        mixture = GaussianMixture(4).fit(X)
    [(k, count, _), *_] = mixture.degenerate_
    assert f"Component {k} is degenerate: {count:.3g} effective" in mixture.summary()


def test_large_mixtures_are_cut():
    truth = Truth.random(0, 25, 8)
    mixture = GaussianMixture.from_parameters(
        truth.weights, truth.means, covariances=truth.matrices
    )
    summary = mixture.summary()
    assert len(summary.split("\n\n")[2].splitlines()) == 21
    assert "5 more components." in summary
    assert "2 more features." in summary
    assert "converged" not in summary  # it was not fitted by EM


class Cells(HTMLParser):
    """The texts of cells, in order, with tags that are opened and closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.replace("\xa0", " "))


def test_it_shows_itself(geyser):
    summary = geyser[0].summary(geyser[1])
    assert repr(summary) == str(summary) == summary
    again = pickle.loads(pickle.dumps(summary))
    assert again == summary
    assert again._repr_html_() == summary._repr_html_()


def test_html_has_the_same_cells_and_escapes_names():
    import pandas as pd

    X = pd.DataFrame({"a<b>": [1.0, 2, 4], "c&d": [2.0, 3, 7]})
    summary = GaussianMixture().fit(X).summary()
    page = Cells(summary._repr_html_())
    assert page.open == []
    assert {"a<b>", "c&d", "1.0000"} <= set(page.texts)
    words = " ".join(page.texts).split()
    assert all(word in words for word in summary.split() if "GaussianM" not in word)


def test_diagram_of_scikit_learn_stays(geyser):
    assert "sk-" in geyser[0]._repr_html_()
