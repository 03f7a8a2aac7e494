"""Colours, and where axes come from."""

import numpy as np

# Okabe and Ito (2008): safe for colour-blind readers.  The first two differ most in
# grey; yellow is left out, which is hard to see on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#4D4D4D")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = "osD^vP*X"
NOISE = 0.6  # the grey of rows that are noise


def check_matplotlib(caller):
    """Raise an ImportError that says what to do if there is no Matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib. You can install matplotlib with "
            '`pip install matplotlib` or `pip install "skgmm[plot]"`.'
        ) from error


def component_colours(means, deviations):
    """Return one colour a component, RGB of shape (K, 3).

    When there are more components than colours, neighbours get different ones: each
    component takes the colour whose nearest bearer is farthest away.
    """
    from matplotlib.colors import to_rgb

    spread = np.sqrt(np.mean(deviations**2, axis=0) + np.var(means, axis=0))
    z = means / spread
    chosen = np.empty(len(z), dtype=int)
    for k in range(len(z)):
        distance = np.full(len(COLOURS), np.inf)
        np.minimum.at(distance, chosen[:k], np.sum((z[:k] - z[k]) ** 2, axis=1))
        chosen[k] = np.argmax(distance)
    return np.array([to_rgb(colour) for colour in COLOURS])[chosen]


def blend(responsibilities, colours):
    """Return the colours of rows: those of the components, mixed by responsibility.

    A further responsibility is that of noise, which is grey.
    """
    grey = np.full((responsibilities.shape[1] - len(colours), 3), NOISE)
    return np.clip(responsibilities @ np.concatenate([colours, grey]), 0.0, 1.0)


def text_colour(colour):
    """Return black or white, whichever is read more easily on a colour."""
    return "black" if np.dot(colour, (0.299, 0.587, 0.114)) > 0.55 else "white"


def one_axes(ax, caller, **figure):
    """Return ``ax``, or axes of a new figure."""
    check_matplotlib(caller)
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(layout="constrained", **figure)
    return ax


def many_axes(ax, n_rows, n_columns, caller, *, figsize, **subplots):
    """Return axes (n_rows, n_columns): a new figure, those given, or within ``ax``."""
    check_matplotlib(caller)
    import matplotlib.pyplot as plt

    shape = n_rows, n_columns
    if ax is None:
        figure = plt.figure(figsize=figsize, layout="constrained")
        return figure.subplots(*shape, squeeze=False, **subplots)
    if isinstance(ax, np.ndarray):
        if ax.size != n_rows * n_columns:
            raise ValueError(
                f"ax must be one Axes or an array of {n_rows} x {n_columns} of them; "
                f"got {ax.size}."
            )
        return ax.reshape(shape)
    if shape == (1, 1):
        return np.array([[ax]])
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"{caller} draws {n_rows} x {n_columns} panels in place of ax, which must "
            "be one of a grid, as from plt.subplots(). Or pass an array of Axes."
        )
    ax.set_axis_off()
    return place.subgridspec(*shape).subplots(squeeze=False, **subplots)
