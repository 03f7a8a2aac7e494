"""Warnings that point at the user's line."""

import sys
import warnings


def warn(message, category):
    """Warn at the first caller outside of this package and scikit-learn."""
    level, frame = 1, sys._getframe()
    while frame is not None and _package(frame) in ("skgmm", "sklearn"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
