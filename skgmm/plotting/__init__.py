"""Pictures of mixtures, by scikit-learn's convention of displays.

`from_estimator` computes what is to be shown and draws it; `plot` draws it again, on
other axes or with other options.  Axes, figure and artists stay as attributes.
Matplotlib is imported on use.
"""

from ._convergence import ConvergenceDisplay
from ._criterion import CriterionDisplay
from ._em import EMDisplay
from ._mixture import MixtureDisplay
from ._uncertainty import UncertaintyDisplay

__all__ = [
    "ConvergenceDisplay",
    "CriterionDisplay",
    "EMDisplay",
    "MixtureDisplay",
    "UncertaintyDisplay",
]
