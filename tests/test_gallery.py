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


def test_noise(run):
    names, printed = run("noise")
    mixture = names["mixture"]
    np.testing.assert_allclose(mixture.means_, [[0, 0], [5, 3]], atol=0.15)
    assert np.abs(names["plain"].means_ - mixture.means_).max() > 1
    assert mixture.noise_weight_ == pytest.approx(0.25, abs=0.03)
    assert "label -1: " in printed


def test_classes(run):
    names, _ = run("classes")
    X, y = names["X"], names["y"]
    assert [mixture.n_components for mixture in names["chosen"].mixtures_] == [2, 2]
    assert names["chosen"].score(X, y) > names["one"].score(X, y) + 0.1


def test_regression(run):
    names, _ = run("regression")
    assert names["held"] == pytest.approx(0.9, abs=0.03)
    # The density of y integrates to one for each x.
    step = names["answers"][1] - names["answers"][0]
    mass = names["density"].reshape(201, 101).sum(axis=0) * step
    np.testing.assert_allclose(mass, 1.0, atol=0.03)


def test_missing(run):
    names, _ = run("missing")
    X, rows, filled = names["X"], names["rows"], names["filled"]
    assert names["mixture"].mean()[1] == pytest.approx(X[:, 1].mean(), abs=1.5)
    assert np.nanmean(rows[:, 1]) < X[:, 1].mean() - 4
    long_ones = names["long_ones"]
    found = [np.corrcoef(table[long_ones].T)[0, 1] for table in filled.values()]
    truth = np.corrcoef(X[long_ones].T)[0, 1]
    assert np.argmin(np.abs(np.array(found) - truth)) == 2


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


def test_stream(run):
    names, _ = run("stream")
    assert names["forgets"].means_.max() == pytest.approx(8, abs=0.2)
    assert names["forgets"].means_.min() == pytest.approx(0, abs=0.2)
    assert names["remembers"].means_.max() < 7.5


def test_dask(run):
    pytest.importorskip("dask.array")
    names, printed = run("dask")
    assert "200000 rows: 3 components, full" in printed
    np.testing.assert_allclose(
        np.sort(names["counts"]) / 200_000, [0.2, 0.3, 0.5], atol=0.02
    )
