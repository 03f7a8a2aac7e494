"""The passes over rows: the only code whose cost grows with the data."""

from .reference import (
    LOG_2PI,
    labels,
    log_density,
    log_responsibilities,
    moments,
    statistics,
)

__all__ = [
    "LOG_2PI",
    "labels",
    "log_density",
    "log_responsibilities",
    "moments",
    "statistics",
]
