"""The compiled kernels do what their twin in NumPy does."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl

from skgmm import _threads, kernels
from skgmm._em import Problem
from skgmm._frame import Frame
from skgmm._gaussian_mixture import _noise
from skgmm._missing import HolesSource
from skgmm._mixture import Mixture, Mixtures
from skgmm._regularisation import PseudoObservations, Ridge
from skgmm._sources import ArraySource
from skgmm._starts import PARTITIONS, from_partition
from skgmm.families import FAMILIES, family_named
from skgmm.forms import Diag, Full, NotPositiveDefinite, Spherical, Tied
from skgmm.kernels import reference

if kernels.name != "compiled":  # once is enough
    pytest.skip("compared where compiled kernels are used", allow_module_level=True)

from skgmm.kernels import _compiled, compiled

FORMS = {form.kind: form for form in (Full, Tied, Diag, Spherical)}

forms = pytest.mark.parametrize("kind", FORMS)
codes = pytest.mark.parametrize("code", compiled.FAMILIES)
each_isa = pytest.mark.parametrize("isa", compiled.SUPPORTED)


@pytest.fixture(params=compiled.SUPPORTED)
def isa(request, monkeypatch):
    """Every instruction set in turn."""
    monkeypatch.setattr(compiled, "instruction_set", request.param)
    return request.param


@pytest.fixture(autouse=True)
def one_thread():
    """Products of small matrices gain nothing from more, and wait for them."""
    with threadpoolctl.threadpool_limits(1, "blas"):
        yield


def mixture_of(kind, rng, k, d, distance=2.0):
    """Return a mixture whose matrices have conditions below about ten."""
    axes = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    variances = rng.uniform(0.3, 3.0, size=(k, 1, d))
    matrices = (axes * variances) @ np.swapaxes(axes, 1, 2)
    values = {
        "full": matrices,
        "tied": matrices[0],
        "diag": variances[:, 0],
        "spherical": variances[:, 0, 0],
    }[kind]
    means = distance / np.sqrt(d) * rng.normal(size=(k, d))
    return Mixture(rng.dirichlet(np.full(k, 5.0)), means, FORMS[kind](values, k, d))


def rows_near(mixture, rng, n):
    """Return rows about the means."""
    return mixture.means[rng.integers(mixture.n_components, size=n)] + rng.normal(
        size=(n, mixture.n_features)
    )


def strided(rows):
    """Return a view with a gap in each direction, one of them backwards."""
    wide = np.full((2 * len(rows) + 1, 3 * rows.shape[1] + 1), np.nan, rows.dtype)
    view = wide[::-2, 1::3][: len(rows)]
    view[...] = rows
    assert not (view.flags.c_contiguous or view.flags.f_contiguous) or view.size < 2
    return view


def read_only(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": strided,
    "read-only": read_only,
}


def assert_close(actual, expected, size, name):
    """Compare to a dozen digits of a size: that of what was added up."""
    assert np.shape(actual) == np.shape(expected), name
    np.testing.assert_allclose(
        actual, expected, rtol=1e-12, atol=1e-12 * size, err_msg=name
    )


def compiled_statistics(*arguments):
    """Return what the kernels sum: second moments of tied ones are the source's."""
    within = arguments[-1].covariances.kind != "tied"
    return compiled.statistics(*arguments, within=within)


def assert_same_statistics(rows, weight, centre, scale, mixture):
    arguments = rows, weight, centre, scale, mixture
    names = "count", "first", "second", "log_likelihood"
    actual = dict(zip(names, compiled_statistics(*arguments), strict=True))
    within = mixture.covariances.kind != "tied"
    parts = reference.statistics(*arguments, within=within)
    expected = dict(zip(names, parts, strict=True))
    if mixture.covariances.kind == "full":  # lower triangles
        actual["second"] = np.tril(actual["second"])
        expected["second"] = np.tril(expected["second"])
    total = np.sum(weight)
    z = (np.asarray(rows, dtype=float) - centre) / scale
    spread = np.abs(z).max(initial=1.0) + np.abs(mixture.means).max()
    densities = np.abs(reference.log_density(z, mixture)).max(initial=1.0)
    sizes = {"count": 1, "first": spread, "second": spread**2}
    sizes["log_likelihood"] = densities
    for name in names:
        assert_close(actual[name], expected[name], total * sizes[name], name)


def assert_same_densities(rows, mixture):
    expected = reference.log_density(rows, mixture)
    size = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    assert_close(compiled.log_density(rows, mixture), expected, size, "log_density")

    densities, logs = compiled.log_responsibilities(rows, mixture)
    assert_close(densities, expected, size, "log_responsibilities: densities")
    _, expected_logs = reference.log_responsibilities(rows, mixture)
    seen = np.isfinite(expected)  # elsewhere responsibilities are undefined
    assert_close(logs[seen], expected_logs[seen], size, "log_responsibilities")

    largest, labels = compiled.labels(rows, mixture)
    expected_largest, expected_labels = reference.labels(rows, mixture)
    assert_close(largest, expected_largest, size, "labels: densities")
    np.testing.assert_array_equal(labels, expected_labels)
    assert labels.dtype == np.int64


