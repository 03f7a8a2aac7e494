"""Checkpoints: where a fit has come to, in a file; another process goes on from it."""

import hashlib
import os
import pickle
import time
from pathlib import Path

import numpy as np
from joblib import hash as hash_of

from ._version import __version__, check_version
from .families import Family

# Seconds between two checkpoints.
INTERVAL = 30.0

# The file begins with this and the digest of what follows.
_MAGIC = b"skgmm checkpoint 1\n"

# Parameters that a fit may be resumed with other values of.
_FREE = {"checkpoint", "max_iter", "verbose", "verbose_interval"}


class Checkpoint:
    """The file of a fit.

    It is replaced as a whole, so that there is always one state that is complete,
    whenever the process or the machine stops.

    Parameters
    ----------
    path : str or path
    task : dict
        What the file must be of: see `task_of`.
    """

    def __init__(self, path, task):
        self.path, self._task = Path(path), task
        self._saved = time.monotonic()

    def save(self, state):
        """Write a state, if the last one is old enough."""
        now = time.monotonic()
        if now - self._saved < INTERVAL:
            return
        content = pickle.dumps({"task": self._task, "state": state})
        new = self.path.with_name(self.path.name + ".part")
        with open(new, "wb") as file:
            # The version comes first, to be read by any other one.
            file.write(_MAGIC + __version__.encode() + b"\n")
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)
        self._saved = now

    def load(self):
        """Return the last state, or None if there is none."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        version, _, rest = data.removeprefix(_MAGIC).partition(b"\n")
        digest, content = rest[:32], rest[32:]
        if not data.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
            raise ValueError(
                f"checkpoint must be a file that a fit has written; {self.path} is "
                "none, or is damaged. Name another file, or delete this one."
            )
        check_version(version.decode(), f"The checkpoint {self.path}")
        saved = pickle.loads(content)
        for name, value in self._task.items():
            if not _same(saved["task"][name], value):
                raise ValueError(
                    f"checkpoint must be of the same fit; {self.path} was written by "
                    f"one that differs in the {name}. Name another file, or delete "
                    "this one."
                )
        return saved["state"]

    def remove(self):
        """Remove the file: the fit has ended."""
        self.path.unlink(missing_ok=True)


def task_of(estimator, source):
    """Return what tells one fit from another: parameters and rows.

    Of the rows there are their number, weight, means and deviations.
    """
    parameters = estimator.get_params(deep=False)
    fixed = {name: value for name, value in parameters.items() if name not in _FREE}
    # A function has a name, but may have no pickle.
    if callable(fixed["init_params"]):
        fixed["init_params"] = getattr(fixed["init_params"], "__qualname__", "")
    if isinstance(fixed["covariance_type"], Family):
        fixed["covariance_type"] = repr(fixed["covariance_type"])
    return {
        "parameters": hash_of(fixed),
        "shape of X": (len(source.rows), len(source.frame.centre)),
        "rows or weights": np.stack(
            [
                source.frame.centre,
                source.frame.deviation,
                np.full_like(source.frame.centre, source.total_weight),
            ]
        ),
    }


def _same(one, other):
    if isinstance(one, np.ndarray):  # up to what another processor makes of sums
        return np.shape(one) == np.shape(other) and np.allclose(one, other, 1e-9, 0)
    return one == other
