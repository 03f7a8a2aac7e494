"""Checks at the border: what the user gives becomes what the inside trusts."""

from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_array, validate_data

from . import _starts
from ._files import Blocks, StoredRows, is_stored
from ._lazy import LazyRows, is_lazy, sample_of
from ._missing import with_nan
from ._mixture import Mixture
from ._noise import is_asked_for
from .families import FAMILIES
from .forms import NotPositiveDefinite
from .kernels import has_holes

# How far from one given weights may sum to: what rounding to two digits leaves.
_WEIGHTS_TOLERANCE = 1e-2


# Products of weights and squares of data below this are no numbers of full precision.
_SMALLEST_WEIGHT = 1e-250


def check_rows(estimator, X, *, reset=True):
    """Return the rows of X, an array of float64 or float32 or what reads one.

    Stored rows are checked now if a fit will read them many times, or else when they
    are read.  A fit takes no NaN in a file, so one that is memory-mapped and has some
    is an array.
    """
    name = type(estimator).__name__
    if is_lazy(X):
        check_shape_of_lazy(sample_of(X), name)
        validate_data(estimator, sample_of(X), skip_check_array=True, reset=reset)
        check = partial(_check_block, name=name, allow_nan=True)
        return LazyRows.of(X, check, check_weights_of_rows)
    if not is_stored(X):
        return check_array_rows(estimator, X, reset=reset)
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    rows = StoredRows.of(X, partial(_check_block, name=name, allow_nan=not reset))
    if not reset:
        return rows
    try:
        for _ in Blocks(rows, rows.slices()):
            pass
    except _HasHoles:
        if isinstance(X, np.ndarray):
            return check_array_rows(estimator, X.view(np.ndarray))
        raise
    return rows.unchecked()


def check_shape_of_lazy(sample, name):
    """Raise unless a collection has two dimensions and a feature."""
    if np.ndim(sample) != 2:
        raise ValueError(
            f"{name} needs a Dask array of two dimensions or a frame; got a collection "
            f"of {np.ndim(sample)}. Use X.reshape(-1, 1), or a frame, for one feature."
        )
    if np.shape(sample)[1] == 0:
        raise ValueError(f"{name} needs at least 1 feature; got a collection of none.")


def check_array_rows(estimator, X, *, reset=True):
    """Return the rows of X, an array of float64 or float32 with NaN for holes."""
    return validate_data(
        estimator,
        with_nan(X),
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        reset=reset,
    )


class _HasHoles(ValueError):
    """Raised where no missing value can be."""


def _check_block(block, *, name, allow_nan):
    """Raise unless a block of rows is finite."""
    if not allow_nan and has_holes(block):
        raise _HasHoles(
            "X contains NaN, and missing values are taken from arrays in memory and "
            "Dask collections; got a file that is read block by block. Load it into "
            "an array, or dask.array.from_array, or leave out the rows with NaN."
        )
    assert_all_finite(block, allow_nan=True, estimator_name=name, input_name="X")


def check_sample_weight(sample_weight, n_samples):
    """Return the weights of rows as float64 (n,); ones take no memory."""
    if sample_weight is None:
        return np.broadcast_to(1.0, (n_samples,))
    weight = check_weights_of_rows(sample_weight, n_samples)
    with np.errstate(over="ignore"):
        check_total_weight(weight.sum(), weight.max())
    return weight


def check_weights_of_rows(sample_weight, n_samples):
    """Return weights (n,) of rows, all of which may be zero."""
    weight = check_floats(sample_weight, "sample_weight")
    if weight.ndim == 0:
        weight = np.broadcast_to(weight, (n_samples,))
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one entry a row, shape ({n_samples},); got "
            f"shape {weight.shape}."
        )
    if np.any(weight < 0):
        row = int(np.argmax(weight < 0))
        raise ValueError(
            f"sample_weight must not be negative; got {weight[row]:g} for row {row}. "
            "Set weights of rows to be left out to zero."
        )
    return weight


def check_total_weight(total, largest):
    """Raise unless the sum of weights is finite, and the largest not too small."""
    if not np.isfinite(total):
        raise ValueError(
            f"sample_weight must have a finite sum; got {total}. Divide by the largest "
            "entry."
        )
    if not total > 0:
        raise ValueError(
            "sample_weight must have an entry above zero; got all zero weights."
        )
    if largest < _SMALLEST_WEIGHT:
        raise ValueError(
            f"sample_weight must have an entry of at least {_SMALLEST_WEIGHT:g}; the "
            f"largest is {largest:g}. Divide by the largest entry."
        )