def assert_same(kind, rng, n, k, d, *, order="C", dtype=np.float64):
    mixture = mixture_of(kind, rng, k, d)
    rows = ORDERS[order](rows_near(mixture, rng, n).astype(dtype))
    weight = rng.exponential(size=n) * (rng.random(n) < 0.8)
    centre, scale = rng.normal(size=d), 2.0 ** rng.integers(-2, 2, d)
    assert_same_statistics(rows, weight, centre, scale, mixture)
    assert_same_densities(rows, mixture)


# ---- the passes ----
@forms
@pytest.mark.usefixtures("isa")
def test_any_number_of_features(kind):
    rng = np.random.default_rng(0)
    for d in range(1, 41):
        assert_same(kind, rng, 300, 3, d)


@forms
@pytest.mark.usefixtures("isa")
def test_any_number_of_components(kind):
    rng = np.random.default_rng(1)
    for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64):
        for d in (1, 2, 7):
            assert_same(kind, rng, 300, k, d)


@forms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.usefixtures("isa")
def test_any_number_and_layout_of_rows(kind, dtype, order):
    rng = np.random.default_rng(2)
    for n in (0, 1, 7, 8, 31, 33, 255, 256, 257, 1000):
        for d in (1, 3, 6):
            for k in (1, 4):
                assert_same(kind, rng, n, k, d, order=order, dtype=dtype)


@forms
@pytest.mark.usefixtures("isa")
def test_components_far_apart_and_nearly_dead(kind):
    # Most responsibilities are zero, or below what counts.
    rng = np.random.default_rng(3)
    for k, d in [(2, 1), (5, 3), (20, 8)]:
        for distance in (10.0, 100.0, 1e4):
            mixture = mixture_of(kind, rng, k, d, distance)
            rows = rows_near(mixture, rng, 600)
            frame = np.zeros(d), np.ones(d)
            assert_same_statistics(rows, np.ones(600), *frame, mixture)
            assert_same_densities(rows, mixture)


@forms
@pytest.mark.usefixtures("isa")
def test_weights_of_components_that_are_zero(kind):
    rng = np.random.default_rng(4)
    some = mixture_of(kind, rng, 4, 3)
    mixture = Mixture([0.5, 0, 0.5, 0], some.means, some.covariances)
    rows = rows_near(mixture, rng, 300)
    frame = np.zeros(3), np.ones(3)
    assert_same_statistics(rows, np.ones(300), *frame, mixture)
    assert_same_densities(rows, mixture)
    count, *_ = compiled_statistics(rows, np.ones(300), *frame, mixture)
    np.testing.assert_array_equal(count[[1, 3]], 0)
    assert set(compiled.labels(rows, mixture)[1]) <= {0, 2}


@forms
@pytest.mark.usefixtures("isa")
def test_weights_of_rows_without_memory_and_strided(kind):
    rng = np.random.default_rng(5)
    mixture = mixture_of(kind, rng, 3, 3)
    rows, frame = rows_near(mixture, rng, 300), (np.zeros(3), np.ones(3))
    for weight in (np.broadcast_to(1.0, 300), rng.random(900)[::-3], np.zeros(300)):
        assert_same_statistics(rows, weight, *frame, mixture)
    ones = compiled_statistics(rows, np.broadcast_to(1.0, 300), *frame, mixture)
    again = compiled_statistics(rows, np.ones(300), *frame, mixture)
    for one, other in zip(ones, again, strict=True):
        np.testing.assert_array_equal(one, other)


