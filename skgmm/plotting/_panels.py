"""One panel: a mixture in one dimension, or in two."""

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from ._style import COLOURS, LINES, blend, text_colour
from ._views import deviations_of, grid_of, limits_of

RUG = 400  # rows up to which each is a tick
_ANGLES = np.linspace(0, 2 * np.pi, 121)
CIRCLE = np.array([np.cos(_ANGLES), np.sin(_ANGLES)])


# ---- what is computed ------------------------------------------------------
def region_levels(mixture, masses):
    """Return the log-densities above which the mixture has the given masses.

    The region of the highest density with mass a is where the density is above its
    (1 - a)-quantile, of rows drawn from the mixture (Hyndman 1996, The American
    Statistician 50, 120-126).  The rows are a Sobol sequence: always the same, and
    more even than random ones.
    """
    count = 2 ** int(np.clip(np.log2(2**17 / mixture.n_components), 9, 14))
    uniform = qmc.Sobol(mixture.n_features, seed=0).random(count)
    noise = ndtri(np.clip(uniform, 1e-9, 1 - 1e-9))
    live = np.flatnonzero(mixture.weights > 0)
    colour = mixture.covariances.colorize
    rows = np.concatenate([mixture.means[k] + colour(k, noise) for k in live])
    share = np.repeat(mixture.weights[live], count)
    density = mixture.log_density(rows)
    order = np.argsort(-density)
    inside = np.cumsum(share[order]) / share.sum()
    return density[order[np.searchsorted(inside, masses)]]


def weighted_densities(mixture, x):
    """Return the density of each component times its weight at x, shape (K, n)."""
    sd = deviations_of(mixture)
    z = (x - mixture.means) / sd
    return (
        mixture.weights[:, np.newaxis] * np.exp(-0.5 * z**2) / sd / np.sqrt(2 * np.pi)
    )


def histogram(values, sample_weight, limits):
    """Return heights, with area one, and edges of bins; of few bins for a million."""
    finite = np.isfinite(values)
    if sample_weight is not None:
        finite &= sample_weight > 0
        sample_weight = sample_weight[finite]
    values = np.asarray(values[finite], dtype=np.float64)
    spread = np.subtract(*np.percentile(values, [75, 25]))
    width = 2 * spread / len(values) ** (1 / 3)  # Freedman and Diaconis
    low, high = values.min(), values.max()
    n_bins = np.clip((high - low) / width, 10, 120) if width > 0 else 40
    if not low < high:
        low, high = limits[0]
    edges = np.linspace(low, high, int(n_bins) + 1)
    return np.histogram(values, edges, weights=sample_weight, density=True)


def density_of(mixture, limits):
    """Return points x of one axis and the density there."""
    x = grid_of(limits, mixture.means[:, 0], deviations_of(mixture)[:, 0], 800)
    return x, weighted_densities(mixture, x).sum(axis=0)


