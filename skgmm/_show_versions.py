"""What an issue report should say."""

import importlib.metadata
import platform
import sys

from . import kernels
from ._threads import n_threads

_PACKAGES = ("skgmm", "numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")


def show_versions() -> None:
    """Print what a report of a fault should say.

    The versions of Python and the packages, the machine, which kernels are in use
    ('compiled', or 'numpy' where none were built or ``SKGMM_KERNELS=numpy`` is
    set), their instruction set, and the number of threads that a fit may use.

    Examples
    --------
    >>> import skgmm
    >>> skgmm.show_versions()  # doctest: +ELLIPSIS
    System:
    ...
    kernels: ...
    """
    sections = {
        "System": {
            "python": sys.version.replace("\n", " "),
            "machine": platform.platform(),
        },
        "Packages": {name: _version(name) for name in _PACKAGES},
        "skgmm": {
            "kernels": kernels.name,
            "instruction set": kernels.instruction_set or "that of NumPy",
            "threads": n_threads(),
        },
    }
    for title, entries in sections.items():
        print(f"{title}:")
        width = max(map(len, entries))
        for name, value in entries.items():
            print(f"{name:>{width}}: {value}")
        print()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