@forms
@pytest.mark.parametrize("far", [1e3, 1e8, 1e150, 1e160, 1e300])
@pytest.mark.usefixtures("isa")
def test_far_rows(kind, far):
    rng = np.random.default_rng(6)
    for d in (1, 3, 7):
        mixture = mixture_of(kind, rng, 3, d)
        rows = rows_near(mixture, rng, 40)
        rows[[3, 17], 0] = [far, -far]
        with np.errstate(over="ignore", invalid="ignore"):
            densities = reference.log_density(rows, mixture)
            assert_same_densities(rows[np.isfinite(densities)], mixture)
            actual = compiled.log_density(rows, mixture)
            largest, labels = compiled.labels(rows, mixture)
            expected = reference.labels(rows, mixture)
        np.testing.assert_allclose(actual, densities, rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(largest, expected[0], rtol=1e-12, atol=1e-10)
        assert np.all(densities[[3, 17]] == -np.inf) == (far > 1e155)
        near = np.delete(np.arange(40), [3, 17])
        np.testing.assert_array_equal(labels[near], expected[1][near])


@forms
@pytest.mark.parametrize("far", [1e3, 1e8, 1e150])
@pytest.mark.usefixtures("isa")
def test_statistics_of_far_rows(kind, far):
    rng = np.random.default_rng(7)
    mixture = mixture_of(kind, rng, 3, 3)
    rows, frame = rows_near(mixture, rng, 300), (np.zeros(3), np.ones(3))
    rows[[3, 17], 0] = [far, -far]
    assert_same_statistics(rows, np.ones(300), *frame, mixture)


@forms
@pytest.mark.usefixtures("isa")
def test_rows_without_density_show_in_the_log_likelihood(kind):
    rng = np.random.default_rng(8)
    mixture = mixture_of(kind, rng, 3, 3)
    rows = rows_near(mixture, rng, 300)
    rows[3, 0] = 1e160
    arguments = rows, np.ones(300), np.zeros(3), np.ones(3), mixture
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(reference.statistics(*arguments)[-1])
        assert not np.isfinite(compiled.statistics(*arguments)[-1])


@forms
@pytest.mark.usefixtures("isa")
def test_sums_and_densities_are_the_same_again(kind):
    rng = np.random.default_rng(9)
    mixture = mixture_of(kind, rng, 5, 6)
    rows, frame = rows_near(mixture, rng, 1000), (np.zeros(6), np.ones(6))
    first, second = (
        compiled_statistics(rows, np.ones(1000), *frame, mixture) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    # Of a row the densities do not depend on where in a block it is.
    whole = compiled.log_responsibilities(rows, mixture)
    part = compiled.log_responsibilities(rows[13:500], mixture)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(one, other[13:500])


@forms
@pytest.mark.parametrize("dtype", [np.int64, np.float16, ">f8", np.longdouble, bool])
def test_rows_of_other_types(kind, dtype):
    rng = np.random.default_rng(10)
    mixture = mixture_of(kind, rng, 3, 3)
    rows = np.round(rows_near(mixture, rng, 50)).astype(dtype)
    assert_same_statistics(rows, np.ones(50), np.zeros(3), np.ones(3), mixture)
    assert_same_densities(rows, mixture)


@forms
@pytest.mark.parametrize("how", ["unaligned", "swapped"])
def test_rows_that_lie_elsewhere_are_the_same_to_the_last_bit(kind, how):
    rng = np.random.default_rng(11)
    mixture = mixture_of(kind, rng, 3, 3)
    rows = rows_near(mixture, rng, 50)
    other = np.zeros(50, [("pad", "i1"), ("rows", "f8", 3)])["rows"]
    other[...] = rows
    if how == "swapped":
        other = rows.astype(rows.dtype.newbyteorder())
    assert not (other.flags.aligned and other.dtype.isnative)
    for function in (compiled.log_density, lambda *a: compiled.labels(*a)[1]):
        np.testing.assert_array_equal(function(other, mixture), function(rows, mixture))
    rest = np.ones(50), np.zeros(3), np.ones(3), mixture
    within = kind != "tied"
    sums = (compiled.statistics(x, *rest, within=within) for x in (rows, other))
    for one, two in zip(*sums, strict=True):
        np.testing.assert_array_equal(one, two)


# ---- exponentials and logarithms ----
def in_ulps(actual, exact):
    """Return the largest error in units in the last place of the true values."""
    unit = np.spacing(np.abs(exact.astype(float)))
    return float(np.max(np.abs(actual - exact) / unit))


def function_of(name, isa):
    def call(x):
        x = np.array(x, dtype=float)
        out = np.full(x.shape, np.nan)
        getattr(_compiled, name)(isa, x, out)
        return out

    return call


extended = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="needs an extended precision"
)


@extended
@each_isa
def test_exponentials(isa):
    rng = np.random.default_rng(0)
    halves = np.log(2) * (np.arange(-1021, 1) + 0.5)  # where the exponent changes
    x = np.concatenate(
        [
            -np.linspace(0, 708, 100_001),
            -rng.uniform(0, 1, 100_000),
            -np.logspace(-320, 2.85, 10_000),
            *(np.nextafter(halves, to) for to in (0, -800)),
            halves,
            [0.0, -0.0, -708.0],
        ]
    )
    x = x[x >= -708]
    assert in_ulps(function_of("exponentials", isa)(x), np.exp(x, dtype="g")) <= 2


@each_isa
def test_exponentials_at_the_ends(isa):
    exponentials = function_of("exponentials", isa)
    np.testing.assert_array_equal(exponentials([0.0, -0.0, -1e-320]), 1)
    below = [np.nextafter(-708, -800), -709, -745, -1e3, -1e18, -1e308, -np.inf]
    out = exponentials(below)
    np.testing.assert_array_equal(out, 0)
    assert not np.signbit(out).any()
    assert exponentials([-708])[0] > sys.float_info.min


@extended
@each_isa
def test_logarithms(isa):
    rng = np.random.default_rng(0)
    powers = 2.0 ** np.arange(20)
    x = np.concatenate(
        [
            np.linspace(1, 1e6, 100_001),
            1 + rng.uniform(0, 1, 100_000),
            1 + np.logspace(-16, 6, 10_000),
            1 + np.arange(1, 100) * 2.0**-52,
            *(np.nextafter(c * powers, to) for c in (1, 2**0.5) for to in (1, 1e9)),
            powers,
        ]
    )
    actual, exact = function_of("logarithms", isa)(x), np.log(x, dtype="g")
    assert np.all(actual[x == 1] == 0)
    assert in_ulps(actual[x > 1], exact[x > 1]) <= 2


@each_isa
def test_logarithms_at_the_ends(isa):
    logarithms = function_of("logarithms", isa)
    np.testing.assert_array_equal(logarithms([0.0, 1.0, -0.0]), [-np.inf, 0, -np.inf])


@each_isa
@pytest.mark.parametrize("name", ["exponentials", "logarithms"])
def test_any_length(isa, name):
    function = function_of(name, isa)
    x = np.linspace(1, 40, 40) * (-1 if name == "exponentials" else 1)
    whole = function(x)
    for n in range(41):
        np.testing.assert_array_equal(function(x[:n]), whole[:n])


# ---- what is refused ----
def arguments_of(kind, n=5, k=3, d=2):
    mixture = mixture_of(kind, np.random.default_rng(0), k, d)
    return mixture, np.zeros((n, d)), compiled._arguments(mixture)


def call_statistics(kind, **changes):
    """Call the kernel with zeros of the right shapes, but for some changes."""
    _, rows, (means, whiteners, coefficients, common) = arguments_of(kind)
    arguments = {
        "isa": compiled.SUPPORTED[0],
        "form": compiled.FORMS[kind],
        "rows": rows,
        "weight": np.ones(5),
        "centre": np.zeros(2),
        "inverse_scale": np.ones(2),
        "means": means,
        "whiteners": whiteners,
        "coefficients": coefficients,
        "common": common,
        "count": np.zeros(3),
        "first": np.zeros((3, 2)),
        "second": None if kind == "tied" else np.zeros(FORMS[kind].shape(3, 2)),
    }
    assert changes.keys() <= arguments.keys()
    return _compiled.statistics(*(arguments | changes).values())


def call_densities(kind, **changes):
    _, rows, (means, whiteners, coefficients, common) = arguments_of(kind)
    arguments = {
        "isa": compiled.SUPPORTED[0],
        "form": compiled.FORMS[kind],
        "rows": rows,
        "means": means,
        "whiteners": whiteners,
        "coefficients": coefficients,
        "common": common,
        "log_density": np.zeros(5),
        "log_responsibilities": np.zeros((5, 3)),
        "labels": np.zeros(5, dtype=np.int64),
    }
    assert changes.keys() <= arguments.keys()
    return _compiled.densities(*(arguments | changes).values())


BAD_INPUTS = {
    "isa": "mmx",
    "form": 4,
    "rows": np.zeros((5, 3)),
    "means": np.zeros((4, 2)),
    "whiteners": np.zeros(1),
    "coefficients": np.zeros(2),
    "common": np.zeros(3),
}


@forms
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *BAD_INPUTS.items(),
        ("form", -1),
        ("rows", np.zeros((4, 2))),
        ("rows", np.zeros((5, 2), dtype=int)),
        ("means", np.zeros(6)),
        ("weight", np.ones(4)),
        ("centre", np.zeros(3)),
        ("inverse_scale", np.zeros(1)),
        ("count", np.zeros(2)),
        ("first", np.zeros((3, 3))),
        ("second", np.zeros(5)),
    ],
)
def test_bad_arguments_of_statistics(kind, name, value):
    assert np.isfinite(call_statistics(kind))
    with pytest.raises(ValueError, match=r"shape|instruction set|float32 or float64"):
        call_statistics(kind, **{name: value})


