"""What a result must say of where it was measured."""

import os
import platform
from importlib import metadata
from pathlib import Path


def provenance():
    """Return machine, versions and thread settings, ready for JSON."""
    import threadpoolctl

    packages = ("skgmm", "numpy", "scipy", "scikit-learn", "threadpoolctl")
    return {
        "processor": _processor(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "thread_pools": [
            {k: v for k, v in pool.items() if k != "filepath"}
            for pool in threadpoolctl.threadpool_info()
        ],
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if "model name" in x), "?")
