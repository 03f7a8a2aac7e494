"""What a family of covariances is."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from .._mixture import Mixture
from ..forms import Covariances


@dataclass(frozen=True, repr=False)
class Family:
    """A constraint on the covariances, by its maximisation step.

    Parameters
    ----------
    name : str
        The ``covariance_type``.
    code : str
        Three letters for the volumes, shapes and orientations of the covariances:
        equal in all components (E), variable (V), or the identity (I), as in mclust
        (Celeux and Govaert 1995, Pattern Recognition 28:781).
    form : type
        The form in which the covariances are evaluated and moments collected: a class
        of `skgmm.forms`, which documents its shape.
    covariances : callable
        ``covariances(count, scatter) -> values``: from the counts (K,), above zero,
        and the scatter about the means (sums of squares and products, in the form's
        shape) to the covariances of greatest likelihood, which are those that
        minimise ``sum_k count_k log|C_k| + tr(C_k^-1 scatter_k)``.  It may raise
        `skgmm.forms.NotPositiveDefinite`.
    n_covariance_parameters : callable
        ``n_covariance_parameters(K, D) -> int``.
    per_feature : bool, default=True
        Whether the family is closed under rescaling single features.
    iterative : bool, default=False
        Whether `covariances` takes a third argument: the previous covariances in
        the form's shape, or None at the start.  For EM never to lower the likelihood
        it has to return better ones than these.
    equal_weights : bool, default=False
        Whether the mixing weights are all the same rather than free.

    Examples
    --------
    Compound symmetry: one variance, and one correlation between any two features.
    The mean of the features and its complement are the axes of all covariances, so
    that only the sums of squares along these are needed.

    >>> import numpy as np
    >>> from skgmm import GaussianMixture
    >>> from skgmm.families import Family
    >>> from skgmm.forms import Full
    >>> def symmetric(count, scatter):
    ...     d = scatter.shape[-1]
    ...     along = scatter.sum(axis=(1, 2)) / d
    ...     across = (np.trace(scatter, axis1=1, axis2=2) - along) / (d - 1)
    ...     mean = np.full((d, d), 1 / d)
    ...     values = np.multiply.outer(along, mean)
    ...     values += np.multiply.outer(across, np.eye(d) - mean)
    ...     return values / count[:, np.newaxis, np.newaxis]
    >>> compound = Family(
    ...     "compound", "VVE", Full, symmetric, lambda k, d: 2 * k, per_feature=False)
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3)) + 2 * rng.normal(size=(500, 1))
    >>> GaussianMixture(covariance_type=compound).fit(X).covariances_.round(1)
    array([[[5.4, 4.4, 4.4],
            [4.4, 5.4, 4.4],
            [4.4, 4.4, 5.4]]])
    """

    name: str
    code: str
    form: type[Covariances]
    covariances: Callable
    n_covariance_parameters: Callable
    per_feature: bool = True
    iterative: bool = False
    equal_weights: bool = False

    def __post_init__(self):
        if not re.fullmatch("[EV][EVI][EVI]", self.code):
            raise ValueError(
                "code must be three letters for volume, shape and orientation, each E "
                "(equal), V (variable) or, but for the volume, I (identity); got "
                f"{self.code!r}."
            )
        if not (isinstance(self.form, type) and issubclass(self.form, Covariances)):
            raise TypeError(
                "form must be one of the classes Full, Tied, Diag and Spherical of "
                f"skgmm.forms; got {self.form!r}."
            )

    def __repr__(self):
        equal = ", equal_weights=True" if self.equal_weights else ""
        return f"<Family {self.name}{equal}>"

    # Families are immutable: a copy is the family itself.
    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        # Pickles name the families of the package: they hold no code.
        if self._registered:
            return family_named, (self.name, self.equal_weights)
        return Family, tuple(getattr(self, field.name) for field in fields(self))

    # For skops, which does not know __reduce__.
    def __getstate__(self):
        if self._registered:
            return {"name": self.name, "equal_weights": self.equal_weights}
        return dict(vars(self))

    def __setstate__(self, state):
        if state.keys() == {"name", "equal_weights"}:
            state = vars(family_named(**state))
        vars(self).update(state)

    @property
    def _registered(self):
        """Whether it is one of the package's."""
        return self._is_entry(self.name)

    def _is_entry(self, key):
        """Tell whether the table of families has it by a name or code."""
        from . import FAMILIES

        twin = FAMILIES.get(key)
        return self == (twin and replace(twin, equal_weights=self.equal_weights))

    @property
    def as_parameter(self):
        """Its ``covariance_type``: its name if that is enough, or itself."""
        from . import FAMILIES

        return self.name if self == FAMILIES.get(self.name) else self

    @property
    def label(self):
        """What tells it from other families in a table."""
        return f"{self.name}, equal weights" if self.equal_weights else self.name

    # ---- what belongs to each component -----------------------------------
    @property
    def own_volume(self):
        """Whether each component has a volume of its own."""
        return self.code[0] == "V"

    @property
    def own_shape(self):
        """Whether each component has a shape of its own."""
        return self.code[1] == "V"

    @property
    def own_orientation(self):
        """Whether each component has an orientation of its own."""
        return self.code[2] == "V"

    @property
    def shares_all(self):
        """Whether all components have the same covariance."""
        return not (self.own_volume or self.own_shape or self.own_orientation)

    def rows_needed(self, n_features):
        """Return how many rows a component needs for a covariance of its own."""
        return 0 if self.shares_all else self.form.rank(n_features) + 1

    # ---- parameters -------------------------------------------------------
    def n_parameters(self, n_components, n_features) -> int:
        """Return the number of free parameters of a mixture."""
        covariances = int(self.n_covariance_parameters(n_components, n_features))
        weights = 0 if self.equal_weights else n_components - 1
        return weights + n_components * n_features + covariances

    def fills_form(self, n_components, n_features):
        """Tell whether all covariances of the form belong to the family."""
        sizes = n_components, n_features
        return self.n_covariance_parameters(*sizes) == self.form.n_parameters(*sizes)

    @property
    def steps(self):
        """Its code, and whether weights are equal, for compiled steps.

        None for what is not the registry's family of this code: these steps would
        not be its own.
        """
        own = self._is_entry(self.code)
        return (self.code, self.equal_weights) if own else None

    @property
    def is_affine(self):
        """Whether linear maps of the features are known to stay in the family.

        They do in those of the registry that have matrices and in which single
        features may be rescaled: EEE, VEE, EVV and VVV.
        """
        return self.form.linear and self.per_feature and self.steps is not None

    # ---- estimation -------------------------------------------------------
    def maximise(self, statistics, regularisation, previous=None):
        """Return the mixture that maximises the expected complete likelihood.

        This is the M-step: Bishop, Pattern Recognition and Machine Learning,
        equations 9.24 to 9.26.

        Parameters
        ----------
        statistics : Statistics
        regularisation : PseudoObservations or Ridge
        previous : Mixture, optional
            A mixture of the family.  The one returned is no worse, though it need
            not be the best if the maximum has no closed form.
        """
        count = statistics.count
        means, scatter = regularisation.moments(statistics)
        weights = count / np.sum(count)
        if self.equal_weights:
            weights = np.full(len(count), 1.0 / len(count))
        near = None if previous is None else previous.covariances
        covariances = regularisation.estimate(self, count, scatter, near)
        return Mixture(weights, means, covariances)

    def projected(self, mixture, regularisation, near):
        """Return the mixture of the family that is nearest to one.

        In the sense of Kullback and Leibler: its covariances are those of greatest
        likelihood for rows that have the covariances of ``mixture``.  ``near`` is a
        mixture of the family not far away.
        """
        if self.fills_form(*mixture.means.shape):
            return mixture
        covariances = regularisation.project(
            self, mixture.weights, mixture.covariances, near.covariances
        )
        return replace(mixture, covariances=covariances)

    def values(self, count, scatter, previous):
        """Return the covariances, in the shape of the form, for counts above zero.

        Those of an impossible scatter are not finite.
        """
        arguments = (previous,) if self.iterative else ()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = self.covariances(count, scatter, *arguments)
        shape = self.form.shape_for(scatter)
        if np.shape(values) != shape:
            raise ValueError(
                f"covariances of the family {self.name!r} must return an array of the "
                f"shape of the scatter, {shape}; got shape {np.shape(values)}."
            )
        return values


def family_named(name, equal_weights=False):
    """Return a family of the registry."""
    from . import FAMILIES

    family = FAMILIES[name]
    return replace(family, equal_weights=True) if equal_weights else family