@forms
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *BAD_INPUTS.items(),
        ("rows", np.zeros((5, 2), dtype=np.float16)),
        ("log_density", np.zeros(4)),
        ("log_responsibilities", np.zeros((5, 2))),
        ("labels", np.zeros(6, dtype=np.int64)),
    ],
)
def test_bad_arguments_of_densities(kind, name, value):
    call_densities(kind)
    with pytest.raises(ValueError, match=r"shape|instruction set|float32 or float64"):
        call_densities(kind, **{name: value})


@pytest.mark.parametrize("name", ["exponentials", "logarithms"])
def test_bad_arguments_of_functions(name):
    function = getattr(_compiled, name)
    with pytest.raises(ValueError, match="shape"):
        function(compiled.SUPPORTED[0], np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="instruction set"):
        function("mmx", np.ones(3), np.ones(3))


# ---- the choice ----
def test_the_choice_of_kernels(monkeypatch):
    for wanted, passes in [("numpy", reference), ("compiled", compiled)]:
        monkeypatch.setenv("SKGMM_KERNELS", wanted)
        assert kernels._chosen() is passes
    monkeypatch.delenv("SKGMM_KERNELS")
    assert kernels._chosen() is compiled
    monkeypatch.setenv("SKGMM_KERNELS", "fortran")
    with pytest.raises(ImportError, match="'numpy'; got 'fortran'"):
        kernels._chosen()


def test_the_name_tells_which_are_used():
    used = {"numpy": reference, "compiled": compiled}[kernels.name]
    assert kernels.statistics is used.statistics
    assert kernels.log_density is used.log_density
    assert compiled.SUPPORTED[-1] == "baseline"


def spd(rng, k, d, decades=3.0):
    """Return matrices of features whose scales are so many decades apart."""
    roots = rng.normal(size=(k, d, d + 2))
    scale = 10.0 ** rng.uniform(-decades, decades, size=(k, d))
    return roots @ np.swapaxes(roots, 1, 2) * scale[:, None, :] * scale[:, :, None]