def check_family(covariance_type, equal_weights, n_features):
    """Return the family of a name or of a family.

    Parameters
    ----------
    covariance_type : str or Family
        A name of the registry, if it is one.
    equal_weights : bool
    n_features : int
    """
    if covariance_type in ("E", "V") and n_features > 1:
        longer = {"E": "'EEE' or 'EII'", "V": "'VVV' or 'VII'"}[covariance_type]
        raise ValueError(
            f"covariance_type={covariance_type!r} is for one feature; got X with "
            f"{n_features} features. Use a type for several, such as {longer}."
        )
    family = FAMILIES.get(covariance_type, covariance_type)
    least = family.form.least_features()
    if n_features < least:
        raise ValueError(
            f"covariance_type={family.name} needs at least {least} features; got X "
            f"with {n_features} feature(s). Use a family of fewer factors."
        )
    return replace(family, equal_weights=True) if equal_weights else family


def check_additive(family):
    """Raise unless a family can be fitted to a stream."""
    if not family.form.additive:
        raise ValueError(
            f"covariance_type={family.name} cannot be learnt from a stream: what it "
            "collects of rows depends on the present mixture. Use fit, or "
            "partial_fit with 'diag' or another type."
        )


def check_has_prior(family):
    """Raise unless the covariances of a family have a conjugate prior."""
    if not family.form.has_prior:
        raise ValueError(
            f"prior is not for covariance_type={family.name}, whose covariances have "
            "no conjugate one. Leave prior at None, or use another type."
        )


def check_holes(family):
    """Raise unless a family can be fitted to rows with holes."""
    if not family.form.knows_holes:
        raise ValueError(
            f"X contains NaN, and covariance_type={family.name} cannot be fitted to "
            "rows with missing values. Fill them in first, for instance with "
            "skgmm.GaussianMixtureImputer, or use 'full' or 'diag'."
        )


def check_warm_start(model, *new):
    """Raise unless a fit can go on from a model: see `_check_same`."""
    what = "warm_start=True goes on from the previous fit"
    _check_same(model, *new, what, "Set warm_start=False for a new fit.")


def check_stream(model, *new):
    """Raise unless a stream can go on from a model: see `_check_same`."""
    what = "partial_fit goes on from the present mixture"
    remedy = "Call fit, or partial_fit of a clone, for a new one."
    if model.mixture.noise is not None:
        raise ValueError(f"{what}, which has noise: it knows none. {remedy}")
    _check_same(model, *new, what, remedy)


def _check_same(model, family, n_components, n_features, what, remedy):
    """Raise unless a model has such a family and such sizes."""
    sizes = model.mixture.means.shape
    pairs = {
        "covariance_type": (model.family.name, family.name),
        "equal_weights": (model.family.equal_weights, family.equal_weights),
        "n_components": (sizes[0], n_components),
        "the number of features": (sizes[1], n_features),
    }
    for name, (before, now) in pairs.items():
        if before != now:
            raise ValueError(
                f"{what}, but {name} was {before!r} and is now {now!r}. {remedy}"
            )


def check_no_ridge(estimator):
    """Raise if a ridge goes with what needs a penalised likelihood."""
    if isinstance(estimator.reg_covar, str):
        return
    named = {
        "prior": estimator.prior,
        "max_eigenvalue_ratio": estimator.max_eigenvalue_ratio,
    }
    name, value = next((n, v) for n, v in named.items() if v is not None)
    raise ValueError(
        f"{name}={value!r} needs reg_covar='auto': the number reg_covar="
        f"{estimator.reg_covar!r} is a ridge, which is no penalty of the likelihood "
        "and would break the constraint. Leave reg_covar at 'auto'."
    )


def check_no_constraint(estimator):
    """Raise if a stream is to have what only `fit` knows."""
    for name in ("prior", "max_eigenvalue_ratio"):
        value = getattr(estimator, name)
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is for fit: partial_fit knows no such parameter. "
                "Leave it at None."
            )
    if is_asked_for(estimator.noise):
        raise ValueError(
            f"noise={estimator.noise!r} is for fit: partial_fit knows no noise, whose "
            "box is that of all rows. Set noise=False, or fit a sample of the rows."
        )


