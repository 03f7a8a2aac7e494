# ruff: noqa: E501  (the embedded program)
"""Armadillo's gmm_full and gmm_diag (Debian: libarmadillo-dev libopenblas-dev, g++).

Its programs time themselves: reading the rows from a file is not counted.
"""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

name = "Armadillo"

_SOURCE = r"""
#include <armadillo>
#include <chrono>
#include <cstdio>
template <typename Model, typename Covariances>
static void iterate(Model& model, const arma::mat& X, const arma::mat& means,
                    const Covariances& covariances, const arma::rowvec& weights) {
  model.set_params(means, covariances, weights);
  const auto begun = std::chrono::steady_clock::now();
  model.learn(X, means.n_cols, arma::eucl_dist, arma::keep_existing, 0, 1, 1e-300, false);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
  std::printf("%.9f\n", seconds.count());
  model.means.save("means.bin", arma::raw_binary);
  model.hefts.save("weights.bin", arma::raw_binary);
}
int main(int, char** argv) {
  const int d = std::atoi(argv[2]), k = std::atoi(argv[3]);
  arma::mat X, means;
  arma::rowvec weights;
  X.load("X.bin", arma::raw_binary);
  X.reshape(d, X.n_elem / d);
  means.load("means.bin", arma::raw_binary);
  means.reshape(d, k);
  arma::mat w;
  w.load("weights.bin", arma::raw_binary);
  weights = arma::vectorise(w).t();
  arma::mat c;
  c.load("covariances.bin", arma::raw_binary);
  if (argv[1][0] == 'f') {
    arma::gmm_full model;
    iterate(model, X, means, arma::cube(c.memptr(), d, d, k), weights);
    model.fcovs.save("covariances.bin", arma::raw_binary);
  } else {
    arma::gmm_diag model;
    iterate(model, X, means, arma::mat(c.memptr(), d, k), weights);
    model.dcovs.save("covariances.bin", arma::raw_binary);
  }
}
"""


@cache
def version():
    """Return the version, or None if it is not installed."""
    header = Path("/usr/include/armadillo_bits/arma_version.hpp")
    if not header.exists() or shutil.which("g++") is None:
        return None
    text = header.read_text()
    words = [
        line.split() for line in text.splitlines() if "define ARMA_VERSION_M" in line
    ]
    return ".".join(line[2] for line in words)


def supports(problem):
    return problem.covariance_type in ("full", "diag")


@cache
def _program():
    folder = Path(tempfile.mkdtemp())
    (folder / "iterate.cpp").write_text(_SOURCE)
    flags = ["-O3", "-march=native", "-fopenmp", "-DARMA_DONT_USE_WRAPPER"]
    command = ["g++", *flags, "iterate.cpp", "-o", "iterate", "-lopenblas"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "iterate"


class start:
    def __init__(self, problem):
        self._folder = Path(tempfile.mkdtemp())
        self._problem = problem
        parts = problem.weights, problem.means, problem.covariances()
        names = "weights", "means", "covariances"
        for name, array in zip(names, parts, strict=True):
            array.tofile(self._folder / f"{name}.bin")
        problem.X.tofile(self._folder / "X.bin")

    def step(self):
        p = self._problem
        command = [_program(), p.covariance_type, str(p.d), str(p.k)]
        run = subprocess.run(command, cwd=self._folder, check=True, capture_output=True)
        return float(run.stdout)

    def parameters(self):
        weights, means, covariances = (
            np.fromfile(self._folder / f"{name}.bin")
            for name in ("weights", "means", "covariances")
        )
        p = self._problem
        shape = p.covariances().shape
        return weights, means.reshape(p.k, p.d), covariances.reshape(shape)

    def __del__(self):
        shutil.rmtree(self._folder, ignore_errors=True)