@pytest.mark.parametrize("d", [1, 2, 3, 8, 31, 32, 33])
@pytest.mark.parametrize("decades", [0.0, 3.0, 100.0])
def test_whiteners_invert_the_cholesky_factors(d, decades):
    matrices = spd(np.random.default_rng(d), 4, d, decades)
    theirs, _ = reference.whiteners(matrices)
    ours, failed = compiled.whiteners(matrices)
    assert failed is None
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    scale = 2.0 ** np.round(np.log2(np.sqrt(variances)))[:, None, :]
    np.testing.assert_allclose(ours * scale, theirs * scale, rtol=1e-7, atol=1e-9)
    assert not np.triu(ours, 1).any()
    white = ours * scale @ (matrices / scale / np.swapaxes(scale, 1, 2))
    white = white @ np.swapaxes(ours * scale, 1, 2)
    np.testing.assert_allclose(white, np.tile(np.eye(d), (4, 1, 1)), atol=1e-8)


@pytest.mark.parametrize("d", [2, 5, 32, 33])
@pytest.mark.parametrize("fault", ["indefinite", "zero", "nan", "infinite", "rank"])
def test_whiteners_name_the_matrix_without_a_factor(d, fault):
    matrices = 1e6 * spd(np.random.default_rng(d), 4, d)
    good, bad = matrices[:2].copy(), matrices[2]
    if fault == "rank":
        bad[:] = 1.0
    else:
        value = {"indefinite": -1.0, "zero": 0.0, "nan": np.nan, "infinite": np.inf}
        bad[-1, -1] = value[fault]
    for whiteners in (compiled.whiteners, reference.whiteners):
        found, failed = whiteners(matrices)
        assert failed == 2
        # What comes before it is complete.
        np.testing.assert_array_equal(found[:2], whiteners(good)[0])


# ---- several steps in one call ----
def problem_of(
    code,
    rng,
    d,
    *,
    ridge=False,
    dtype=np.float64,
    n_constant=0,
    n_rows=300,
    holes=0.0,
    with_noise=False,
    **options,
):
    """Return a problem with a start for it; holes are a share of the cells."""
    family = family_named(code, **options)
    mixture = mixture_of(family.form.kind, rng, 3, d)
    rows = (1e3 + 5.0 * rows_near(mixture, rng, n_rows)).astype(dtype)
    rows[:, :n_constant] = 7.0
    if holes:
        rows = np.where(rng.random(rows.shape) < holes, np.nan, rows)
        rows = rows[~np.isnan(rows).all(axis=1)]
    weight = rng.uniform(0.1, 2.0, len(rows))
    options = {"per_feature": family.per_feature}
    if holes:
        source = HolesSource.of(rows, weight, family.form, **options)
    else:
        source = ArraySource.of(rows, weight, **options)
    frame = source.frame
    regularisation = (
        Ridge.of(frame, 0.1) if ridge else PseudoObservations.of(frame, weight.max())
    )
    noise = _noise(with_noise, source, regularisation)
    problem = Problem(source, family, regularisation, noise=noise)
    propose = from_partition(PARTITIONS["bisect"])
    return problem, propose(problem, 3, np.random.RandomState(0), 0)


def test_every_family_of_mclust_has_compiled_steps():
    named = {family.code for family in FAMILIES.values()}
    assert set(compiled.FAMILIES) == named


def in_one_call(problem, start, n_steps):
    """Return where steps in one call lead, and the log-likelihoods on the way."""
    arrays = Mixtures.of([start]).arrays
    data, noise = (arrays, problem.family.form, problem.terms), problem.noise
    return problem.source.climb(*data, n_steps, noise=noise)[0]


def steps(problem, start, n_steps):
    starts = Mixtures.of([start]) if isinstance(start, Mixture) else [start]
    return problem.steps(starts, n_steps)[0]


def assert_steps_in_one_call(problem, start):
    """Compare with steps in Python: the path of the objective, and where it leads."""
    together, objectives = in_one_call(problem, start, 6)
    mixture, expected = start, []
    for step in range(7):
        statistics = problem.source.statistics(mixture)
        penalty = problem.regularisation.log_penalty(mixture)
        expected.append(statistics.log_likelihood + penalty)
        if step < 6:
            mixture = problem.maximisation(statistics, mixture)
    np.testing.assert_allclose(objectives, expected, 1e-11)
    np.testing.assert_allclose(together.shares, mixture.shares, 1e-8, 1e-10)
    np.testing.assert_allclose(together.means, mixture.means, 1e-8, 1e-9)
    values = mixture.covariances.values
    np.testing.assert_allclose(together.covariances.values, values, 1e-7, 1e-9)


@codes
@pytest.mark.parametrize("d", [1, 2, 5, 12, 33])
@pytest.mark.parametrize("ridge", [False, True])
def test_steps_in_one_call_are_steps_of_em(code, d, ridge, isa):
    rng, d = np.random.default_rng(d), min(d, compiled.FAMILIES[code])
    assert_steps_in_one_call(*problem_of(code, rng, d, ridge=ridge))


@codes
@pytest.mark.parametrize("d", [1, 2, 5, 12])
@pytest.mark.parametrize("ridge", [False, True])
def test_steps_in_one_call_of_rows_with_holes(code, d, ridge, isa):
    rng = np.random.default_rng(d)
    problem, start = problem_of(code, rng, d, ridge=ridge, holes=0.2)
    assert_steps_in_one_call(problem, start)


