"""What every form of covariance matrices offers; each form is one subclass."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from . import _parts


class NotPositiveDefinite(ValueError):
    """Raised when the covariance of ``component`` has no Cholesky factor."""

    def __init__(self, component):
        super().__init__(
            f"The covariance of component {component} is not positive definite."
        )
        self.component = component


class Covariances(ABC):
    """The covariance matrices of K components in D dimensions, in one form.

    A form knows how Gaussians with such covariances are *evaluated*, and in what
    shape second moments are collected for them.  It does not know how they are
    estimated: that is the family's.

    An instance is immutable and is factorised once, when it is made.  Everywhere
    below ``z`` holds the rows of data as *columns*, shape (D, B), so that
    elementwise work runs along contiguous memory.

    Parameters
    ----------
    values : array-like
        The covariances in the shape of the form.
    n_components, n_features : int
        K and D.
    whiteners : ndarray, optional
        The factors, when they are known already.

    Attributes
    ----------
    kind : str
        The name of the form; kernels are chosen by it.
    whiteners : ndarray
        Inverse Cholesky factors: ``whitener @ (x - mean)`` is white.
    log_determinants : ndarray of shape (K,)

    Raises
    ------
    NotPositiveDefinite
        Naming the first component without a factor.
    """

    kind: str
    shared = False  # one matrix for all components
    linear = False  # whether rows times a matrix have covariances of the same form
    closed = True  # whether one step maximises the likelihood of one component
    knows_holes = True  # whether rows with holes can be fitted
    has_prior = True  # whether there is a conjugate one
    additive = True  # second moments of different mixtures add up

    def __init__(self, values, n_components, n_features, whiteners=None):
        self.values = frozen(values)
        self.n_components = n_components
        self.n_features = n_features
        if whiteners is None:
            whiteners = self._factorise()
        self.__dict__["whiteners"] = frozen(whiteners)

    @classmethod
    def known(cls, values, n_components, n_features):
        """Return covariances of which it is known that they can be factorised.

        They are when somebody asks for the factors.
        """
        self = cls.__new__(cls)
        self.values = frozen(values)
        self.n_components = n_components
        self.n_features = n_features
        return self

    @cached_property
    def whiteners(self):
        """Inverse Cholesky factors."""
        return frozen(self._factorise())

    @cached_property
    def log_determinants(self):
        """Log-determinants, shape (K,)."""
        return np.broadcast_to(self._log_determinants(), (self.n_components,))

    def __reduce__(self):
        arguments = (np.array(self.values), self.n_components, self.n_features)
        return type(self), (*arguments, np.array(self.whiteners))

    # ---- shapes -----------------------------------------------------------
    @staticmethod
    @abstractmethod
    def shape(n_components, n_features):
        """Shape of the values, and of the second moments but for `moments_shape`."""

    @classmethod
    def moments_shape(cls, n_components, n_features):
        """Shape of the second moments."""
        return cls.shape(n_components, n_features)

    @classmethod
    def shape_for(cls, scatter):
        """Shape of the values that are estimated from a scatter."""
        return np.shape(scatter)

    @staticmethod
    @abstractmethod
    def n_parameters(n_components, n_features):
        """Return how many numbers may be chosen for the values."""

    @classmethod
    def rank(cls, n_features):
        """Return how many dimensions the rows of a component must span, at least."""
        return n_features

    @classmethod
    def least_features(cls):
        """Return how many features the form needs."""
        return 1

    @classmethod
    @abstractmethod
    def unit(cls, n_components, n_features):
        """Return identity matrices."""

    @staticmethod
    def asymmetric(values):
        """Return the first component whose matrix is not symmetric, or None."""
        return None

    # ---- evaluation -------------------------------------------------------
    @abstractmethod
    def _factorise(self):
        """Return the whiteners; raise `NotPositiveDefinite`."""

    @abstractmethod
    def _log_determinants(self):
        """Return the log-determinants, from the whiteners."""

    @abstractmethod
    def mahalanobis(self, z, means):
        """Return the squared Mahalanobis distances, shape (K, B)."""

    @abstractmethod
    def colorize(self, component, noise):
        """Give white noise of shape (n, D) the covariance of a component."""

    @abstractmethod
    def dense(self):
        """Return the covariance matrices, shape (K, D, D)."""

    @property
    def variances(self):
        """The diagonals of the covariance matrices, shape (K, D)."""
        one_by_one = (self.take([k]).dense()[0] for k in range(self.n_components))
        return np.stack([np.diagonal(matrix) for matrix in one_by_one])

    @property
    @abstractmethod
    def precisions(self):
        """The inverse matrices, in the shape of the form."""

    @property
    @abstractmethod
    def precisions_cholesky(self):
        """Upper triangular ``U`` with ``U U' = precision``, as scikit-learn's."""

    @property
    @abstractmethod
    def precision_diagonals(self):
        """Diagonals of the precision matrices, broadcastable to (K, D)."""

    @abstractmethod
    def expected_mahalanobis(self, scatter):
        """Return the sum of the squared distances of rows with that scatter."""

    @classmethod
    def for_total(cls):
        """Return the form in which a total scatter goes with these covariances."""
        return cls

    @staticmethod
    def metric(total):
        """Return the metric of a covariance of one component in the form `for_total`.

        As `relative_eigenvalues` takes it.
        """
        return total

    @abstractmethod
    def relative_eigenvalues(self, metric):
        """Return the eigenvalues in the metric of a covariance of all rows.

        Parameters
        ----------
        metric : ndarray
            See `metric`.

        Returns
        -------
        eigenvalues : ndarray of shape (K, r), (1, r), (K, 1) or (1, 1)
            In ascending order; one if they are all the same; not all, if it is not by
            their mean that components of the form are judged.
        rank : int
            That of the form, see `rank`, for as many features as the metric has
            dimensions; 0 if all rows are the same.
        """

    @staticmethod
    def spectra(values, total):
        """Return eigenvalues in a metric, and how to make covariances of others.

        Parameters
        ----------
        values : ndarray
            Covariances in the shape of the form.
        total : ndarray
            The metric: a covariance of one component (`for_total`) of full rank.

        Returns
        -------
        eigenvalues : ndarray of shape (K, r) or (1, r)
        rebuilt : callable
            ``rebuilt(eigenvalues) -> values`` along the same axes.
        """
        raise NotImplementedError

    @staticmethod
    def inverse_wishart(degrees, n_features):
        """Return what an inverse Wishart density is as observations.

        Up to a constant the log-density with so many degrees of freedom and the scale
        ``S`` is the likelihood of ``count`` observations with the scatter ``size S``.

        Returns
        -------
        count, size : float
        """
        raise NotImplementedError

    # ---- coordinates of acceleration --------------------------------------
    @abstractmethod
    def whiten(self, offsets):
        """Return the whitener of each component times its offset (K, D)."""

    @abstractmethod
    def unwhiten(self, offsets):
        """Return what `whiten` makes ``offsets`` (K, D) of."""

    @abstractmethod
    def relative_to(self, base):
        """Return ``W W0^-1``: the whiteners in the metric of other covariances."""

    @staticmethod
    @abstractmethod
    def sphered(rows, covariance):
        """Return rows in the metric of a covariance of one component (`for_total`).

        Their distances are as invariant as covariances of this form are.
        """

    @classmethod
    def coordinates(cls, rows, covariance, weight):
        """Return centred rows in coordinates along which clusters are looked for.

        Parameters
        ----------
        rows : ndarray of shape (m, D)
        covariance : ndarray
            Of one component, see `for_total`.
        weight : ndarray of shape (m,)
        """
        squares = weight @ rows**2 / weight.sum()
        return rows / np.sqrt(np.where(squares > 0, squares, 1.0))

    def in_two(self, offsets, factors):
        """Return the values of R sets of covariances where one component is two.

        In the first K sets, one for each component, the halves lie at plus and minus an
        offset, and have the rest of its covariance; in the next K one lies within the
        other, with its covariance times two factors.  The first half takes its place,
        the second comes last.

        Parameters
        ----------
        offsets : ndarray of shape (K, D)
        factors : tuple (float, float)

        Returns
        -------
        ndarray of shape (R, ...)
            In the shape of the form for K + 1 components.  R is K where all components
            share one matrix, and some may not be positive definite.
        """
        k, values = self.n_components, self.values
        halves = self._halves(offsets)
        pairs = (halves, halves), [self.scaled(values, factor) for factor in factors]
        out = np.empty((len(pairs), k, k + 1, *values.shape[1:]))
        out[:, :, :k] = values
        for sets, (first, second) in zip(out, pairs, strict=True):
            sets[range(k), range(k)] = first
            sets[:, k] = second
        return out.reshape(-1, *out.shape[2:])

    def _halves(self, offsets):
        """Return what is left of each covariance between halves so far away."""
        raise NotImplementedError

    @staticmethod
    def scaled(values, factor):
        """Return the values of covariances times a factor."""
        return factor * values

    @abstractmethod
    def average(self, weights):
        """Return the weighted mean covariance, in the form `for_total`."""

    def with_average(self, component, weights, factor):
        """Return the covariances where one is the weighted mean times a factor.

        What all share stays.
        """
        values = self.values.copy()
        values[component] = factor * self.average(weights)
        return type(self)(values, self.n_components, self.n_features)

    @abstractmethod
    def stretched(self, relative):
        """Return the covariances with whiteners ``relative @ whiteners``.

        Raises
        ------
        NotPositiveDefinite
            If a diagonal is not positive.
        """

    # ---- other covariances ------------------------------------------------
    @property
    def plain(self):
        """The same covariances in a form that scikit-learn has too."""
        return self

    @abstractmethod
    def rescaled(self, scale):
        """Return the covariances of the features times ``scale`` (D,).

        Exact for powers of two: nothing is factorised again.
        """

    def mapped(self, into):
        """Return the covariances of rows times factors (D,), or a matrix (D, D).

        A matrix is for forms that are `linear`.
        """
        return self.rescaled(into)

    def in_single(self):
        """Return nearly the same covariances, of numbers in single precision."""
        values = self.values.astype(np.float32).astype(float)
        return type(self)(values, self.n_components, self.n_features)

    def take(self, indices):
        """Return the covariances of the components ``indices``.

        Their factors are known if these are.
        """
        values, sizes = self.values[indices], (len(indices), self.n_features)
        if "whiteners" not in vars(self):
            return self.known(values, *sizes)
        return type(self)(values, *sizes, self.whiteners[indices])

    def roots(self):
        """Return lower triangular ``L``, ``L L'`` the matrices, shape (K, D, D)."""
        return _parts.reordered(self, range(self.n_features))

    def marginal(self, features):
        """Return the covariances of the features ``features``, in their order.

        Those of a form that is not closed under this are full matrices.
        """
        return _parts.marginal(self, features)

    def split(self, given, free):
        """Return the regression of the features ``free`` on the features ``given``.

        Returns
        -------
        slopes : ndarray of shape (K, len(free), len(given))
        covariances : Covariances
            What is left of the covariances of ``free``: full matrices, if the form
            is not closed under this.
        """
        return _parts.split(self, given, free)

    @classmethod
    @abstractmethod
    def repaired(cls, values, n_components, n_features):
        """Return covariances near ``values`` that are safely positive definite."""

    @classmethod
    def mended(cls, values, n_components, n_features):
        """Return covariances, `repaired` if rounding has left one singular."""
        try:
            return cls(values, n_components, n_features)
        except NotPositiveDefinite:
            return cls.repaired(values, n_components, n_features)

    @classmethod
    @abstractmethod
    def from_precisions(cls, precisions, n_components, n_features):
        """Return the covariances with those precisions (in the form's shape)."""

    @classmethod
    def from_factors(cls, values, factors, n_components, n_features):
        """Return covariances of which the upper factors of the precisions are known.

        They are taken as they are: values rounded to float32 may have no factor.
        """
        return cls(values, n_components, n_features, factors)

    @staticmethod
    @abstractmethod
    def squared_factors(factors):
        """Return the precisions ``U U'`` of upper factors ``U``."""

    def follow_from_total(self, means):
        """Tell whether second moments follow from the total scatter of the rows.

        The passes need not sum them then: see `second_from_total`.
        """
        return False

    @staticmethod
    def second_from_total(total, offsets, count, first):
        """Return the second moments about origins ``offsets`` (K, D) from the mean.

        ``total`` (D, D) is the scatter of the rows about their mean; ``count`` and
        ``first`` are the other moments.
        """
        raise NotImplementedError

    # ---- free parameters --------------------------------------------------
    @staticmethod
    def directions(n_features):
        """Return how one matrix depends on its free parameters, linearly, or None.

        Returns
        -------
        i, j : ndarray of shape (P,)
            Entries of the matrix, ``i <= j``.
        members : ndarray of shape (q, P)
            The matrix is the sum over parameters c and entries p of
            ``parameter[c] * members[c, p]`` at (i, j) and at (j, i).
        """
        return None

    @staticmethod
    def free(values):
        """Return each different entry of covariances once, shape (., q) or (q,)."""
        return values

    @classmethod
    def arranged(cls, free, n_components, n_features):
        """Return what belongs to free parameters (., q) in the shape of the form."""
        return free.reshape(cls.shape(n_components, n_features))

    # ---- second moments ---------------------------------------------------
    @abstractmethod
    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        """Add the moments about ``means`` of a block to ``first`` and ``second``.

        ``responsibilities`` (K, B) include the sample weights; ``first`` is (K, D),
        ``second`` has the form's `moments_shape`.  ``hard`` says that the rows belong
        to one component each and that these covariances say nothing of the data.
        """

    # ---- rows with holes --------------------------------------------------
    @property
    @abstractmethod
    def general(self):
        """The same covariances as `Full` or `Diag`: those know rows with holes."""

    @staticmethod
    @abstractmethod
    def from_general(second):
        """Return second moments in the shape of the form, from those of `general`.

        ``second`` is (K, D, D), or (K, D) where there are no correlations.
        """

    @staticmethod
    @abstractmethod
    def shift_scatter(second, count, shift):
        """Return the second moments about the means, which are ``shift`` away.

        ``shift`` (K, D) goes from the origins to the means: first moments over
        counts.
        """

    @staticmethod
    @abstractmethod
    def add_to_scatter(scatter, diagonals):
        """Return the scatter plus ``diagonals`` (K, D), one for each component."""

    @staticmethod
    @abstractmethod
    def add_to_values(values, diagonal):
        """Return covariances with ``diagonal`` (D,) added to each."""

    @staticmethod
    @abstractmethod
    def diagonal_sums(scatter, n_features):
        """Return the diagonals of a scatter, added up over components, shape (D,)."""

    @staticmethod
    @abstractmethod
    def scatter_of(values, count):
        """Return the scatter of ``count`` (K,) rows with covariances ``values``."""

    @staticmethod
    def of_features(array, chosen):
        """Return the part of values or a scatter that is of the ``chosen`` features."""
        raise NotImplementedError

    @staticmethod
    def with_features(values, chosen, variance):
        """Return the covariances of all features from those of the ``chosen`` (D,).

        The others are independent of them, and have the ``variance`` (D,).
        """
        raise NotImplementedError

    @staticmethod
    @abstractmethod
    def pooled(scatter, count, small):
        """Return the scatter, that of components marked ``small`` (K,) pooled.

        These get their share of the common one instead of their own.
        """


