"""How covariances are constrained: the registry of families.

A family is one function, from the counts and the scatter of the components to
their covariances, and one line here.
"""

from ..forms import Diag, Full, Spherical, Tied
from . import _basic
from ._base import Family

_FAMILIES = (
    Family("full", "VVV", Full, _basic.full, lambda k, d: k * d * (d + 1) / 2),
    Family("tied", "EEE", Tied, _basic.tied, lambda k, d: d * (d + 1) / 2),
    Family("diag", "VVI", Diag, _basic.diag, lambda k, d: k * d),
    Family("spherical", "VII", Spherical, _basic.spherical, lambda k, d: k, False),
)

FAMILIES = {family.name: family for family in _FAMILIES}

__all__ = ["FAMILIES", "Family"]