@codes
@pytest.mark.parametrize("holes", [0.0, 0.05, 0.3])
def test_threads_that_share_passes_change_nothing(code, holes, monkeypatch):
    d = min(8, compiled.FAMILIES[code])
    problem, start = problem_of(
        code, np.random.default_rng(4), d, n_rows=7000, holes=holes
    )
    arrays = start.weights, start.means, start.covariances.values
    data, ends = (arrays, problem.family.form, problem.terms), []
    pool, sizes = _threads._pool, []

    def noted(n, name):
        sizes.append(n)
        return pool(n, name)

    monkeypatch.setattr(_threads, "_pool", noted)
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(_threads, "n_threads", lambda n=n_threads: n)
        sizes.clear()
        steps = in_one_call(problem, start, 20)
        leaps = problem.source.leap(*data, 30, 1e-6)
        ends.append([steps[1], steps[0].means, leaps[1], leaps[0].covariances.values])
        assert set(sizes) == ({n_threads} if n_threads > 1 else set())
    for others in ends[1:]:
        for with_more, with_one in zip(others, ends[0], strict=True):
            np.testing.assert_array_equal(with_more, with_one)
    assert_steps_in_one_call(problem, start)


@codes
def test_steps_in_one_call_without_any_complete_row(code):
    problem, start = problem_of(code, np.random.default_rng(1), 3, holes=0.2)
    source = problem.source
    some = np.isnan(source.rows).any(axis=1)
    rows, weight = source.rows[some], source.sample_weight[some]
    source = replace(source, rows=rows, sample_weight=weight)
    assert_steps_in_one_call(replace(problem, source=source), start)


@codes
def test_steps_in_one_call_hold_constant_features_with_holes(code):
    rng = np.random.default_rng(2)
    assert_steps_in_one_call(*problem_of(code, rng, 3, n_constant=1, holes=0.2))


def test_steps_in_one_call_end_where_what_is_observed_has_no_factor():
    problem, start = problem_of("VVV", np.random.default_rng(2), 3, holes=0.2)
    values = start.covariances.values.copy()
    values[:, :2, :2] = 1.0
    singular = Mixture(start.weights, start.means, Full.known(values, 3, 3))
    assert len(in_one_call(problem, singular, 2)[1]) == 0


@codes
@pytest.mark.parametrize("d", [1, 2, 5, 12])
@pytest.mark.parametrize("ridge", [False, True])
def test_steps_in_one_call_beside_noise(code, d, ridge, isa):
    rng = np.random.default_rng(d)
    problem, start = problem_of(code, rng, d, ridge=ridge, with_noise=True)
    assert start.noise is not None
    assert_steps_in_one_call(problem, start)


@codes
def test_steps_in_one_call_hold_constant_features_beside_noise(code):
    rng = np.random.default_rng(2)
    assert_steps_in_one_call(*problem_of(code, rng, 3, n_constant=1, with_noise=True))


def test_noise_that_takes_all_rows_ends_the_steps_in_one_call():
    problem, start = problem_of("VVV", np.random.default_rng(2), 3, with_noise=True)
    small = replace(problem.noise, sides=1e-120 * problem.noise.sides)
    problem = replace(problem, noise=small)
    start = replace(start, noise=small)
    assert len(in_one_call(problem, start, 3)[1]) == 0
    mixture, error = steps(problem, start, 3)
    assert mixture is None
    assert "noise takes all rows" in str(error)


def test_noise_and_holes_are_not_for_one_call():
    rng = np.random.default_rng(2)
    problem, start = problem_of("VVV", rng, 3, holes=0.2, with_noise=True)
    assert problem.terms is None
    assert len(steps(problem, start, 3)[1]) == 4


@codes
def test_steps_in_one_call_keep_weights_equal(code):
    rng = np.random.default_rng(1)
    assert_steps_in_one_call(*problem_of(code, rng, 3, equal_weights=True))


@codes
@pytest.mark.parametrize("n_constant", [1, 3])
@pytest.mark.filterwarnings("ignore:X has only 1 distinct rows")
def test_steps_in_one_call_hold_constant_features(code, n_constant):
    rng = np.random.default_rng(2)
    assert_steps_in_one_call(*problem_of(code, rng, 3, n_constant=n_constant))


@codes
@pytest.mark.parametrize("n_components", [1, 2])
def test_steps_in_one_call_of_few_components(code, n_components):
    problem, start = problem_of(code, np.random.default_rng(3), 3)
    few = start.take(range(n_components))
    few = replace(few, weights=few.weights / few.weights.sum())
    assert_steps_in_one_call(problem, few)


