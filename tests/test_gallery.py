"""The short examples: they run without a warning and draw what they talk about."""

import runpy
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(capsys):
    """Return a function that runs an example: its names, and what it printed."""
    mpl.use("Agg")

    def run(name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            names = runpy.run_path(EXAMPLES / f"plot_{name}.py")
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
            assert 0.02 < np.mean(pixels.min(axis=2) < 250) < 0.98
            for ax in figure.axes:
                assert ax.has_data() or not ax.axison
        return names, capsys.readouterr().out

    yield run
    plt.close("all")


def test_anisotropic(run):
    names, _ = run("anisotropic")
    ours, theirs = names["ours"], names["theirs"]
    np.testing.assert_allclose(np.sort(ours.means_[:, 1]), [0, 1, 2, 3], atol=0.05)
    assert ours.score(names["X"]) > theirs.score(names["X"]) + 0.3


def test_held_out(run):
    names, _ = run("held_out")
    table = names["table"]
    held_out = np.array(table["held_out"])
    assert names["best"] == held_out.argmax()
    single = held_out[np.array(table["n_components"]) == 1]
    assert held_out.max() > single.max() + 0.3


def test_weights(run):
    names, _ = run("weights")
    np.testing.assert_allclose(
        names["binned"].means_, names["single"].means_, atol=0.05
    )
    assert np.abs(names["careless"].means_ - names["single"].means_).max() > 2


def test_outliers(run):
    names, printed = run("outliers")
    np.testing.assert_array_equal(names["unusual"], [False, False, True, True])
    assert printed.count("unusual") == 2


def test_colours(run):
    names, _ = run("colours")
    error = np.mean((names["hard"] - names["pixels"]) ** 2)
    assert error < 0.25 * names["pixels"].var(axis=0).mean()
    assert len(plt.figure(1).axes) == 4


def test_digits(run):
    names, _ = run("digits")
    assert names["right"] > 0.8


def test_regions(run):
    _, printed = run("regions")
    for line in printed.splitlines():
        stated, found = line.split(" of the ")[0], line.split(": ")[1].split()[0]
        assert float(found) == pytest.approx(float(stated), abs=0.01)


def test_convergence(run):
    names, _ = run("convergence")
    plain, leaps = names["plain"], names["leaps"]
    assert leaps.n_iter_ < plain.n_iter_ / 2
    assert leaps.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)


def test_uncertainty(run):
    names, _ = run("uncertainty")
    assert len(plt.get_fignums()) == 2
    people, labels = names["people"], names["labels"]
    table = np.zeros((3, 3))
    np.add.at(table, (people.target, labels), 1)
    assert table.max(axis=0).sum() > 0.8 * len(labels)


def test_density(run):
    names, printed = run("density")
    assert names["mixture"]._model().n_parameters() == 29  # as the text says
    ours, theirs = (float(line.split()[1]) for line in printed.splitlines())
    assert ours > theirs


def test_criteria(run):
    names, _ = run("criteria")
    best, merged = names["best"], names["merged"]
    assert (best.n_components_, best.covariance_type_) == (3, "diag")
    clusters = merged.predict(names["X"], 2)
    assert np.mean(clusters[:400] == clusters[0]) == 1
    assert np.mean(clusters[400:] != clusters[0]) == 1


def test_speakers(run):
    names, _ = run("speakers")
    right = names["right"]
    assert right[0] < 0.6
    assert right[-1] == 1
    assert np.all(np.diff(right) >= 0)


def test_families(run):
    names, printed = run("families")
    bic = {name: fit.bic(names["X"]) for name, fit in names["fits"].items()}
    assert min(bic, key=bic.get) == "full"
    assert len(printed.splitlines()) == 4
