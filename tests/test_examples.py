"""The examples: they run without a warning, print tables and draw pictures."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from skgmm import GaussianMixture
from skgmm.datasets import load_galaxies

TESTS = Path(__file__).parent
EXAMPLES = TESTS.parent / "examples"
PICTURES = {
    "plot_old_faithful.py": ["old_faithful.png", "old_faithful_em.png"],
    "plot_one_dimension.py": ["galaxies.png", "one_gaussian.png"],
}
# Rows of the tables begin with numbers, and may end with a word.
ROW = re.compile(r"^\s*([-\d.]+(?:[\s()]+[-\d.]+)+)[\s()]*(best|chosen)?$")


class Run:
    """What an example printed and drew."""

    def __init__(self, name, folder):
        environment = os.environ | {"MPLBACKEND": "Agg"}
        command = [sys.executable, "-W", "error", EXAMPLES / name, folder / "new"]
        result = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        self.printed = result.stdout
        self.pictures = sorted((folder / "new").iterdir())

    def table(self, title):
        """Return the numbers of the rows below a title, and the index of the best."""
        below = self.printed[self.printed.index(title) :].split("\n\n")[0]
        rows = [match for match in map(ROW.match, below.splitlines()) if match]
        numbers = [re.findall(r"[-\d.]+", row[1]) for row in rows]
        best = [index for index, row in enumerate(rows) if row[2]]
        return np.array(numbers, dtype=float), best


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a function that runs an example at its first call only."""
    return functools.cache(lambda name: Run(name, tmp_path_factory.mktemp("example")))


@pytest.fixture
def old_faithful(runs):
    return runs("plot_old_faithful.py")


@pytest.fixture
def one_dimension(runs):
    return runs("plot_one_dimension.py")


def test_every_example_is_tested():
    short = re.findall(r'run\("(\w+)"\)', (TESTS / "test_gallery.py").read_text())
    tested = {f"plot_{name}.py" for name in short} | PICTURES.keys()
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_something(runs, name):
    pictures = runs(name).pictures
    assert [path.name for path in pictures] == PICTURES[name]
    for path in pictures:
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) >= 400
        colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
        assert len(colours) > 50
        assert counts.max() < 0.95 * counts.sum()  # the rest is not background
        vivid = np.ptp(colours, axis=1) > 0.3
        assert counts[vivid].sum() > 200  # not only greys


def test_old_faithful_has_two_components(old_faithful):
    scores, best = old_faithful.table("Held-out log-likelihood")
    np.testing.assert_array_equal(scores[:, 0], [1, 2, 3, 4, 5])
    assert best == [1]
    assert scores[1, 1] > scores[:, 1].max() - 0.03  # a standard error
    assert scores[1, 1] > scores[0, 1] + 0.3


def test_old_faithful_in_minutes(old_faithful):
    table, _ = old_faithful.table("Fitted mixture, in minutes")
    weights, short_long, _, waits, _, correlations = table.T
    assert weights.sum() == pytest.approx(1, abs=2e-3)
    # All rows together have means (2.04, 54.48) and (4.29, 79.97).
    np.testing.assert_allclose(short_long, [2.04, 4.29], atol=0.1)
    np.testing.assert_allclose(waits, [54.48, 79.97], atol=1)
    assert ((correlations > 0) & (correlations < 1)).all()


def test_old_faithful_held_out_score(old_faithful):
    pattern = r"Test rows: (\d+) eruptions, (\S+) nats"
    n, score = re.search(pattern, old_faithful.printed).groups()
    assert int(n) == 68
    # The fit to all rows has -4.155 per row.
    assert float(score) == pytest.approx(-4.155, abs=0.3)


def test_learned_gaussian_is_within_sampling_error(one_dimension):
    pattern = r"original +(\S+) +(\S+)\nlearned +(\S+) +(\S+)"
    values = re.search(pattern, one_dimension.printed).groups()
    mean, sd, learned_mean, learned_sd = map(float, values)
    assert abs(learned_mean - mean) < 3 * sd / np.sqrt(200)
    assert abs(learned_sd - sd) < 3 * sd / np.sqrt(2 * 200)


def test_galaxies_by_bic(one_dimension):
    table, best = one_dimension.table("K  log-likelihood")
    n_components, log_likelihood, bic = table.T
    np.testing.assert_array_equal(n_components, np.arange(1, 9))
    # Of a tied mixture in one dimension: K means, K - 1 weights, one variance.
    expected = -2 * log_likelihood + 2 * n_components * np.log(82)
    np.testing.assert_allclose(bic, expected, atol=0.2)
    assert best == [bic.argmin()]
    mixture, _ = one_dimension.table("weight   mean     sd")
    assert len(mixture) == n_components[best[0]]
    assert mixture[:, 0].sum() == pytest.approx(1, abs=4e-3)
    assert mixture[:, 0] @ mixture[:, 1] == pytest.approx(20.828, abs=0.1)


def test_text_of_galaxies_is_true():
    X = load_galaxies().data
    fits = [GaussianMixture(K).fit(X) for K in range(1, 7)]
    assert np.argmin([fit.bic(X) for fit in fits]) + 1 == 3