@codes
@pytest.mark.parametrize("d", [1, 2, 5, 12])
@pytest.mark.parametrize(
    ("holes", "with_noise"), [(0.0, False), (0.2, False), (0.0, True)]
)
def test_leaps_in_one_call_are_those_of_the_driver(
    code, d, holes, with_noise, isa, monkeypatch
):
    rng = np.random.default_rng(d)
    problem, start = problem_of(code, rng, d, holes=holes, with_noise=with_noise)
    mixture, objectives = problem.leaps(start, 1e-9, 12)
    monkeypatch.setattr(kernels, "leap", reference.leap)
    expected, trail = problem.leaps(start, 1e-9, 12)
    # Roundings grow from leap to leap.
    np.testing.assert_allclose(objectives, trail, rtol=1e-9)
    np.testing.assert_allclose(mixture.shares, expected.shares, 1e-4, 1e-6)
    np.testing.assert_allclose(mixture.means, expected.means, 1e-4, 1e-6)
    values = expected.covariances.values
    np.testing.assert_allclose(mixture.covariances.values, values, 1e-4, 1e-6)


@codes
def test_leaps_in_one_call_need_fewer_passes_than_steps(code):
    problem, start = problem_of(code, np.random.default_rng(0), 2)
    _, plain = steps(problem, start, 300)
    mixture, objectives = problem.leaps(start, 1e-10, 150)
    assert np.all(np.diff(objectives) >= 0)
    assert objectives[-1] >= plain[-1] - 1e-8
    assert problem.expectation(mixture)[1] == pytest.approx(objectives[-1], rel=1e-12)


@codes
def test_leaps_in_one_call_keep_to_a_number_of_passes(code):
    problem, start = problem_of(code, np.random.default_rng(0), 2)
    for n_passes in range(1, 9):
        mixture, objectives = problem.leaps(start, 0.0, n_passes)
        assert len(objectives) == n_passes + 1
        assert problem.expectation(mixture)[1] == pytest.approx(objectives[-1])


@codes
def test_leaps_end_where_a_component_dies(code):
    problem, start = problem_of(code, np.random.default_rng(0), 2)
    weights = np.array([0.5, 0.5, 1e-12])
    far = np.array(start.means)
    far[2] = 40.0
    dying = Mixture(weights, far, start.covariances)
    arrays = dying.weights, dying.means, dying.covariances.values
    form, terms = problem.family.form, problem.terms
    _, totals, converged = problem.source.leap(arrays, form, terms, 50, 1e-6)
    assert len(totals) == 2
    assert not converged
    _, objectives = problem.leaps(dying, 1e-6, 50)
    assert len(objectives) > 3
    assert np.all(np.isfinite(objectives))


@codes
def test_steps_in_one_call_of_float32_rows(code):
    problem, start = problem_of(code, np.random.default_rng(0), 3, dtype=np.float32)
    _, objectives = in_one_call(problem, start, 4)
    statistics = problem.source.statistics(start)
    penalty = problem.regularisation.log_penalty(start)
    expected = statistics.log_likelihood + penalty
    assert objectives[0] == pytest.approx(expected, rel=1e-11)
    assert np.all(np.diff(objectives) >= -1e-9 * np.abs(expected))


def test_steps_go_on_where_those_in_one_call_cannot():
    """Two components share a point: the second one has no covariance of its own."""
    rows = np.repeat([[0.0, 0.0], [1.0, 5.0], [3.0, 1.0]], [50, 50, 1], axis=0)
    frame = Frame.of(rows, np.ones(len(rows)))
    source = ArraySource(rows, np.ones(len(rows)), frame)
    problem = Problem(source, FAMILIES["full"], Ridge.of(frame, 0.0))
    start = Mixture(np.full(2, 0.5), np.array([[-1.0, -1], [1, 1]]), Full.unit(2, 2))
    _, objectives = in_one_call(problem, start, 50)
    assert 0 < len(objectives) < 51
    mixture, error = steps(problem, start, 50)
    assert mixture is None
    assert isinstance(error, NotPositiveDefinite)


@codes
def test_matrices_of_many_features_are_left_to_lapack(code):
    problem, start = problem_of(code, np.random.default_rng(0), 130)
    mixture, objectives = in_one_call(problem, start, 2)
    alone = compiled.FAMILIES[code] > 130
    assert len(objectives) == (3 if alone else 0)
    assert (mixture is None) == (not alone)
    assert len(steps(problem, start, 2)[1]) == 3


# ---- in single precision ----
def single_steps(problem, start, n_steps, *, single=True):
    [(mixture, trail)] = problem.steps(Mixtures.of([start]), n_steps, single=single)
    assert len(trail) == n_steps + 1
    return mixture, np.array(trail)


@codes
@pytest.mark.parametrize("d", [1, 2, 4, 5, 12, 33])
@pytest.mark.parametrize("n_rows", [65, 300, 1000])
def test_steps_in_single_precision_are_near_those_in_double(code, d, n_rows, isa):
    rng, d = np.random.default_rng(d), min(d, compiled.FAMILIES[code])
    problem, start = problem_of(code, rng, d, n_rows=max(n_rows, 20 * d))
    mixture, trail = single_steps(problem, start, 6)
    expected, expected_trail = single_steps(problem, start, 6, single=False)
    assert np.any(trail != expected_trail)  # something is rounded otherwise
    np.testing.assert_allclose(trail, expected_trail, 2e-6, 2e-6 * d)
    np.testing.assert_allclose(mixture.shares, expected.shares, 1e-4, 1e-6)
    np.testing.assert_allclose(mixture.means, expected.means, 1e-4, 1e-4)
    values = expected.covariances.values
    np.testing.assert_allclose(mixture.covariances.values, values, 1e-3, 1e-4)


