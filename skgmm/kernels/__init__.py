"""The passes over rows: the only code whose cost grows with the data.

`reference` says in NumPy what they are; `compiled` does the same faster.  The
environment variable ``SKGMM_KERNELS`` chooses: ``numpy``, ``compiled`` or, by
default, the compiled ones if they were built.
"""

import os

from . import holes, reference
from .holes import Patterns
from .reference import LOG_2PI, Data


def _chosen():
    wanted = os.environ.get("SKGMM_KERNELS", "auto")
    if wanted not in ("auto", "compiled", "numpy"):
        raise ImportError(
            "SKGMM_KERNELS must be 'auto', 'compiled' or 'numpy'; got "
            f"{wanted!r}. Unset it for the default."
        )
    if wanted == "numpy":
        return reference
    try:
        from . import compiled
    except ImportError:
        if wanted == "compiled":
            raise
        return reference
    return compiled


_passes = _chosen()
name = "numpy" if _passes is reference else "compiled"
instruction_set = getattr(_passes, "instruction_set", None)

WORK_OF_A_THREAD = _passes.WORK_OF_A_THREAD
Crew = _passes.Crew
SINGLE = _passes.SINGLE
statistics = _passes.statistics
moments = _passes.moments
class_moments = _passes.class_moments
parts_of = _passes.parts_of
climb = _passes.climb
leap = _passes.leap
kmeans = _passes.kmeans
log_density = _passes.log_density
log_responsibilities = _passes.log_responsibilities
labels = _passes.labels
whiteners = _passes.whiteners

statistics_with_holes = getattr(_passes, "statistics_with_holes", holes.statistics)
log_responsibilities_with_holes = getattr(
    _passes, "log_responsibilities_with_holes", holes.log_responsibilities
)
conditional_scatter = holes.conditional_scatter
completed = holes.completed
has_holes = holes.has_holes

__all__ = [
    "LOG_2PI",
    "SINGLE",
    "WORK_OF_A_THREAD",
    "Crew",
    "Data",
    "Patterns",
    "class_moments",
    "climb",
    "completed",
    "conditional_scatter",
    "has_holes",
    "kmeans",
    "labels",
    "leap",
    "log_density",
    "log_responsibilities",
    "log_responsibilities_with_holes",
    "moments",
    "parts_of",
    "statistics",
    "statistics_with_holes",
    "whiteners",
]
