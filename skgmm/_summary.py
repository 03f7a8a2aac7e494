"""A fitted mixture as a table, for people."""

from html import escape

import numpy as np

_COMPONENTS, _FEATURES = 20, 6  # more are left out, and it is said how many


class Summary(str):
    """Text that shows itself as it is, and as a table in notebooks.

    Parameters
    ----------
    title : str
    facts : dict of str to str
    header : list of str
    rows : list of list of str
    notes : list of str
        Lines below the table.
    """

    def __new__(cls, title, facts, header, rows, notes):
        self = super().__new__(cls, _text(title, facts, header, rows, notes))
        self._parts = title, facts, header, rows, notes
        return self

    def __reduce__(self):
        return Summary, self._parts

    def __repr__(self):
        return str(self)

    def _repr_html_(self):
        title, facts, header, rows, notes = self._parts
        lines = [f"<tr><th>{_html(name)}</th>" for name in facts]
        lines = [
            f"{line}<td>{_html(value)}</td></tr>"
            for line, value in zip(lines, facts.values(), strict=True)
        ]
        body = ["<tr>" + "".join(f"<td>{_html(c)}</td>" for c in row) for row in rows]
        return (
            f"<div><b>{_html(title)}</b><table>{''.join(lines)}</table><table><tr>"
            + "".join(f"<th>{_html(cell)}</th>" for cell in header)
            + "</tr>"
            + "".join(f"{line}</tr>" for line in body)
            + "</table>"
            + "".join(f"<p>{_html(note)}</p>" for note in notes)
            + "</div>"
        )


def summary_of(estimator, X=None, sample_weight=None):
    """Return the summary of an estimator that holds a mixture."""
    model = estimator._model()
    mixture = model.mixture
    n_components, n_features = mixture.means.shape
    title = (
        f"{type(estimator).__name__}: {_count(n_components, 'component')}, "
        f"{_count(n_features, 'feature')}"
    )
    header, rows, left_out = _table(estimator, mixture)
    facts = _facts(estimator, model) | _criteria(estimator, X, sample_weight)
    return Summary(title, facts, header, rows, left_out + _degenerate(estimator))


def _facts(estimator, model):
    family = model.family
    code = "" if family.code == family.name else f" ({family.code})"
    out = {
        "covariances": f"{family.name}{code}",
        "free parameters": str(model.n_parameters()),
    }
    if model.mixture.noise is not None:
        share, log_density = estimator.noise_weight_, estimator.noise_log_density_
        out["noise"] = f"{share:.4f} of all, log-density {log_density:.6g}"
    if hasattr(estimator, "converged_"):
        how = "yes" if estimator.converged_ else "no"
        iterations = _count(estimator.n_iter_, "iteration")
        out["converged"] = f"{how}, {iterations}"
    if hasattr(estimator, "lower_bound_"):
        out["objective"] = f"{estimator.lower_bound_:.6g} nats per observation"
    return out


def _criteria(estimator, X, sample_weight):
    if X is None:
        return {}
    log_likelihood, weight = estimator._summed("log_likelihood", X, sample_weight)
    bic = estimator.bic(X, sample_weight=sample_weight)
    icl = estimator.icl(X, sample_weight=sample_weight)
    return {
        "observations": f"{weight:.10g}",
        "log-likelihood": f"{log_likelihood:.2f}",
        "BIC": f"{bic:.2f}",
        "ICL": f"{icl:.2f}",
    }


def _table(estimator, mixture):
    """Return header, rows, and lines that say what was left out."""
    names = getattr(estimator, "feature_names_in_", None)
    n_components, n_features = mixture.means.shape
    if names is None:
        names = [f"x{i}" for i in range(n_features)]
    means = mixture.means[:_COMPONENTS, :_FEATURES]
    sd = np.sqrt(mixture.covariances.variances[:_COMPONENTS, :_FEATURES])
    columns = [_column(*pair) for pair in zip(means.T, sd.T, strict=True)]
    header = ["component", "weight", *map(str, names[:_FEATURES])]
    rows = [
        [str(k), f"{weight:.4f}", *cells]
        for k, (weight, *cells) in enumerate(
            zip(mixture.weights[:_COMPONENTS], *columns, strict=True)
        )
    ]
    notes = ["Cells are means ± standard deviations."]
    if n_components > _COMPONENTS:
        notes.append(f"{_count(n_components - _COMPONENTS, 'more component')}.")
    if n_features > _FEATURES:
        notes.append(f"{_count(n_features - _FEATURES, 'more feature')}.")
    return header, rows, notes


def _column(means, sd):
    """Return the cells of a feature: means to a hundredth of the smallest sd."""
    decimals = 2 - int(np.floor(np.log10(sd.min())))
    digits = int(np.floor(np.log10(max(np.abs(means).max(), sd.min())))) + decimals + 1
    plain = decimals <= 6 and np.abs(means).max() < 1e10
    form = f".{max(0, decimals)}f" if plain else f".{min(digits, 17)}g"
    texts = [format(mean, form) for mean in means]
    width = max(map(len, texts))
    return [
        f"{text:>{width}} ± {deviation:#.3g}".removesuffix(".")
        for text, deviation in zip(texts, sd, strict=True)
    ]


def _degenerate(estimator):
    return [
        f"Component {k} is degenerate: {count:.3g} effective rows, condition number "
        f"{condition:.2g}."
        for k, count, condition in getattr(estimator, "degenerate_", [])
    ]


def _count(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _html(text):
    return escape(text).replace(" ± ", "&nbsp;±&nbsp;")


def _text(title, facts, header, rows, notes):
    lines = [title, ""]
    width = max(map(len, facts))
    lines += [f"{name:<{width}}  {value}" for name, value in facts.items()]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines.append("")
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if index < 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, "", *notes])
