"""What a family of covariances is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._mixture import Mixture
from ..forms import Covariances


@dataclass(frozen=True)
class Family:
    """A constraint on the covariances, by its maximisation step.

    Attributes
    ----------
    name : str
        The ``covariance_type``.
    code : str
        The three letters of mclust for volume, shape and orientation: equal (E),
        variable (V) or identity (I) (Celeux and Govaert 1995, Pattern Recognition
        28:781).
    form : type
        The form in which the covariances are evaluated and moments collected.
    covariances : callable
        ``covariances(count, scatter) -> values``: from the counts (K,) and the
        scatter about the means, in the form's shape, to the covariances.
    n_covariance_parameters : callable
        ``n_covariance_parameters(K, D) -> int``.
    per_feature : bool
        Whether the family is closed under rescaling single features.
    """

    name: str
    code: str
    form: type[Covariances]
    covariances: Callable
    n_covariance_parameters: Callable
    per_feature: bool = True

    def __reduce__(self):
        # Pickles name the families of the package: they hold no code.
        return family_named, (self.name,)

    def __getstate__(self):
        return {"name": self.name}  # for skops, which does not know __reduce__

    def __setstate__(self, state):
        vars(self).update(vars(family_named(state["name"])))

    def n_parameters(self, n_components, n_features):
        """Return the number of free parameters of a mixture."""
        return (
            n_components * (1 + n_features)
            - 1
            + int(self.n_covariance_parameters(n_components, n_features))
        )

    def maximise(self, statistics, regularisation):
        """Return the mixture that maximises the expected complete likelihood.

        This is the M-step: Bishop, Pattern Recognition and Machine Learning,
        equations 9.24 to 9.26.
        """
        count = statistics.count
        means = statistics.means()
        covariances = regularisation.estimate(
            self.form, means.shape, self.covariances, count, statistics.scatter()
        )
        return Mixture(count / np.sum(count), means, covariances)


def family_named(name):
    """Return a family of the registry."""
    from . import FAMILIES

    return FAMILIES[name]
