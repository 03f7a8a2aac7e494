"""How covariances are constrained: the registry of families.

A family is one function, from the counts and the scatter of the components to
their covariances, and one line here.  Its second name is the code of mclust.
"""

from ..forms import Diag, Full, Spherical, Tied
from . import _basic, _orientation, _volume_shape
from ._base import Family, family_named
from ._factors import factor_analysers


def _rotations(d):
    return d * (d - 1) // 2


def _coupled(code, form, covariances, n_covariance_parameters, **options):
    """Return a family without a readable name."""
    return Family(code, code, form, covariances, n_covariance_parameters, **options)


_IN_TURNS = {"iterative": True}
_ROTATED = {"per_feature": False}

_FAMILIES = (
    Family("full", "VVV", Full, _basic.full, Full.n_parameters),
    Family("tied", "EEE", Tied, _basic.tied, Tied.n_parameters),
    Family("diag", "VVI", Diag, _basic.diag, Diag.n_parameters),
    Family("tied_diag", "EEI", Diag, _basic.tied_diag, lambda k, d: d),
    Family(
        "spherical",
        "VII",
        Spherical,
        _basic.spherical,
        Spherical.n_parameters,
        per_feature=False,
    ),
    Family(
        "tied_spherical",
        "EII",
        Spherical,
        _basic.tied_spherical,
        lambda k, d: 1,
        per_feature=False,
    ),
    _coupled("VEI", Diag, _volume_shape.vei, lambda k, d: k + d - 1, **_IN_TURNS),
    _coupled("EVI", Diag, _volume_shape.evi, lambda k, d: 1 + k * (d - 1)),
    _coupled(
        "VEE",
        Full,
        _volume_shape.vee,
        lambda k, d: k + d - 1 + _rotations(d),
        **_IN_TURNS,
    ),
    _coupled(
        "EVV",
        Full,
        _volume_shape.evv,
        lambda k, d: 1 + k * (d - 1 + _rotations(d)),
    ),
    _coupled(
        "EEV",
        Full,
        _orientation.eev,
        lambda k, d: d + k * _rotations(d),
        **_ROTATED,
    ),
    _coupled(
        "VEV",
        Full,
        _orientation.vev,
        lambda k, d: k + d - 1 + k * _rotations(d),
        **_ROTATED,
        **_IN_TURNS,
    ),
    _coupled(
        "EVE",
        Full,
        _orientation.eve,
        lambda k, d: 1 + k * (d - 1) + _rotations(d),
        **_ROTATED,
        **_IN_TURNS,
    ),
    _coupled(
        "VVE",
        Full,
        _orientation.vve,
        lambda k, d: k * d + _rotations(d),
        **_ROTATED,
        **_IN_TURNS,
    ),
)

# Each family once, and all names.
NAMES = tuple(family.name for family in _FAMILIES)
FAMILIES = {family.code: family for family in reversed(_FAMILIES)}  # the first has it
FAMILIES |= {family.name: family for family in _FAMILIES}
# In one dimension mclust has two models.
FAMILIES |= {"E": FAMILIES["tied"], "V": FAMILIES["full"]}

__all__ = ["FAMILIES", "NAMES", "Family", "factor_analysers", "family_named"]
