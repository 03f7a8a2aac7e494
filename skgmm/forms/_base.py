"""What every form of covariance matrices offers; each form is one subclass."""

from abc import ABC, abstractmethod

import numpy as np


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

    def __init__(self, values, n_components, n_features, whiteners=None):
        self.values = frozen(values)
        self.n_components = n_components
        self.n_features = n_features
        if whiteners is None:
            whiteners = self._factorise()
        self.whiteners = frozen(whiteners)
        self.log_determinants = np.broadcast_to(
            self._log_determinants(), (n_components,)
        )

    def __reduce__(self):
        arguments = (np.array(self.values), self.n_components, self.n_features)
        return type(self), (*arguments, np.array(self.whiteners))

    # ---- shapes -----------------------------------------------------------
    @staticmethod
    @abstractmethod
    def shape(n_components, n_features):
        """Shape of the values and of the second moments."""

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

    @abstractmethod
    def extreme_eigenvalues(self, total):
        """Return the extreme eigenvalues in the metric of a covariance of all rows.

        Parameters
        ----------
        total : ndarray
            Covariance of one component in the form `for_total`.

        Returns
        -------
        smallest, largest : ndarray of shape (K,) or (1,)
        rank : int
            Number of dimensions of the metric; 0 if all rows are the same.
        """

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
    def metric(scatter):
        """Return the factors ``M`` (D, r) of the metric that a scatter (D, D) makes.

        Distances of ``rows @ M`` are as invariant as covariances of this form are.
        """

    @abstractmethod
    def stretched(self, relative):
        """Return the covariances with whiteners ``relative @ whiteners``.

        Raises
        ------
        NotPositiveDefinite
            If a diagonal is not positive.
        """

    # ---- other covariances ------------------------------------------------
    @abstractmethod
    def rescaled(self, scale):
        """Return the covariances of the features times ``scale`` (D,).

        Exact for powers of two: nothing is factorised again.
        """

    @abstractmethod
    def take(self, indices):
        """Return the covariances of the components ``indices``."""

    @classmethod
    @abstractmethod
    def repaired(cls, values, n_components, n_features):
        """Return covariances near ``values`` that are safely positive definite."""

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

    # ---- second moments ---------------------------------------------------
    @abstractmethod
    def accumulate(self, z, responsibilities, means, first, second, *, hard=False):
        """Add the moments about ``means`` of a block to ``first`` and ``second``.

        ``responsibilities`` (K, B) include the sample weights; ``first`` is (K, D),
        ``second`` has the shape of the form.  ``hard`` says that the rows belong to
        one component each and that these covariances say nothing of the data.
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

    def expected_scatter(self, count):
        """Return the scatter that ``count`` (K,) rows of each component have."""
        return count.reshape(-1, *[1] * (self.values.ndim - 1)) * self.values

    @staticmethod
    @abstractmethod
    def diagonal_sums(scatter, n_features):
        """Return the diagonals of a scatter, added up over components, shape (D,)."""

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
