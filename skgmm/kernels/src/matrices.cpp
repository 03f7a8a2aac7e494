// Small matrices: see matrices.hpp.

#include "matrices.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

// The matrix is brought to a diagonal near one first, by powers of two: features
// of any scale then neither overflow nor underflow.  A pivot of the size of rounding
// errors might as well have been negative.
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

void invert(const double* lower, int d, double* inverse) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j < d; ++j) {
      double sum = i == j ? 1 : 0;
      for (int p = j; p < i; ++p) sum -= lower[i * d + p] * inverse[p * d + j];
      inverse[i * d + j] = j > i ? 0 : sum / lower[i * d + i];
    }
}

void multiply_lower(const double* a, const double* b, int d, double* product) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j < d; ++j) {
      double sum = 0;
      for (int p = j; p <= i; ++p) sum += a[i * d + p] * b[p * d + j];
      product[i * d + j] = sum;
    }
}

void multiply(const double* a, const double* b, int d, double* product) {
  std::fill(product, product + square(d), 0.0);
  for (int i = 0; i < d; ++i)
    for (int p = 0; p < d; ++p)
      for (int j = 0; j < d; ++j) product[i * d + j] += a[i * d + p] * b[p * d + j];
}

void solve(double* a, double* b, int d) {
  for (int p = 0; p < d; ++p)
    for (int i = p + 1; i < d; ++i) {
      const double factor = a[i * d + p] / a[p * d + p];
      for (int j = p + 1; j < d; ++j) a[i * d + j] -= factor * a[p * d + j];
      for (int j = 0; j < d; ++j) b[i * d + j] -= factor * b[p * d + j];
    }
  for (int i = d - 1; i >= 0; --i)
    for (int j = 0; j < d; ++j) {
      double left = b[i * d + j];
      for (int p = i + 1; p < d; ++p) left -= a[i * d + p] * b[p * d + j];
      b[i * d + j] = left / a[i * d + i];
    }
}

void mirror(double* matrix, int d) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j < i; ++j) matrix[j * d + i] = matrix[i * d + j];
}

namespace {

// Sweeps of Jacobi: they converge quadratically, so that five to eight do.
constexpr int SWEEPS = 20;

// The tangent of the angle at which a rotation of the axes p and q makes a zero.
double tangent(double pp, double pq, double qq) {
  const double half = 0.5 * (qq - pp) / pq;
  return (half < 0 ? -1 : 1) / (std::abs(half) + std::sqrt(1 + half * half));
}

// Turn two columns of a matrix.
void turn(double* matrix, int d, int p, int q, double cosine, double sine) {
  for (int i = 0; i < d; ++i) {
    double &x = matrix[i * d + p], &y = matrix[i * d + q];
    const double before = x;
    x = cosine * x - sine * y;
    y = sine * before + cosine * y;
  }
}

// Turn the axes p and q so that a symmetric matrix has a zero there.
void rotate(double* matrix, int d, int p, int q, double* vectors) {
  const double pp = matrix[p * d + p], pq = matrix[q * d + p], qq = matrix[q * d + q];
  const double t = tangent(pp, pq, qq);
  const double cosine = 1 / std::sqrt(1 + t * t), sine = t * cosine;
  turn(vectors, d, p, q, cosine, sine);
  turn(matrix, d, p, q, cosine, sine);
  for (int i = 0; i < d; ++i) {
    matrix[p * d + i] = matrix[i * d + p];
    matrix[q * d + i] = matrix[i * d + q];
  }
  matrix[p * d + p] = pp - t * pq;
  matrix[q * d + q] = qq + t * pq;
  matrix[p * d + q] = matrix[q * d + p] = 0;
}

// Rotate where it matters; false if it did nowhere.
bool sweep(double* matrix, int d, double* vectors) {
  constexpr double NOTHING = 0.1 * std::numeric_limits<double>::epsilon();
  bool rotated = false;
  for (int p = 0; p < d; ++p)
    for (int q = p + 1; q < d; ++q) {
      const double size = std::sqrt(std::abs(matrix[p * d + p] * matrix[q * d + q]));
      if (!(std::abs(matrix[q * d + p]) > NOTHING * size)) continue;
      rotate(matrix, d, p, q, vectors);
      rotated = true;
    }
  return rotated;
}

}  // namespace

void eigen(double* matrix, int d, double* eigenvalues, double* vectors) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j < d; ++j) vectors[i * d + j] = i == j;
  for (int n = 0; n < SWEEPS && sweep(matrix, d, vectors); ++n) {
  }
  for (int i = 0; i < d; ++i) eigenvalues[i] = matrix[i * d + i];
  for (int i = 0; i < d; ++i) {
    const int least = int(std::min_element(eigenvalues + i, eigenvalues + d) - eigenvalues);
    if (least == i) continue;
    std::swap(eigenvalues[i], eigenvalues[least]);
    for (int j = 0; j < d; ++j) std::swap(vectors[j * d + i], vectors[j * d + least]);
  }
}
