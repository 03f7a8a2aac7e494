# ruff: noqa: E501  (the embedded program)
"""R's mclust (Debian: r-cran-mclust), one iteration of its ``em``.

R times itself: reading the rows from a file is not counted.
"""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

name = "mclust"

_CODES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
_LARGEST = 5e8  # n K D: beyond, its responsibilities take minutes and gigabytes

_SCRIPT = r"""
suppressMessages(library(mclust))
a <- commandArgs(TRUE); d <- as.integer(a[2]); k <- as.integer(a[3])
get <- function(f) readBin(f, "double", file.size(f) / 8)
X <- matrix(get("X.bin"), ncol = d, byrow = TRUE)
model <- if (d == 1) (if (a[1] == "EEE") "E" else "V") else a[1]
sigma <- if (a[1] == "EEE") array(get("covariances.bin"), c(d, d, k)) else
  array(get("covariances.bin"), c(d, d, k))
cholsigma <- array(apply(sigma, 3, chol), c(d, d, k))
variance <- list(modelName = model, d = d, G = k, sigma = sigma, cholsigma = cholsigma,
  Sigma = sigma[, , 1], cholSigma = chol(matrix(sigma[, , 1], d)),
  sigmasq = sigma[1, 1, ], scale = apply(sigma, 3, function(s) det(matrix(s, d))^(1 / d)),
  shape = apply(sigma, 3, function(s) { v <- diag(matrix(s, d)); v / prod(v)^(1 / d) }))
if (d > 1 && a[1] == "VVI") variance$shape <- matrix(variance$shape, d)
if (model == "E") variance$sigmasq <- variance$sigmasq[1]
parameters <- list(pro = get("weights.bin"), variance = variance,
  mean = matrix(get("means.bin"), d, k))
if (d == 1) { parameters$mean <- as.vector(parameters$mean); X <- as.vector(X) }
control <- emControl(itmax = c(1, 1), tol = c(0, 0))
t <- system.time(fit <- suppressWarnings(em(data = X, modelName = model,
  parameters = parameters, control = control)))
cat(t[["elapsed"]], "\n")
put <- function(x, f) writeBin(as.double(x), f)
put(fit$parameters$pro, "weights.bin"); put(fit$parameters$mean, "means.bin")
v <- fit$parameters$variance
s <- if (d == 1) array(rep_len(v$sigmasq, k), c(1, 1, k)) else v$sigma
put(s, "covariances.bin")
"""


@cache
def version():
    """Return the version, or None if it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    command = ["Rscript", "-e", 'cat(as.character(packageVersion("mclust")))']
    run = subprocess.run(command, capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None


def supports(problem):
    return problem.n * problem.d * problem.k <= _LARGEST and problem.d <= 50


class start:
    def __init__(self, problem):
        self._folder = Path(tempfile.mkdtemp())
        self._problem = problem
        eyes = np.tile(np.eye(problem.d), (problem.k, 1, 1))
        parts = problem.weights, problem.means, eyes, problem.X
        names = "weights", "means", "covariances", "X"
        for name, array in zip(names, parts, strict=True):
            array.tofile(self._folder / f"{name}.bin")
        (self._folder / "iterate.R").write_text(_SCRIPT)

    def step(self):
        p = self._problem
        sizes = [str(p.d), str(p.k)]
        command = ["Rscript", "iterate.R", _CODES[p.covariance_type], *sizes]
        run = subprocess.run(command, cwd=self._folder, check=True, capture_output=True)
        return float(run.stdout)

    def parameters(self):
        weights, means, matrices = (
            np.fromfile(self._folder / f"{name}.bin")
            for name in ("weights", "means", "covariances")
        )
        p = self._problem
        matrices = matrices.reshape(p.k, p.d, p.d)
        covariances = {
            "full": matrices,
            "tied": matrices[0],
            "diag": np.einsum("kdd->kd", matrices),
            "spherical": matrices[:, 0, 0],
        }[p.covariance_type]
        return weights, means.reshape(p.k, p.d), covariances

    def __del__(self):
        shutil.rmtree(self._folder, ignore_errors=True)


_SELECT = r"""
suppressMessages(library(mclust))
a <- commandArgs(TRUE); d <- as.integer(a[1])
X <- matrix(readBin("X.bin", "double", file.size("X.bin") / 8), ncol = d, byrow = TRUE)
t <- system.time(fit <- Mclust(X, G = eval(parse(text = a[2])),
  modelNames = strsplit(a[3], ",")[[1]], verbose = FALSE))
cat(t[["elapsed"]], fit$modelName, fit$G, format(fit$bic, digits = 15), "\n")
"""


def select(X, numbers, codes):
    """Return the seconds, the model, the number of components and BIC of ``Mclust``.

    The BIC has the sign of scikit-learn: lower is better.
    """
    folder = Path(tempfile.mkdtemp())
    try:
        np.ascontiguousarray(X, dtype=float).tofile(folder / "X.bin")
        (folder / "select.R").write_text(_SELECT)
        grid = "c(" + ",".join(str(k) for k in numbers) + ")"
        command = ["Rscript", "select.R", str(X.shape[1]), grid, ",".join(codes)]
        run = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds, code, n_components, bic = run.stdout.split()
    return float(seconds), code, int(n_components), -float(bic)
