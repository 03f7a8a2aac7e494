// Steps of EM in one call: see climb.hpp.

#include "climb.hpp"

#include <new>

#include "state.hpp"

int climb(Pass pass, Form form, const Rows& rows, const Total& total,
          const Regularisation& regularisation, const Parameters& parameters,
          bool of_moments, int n_steps, double* objectives) {
  try {
    State state(form, parameters, regularisation, total);
    if (of_moments) state.maximise_moments();
    for (int step = 0;; ++step) {
      if (!state.factorise()) return step - 1;
      objectives[step] = state.expectation(pass, rows);
      if (!std::isfinite(objectives[step])) return step - 1;
      state.write(parameters);
      if (step == n_steps) return step;
      state.maximisation();
    }
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// The inverse of the lower Cholesky factor of one matrix; `row` has room for D numbers
// twice.  The matrix is brought to a diagonal near one first, by powers of two: features
// of any scale then neither overflow nor underflow.  False if it is not positive
// definite; a pivot of the size of rounding errors might as well have been negative.
bool whiten(const double* a, std::size_t d, double* w, double* row) {
  double* scale = row + d;
  for (std::size_t i = 0; i < d; ++i) {
    const double variance = a[i * d + i];
    if (!(variance > 0) || !std::isfinite(variance)) return false;
    scale[i] = std::exp2(std::nearbyint(0.5 * std::log2(variance)));
  }
  const double smallest = double(d) * std::numeric_limits<double>::epsilon();
  for (std::size_t i = 0; i < d; ++i) {
    double* own = w + i * d;
    for (std::size_t j = 0; j <= i; ++j) {
      const double* other = w + j * d;
      double left = a[i * d + j] / scale[j] / scale[i];
      for (std::size_t p = 0; p < j; ++p) left -= own[p] * other[p];
      if (i == j && !(left > smallest && std::isfinite(left))) return false;
      own[j] = i == j ? std::sqrt(left) : left / other[j];
    }
    for (std::size_t j = i + 1; j < d; ++j) own[j] = 0;
  }
  for (std::size_t i = 0; i < d; ++i) {
    double* own = w + i * d;
    for (std::size_t j = 0; j < i; ++j) {
      double total = 0;
      for (std::size_t p = j; p < i; ++p) total += own[p] * w[p * d + j];
      row[j] = -total / own[i];
    }
    for (std::size_t j = 0; j < i; ++j) own[j] = row[j];
    own[i] = 1 / own[i];
  }
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j <= i; ++j) w[i * d + j] /= scale[j];
  return true;
}