@pytest.mark.parametrize("kind", ["VVV", "EEE", "VVI", "VII"])
@pytest.mark.parametrize("with_noise", [False, True])
def test_what_single_precision_cannot_tell_is_summed_in_double(kind, with_noise):
    """Where a component is a thousandth of a deviation wide, and beside noise."""
    problem, start = problem_of(
        kind, np.random.default_rng(0), 2, with_noise=with_noise
    )
    if not with_noise:
        narrow = type(start.covariances).known(1e-8 * start.covariances.values, 3, 2)
        start = Mixture(start.weights, start.means, narrow)
    one, two = (
        single_steps(problem, start, 0, single=single) for single in (True, False)
    )
    np.testing.assert_array_equal(one[1], two[1])


def test_a_row_far_out_is_no_obstacle_to_single_precision():
    problem, start = problem_of("VVV", np.random.default_rng(0), 2)
    rows = problem.source.rows.copy()
    rows[0] += 1e12
    problem = replace(problem, source=replace(problem.source, rows=rows))
    _, trail = single_steps(problem, start, 1)
    _, expected = single_steps(problem, start, 1, single=False)
    np.testing.assert_allclose(trail, expected, 1e-5)


@codes
@pytest.mark.parametrize("n_rows", [300, 20_000])
def test_steps_from_several_starts_are_those_from_each(code, n_rows):
    """Of many rows each start is worth a thread."""
    problem, start = problem_of(code, np.random.default_rng(0), 3, n_rows=n_rows)
    other = problem.maximisation(problem.source.statistics(start), start)
    together = problem.steps(Mixtures.of([start, other, start]), 4)
    for one, (mixture, objectives) in zip([start, other], together[:2], strict=True):
        expected, trail = steps(problem, one, 4)
        assert objectives == trail
        np.testing.assert_array_equal(mixture.means, expected.means)
        values = expected.covariances.values
        np.testing.assert_array_equal(mixture.covariances.values, values)
    assert together[2][1] == together[0][1]


@codes
@pytest.mark.parametrize("ridge", [False, True])
@pytest.mark.parametrize(
    ("holes", "with_noise"), [(0.0, False), (0.2, False), (0.0, True)]
)
def test_steps_from_moments_begin_with_their_mixture(code, ridge, holes, with_noise):
    rng, options = np.random.default_rng(0), {"holes": holes, "with_noise": with_noise}
    problem, _ = problem_of(code, rng, 3, ridge=ridge, **options)
    labels = np.arange(len(problem.source.rows)) % 3
    form = problem.family.form
    statistics = problem.source.class_moments(labels, 3, form)
    mixture, objectives = steps(problem, statistics, 5)
    expected, trail = steps(problem, problem.maximisation(statistics), 5)
    np.testing.assert_allclose(objectives, trail, rtol=1e-11)
    np.testing.assert_allclose(mixture.means, expected.means, 1e-7, 1e-9)
    values = expected.covariances.values
    np.testing.assert_allclose(mixture.covariances.values, values, 1e-7, 1e-9)


@forms
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_of_classes(kind, dtype):
    rng = np.random.default_rng(1)
    rows = strided((3.0 + rng.normal(size=(500, 4))).astype(dtype))
    labels = rng.choice([0, 1, 3], size=500)
    arguments = (
        rows,
        rng.uniform(0, 2, 500),
        np.full(4, 3.0),
        np.full(4, 0.5),
        labels,
        4,
    )
    ours = compiled.class_moments(*arguments, FORMS[kind])
    theirs = reference.class_moments(*arguments, FORMS[kind])
    assert ours[0][2] == 0
    for one, other in zip(ours, theirs, strict=True):
        if kind in ("full", "tied") and one.ndim == other.ndim == len(
            FORMS[kind].shape(4, 4)
        ):
            one, other = np.tril(one), np.tril(other)
        np.testing.assert_allclose(one, other, 1e-11, 1e-11)


@pytest.mark.parametrize("d", [1, 3, 20])
def test_kmeans(d, isa):
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(600, d)) + 4 * rng.integers(0, 3, size=(600, 1))
    weight = rng.uniform(0.1, 2, 600)
    centres = rows[[0, 200, 400]]
    for iterations in (0, 1, 50):
        ours = compiled.kmeans(rows, weight, centres, iterations)
        theirs = reference.kmeans(rows, weight, centres, iterations)
        np.testing.assert_array_equal(ours, theirs)


def test_kmeans_leaves_a_centre_without_rows():
    rows = np.zeros((10, 2))
    centres = np.array([[0.0, 0.0], [100.0, 0.0]])
    for kernels_ in (compiled, reference):
        labels = kernels_.kmeans(rows, np.ones(10), centres, 20)
        np.testing.assert_array_equal(labels, 0)


def test_classes_out_of_range_are_refused():
    arguments = np.zeros((3, 2)), np.ones(3), np.zeros(2), np.ones(2)
    with pytest.raises(ValueError, match="shape mismatch"):
        compiled.class_moments(*arguments, np.array([0, 1, 2]), 2, Full)
