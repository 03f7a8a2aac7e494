"""The loaders, and how a file becomes a Bunch."""

import inspect
import re
from importlib import resources
from typing import Any

import numpy as np
from sklearn.utils import Bunch


def load_old_faithful(*, return_X_y=False, as_frame=False) -> Any:
    """Load the eruptions of Old Faithful, a geyser in Yellowstone National Park.

    =========  ==============================================
    Rows       272 eruptions
    Features   2, in minutes
    Clusters   short eruptions with short waits, and long ones
    =========  ==============================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, None)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether the data come as a pandas DataFrame.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        With the fields

        data : ndarray or DataFrame of shape (272, 2)
            Lengths of eruptions, and waiting times until the next eruption, both in
            minutes.
        feature_names : list of str
            'eruptions', 'waiting'.
        frame : DataFrame of shape (272, 2) or None
            The data, with ``as_frame=True``.
        DESCR : str
            A description.

    Notes
    -----
    The data are those of ``faithful`` in R; Azzalini and Bowman describe a longer
    version. The eruptions were timed in seconds, and were often rounded.

    References
    ----------
    .. [1] A. Azzalini and A. W. Bowman (1990). A look at some data on the Old
       Faithful geyser. Applied Statistics 39, 357-365.
    .. [2] W. Härdle (1991). Smoothing Techniques with Implementation in S. Springer.

    Examples
    --------
    >>> from skgmm.datasets import load_old_faithful
    >>> geyser = load_old_faithful()
    >>> geyser.feature_names
    ['eruptions', 'waiting']
    >>> geyser.data.mean(axis=0).round(2)
    array([ 3.49, 70.9 ])
    """
    return _load(
        load_old_faithful,
        "faithful.csv",
        feature_names=["eruptions", "waiting"],
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def load_galaxies(*, return_X_y=False, as_frame=False) -> Any:
    """Load the velocities of 82 galaxies in the region of Corona Borealis.

    =========  ==============================================
    Rows       82 galaxies, sorted
    Features   1, in thousands of kilometres per second
    Clusters   unknown; published answers differ
    =========  ==============================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, None)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether the data come as a pandas DataFrame.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        With the fields

        data : ndarray or DataFrame of shape (82, 1)
            Velocities in thousands of km/s.
        feature_names : list of str
            'velocity'.
        frame : DataFrame of shape (82, 1) or None
            The data, with ``as_frame=True``.
        DESCR : str
            A description.

    Notes
    -----
    A galaxy that recedes faster is farther away: clusters of velocities are
    clusters in space, with voids between them. The galaxies come from six separate
    conic sections of the sky.

    The data are those of ``galaxies`` in the R package MASS, in thousands. As there,
    the 78th value is 26.69; the survey has 26.96.

    References
    ----------
    .. [1] M. Postman, J. P. Huchra and M. J. Geller (1986). Probes of large-scale
       structure in the Corona Borealis region. Astronomical Journal 92, 1238-1247.
    .. [2] K. Roeder (1990). Density estimation with confidence sets exemplified by
       superclusters and voids in the galaxies. Journal of the American Statistical
       Association 85, 617-624.

    Examples
    --------
    >>> from skgmm.datasets import load_galaxies
    >>> galaxies = load_galaxies()
    >>> galaxies.data.shape
    (82, 1)
    >>> galaxies.data[:3].ravel()
    array([9.172, 9.35 , 9.483])
    """
    return _load(
        load_galaxies,
        "galaxies.csv",
        feature_names=["velocity"],
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def load_reaven_miller(*, return_X_y=False, as_frame=False) -> Any:
    """Load the diabetes data of Reaven and Miller.

    =========  ==============================================
    Rows       145 non-obese adults
    Features   3, results of blood tests
    Classes    chemical diabetes (36 rows), normal (76),
               overt diabetes (33)
    =========  ==============================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data and target come as pandas DataFrame and Series.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        With the fields

        data : ndarray or DataFrame of shape (145, 3)
            Glucose, insulin and SSPG by the names of the file; the notes say what
            they are. The file gives no units.
        target : ndarray or Series of shape (145,)
            Classes: 0, 1 or 2.
        feature_names : list of str
            'glucose', 'insulin', 'sspg'.
        target_names : list of str
            'chemical', 'normal', 'overt'.
        frame : DataFrame of shape (145, 4) or None
            Data and target, with ``as_frame=True``.
        DESCR : str
            A description.

    Notes
    -----
    The data are those of ``diabetes`` in the R package mclust. Its documentation
    says (since version 6.0) that they differ from the article: 'glucose' is the
    fasting plasma glucose, 'insulin' the area under the curve of plasma glucose
    after oral glucose, 'sspg' the area under the curve of plasma insulin; and row
    104 has 45 in the second column instead of 455. Names and values are kept so
    that fits can be compared with those of mclust.

    The classes are clinical, not found by clustering.

    References
    ----------
    .. [1] G. M. Reaven and R. G. Miller (1979). An attempt to define the nature of
       chemical diabetes using a multidimensional analysis. Diabetologia 16, 17-24.

    Examples
    --------
    >>> from skgmm.datasets import load_reaven_miller
    >>> X, y = load_reaven_miller(return_X_y=True)
    >>> X.shape, y.shape
    ((145, 3), (145,))
    >>> X[y == 1].mean(axis=0).round(1)
    array([ 91.2, 350. , 172.6])
    """
    return _load(
        load_reaven_miller,
        "diabetes.csv",
        feature_names=["glucose", "insulin", "sspg"],
        target_file="diabetes_labels.csv",
        target_names=["chemical", "normal", "overt"],
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def _load(loader, file, *, return_X_y, as_frame, target_file=None, **names):
    """Return what a loader returns; ``names`` are fields of the Bunch."""
    data = _read(file, skiprows=1, dtype=float)
    target = None if target_file is None else _read(target_file, dtype=int).ravel()
    frame = None
    if as_frame:
        data, target, frame = _framed(data, target, names["feature_names"], loader)
    if return_X_y:
        return data, target
    given = {} if target is None else {"target": target}
    return Bunch(data=data, **given, **names, frame=frame, DESCR=_description(loader))


def _read(file, **options):
    path = resources.files(__package__) / "data" / file
    with path.open(encoding="utf-8") as lines:
        return np.loadtxt(lines, delimiter=",", ndmin=2, **options)


def _framed(data, target, feature_names, loader):
    """Return data and target as pandas objects, and both in one frame."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{loader.__name__} with as_frame=True needs pandas. Install it "
            "(pip install pandas), or use as_frame=False."
        ) from error
    data = pd.DataFrame(data, columns=feature_names)
    if target is None:
        return data, None, data.copy()
    target = pd.Series(target, name="target")
    return data, target, pd.concat([data, target], axis=1)


def _description(loader):
    """Return the sections of a docstring that are about the data."""
    # A section is a title, a line of dashes and a text.
    first, *sections = re.split(r"\n\n(?=\w+\n-+\n)", inspect.getdoc(loader) or "")
    kept = [part for part in sections if part.startswith(("Notes", "References"))]
    return "\n\n".join([first, *kept])
