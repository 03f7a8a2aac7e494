"""Contracts of every covariance type, with every kind of array."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from strategies import TYPES, case, cases, dense, fitted, in_shape, matrices_of

from skgmm import GaussianMixture
from skgmm._statistics import Statistics
from skgmm.families import FAMILIES
from skgmm.forms import Full, Spherical, Tied, low_rank

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
ROW_METHODS = ("score_samples", "predict_proba", "predict_log_proba", "predict")

types = pytest.mark.parametrize("covariance_type", TYPES)


# ---- matrices -------------------------------------------------------------
@types
@given(case=cases())
def test_precisions_are_inverses(covariance_type, case):
    k, d = case.n_components, case.X.shape[1]
    mixture = fitted(case.X, k, covariance_type=covariance_type, max_iter=5)
    eye = np.broadcast_to(np.eye(d), (k, d, d))
    covariances = matrices_of(mixture)
    precisions = dense(mixture.precisions_, covariance_type, k, d)
    np.testing.assert_allclose(precisions @ covariances, eye, atol=1e-11)
    factors = dense(mixture.precisions_cholesky_, covariance_type, k, d)
    np.testing.assert_array_equal(np.triu(factors), factors)
    assert np.all(np.diagonal(factors, axis1=1, axis2=2) > 0)
    squared = factors @ np.swapaxes(factors, 1, 2)
    np.testing.assert_allclose(squared, precisions, 1e-12, 1e-12)


@types
@given(case=cases())
def test_free_entries_make_the_matrices(covariance_type, case):
    form = FAMILIES[covariance_type].form
    symmetric = 0.5 * (case.truth.matrices + np.swapaxes(case.truth.matrices, 1, 2))
    values = in_shape(symmetric, covariance_type)
    k, d = case.n_components, case.X.shape[1]
    free = form.free(values)
    rows = free.reshape(1 if form.shared else k, -1)
    np.testing.assert_array_equal(form.arranged(rows, k, d), values)
    i, j, members = form.directions(d)
    entries = free.reshape(-1, len(members)) @ members
    matrices = np.zeros((len(entries), d, d))
    matrices[:, i, j] = matrices[:, j, i] = entries
    expected = form(values, k, d).dense()
    np.testing.assert_array_equal(np.broadcast_to(matrices, (k, d, d)), expected)


@types
@given(case=cases())
def test_from_precisions_and_back(covariance_type, case):
    covariances = in_shape(case.truth.matrices, covariance_type)
    make = GaussianMixture.from_parameters
    parts = case.truth.weights, case.truth.means
    one = make(*parts, covariances=covariances, covariance_type=covariance_type)
    other = make(*parts, precisions=one.precisions_, covariance_type=covariance_type)
    np.testing.assert_allclose(other.covariances_, covariances, 1e-12, 1e-12)
    np.testing.assert_allclose(other.precisions_, one.precisions_, 1e-12, 1e-12)


@types
@given(case=cases(max_components=3))
def test_a_form_agrees_with_its_dense_matrices(covariance_type, case):
    k, d = case.n_components, case.X.shape[1]
    family = FAMILIES[covariance_type]
    form = family.form(in_shape(case.truth.matrices, covariance_type), k, d)
    matrices = form.dense()
    assert form.values.shape == form.shape(k, d)
    np.testing.assert_allclose(form.log_determinants, np.linalg.slogdet(matrices)[1])
    inverses = np.linalg.inv(matrices)
    residuals = case.X[np.newaxis] - case.truth.means[:, np.newaxis]
    distances = np.einsum("kni,kij,knj->kn", residuals, inverses, residuals)
    actual = form.mahalanobis(np.ascontiguousarray(case.X.T), case.truth.means)
    np.testing.assert_allclose(actual, distances, 1e-10, 1e-10)
    diagonals = np.diagonal(inverses, axis1=1, axis2=2)
    np.testing.assert_allclose(
        np.broadcast_to(form.precision_diagonals, (k, d)), diagonals, 1e-10
    )
    noise = np.random.default_rng(0).normal(size=(7, d))
    for component, matrix in enumerate(matrices):
        colour = form.colorize(component, noise)
        np.testing.assert_allclose(colour, noise @ np.linalg.cholesky(matrix).T)


@types
@given(case=cases(max_components=3))
def test_second_moments_are_sums_of_products(covariance_type, case):
    """About any origins, and shifted to the means."""
    k, d = case.n_components, case.X.shape[1]
    form = FAMILIES[covariance_type].form
    rng = np.random.default_rng(0)
    responsibilities = rng.dirichlet(np.ones(k), len(case.X)).T
    origin = case.truth.means + 0.1
    first, second = np.zeros((k, d)), np.zeros(form.shape(k, d))
    unit = form.unit(k, d)
    z = np.ascontiguousarray(case.X.T)
    unit.accumulate(z, responsibilities, origin, first, second)
    count = responsibilities.sum(axis=1)
    statistics = Statistics(count, first, second, 0.0, origin, form)

    means = responsibilities @ case.X / count[:, np.newaxis]
    np.testing.assert_allclose(statistics.means(), means, 1e-11, 1e-11)
    residuals = case.X[np.newaxis] - means[:, np.newaxis]
    products = np.einsum("kn,kni,knj->kij", responsibilities, residuals, residuals)
    expected = in_shape(products, covariance_type)
    if covariance_type == "tied":
        expected = products.sum(axis=0)
    # A scatter of matrices is symmetric although one triangle is summed.
    np.testing.assert_allclose(statistics.scatter(), expected, 1e-9, 1e-9)


@types
@pytest.mark.parametrize("n_features", [9, 10, 33])
def test_many_features(covariance_type, n_features):
    """Products go another way, by BLAS, from ten features on."""
    problem = case(1, 3, n_features, n_rows=400)
    mixture = fitted(
        problem.X,
        3,
        covariance_type=covariance_type,
        init_params=problem.labels,
        reg_covar=0.0,
        max_iter=0,
    )
    classes = [problem.X[problem.labels == k] for k in range(3)]
    counts = np.array([len(rows) for rows in classes])
    matrices = np.array([np.cov(rows.T, ddof=0) for rows in classes])
    if covariance_type == "tied":
        matrices = 3 * matrices * (counts / counts.sum())[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(
        mixture.covariances_, in_shape(matrices, covariance_type), 1e-10, 1e-12
    )
    expected = np.linalg.inv(matrices_of(mixture))
    k, d = mixture.means_.shape
    precisions = dense(mixture.precisions_, covariance_type, k, d)
    np.testing.assert_allclose(precisions, expected, 1e-9, 1e-9)


# ---- components that are moved or split -----------------------------------
FORMS = [FAMILIES[name].form for name in TYPES] + [low_rank(2)]
forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)


def some_covariances(form, k, d):
    rng = np.random.default_rng(0)
    shape = form.shape(k, d)
    values = rng.uniform(0.5, 2.0, shape)
    if issubclass(form, Full | Tied):
        roots = rng.normal(size=(*shape[:-1], 2 * d))
        values = roots @ np.swapaxes(roots, -1, -2)
    return form(values, k, d)


@forms
def test_each_component_in_two(form):
    before, offsets = some_covariances(form, 3, 4), np.zeros((3, 4))
    # Along a column of a covariance lies what a part of it explains.
    offsets[:] = 0.2 * before.dense()[:, 0] / np.sqrt(before.dense()[:, :1, 0])
    sets = before.in_two(offsets, (1.75, 0.25))
    assert len(sets) == (3 if form.shared else 6)
    for r, values in enumerate(sets):
        after, c = form(values, 4, 4).dense(), r % 3
        expected = before.dense()[[0, 1, 2, c]]
        if r >= 3:
            expected[c], expected[3] = 1.75 * expected[c], 0.25 * expected[3]
        elif not form.shared:
            left = what_is_left(form, expected[c], offsets[c])
            if form.kind == "factors":  # of one factor some is taken, of noise none
                taken = np.linalg.eigvalsh(expected[c] - after[c])
                np.testing.assert_allclose(taken[:-1], 0.0, atol=1e-12)
                assert 0 < taken[-1] < np.trace(left)
                left = after[c]
            expected[c] = expected[3] = left
        np.testing.assert_allclose(after, expected, rtol=1e-12)


def what_is_left(form, covariance, offset):
    """Return a covariance without what two halves explain, as a form has it."""
    if form.kind == "diag":
        return covariance - np.diag(offset**2)
    if form.kind == "spherical":
        return covariance - np.mean(offset**2) * np.eye(len(offset))
    return covariance - np.outer(offset, offset)


@forms
def test_a_component_with_the_average_covariance(form):
    before, weights = some_covariances(form, 3, 4), np.array([0.2, 0.3, 0.5])
    after, expected = before.with_average(2, weights, 0.25), before.dense().copy()
    if form.kind == "factors":  # factors are to be found anew
        expected[2] = 0.25 * np.diag(weights @ before.variances)
    elif not form.shared:
        expected[2] = 0.25 * np.tensordot(weights, before.dense(), 1)
    np.testing.assert_allclose(after.dense(), expected, rtol=1e-12, atol=1e-12)


@forms
def test_covariances_of_rescaled_rows(form):
    before = some_covariances(form, 3, 4)
    into = np.full(4, 0.5) if form is Spherical else np.linspace(0.5, 2.0, 4)
    after, expected = before.mapped(into), np.outer(into, into) * before.dense()
    assert type(after) is form
    np.testing.assert_allclose(after.dense(), expected, rtol=1e-12)


@pytest.mark.parametrize("form", [Full, Tied])
def test_covariances_of_mapped_rows(form):
    before = some_covariances(form, 3, 4)
    into = np.random.default_rng(1).normal(size=(4, 4))
    after, expected = before.mapped(into), into.T @ before.dense() @ into
    assert type(after) is form
    np.testing.assert_allclose(after.dense(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", [Full, Tied])
def test_what_a_map_makes_singular_is_mended(form):
    before = some_covariances(form, 2, 2)
    after = before.mapped(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]))
    assert np.all(np.isfinite(after.whiteners))
    assert np.all(np.linalg.eigvalsh(after.values) > 0)


@pytest.mark.parametrize("form", [Full, Tied])
def test_coordinates_do_not_depend_on_the_axes(form):
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(300, 3)), rng.laplace(size=(300, 3))])
    rows[300:, 0] += 4.0
    weight, mixing = rng.uniform(0.1, 1.0, 600), rng.normal(size=(3, 3)) * [1, 10, 100]

    def coordinates(rows):
        centred = rows - weight @ rows / weight.sum()
        covariance = (centred.T * weight) @ centred / weight.sum()
        return form.coordinates(centred, covariance, weight)

    z, mixed = coordinates(rows), coordinates(rows @ mixing)
    np.testing.assert_allclose(np.abs(mixed), np.abs(z), rtol=1e-6, atol=1e-9)
    # Uncorrelated, and the two clusters are the longest of them.
    covariance = np.cov(z.T, aweights=weight, bias=True)
    sizes = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sizes, sizes)
    np.testing.assert_allclose(correlation, np.eye(3), atol=1e-9)
    longest = z[:, np.argmax(sizes)]
    apart = longest[:300].mean() - longest[300:].mean()
    assert abs(apart) > 1.5 * np.std(longest)


# ---- kinds of rows --------------------------------------------------------
def integers():
    """Return rows that every kind of number can hold: from 0 to 7."""
    X = case(8, 3, 3, n_rows=300).X
    return np.clip(np.round(X - X.min(axis=0)), 0, 7)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def strided(X):
    out = np.full((2 * len(X), 3 * X.shape[1]), np.nan)
    out[::2, ::3] = X
    return out[::2, ::3]


def nullable(X):
    return pd.DataFrame(X.astype(int), columns=list("abc")).astype("Int64")


SAME = {
    "int8": lambda X: X.astype(np.int8),
    "int32": lambda X: X.astype(np.int32),
    "uint8": lambda X: X.astype(np.uint8),
    "float16": lambda X: X.astype(np.float16),
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "strided": strided,
    "reversed": lambda X: X[::-1].copy()[::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "lists": lambda X: X.tolist(),
    "pandas": lambda X: pd.DataFrame(X, columns=list("abc")),
    "pandas, nullable": nullable,
    "polars": lambda X: pl.DataFrame(X, schema=list("abc")),
}


def assert_same_answers(mixture, rows, expected, X, rtol=1e-12):
    """Compare a fit to ``rows`` with one to the same numbers as float64."""
    for name in ARRAYS:
        actual = getattr(mixture, name)
        np.testing.assert_allclose(
            actual, getattr(expected, name), rtol, rtol, err_msg=name
        )
    for name in ROW_METHODS:
        actual = getattr(mixture, name)(rows)
        np.testing.assert_allclose(
            actual, getattr(expected, name)(X), rtol, rtol, err_msg=name
        )
    for name in ("score", "aic", "bic", "icl"):
        actual = getattr(mixture, name)(rows)
        assert actual == pytest.approx(getattr(expected, name)(X), rel=rtol)


@types
@pytest.mark.parametrize("kind", SAME)
def test_the_kind_of_rows_does_not_matter(covariance_type, kind):
    X = integers()
    rows = SAME[kind](X)
    parameters = {"covariance_type": covariance_type, "tol": 0.0, "max_iter": 5}
    mixture, expected = fitted(rows, 3, **parameters), fitted(X, 3, **parameters)
    assert mixture.means_.dtype == np.float64
    assert_same_answers(mixture, rows, expected, X)


@types
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_is_read_in_place(covariance_type, order, tmp_path):
    X = integers()
    path = tmp_path / "rows"
    rows = np.memmap(path, np.float64, "w+", shape=X.shape, order=order)
    rows[:] = X
    rows.flush()
    rows = np.memmap(path, np.float64, "r", shape=X.shape, order=order)
    parameters = {"covariance_type": covariance_type, "tol": 0.0, "max_iter": 5}
    mixture, expected = fitted(rows, 3, **parameters), fitted(X, 3, **parameters)
    assert_same_answers(mixture, rows, expected, X)


@types
def test_booleans_are_zero_and_one(covariance_type):
    X = integers() > 3
    parameters = {"covariance_type": covariance_type, "tol": 0.0, "max_iter": 5}
    mixture = fitted(X, 2, **parameters)
    expected = fitted(X.astype(float), 2, **parameters)
    assert_same_answers(mixture, X, expected, X.astype(float))


@types
def test_integers_are_not_computed_as_integers(covariance_type):
    """Differences and squares of these would overflow or wrap around."""
    X = (40 * (integers() - 3.5)).astype(np.int8)
    mixture = fitted(X, 1, covariance_type=covariance_type)
    expected = fitted(X.astype(float), 1, covariance_type=covariance_type)
    assert_same_answers(mixture, X, expected, X.astype(float))


@types
def test_float32_rows_give_float32_answers(covariance_type):
    X = case(8, 3, 3).X.astype(np.float32)
    parameters = {"covariance_type": covariance_type, "tol": 0.0, "max_iter": 5}
    mixture = fitted(X, 3, **parameters)
    expected = fitted(X.astype(np.float64), 3, **parameters)
    for name in ARRAYS:
        assert getattr(mixture, name).dtype == np.float32
    for name in ROW_METHODS[:3]:
        assert getattr(mixture, name)(X).dtype == np.float32
    assert mixture.sample(3, random_state=0)[0].dtype == np.float32
    assert_same_answers(mixture, X, expected, X.astype(float), rtol=1e-6)


@types
def test_rows_and_weights_are_not_changed(covariance_type):
    X, weight = case(8, 3, 3).X, np.linspace(0, 2, 200)
    before = X.copy(), weight.copy()
    mixture = fitted(X, 3, covariance_type=covariance_type, sample_weight=weight)
    for name in ROW_METHODS:
        getattr(mixture, name)(X)
    mixture.icl(X, sample_weight=weight)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(weight, before[1])


@types
def test_starting_values_are_not_changed(covariance_type):
    problem = case(8, 3, 3)
    start = problem.truth.start(covariance_type)
    before = {name: value.copy() for name, value in start.items()}
    mixture = fitted(problem.X, 3, covariance_type=covariance_type, **start)
    for name, value in before.items():
        np.testing.assert_array_equal(start[name], value)
        assert getattr(mixture, name) is start[name]
