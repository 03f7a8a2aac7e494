// k-means, and the moments of the classes of a partition: see partition.hpp.

#include "partition.hpp"

#include <algorithm>
#include <new>
#include <vector>

namespace {

// Value j of row i, in the coordinates of the frame.
double value(const Rows& rows, int64_t i, int j) {
  const int64_t at = i * rows.row_stride + j * rows.column_stride;
  const double x = rows.is_float32 ? static_cast<const float*>(rows.data)[at]
                                   : static_cast<const double*>(rows.data)[at];
  return rows.centre ? (x - rows.centre[j]) * rows.inverse_scale[j] : x;
}

// Means of the classes; those of empty ones are left.
void class_means(const Rows& rows, const int64_t* labels, int k, double* mass, double* sums,
                 double* means) {
  const int d = rows.n_features;
  std::fill(mass, mass + k, 0.0);
  std::fill(sums, sums + std::size_t(k) * d, 0.0);
  for (int64_t i = 0; i < rows.n_rows; ++i) {
    const double weight = rows.weight[i * rows.weight_stride];
    double* to = sums + labels[i] * d;
    mass[labels[i]] += weight;
    for (int j = 0; j < d; ++j) to[j] += weight * value(rows, i, j);
  }
  for (int c = 0; c < k; ++c)
    for (int j = 0; j < d && mass[c] > 0; ++j)
      means[std::size_t(c) * d + j] = sums[std::size_t(c) * d + j] / mass[c];
}

}  // namespace

bool kmeans(DensityPass pass, const Rows& rows, int n_clusters, int n_iterations,
            double* centres, int64_t* labels) try {
  const std::size_t k = n_clusters, d = rows.n_features;
  std::vector<double> ones(k, 1.0), zeros(k), common(d), largest(rows.n_rows);
  std::vector<double> mass(k), sums(k * d);
  std::vector<int64_t> before;
  for (int iteration = 0;; ++iteration) {
    std::fill(common.begin(), common.end(), 0.0);
    for (std::size_t i = 0; i < k * d; ++i) common[i % d] += centres[i] / double(k);
    const Model model = {n_clusters, rows.n_features, centres, ones.data(), zeros.data(),
                         common.data()};
    if (!pass(rows, model, {largest.data(), nullptr, labels})) return false;
    const bool same = before.size() && std::equal(before.begin(), before.end(), labels);
    if (same || iteration == n_iterations) return true;
    before.assign(labels, labels + rows.n_rows);
    class_means(rows, labels, n_clusters, mass.data(), sums.data(), centres);
  }
} catch (const std::bad_alloc&) {
  return false;
}

void class_moments(Form form, const Rows& rows, const int64_t* labels, int n_classes,
                   double* count, double* means, double* second) {
  const int d = rows.n_features;
  std::vector<double> sums(std::size_t(n_classes) * d), residual(d);
  class_means(rows, labels, n_classes, count, sums.data(), means);
  for (int64_t i = 0; i < rows.n_rows; ++i) {
    const double weight = rows.weight[i * rows.weight_stride];
    const int64_t c = labels[i];
    for (int j = 0; j < d; ++j) residual[j] = value(rows, i, j) - means[c * d + j];
    if (form == SPHERICAL || form == DIAG) {
      for (int j = 0; j < d; ++j) {
        const double square = weight * residual[j] * residual[j];
        second[form == DIAG ? c * d + j : c] += form == DIAG ? square : square / d;
      }
      continue;
    }
    double* matrix = second + (form == FULL ? c * d * d : 0);
    for (int a = 0; a < d; ++a)
      for (int b = 0; b <= a; ++b) matrix[a * d + b] += weight * residual[a] * residual[b];
  }
}