def check_enough_rows(n_rows, n_components):
    """Raise if there are fewer rows than components."""
    if n_rows < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components; got n_components={n_components} "
            f"and n_samples={n_rows} (rows of weight zero do not count). Use fewer "
            "components or more rows."
        )


def check_observed(rows):
    """Raise if there is a feature of which nothing was observed."""
    if isinstance(rows, LazyRows):
        unknown = np.isnan(rows.whole.low)
    else:
        unknown = np.isnan(rows).all(axis=0)
    if unknown.any():
        raise ValueError(
            "X must have at least one observed value of each feature; features "
            f"{np.flatnonzero(unknown).tolist()} are NaN in all rows (rows of weight "
            "zero do not count). Leave these features out."
        )


def check_representable(frame, dtype):
    """Raise if a variance would overflow or underflow in the dtype of the result."""
    finfo = np.finfo(dtype)
    smallest, largest = np.sqrt(finfo.tiny) * 1e8, np.sqrt(finfo.max) * 1e-2
    deviation = frame.deviation
    bad = (deviation != 0) & ~((deviation > smallest) & (deviation < largest))
    if bad.any():
        feature = int(np.argmax(bad))
        raise ValueError(
            f"X must have features with standard deviations between {smallest:.0e} "
            f"and {largest:.0e}, whose squares {np.dtype(dtype)} can hold; got "
            f"{deviation[feature]:.3g} for feature {feature}. Rescale it, or remove "
            "the rows with absurd values."
        )


def check_weights(weights, n_components, name="weights_init"):
    """Return mixing weights (K,) that sum to one."""
    weights = _shaped(weights, (n_components,), name)
    total = weights.sum()
    if np.any(weights < 0) or abs(total - 1) > _WEIGHTS_TOLERANCE:
        raise ValueError(
            f"{name} must be non-negative and sum to one; got a sum of {total:.6g} "
            f"and a smallest entry of {weights.min():.6g}. Divide by the sum."
        )
    rounding = n_components * np.finfo(float).eps
    return weights if abs(total - 1) <= rounding else weights / total


def check_means(means, n_components, n_features, name="means_init"):
    """Return means (K, D)."""
    return _shaped(means, (n_components, n_features), name)


def check_covariances(covariances, form, n_components, n_features, name):
    """Return covariances in their form, from arrays of the form's shape.

    ``name`` tells what the arrays are: covariances or, if it begins with
    "precisions", their inverses, or "precisions_cholesky" factors of these.
    """
    sizes = n_components, n_features
    values = _shaped(covariances, form.shape(*sizes), name)
    if name.startswith("precisions_cholesky"):
        values = form.squared_factors(values)
    wrong = form.asymmetric(values)
    if wrong is not None:
        raise ValueError(
            f"{name} must be symmetric; the matrix of component {wrong} is not. "
            "Symmetrise it, as (A + A.T) / 2."
        )
    make = form.from_precisions if name.startswith("precisions") else form
    try:
        return make(values, *sizes)
    except NotPositiveDefinite as error:
        raise ValueError(
            f"{name} must be positive definite; that of component "
            f"{error.component} is not. Its diagonal must be above zero, and no "
            "feature may be a combination of others."
        ) from error


def check_start(estimator, family, X, kept, rng):
    """Return the `Start` that the parameters of the estimator ask for.

    ``kept`` indexes the rows of X that have a weight.
    """
    n_components = estimator.n_components
    n_features = X.shape[1]
    sizes = n_components, n_features
    parts = {}
    if estimator.weights_init is not None:
        parts["weights"] = check_weights(estimator.weights_init, n_components)
    if estimator.means_init is not None:
        parts["means"] = check_means(estimator.means_init, *sizes)
    scatters = {
        name: getattr(estimator, name)
        for name in ("covariances_init", "precisions_init")
        if getattr(estimator, name) is not None
    }
    if len(scatters) > 1:
        raise ValueError(
            "covariances_init and precisions_init say the same thing; got both. "
            "Leave one of them None."
        )
    for name, values in scatters.items():
        parts["covariances"] = check_covariances(values, family.form, *sizes, name)
    init = estimator.init_params
    if isinstance(init, str):
        propose = _starts.named(init, estimator.n_swaps)
    elif callable(init):
        propose = _from_callable(init, family, X, kept, n_components)
    else:
        propose = _from_value(init, family, X, kept, n_components)
    varies = isinstance(init, str) or callable(init)
    return _starts.Start(n_components, propose, parts, varies and len(parts) < 3)


