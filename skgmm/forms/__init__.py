"""How Gaussians are evaluated: one class for each shape of covariance matrices."""

from ._base import Covariances, NotPositiveDefinite, frozen
from .diag import Diag
from .factors import Factors, low_rank
from .full import Full
from .spherical import Spherical
from .tied import Tied

__all__ = [
    "Covariances",
    "Diag",
    "Factors",
    "Full",
    "NotPositiveDefinite",
    "Spherical",
    "Tied",
    "frozen",
    "low_rank",
]
