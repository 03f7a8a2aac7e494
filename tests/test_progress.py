"""ProgressBar: what it prints, and that it changes nothing."""

import io
import re

import numpy as np
import pytest
from strategies import case

from skgmm import GaussianMixture, GaussianMixtureIC, ProgressBar

pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")

X = case(1, 3, 2, distance=1.5).X
STATE = re.compile(
    r"start (\d) of (\d) \[(#*)-*\] iteration (\d+), objective (-[\d.]+), \d+\.\d s *"
)


def states(estimator, interval=0.0):
    """Return the states that are written for a fit, each over the one before."""
    file = io.StringIO()
    estimator.set_callbacks(ProgressBar(interval, file)).fit(X)
    printed = file.getvalue()
    assert printed.endswith("\n")
    assert printed.count("\n") == 1
    first, *lines = printed.removesuffix("\n").split("\r")
    assert first == ""
    return lines


def test_iterations_of_a_fit():
    lines = states(mixture := GaussianMixture(3, init_params="bisect"))
    found = [STATE.fullmatch(line) for line in lines]
    assert all(found), lines
    n_iter = mixture.n_iter_
    assert [int(m[4]) for m in found] == [*range(1, n_iter + 1), n_iter]
    objectives = [float(m[5]) for m in found[:-1]]
    np.testing.assert_allclose(objectives, mixture.lower_bounds_, rtol=1e-6)
    assert len(found[0][3]) == 0
    assert len(found[-1][3]) > 10
    assert {len(line) for line in lines[-2:]} == {len(lines[-1])}


def test_every_start_has_a_bar():
    lines = states(GaussianMixture(3, n_init=3, random_state=0))
    assert [STATE.fullmatch(line).group(1, 2) for line in lines][:: len(lines) - 1] == [
        ("1", "3"),
        ("3", "3"),
    ]


def test_models_of_a_grid():
    types = ["full", "tied"]
    lines = states(GaussianMixtureIC([1, 2, 3], covariance_type=types))
    pattern = re.compile(r"(\d) of 6 models \[(#*)-*\] about \d+ s left, \d+\.\d s *")
    found = [pattern.fullmatch(line).groups() for line in lines]
    assert [int(done) for done, _ in found] == [1, 2, 3, 4, 5, 6, 6]
    assert [len(bar) for _, bar in found] == [3, 6, 10, 13, 16, 20, 20]


def test_a_grid_of_unknown_length():
    lines = states(GaussianMixtureIC(covariance_type="tied"))
    assert re.fullmatch(r"\d models, \d+\.\d s *", lines[-1])


def test_updates_have_an_interval():
    # The first state and the last.
    assert len(states(GaussianMixture(3), interval=60)) == 2


def test_standard_error_is_where_it_goes(capsys):
    GaussianMixture(3).set_callbacks(ProgressBar()).fit(X)
    out, err = capsys.readouterr()
    assert out == ""
    assert STATE.fullmatch(err.strip().split("\r")[-1])


def test_it_changes_nothing():
    plain = GaussianMixture(3).fit(X)
    watched = GaussianMixture(3).set_callbacks(ProgressBar(file=io.StringIO())).fit(X)
    np.testing.assert_array_equal(watched.means_, plain.means_)
    assert watched.n_iter_ == plain.n_iter_


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"interval": "1"}, "interval must be a number of seconds.*got '1'"),
        ({"interval": -1.0}, "interval must be a number of seconds.*got -1"),
        ({"file": "bar.txt"}, "file must be an open file.*got 'bar.txt'"),
    ],
)
def test_bad_parameters(parameters, match):
    with pytest.raises(ValueError, match=match):
        ProgressBar(**parameters)