def _from_callable(init, family, X, kept, n_components):
    """Return a proposal that asks the user's function at every start."""
    given = X.stored if isinstance(X, StoredRows | LazyRows) else X

    def propose(problem, n_components, rng, index, best=None):
        answer = init(given, n_components, rng)
        if answer is None or isinstance(answer, str):
            raise ValueError(
                "init_params, a callable, must return labels, responsibilities or a "
                f"fitted mixture; got {answer!r}."
            )
        proposal = _from_value(answer, family, X, kept, n_components)
        return proposal(problem, n_components, rng, index)

    return propose


def _from_value(init, family, X, kept, n_components):
    """Return the proposal of a fitted mixture, labels or responsibilities."""
    if hasattr(init, "score_samples"):
        sizes = n_components, X.shape[1]
        return _starts.from_mixture(_mixture_of(init, family, *sizes))
    responsibilities = _check_responsibilities(init, len(X), n_components)
    return _starts.from_responsibilities(responsibilities[kept])


def _mixture_of(estimator, family, n_components, n_features):
    """Return the mixture of a fitted estimator, ours or scikit-learn's."""
    if not hasattr(estimator, "means_"):
        raise ValueError(
            "init_params must be a fitted mixture; got an unfitted "
            f"{type(estimator).__name__}. Fit it first; inside a grid search, which "
            "clones it, wrap it in sklearn.frozen.FrozenEstimator."
        )
    shape = np.shape(estimator.means_)
    if shape != (n_components, n_features):
        raise ValueError(
            f"init_params must be a mixture of {n_components} components in "
            f"{n_features} dimensions; got one of {shape[0]} in {shape[1]}."
        )
    return mixture_of(estimator, family.form)


def mixture_of(estimator, form):
    """Return the mixture of an estimator with scikit-learn's attributes.

    The factors are taken as they are, since covariances in float32 may have none.
    """
    means = check_means(estimator.means_, *np.shape(estimator.means_), "means_")
    weights = check_weights(estimator.weights_, len(means), "weights_")
    values = _shaped(estimator.covariances_, form.shape(*means.shape), "covariances_")
    factors = estimator.precisions_cholesky_
    return Mixture(weights, means, form.from_factors(values, factors, *means.shape))


def _check_responsibilities(init, n_samples, n_components):
    """Return responsibilities (n, K), from themselves or from labels (n,)."""
    array = np.asarray(init)
    if array.shape == (n_samples,):
        if array.dtype.kind == "f":
            check_floats(array, "init_params")
        values, labels = np.unique(array, return_inverse=True)
        if len(values) != n_components:
            raise ValueError(
                f"init_params must have labels of n_components={n_components} "
                f"classes; got {len(values)} different labels."
            )
        return _starts.one_hot(labels, n_components)
    shape = (n_samples, n_components)
    if array.shape != shape:
        raise ValueError(
            "init_params must be one of "
            f"{sorted(_starts.NAMES)}, a callable, a fitted mixture, labels of shape "
            f"({n_samples},) or responsibilities of shape {shape}; got an "
            f"array of shape {array.shape}."
        )
    responsibilities = check_floats(array, "init_params")
    total = responsibilities.sum(axis=1)
    if np.any(responsibilities < 0) or np.any(np.abs(total - 1) > _WEIGHTS_TOLERANCE):
        raise ValueError(
            "init_params must have responsibilities that are non-negative and sum "
            "to one in every row; got a smallest entry of "
            f"{responsibilities.min():.6g} and sums from {total.min():.6g} to "
            f"{total.max():.6g}. Divide each row by its sum."
        )
    return responsibilities / total[:, np.newaxis]


def _shaped(array, shape, name):
    array = check_floats(array, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}; got shape {array.shape}.")
    return array


def check_floats(array, name):
    """Return a new finite float64 array."""
    try:
        array = np.asarray(array)
        real = array if np.iscomplexobj(array) else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}.") from error
    if np.iscomplexobj(real):
        raise ValueError(f"{name} must be real; got complex numbers.")
    return check_array(
        real,
        dtype=np.float64,
        ensure_2d=False,
        allow_nd=True,
        ensure_min_samples=0,
        ensure_min_features=0,
        input_name=name,
    )
