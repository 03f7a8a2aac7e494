"""The data sets: what they hold, and the ways to ask for them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from skgmm.datasets import load_galaxies, load_old_faithful, load_reaven_miller

SHAPES = {
    load_old_faithful: (272, 2),
    load_galaxies: (82, 1),
    load_reaven_miller: (145, 3),
}
# Means and standard deviations (divisor n - 1) of the columns of the files.
MOMENTS = {
    load_old_faithful: ([3.487783, 70.897059], [1.141371, 13.594974]),
    load_galaxies: ([20.828171], [4.563758]),
    load_reaven_miller: (
        [121.986207, 540.786207, 186.117241],
        [63.930407, 319.564964, 120.935158],
    ),
}

pytestmark = pytest.mark.filterwarnings("error")
each_loader = pytest.mark.parametrize("load", SHAPES, ids=lambda load: load.__name__)


@each_loader
def test_data(load):
    bunch = load()
    assert isinstance(bunch, Bunch)
    assert bunch.data.shape == SHAPES[load]
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert len(bunch.feature_names) == SHAPES[load][1]
    assert bunch.frame is None


@each_loader
def test_moments(load):
    means, deviations = MOMENTS[load]
    data = load().data
    np.testing.assert_allclose(data.mean(axis=0), means, rtol=1e-6)
    np.testing.assert_allclose(data.std(axis=0, ddof=1), deviations, rtol=1e-6)


@each_loader
def test_frame(load):
    bunch = load(as_frame=True)
    plain = load()
    columns = list(bunch.feature_names)
    assert list(bunch.data.columns) == columns
    assert (bunch.data.dtypes == np.float64).all()
    np.testing.assert_array_equal(bunch.data, plain.data)
    if "target" in bunch:
        columns.append("target")
        assert isinstance(bunch.target, pd.Series)
        np.testing.assert_array_equal(bunch.frame["target"], plain.target)
    assert list(bunch.frame.columns) == columns


@each_loader
@pytest.mark.parametrize("as_frame", [False, True])
def test_return_X_y(load, as_frame):
    X, y = load(return_X_y=True, as_frame=as_frame)
    bunch = load(as_frame=as_frame)
    assert type(X) is type(bunch.data)
    np.testing.assert_array_equal(X, bunch.data)
    if "target" in bunch:
        assert type(y) is type(bunch.target)
        np.testing.assert_array_equal(y, bunch.target)
    else:
        assert y is None


@each_loader
def test_copies_are_independent(load):
    changed = load()
    before = changed.data.copy()
    changed.data[:] = 0
    np.testing.assert_array_equal(load().data, before)


def test_frame_is_a_copy():
    bunch = load_old_faithful(as_frame=True)
    bunch.data.iloc[:] = 0
    assert (bunch.frame["waiting"] > 0).all()


@each_loader
def test_description_is_about_the_data(load):
    description = load().DESCR
    assert "References" in description
    assert str(SHAPES[load][0]) in description
    assert "Parameters" not in description
    assert ">>>" not in description


@each_loader
def test_options_are_keywords(load):
    with pytest.raises(TypeError):
        load(True)


def test_classes_of_reaven_miller():
    bunch = load_reaven_miller()
    counts = dict(zip(bunch.target_names, np.bincount(bunch.target), strict=True))
    assert counts == {"chemical": 36, "normal": 76, "overt": 33}
    # Overt diabetes has a high plasma glucose, as in the article.
    glucose = bunch.data[:, 0]
    assert glucose[bunch.target == 2].min() > glucose[bunch.target == 1].max()


def test_pandas_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="load_galaxies with as_frame=True needs pan"):
        load_galaxies(as_frame=True)


def test_pandas_is_imported_only_when_asked_for():
    # scikit-learn imports pandas itself if it can: here it cannot.
    program = (
        "import sys; sys.modules['pandas'] = None\n"
        "from skgmm.datasets import load_old_faithful\n"
        "print(load_old_faithful().data.shape)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "(272, 2)"