def frozen(array):
    """Return a read-only float64 array."""
    array = np.ascontiguousarray(array, dtype=np.float64).view()
    array.flags.writeable = False
    return array


# Squared sizes, in standard deviations, up to which a difference of products keeps
# eleven digits of a squared distance or a variance.
_PRODUCTS_UP_TO = 1e5


def keeps_digits(squares, lengths):
    """Tell whether a difference of products has the digits of a sum of squares.

    ``sum p (z - m)^2 = sum p z^2 - 2 sum p m z + sum p m^2`` is one product of
    matrices for all components, but loses the digits of the largest term: of
    ``squares``, the first one (K, ...), or of ``lengths``, the last one (K,).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.max(squares) + np.max(lengths)
    return largest < _PRODUCTS_UP_TO  # False for NaN


def averages(sums, count):
    """Return sums over counts; that of nothing is zero."""
    return sums / np.maximum(count, np.finfo(float).tiny)


def residuals(z, mean):
    """Return ``z`` minus a mean: the exact way in which data meet means."""
    return z - mean[:, np.newaxis]


def squared_norms(y):
    """Return the squared lengths of the columns of ``y``."""
    return np.einsum("ij,ij->j", y, y)


def squared_distances(z, means, precisions=None):
    """Return the squared distances of columns from means, shape (K, B).

    ``precisions`` (K,) tell how many digits are needed: one by default.
    """
    needed = np.ones(1) if precisions is None else precisions
    norms, lengths = squared_norms(z), squared_norms(means.T)
    if keeps_digits(np.max(needed) * np.max(norms), needed * lengths):
        out = means @ z
        out *= -2.0
        out += norms
        out += lengths[:, np.newaxis]
        return np.maximum(out, 0.0, out=out)
    return np.stack([squared_norms(residuals(z, mean)) for mean in means])