# ---- one dimension ---------------------------------------------------------
def line_panel(
    ax, mixture, colours, limits, points, *, data, legend, names, small, top=0.0
):
    """Draw a mixture in one dimension; return the artists by name."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    live = np.flatnonzero(mixture.weights > 0)
    means, sd = mixture.means[:, 0], deviations_of(mixture)[:, 0]
    x, density = density_of(mixture, limits[0])
    parts = weighted_densities(mixture, x)
    top = 1.08 * max(top, density.max())
    artists = dict.fromkeys(("data", "histogram"))

    if points is not None and data == "histogram":
        heights, edges = histogram(points.all_rows[:, 0], points.all_weights, limits)
        artists["histogram"] = ax.stairs(
            heights, edges, fill=True, color="0.85", label="data", zorder=0.5
        )
        top = max(top, 1.05 * heights.max())
    if points is not None and data == "rug":
        here = points.rows[:, 0]
        ends = [0.012, 0.068]  # in parts of the height; the density begins above
        ticks = np.stack([np.repeat(here, 2), np.tile(ends, len(here))], axis=1)
        artists["data"] = LineCollection(
            ticks.reshape(-1, 2, 2),
            colors=blend(points.responsibilities, colours),
            linewidths=1.0 if len(here) <= 100 else 0.5,
            label="data",
            transform=ax.get_xaxis_transform(),
            rasterized=len(here) > 2000,
        )
        ax.add_collection(artists["data"], autolim=False)

    artists["components"] = []
    for k in live if len(live) > 1 else []:
        style = LINES[k % len(LINES)]
        ax.fill_between(x, parts[k], color=colours[k], alpha=0.25, linewidth=0)
        artists["components"] += ax.plot(
            x, parts[k], color=colours[k], linestyle=style, linewidth=1.2
        )
    [artists["density"]] = ax.plot(x, density, color="black", lw=2, label="density")

    # Each mean is a line up to its component, one standard deviation a bar across.
    peaks = mixture.weights / sd / np.sqrt(2 * np.pi)
    sides = peaks * np.exp(-0.5)
    style = {"linewidth": 1.2 if len(live) <= 10 else 0.8}
    style["colors"] = colours[live] if len(live) > 1 else COLOURS[1]
    artists["means"] = ax.vlines(
        means[live], 0, peaks[live], linestyles="--", label="mean", **style
    )
    artists["deviations"] = ax.hlines(
        sides[live],
        (means - sd)[live],
        (means + sd)[live],
        label="mean ± 1 sd",
        **style,
    )
    artists["numbers"] = []
    if 1 < len(live) <= 20 and not small:
        artists["numbers"] = [
            ax.text(
                means[k],
                0.02 * top,
                f" {k}",
                fontsize=8,
                color="0.15",
                clip_on=True,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
            for k in live
        ]
    ax.set(xlim=limits[0], ylim=(-0.09 * top if data == "rug" else 0, top))
    ax.set(xlabel=names[0], ylabel="density")
    artists["legend"] = None
    if legend:
        handles, _ = ax.get_legend_handles_labels()
        handles = [_grey(handle) for handle in handles] if len(live) > 1 else handles
        artists["legend"] = _legend_above(ax, x, density, handles)
    return artists


def _grey(handle):
    """Return a copy of a collection of many colours, for the legend, in dark grey."""
    from matplotlib.collections import LineCollection

    if not isinstance(handle, LineCollection):
        return handle
    return LineCollection(
        [],
        colors="0.3",
        linestyles=handle.get_linestyle()[:1],
        linewidths=handle.get_linewidth()[:1],
        label=handle.get_label(),
    )


# ---- two dimensions --------------------------------------------------------
def plane_panel(
    ax,
    mixture,
    colours,
    limits,
    points,
    *,
    masses,
    deviations,
    legend,
    names,
    small,
    scatter_kw=None,
):
    """Draw a mixture in two dimensions; return the artists by name."""
    artists = {
        "regions": _regions(ax, mixture, limits, sorted(masses), 90 if small else 200),
        "data": _scatter(ax, points, colours, small, scatter_kw),
        "ellipses": _ellipses(ax, mixture, colours, deviations, small),
    }
    artists["means"], artists["numbers"] = _means(ax, mixture, colours, small)
    ax.set(xlim=limits[0], ylim=limits[1], xlabel=names[0], ylabel=names[1])
    artists["legend"] = None
    if legend:
        handles = _ellipse_handles(deviations)
        handles += _region_handles(artists["regions"], sorted(masses))
        if handles:
            live = mixture.means[mixture.weights > 0]
            rows = live if points is None else np.concatenate([points.rows, live])
            corner = emptiest_corner(rows, limits, legend_size(ax, handles))
            artists["legend"] = ax.legend(handles=handles, loc=corner, **LEGEND)
            artists["legend"].set_zorder(5)
    return artists


def _regions(ax, mixture, limits, masses, n_points):
    """Draw the regions of highest density, the smaller the darker."""
    if not masses:
        return None
    sd = deviations_of(mixture)
    # Farther than shown, so that large regions are whole when the axes are widened.
    far = limits_of(mixture, reach=3.5)
    low = np.minimum(limits[:, 0], far[:, 0])
    limits = np.stack([low, np.maximum(limits[:, 1], far[:, 1])], axis=1)
    axes = [
        grid_of(limits[i], mixture.means[:, i], sd[:, i], n_points) for i in range(2)
    ]
    rows = np.stack(np.meshgrid(*axes), axis=-1)
    density = mixture.log_density(rows.reshape(-1, 2)).reshape(rows.shape[:2])
    levels = region_levels(mixture, masses)[::-1]
    top = max(density.max(), levels[-1]) + 1.0
    shades = [str(shade) for shade in np.linspace(0.94, 0.72, len(levels))]
    return ax.contourf(*axes, density, [*levels, top], colors=shades, zorder=0.5)


def _scatter(ax, points, colours, small, scatter_kw):
    if points is None:
        return None
    n = max(1, len(points.rows))
    size = np.clip(200 / np.sqrt(n), 2.0, 20.0) * (0.5 if small else 1.0)
    options = {
        "s": size * points.relative_weights(),
        "alpha": 0.8 if n <= 2000 else 0.5,
        "linewidths": 0,
        "rasterized": n > 2000,
        "zorder": 2,
    }
    shades = blend(points.responsibilities, colours)
    return ax.scatter(*points.rows.T, **(options | {"c": shades} | (scatter_kw or {})))


def _ellipses(ax, mixture, colours, deviations, small):
    """Draw the ellipses of each component, one collection for each radius.

    Light edges set them off from rows of the same colour.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    live = np.flatnonzero(mixture.weights > 0)
    roots = np.linalg.cholesky(mixture.covariances.dense()[live])
    centres = mixture.means[live, np.newaxis]
    width = (1.6 if len(live) <= 10 else 1.0) * (0.7 if small else 1.0)
    out = []
    for index, radius in enumerate(deviations):
        paths = centres + radius * np.swapaxes(roots @ CIRCLE, 1, 2)
        out.append(
            LineCollection(
                paths,
                colors=colours[live],
                linestyles=[LINES[index % len(LINES)]],
                linewidths=width,
                path_effects=[withStroke(linewidth=2.2 * width, foreground="white")],
                label=f"{radius:g} sd",
                zorder=3,
            )
        )
        ax.add_collection(out[-1], autolim=False)
    return out


