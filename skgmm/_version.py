"""The version, and what may be read of others."""

from sklearn.utils.fixes import parse_version

__version__ = "0.1.0.dev0"


def check_version(version, what):
    """Raise if something was saved by a later version than this one."""
    if parse_version(version) > parse_version(__version__):
        raise ValueError(
            f"{what} was saved by skgmm {version}, and this is skgmm {__version__}, "
            "which may not understand it. Install that version or a later one."
        )


def restored(cls, version):
    """Return an empty estimator for what was saved by a version.

    Pickles call this first, before anything is read that this version may not know.
    """
    check_version(version, f"This {cls.__name__}")
    return cls.__new__(cls)
