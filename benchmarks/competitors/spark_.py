"""Spark MLlib's GaussianMixture, on two cores of this machine (``local[2]``).

It has full covariances and a random start of its own, so that only the number of
iterations is the same.  Spark times itself, on rows that it has cached.  The
environment variable SPARK_PYTHON names a Python that has pyspark, pandas and pyarrow;
Java is needed too.
"""

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

name = "Spark MLlib"

_VERSION = "import pyspark; print(pyspark.__version__, end='')"

_SCRIPT = r"""
import json, sys, time
import numpy as np, pandas as pd
from pyspark.ml.clustering import GaussianMixture
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

d, k, few, many = map(int, sys.argv[1:])
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.memory", "8g")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .config("spark.sql.shuffle.partitions", 2)
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
X = np.fromfile("X.bin").reshape(-1, d)
names = [f"x{i}" for i in range(d)]
pd.DataFrame(X, columns=names).to_parquet("X.parquet", row_group_size=len(X) // 8 + 1)
rows = VectorAssembler(inputCols=names, outputCol="features").transform(
    spark.read.parquet("X.parquet")
)
rows = rows.select("features").repartition(8).cache()
n = rows.count()
result = {"seconds": []}
for n_iter in (few, few, many):  # the first one warms up
    mixture = GaussianMixture(k=k, maxIter=n_iter, tol=0.0, seed=0)
    begun = time.perf_counter()
    fit = mixture.fit(rows)
    result["seconds"].append(time.perf_counter() - begun)
result["score"] = fit.summary.logLikelihood / n
result["iterations"] = fit.summary.numIter
print(json.dumps(result))
"""


def _python():
    return os.environ.get("SPARK_PYTHON")


@cache
def version():
    """Return the version, or None if it is not there."""
    if _python() is None or shutil.which("java") is None:
        return None
    run = subprocess.run([_python(), "-c", _VERSION], capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None


def fit(X, n_components, few, many):
    """Return seconds of an iteration, of the longer fit, and its mean log-density."""
    folder = Path(tempfile.mkdtemp())
    try:
        np.ascontiguousarray(X, dtype=float).tofile(folder / "X.bin")
        (folder / "fit.py").write_text(_SCRIPT)
        sizes = [str(size) for size in (X.shape[1], n_components, few, many)]
        run = subprocess.run(
            [_python(), "fit.py", *sizes],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYSPARK_PYTHON": _python()},
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = json.loads(run.stdout.splitlines()[-1])
    _, short, long = result["seconds"]
    return {
        "iteration": (long - short) / (many - few),
        "seconds": long,
        "score": result["score"],
        "iterations": result["iterations"],
    }