def _means(ax, mixture, colours, small):
    """Mark the means, by the numbers of the components if there are several."""
    live = np.flatnonzero(mixture.weights > 0)
    numbered = len(live) > 1 and not small
    size = 16 if small else 90 if len(live) <= 20 else 50
    means = ax.scatter(
        *mixture.means[live].T,
        s=size,
        c=colours[live],
        marker="o" if numbered or small else "X",
        edgecolors="black",
        linewidths=0.8 if not small else 0.5,
        zorder=4,
    )
    font = {"fontsize": 8 if len(live) <= 20 else 6, "ha": "center", "va": "center"}
    numbers = [
        ax.text(
            *mixture.means[k],
            str(k),
            color=text_colour(colours[k]),
            zorder=4.5,
            clip_on=True,
            **font,
        )
        for k in (live if numbered else [])
    ]
    return means, numbers


def _ellipse_handles(deviations):
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="0.3", ls=LINES[i % len(LINES)], label=f"{radius:g} sd")
        for i, radius in enumerate(deviations)
    ]


def _region_handles(regions, masses):
    from matplotlib.patches import Patch

    if regions is None:
        return []
    shades = regions.get_facecolor()[::-1]
    return [
        Patch(facecolor=shade, label=f"{100 * mass:.4g} % of mass")
        for shade, mass in zip(shades, masses, strict=True)
    ]


LEGEND = {
    "fontsize": "small",
    "labelspacing": 0.25,
    "handlelength": 1.7,
    "borderpad": 0.3,
    "framealpha": 0.9,
}


def legend_size(ax, handles):
    """Return about how much of the width and height of axes a legend takes."""
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    longest = max(len(handle.get_label()) for handle in handles)
    size = np.array([0.5 + 0.068 * longest, 0.15 + 0.15 * len(handles)])  # inches
    return np.minimum(size / (box.width, box.height), 0.6)


def emptiest_corner(rows, limits, size):
    """Return the corner of a panel with the fewest rows in it, as for a legend.

    ``size`` (2,) is that of the corners, in parts of the panel.
    """
    low, high = limits.T
    z = (np.asarray(rows, dtype=np.float64) - low) / (high - low)
    right, upper = (z > 1 - size).T
    left, lower = (z < size).T
    counts = {
        "lower right": np.sum(right & lower),
        "upper left": np.sum(left & upper),
        "lower left": np.sum(left & lower),
        "upper right": np.sum(right & upper),
    }
    return min(counts, key=counts.get)


def _legend_above(ax, x, density, handles):
    """Draw a legend beside the peaks, and make room for it where it covers any."""
    width, height = legend_size(ax, handles)
    reach = width * (x[-1] - x[0])
    left, right = density[x < x[0] + reach].max(), density[x > x[-1] - reach].max()
    low, high = ax.get_ylim()
    needed = low + (1.05 * min(left, right) - low) / (1 - height)
    ax.set_ylim(low, max(high, min(needed, 1.6 * high)))
    loc = "upper left" if left < right else "upper right"
    return ax.legend(handles=handles, loc=loc, **LEGEND)
