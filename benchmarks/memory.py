"""Peak memory of a fit beyond X, as the growth of the resident set.

    python benchmarks/memory.py [--output memory.json]

Each fit runs in a process of its own, which first fits a small problem, so that
modules are loaded and threads started.
"""

import argparse
import json
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import problems
from provenance import provenance

ROWS = (250_000, 1_000_000)


def main():
    """Measure every shape with a million rows, and (n, 10, 10) as n grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("memory.json"))
    parser.add_argument("--one", nargs=4)
    arguments = parser.parse_args()
    if arguments.one:
        n, d, k = map(int, arguments.one[:3])
        print(peak((n, d, k), arguments.one[3]))
        return
    shapes = [shape for shape in problems.SHAPES if shape[0] == 1_000_000]
    shapes += [(n, 10, 10) for n in ROWS]
    cells = []
    for shape in shapes:
        for covariance_type in problems.COVARIANCE_TYPES:
            command = [sys.executable, __file__, "--one", *map(str, shape)]
            output = subprocess.check_output([*command, covariance_type], text=True)
            cells.append([*shape, covariance_type, float(output)])
            print(f"{shape} {covariance_type:9} {float(output):6.1f} MB", flush=True)
    result = {"provenance": provenance(), "megabytes": cells}
    arguments.output.write_text(json.dumps(result, indent=1))


def peak(shape, covariance_type):
    """Return the megabytes that a fit needs at its peak beyond X."""
    from skgmm import GaussianMixture

    warnings.simplefilter("ignore")
    small = problems.make((30_000, *shape[1:]), covariance_type)
    mixture = GaussianMixture(
        shape[2], covariance_type=covariance_type, max_iter=3, tol=0, random_state=0
    )
    mixture.fit(small.X)
    problem = problems.make(shape, covariance_type)
    return peak_of(lambda: mixture.fit(problem.X))


def peak_of(function):
    """Return the megabytes by which the resident set grows while a function runs."""
    _reset_peak()
    before = _resident()
    function()
    return (_peak() - before) / 1e6


def _reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def _resident():
    return _status("VmRSS")


def _peak():
    return _status("VmHWM")


def _status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
