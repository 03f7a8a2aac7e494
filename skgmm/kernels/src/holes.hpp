// The passes over rows with holes, for one instruction set: a part of passes.hpp.
//
// See forms/_holes.py for the formulas, kernels/holes.py for the passes in NumPy.

#pragma once

namespace {

constexpr double LOG_2PI = 1.8378770664093453;

// The rows from `begin` on, of some features only.
Rows part_of(const Rows& rows, int64_t begin, int64_t end, const int* features, int count) {
  Rows part = rows;
  const int64_t skipped = begin * rows.row_stride * (rows.is_float32 ? 4 : 8);
  part.data = static_cast<const char*>(rows.data) + skipped;
  if (rows.weight) part.weight = rows.weight + begin * rows.weight_stride;
  part.n_rows = end - begin;
  part.features = features;
  part.n_features = count;
  return part;
}

// Replace a by a triangle of its Cholesky factor and write the whitener to w; false where
// whiteners of the module are refused.  Elimination, row by row: inner loops are vectors.
bool whiten(double* a, int d, double* w) {
  std::memset(w, 0, std::size_t(d) * d * 8);
  for (int p = 0; p < d; ++p) w[p * d + p] = a[p * d + p];
  for (int p = 0; p < d; ++p) {
    double *row = a + p * d, *own = w + p * d;
    const double pivot = row[p], smallest = d * 2.220446049250313e-16 * own[p];
    if (!(pivot > smallest && pivot < std::numeric_limits<double>::infinity())) return false;
    const double factor = 1.0 / __builtin_sqrt(pivot);
    own[p] = 1.0;
    for (int j = 0; j <= p; ++j) own[j] *= factor;
    for (int j = p; j < d; ++j) row[j] *= factor;
    for (int i = p + 1; i < d; ++i) {
      double *below = a + i * d, *other = w + i * d;
      const double part = row[i];
      for (int j = i; j < d; ++j) below[j] -= part * row[j];
      for (int j = 0; j <= p; ++j) other[j] -= part * own[j];
    }
  }
  return true;
}

// Rows of a pattern that are not worth a block.
constexpr int FEW = 24;

// The value of a feature of a row, in its frame.
template <typename T>
double cell(const Rows& rows, int64_t b, int feature) {
  const T* data = static_cast<const T*>(rows.data) + b * rows.row_stride;
  const double x = double(data[feature * rows.column_stride]);
  return rows.centre ? (x - rows.centre[feature]) * rows.inverse_scale[feature] : x;
}

// Log joint densities of a row: the largest of them, and the logarithm of the sum of all
// over that one.
struct Logs {
  double largest, total;
};

Logs logs_of(const double* joint, int k) {
  double largest = -std::numeric_limits<double>::max(), total = 0;
  for (int c = 0; c < k; ++c) largest = joint[c] > largest ? joint[c] : largest;
  for (int c = 0; c < k; ++c) {
    const double below = joint[c] - largest;
    total += below < NEGLIGIBLE ? 0.0 : __builtin_exp(below);
  }
  return {largest, __builtin_log(total)};
}

// Write the log-density and the log-responsibilities of row b.
void write_densities(const double* joint, int k, int64_t b, const Densities& out) {
  const Logs logs = logs_of(joint, k);
  out.log_density[b] = logs.largest + logs.total;
  for (int c = 0; c < k; ++c)
    out.log_responsibilities[b * k + c] = joint[c] - logs.largest - logs.total;
}

// Turn log joint densities into responsibilities times the weight of the row; returns
// what the row adds to the log-likelihood.
double to_parts(double* joint, int k, double weight) {
  const Logs logs = logs_of(joint, k);
  for (int c = 0; c < k; ++c) {
    const double below = joint[c] - logs.largest;
    joint[c] = below < NEGLIGIBLE ? 0.0 : weight * __builtin_exp(below - logs.total);
  }
  return weight > 0 ? weight * (logs.largest + logs.total) : 0.0;
}

// Rows with few holes under full covariances, one by one, and without factors of what is
// observed.  With the whitener W of all features, the conditional mean of what is missing
// of a residual e makes |W e| least, which then is the distance of what is observed: a
// problem of least squares on the columns of W of what is missing, W_m = Q R.  It is solved
// by modified Gram-Schmidt, which is as stable as reflections there (Bjorck 1967, BIT
// 7:1).  The conditional covariance is the inverse of R' R.
class FewHoles {
 public:
  static std::size_t scratch(std::size_t k, std::size_t d) {
    const std::size_t wide = padded_features(d), most = d / 2;
    return 2 * padded(k * d * wide) + padded(k * most * wide) + padded(k * most * most) +
           padded(k * most) + 2 * padded(k * wide) + padded(wide) + padded(most * most) +
           2 * padded(d * d) + padded(k * d) + 4 * padded(k) + 2 * padded(d);
  }

  FewHoles(const Model& m, Scratch& memory)
      : model(m), k(m.n_components), d(m.n_features), most(d / 2), wide(padded_features(d)) {
    columns = memory.take(std::size_t(k) * d * wide);
    second = memory.take(std::size_t(k) * d * wide);
    q = memory.take(std::size_t(k) * most * wide);
    r = memory.take(std::size_t(k) * most * most);
    along = memory.take(std::size_t(k) * most);
    residuals = memory.take(std::size_t(k) * wide);
    first = memory.take(std::size_t(k) * wide);
    white = memory.take(wide);
    inverse = memory.take(std::size_t(most) * most);
    double* matrix = memory.take(std::size_t(d) * d);
    double* whitener = memory.take(std::size_t(d) * d);
    inflation = memory.take(std::size_t(k) * d);
    logs = memory.take(k);
    coefficients = memory.take(k);
    parts = memory.take(k);
    count = memory.take(k);
    values = memory.take(d);
    missing = reinterpret_cast<int*>(memory.take(d));
    std::memset(second, 0, std::size_t(k) * d * wide * 8);
    std::memset(first, 0, std::size_t(k) * wide * 8);
    std::memset(residuals, 0, std::size_t(k) * wide * 8);
    usable = true;
    for (int c = 0; c < k && usable; ++c) usable = take(c, matrix, whitener);
  }

  // Whether a pattern can be seen so: nearly collinear features would lose digits.
  bool takes(const bool* seen) const {
    int holes = 0;
    for (int j = 0; j < d; ++j) holes += !seen[j];
    if (!usable || holes > most) return false;
    for (int j = 0; j < d; ++j)
      for (int c = 0; c < k && !seen[j]; ++c)
        if (!(inflation[c * d + j] <= LARGEST_INFLATION)) return false;
    return true;
  }

  void prepare(const bool* seen) {
    m = 0;
    for (int j = 0; j < d; ++j)
      if (!seen[j]) missing[m++] = j;
    for (int c = 0; c < k; ++c) {
      coefficients[c] = model.log_coefficients[c] + logs[c] - 0.5 * (d - m) * LOG_2PI;
      double* triangle = r + std::size_t(c) * most * most;
      for (int p = 0; p < m; ++p) {
        double* own = axis(c, p);
        std::memcpy(own, column(c, missing[p]), wide * 8);
        for (int s = 0; s < p; ++s) triangle[s * most + p] = project(own, axis(c, s));
        const double norm = __builtin_sqrt(dot(own, own));
        triangle[p * most + p] = norm;
        for (int i = 0; i < wide; ++i) own[i] /= norm;
        coefficients[c] -= __builtin_log(norm);
      }
    }
  }

  // Add the sums of rows begin to end, all of the pattern; returns their log-likelihood.
  double add(const Rows& rows, int64_t begin, int64_t end, const bool* varies, double* counts) {
    double log_likelihood = 0;
    std::memset(count, 0, std::size_t(k) * 8);
    for (int64_t b = begin; b < end; ++b) {
      log_joint(rows, b);
      log_likelihood += to_parts(parts, k, rows.weight[b * rows.weight_stride]);
      for (int c = 0; c < k; ++c)
        if (parts[c] > 0) add_row(c, varies);
    }
    for (int c = 0; c < k; ++c) {
      counts[c] += count[c];
      if (count[c] > 0) add_conditional(c, varies);
    }
    return log_likelihood;
  }

  void evaluate(const Rows& rows, int64_t begin, int64_t end, const Densities& out) {
    for (int64_t b = begin; b < end; ++b) {
      log_joint(rows, b);
      write_densities(parts, k, b, out);
    }
  }

  // Add what all rows together gave.
  void finish(const Sums& sums) const {
    for (int c = 0; c < k; ++c)
      for (int i = 0; i < d; ++i) {
        sums.first[c * d + i] += first[std::size_t(c) * wide + i];
        const double* from = second + (std::size_t(c) * d + i) * wide;
        double* to = sums.second + (std::size_t(c) * d + i) * d;
        for (int j = 0; j <= i; ++j) to[j] += from[j];
      }
  }

 private:
  // The variance of a feature over its conditional variance, given all others: distances
  // lose as many digits as its root has, at most.
  static constexpr double LARGEST_INFLATION = 1e8;

  static constexpr std::size_t padded_features(std::size_t d) { return (d + W - 1) / W * W; }

  double* column(int c, int j) const { return columns + (std::size_t(c) * d + j) * wide; }
  double* axis(int c, int p) const { return q + (std::size_t(c) * most + p) * wide; }

  // Take the covariance of a component; false if it has no factor.
  bool take(int c, double* matrix, double* w) {
    const double* from = model.whiteners + std::size_t(c) * d * d;
    std::memcpy(matrix, from, std::size_t(d) * d * 8);
    if (!whiten(matrix, d, w)) return false;
    logs[c] = 0;
    for (int j = 0; j < d; ++j) {
      double* own = column(c, j);
      std::memset(own, 0, wide * 8);
      for (int i = j; i < d; ++i) own[i] = w[i * d + j];
      logs[c] += __builtin_log(w[j * d + j]);
      inflation[c * d + j] = dot(own, own) * from[j * d + j];
    }
    return true;
  }

  double dot(const double* a, const double* b) const {
    V total = {};
    for (int i = 0; i < wide; i += W) total += *(const V*)(a + i) * *(const V*)(b + i);
    return sum(total);
  }

  // Take away from a vector its part along an axis, and return how long that is.
  double project(double* vector, const double* axis) const {
    const double length = dot(vector, axis);
    for (int i = 0; i < wide; i += W) *(V*)(vector + i) -= length * *(const V*)(axis + i);
    return length;
  }

  // Write the log joint densities of a row to parts; leave its residuals, zero where there
  // are holes, and their coordinates along the axes.
  void log_joint(const Rows& rows, int64_t b) {
    for (int j = 0; j < d; ++j)
      values[j] = rows.is_float32 ? cell<float>(rows, b, j) : cell<double>(rows, b, j);
    for (int c = 0; c < k; ++c) {
      double* e = residuals + std::size_t(c) * wide;
      for (int j = 0; j < d; ++j) e[j] = values[j] - model.means[c * d + j];
      for (int p = 0; p < m; ++p) e[missing[p]] = 0;
      std::memset(white, 0, wide * 8);
      for (int j = 0; j < d; ++j)
        for (int i = j / W * W; i < wide; i += W)
          *(V*)(white + i) += e[j] * *(const V*)(column(c, j) + i);
      for (int p = 0; p < m; ++p) along[c * most + p] = project(white, axis(c, p));
      parts[c] = coefficients[c] - 0.5 * dot(white, white);
    }
  }

  void add_row(int c, const bool* varies) {
    double *e = residuals + std::size_t(c) * wide, *x = along + c * most;
    const double* triangle = r + std::size_t(c) * most * most;
    for (int p = m - 1; p >= 0; --p) {
      for (int s = p + 1; s < m; ++s) x[p] -= triangle[p * most + s] * x[s];
      x[p] /= triangle[p * most + p];
      e[missing[p]] = varies[missing[p]] ? -x[p] : 0.0;
    }
    count[c] += parts[c];
    for (int i = 0; i < d; ++i) {
      const double own = parts[c] * e[i];
      first[std::size_t(c) * wide + i] += own;
      double* to = second + (std::size_t(c) * d + i) * wide;
      for (int j = 0; j <= i; j += W) *(V*)(to + j) += own * *(const V*)(e + j);
    }
  }

  // Add the conditional covariance, as often as there are rows.
  void add_conditional(int c, const bool* varies) {
    const double* triangle = r + std::size_t(c) * most * most;
    for (int p = m - 1; p >= 0; --p)
      for (int s = p; s < m; ++s) {  // a row of the inverse of R, from those below it
        double x = p == s ? 1.0 : 0.0;
        for (int t = p + 1; t <= s; ++t) x -= triangle[p * most + t] * inverse[t * most + s];
        inverse[p * most + s] = x / triangle[p * most + p];
      }
    for (int p = 0; p < m; ++p)
      for (int s = 0; s <= p; ++s) {
        if (!varies[missing[p]] || !varies[missing[s]]) continue;
        double left = 0;
        for (int t = p; t < m; ++t) left += inverse[p * most + t] * inverse[s * most + t];
        second[(std::size_t(c) * d + missing[p]) * wide + missing[s]] += count[c] * left;
      }
  }

  const Model& model;
  const int k, d, most, wide;
  int m;  // how many are missing
  bool usable;
  int* missing;
  double *columns, *second, *q, *r, *along, *residuals, *first, *white, *inverse, *inflation,
      *logs, *coefficients, *parts, *count, *values;
};

// One pattern of any holes under full covariances: the mixture of what is observed, and
// what its sums are in all features.
class MatrixPattern {
 public:
  static std::size_t scratch(std::size_t k, std::size_t d) {
    return 2 * padded(k * d * d) + 3 * padded(k * d) + 3 * padded(k) + 2 * padded(d * d) +
           4 * padded(d);
  }

  MatrixPattern(const Model& m, Scratch& memory) : model(m), k(m.n_components), d(m.n_features) {
    const std::size_t square = std::size_t(d) * d;
    whiteners = memory.take(k * square);
    second = memory.take(k * square);
    means = memory.take(std::size_t(k) * d);
    first = memory.take(std::size_t(k) * d);
    coefficients = memory.take(k);
    count = memory.take(k);
    matrix = memory.take(square);
    moved = memory.take(square);
    room = memory.take(d);
    values = memory.take(d);
    residuals = memory.take(std::size_t(k) * d);
    parts = memory.take(k);
    observed = reinterpret_cast<int*>(memory.take(d));
    missing = reinterpret_cast<int*>(memory.take(d));
  }

  // Take a pattern; false if a matrix has no factor.
  bool prepare(const bool* seen, const bool* varies) {
    o = m = 0;
    for (int j = 0; j < d; ++j) {
      if (seen[j]) observed[o++] = j;
      if (!seen[j] && varies[j]) missing[m++] = j;
    }
    for (int c = 0; c < k; ++c) {
      const double* from = covariance(c);
      for (int i = 0; i < o; ++i)
        for (int j = 0; j < o; ++j) matrix[i * o + j] = from[observed[i] * d + observed[j]];
      double* w = whiteners + c * o * o;
      if (!whiten(matrix, o, w)) return false;
      coefficients[c] = model.log_coefficients[c] - 0.5 * o * LOG_2PI;
      for (int i = 0; i < o; ++i) {
        coefficients[c] += __builtin_log(w[i * o + i]);
        means[c * o + i] = model.means[c * d + observed[i]];
      }
    }
    std::memset(count, 0, std::size_t(k) * 8);
    std::memset(first, 0, std::size_t(k) * o * 8);
    std::memset(second, 0, std::size_t(k) * o * o * 8);
    return true;
  }

  bool add(const Rows& rows, int64_t begin, int64_t end, double& log_likelihood) {
    if (end - begin <= FEW) {
      for (int64_t b = begin; b < end; ++b) {
        log_joint(rows, b);
        log_likelihood += to_parts(parts, k, rows.weight[b * rows.weight_stride]);
        for (int c = 0; c < k; ++c)
          if (parts[c] > 0) add_row(c);
      }
      return true;
    }
    const Rows part = part_of(rows, begin, end, observed, o);
    const Model marginal = {k, o, means, whiteners, coefficients, nullptr};
    double gain = 0;
    const bool ok = statistics<Full>(part, marginal, {count, first, second, &gain});
    log_likelihood += gain;
    return ok;
  }

  // Write the densities of rows: log-densities and log-responsibilities.
  bool evaluate(const Rows& rows, int64_t begin, int64_t end, const Densities& out) {
    if (end - begin <= FEW) {
      for (int64_t b = begin; b < end; ++b) {
        log_joint(rows, b);
        write_densities(parts, k, b, out);
      }
      return true;
    }
    const Rows part = part_of(rows, begin, end, observed, o);
    const Model marginal = {k, o, means, whiteners, coefficients, nullptr};
    return densities<Full>(
        part, marginal,
        {out.log_density + begin, out.log_responsibilities + begin * k, nullptr});
  }

  // Add the sums, completed by conditional means and covariances.
  void finish(const Sums& sums) {
    for (int c = 0; c < k; ++c) {
      sums.count[c] += count[c];
      complete(c, sums.first + c * d, sums.second + std::size_t(c) * d * d);
    }
  }

 private:
  // Write the log joint densities of a row to parts, and its residuals.
  void log_joint(const Rows& rows, int64_t b) {
    for (int j = 0; j < o; ++j)
      values[j] = rows.is_float32 ? cell<float>(rows, b, observed[j])
                                  : cell<double>(rows, b, observed[j]);
    for (int c = 0; c < k; ++c) {
      double *e = residuals + c * d, q = 0;
      for (int j = 0; j < o; ++j) e[j] = values[j] - means[c * o + j];
      for (int i = 0; i < o; ++i) {
        const double* w = whiteners + std::size_t(c) * o * o + i * o;
        double y = 0;
        for (int j = 0; j <= i; ++j) y += w[j] * e[j];
        q += y * y;
      }
      parts[c] = coefficients[c] - 0.5 * q;
    }
  }

  void add_row(int c) {
    const double* e = residuals + c * d;
    count[c] += parts[c];
    for (int i = 0; i < o; ++i) {
      double* to = second + std::size_t(c) * o * o + i * o;
      const double own = parts[c] * e[i];
      first[c * o + i] += own;
      for (int j = 0; j <= i; ++j) to[j] += own * e[j];
    }
  }

  const double* covariance(int c) const { return model.whiteners + std::size_t(c) * d * d; }

  void complete(int c, double* to_first, double* to_second) {
    const double *w = whiteners + c * o * o, *from = covariance(c);
    const double* a = first + c * o;
    double* q = second + c * o * o;
    for (int i = 0; i < o; ++i)
      for (int j = 0; j < i; ++j) q[j * o + i] = q[i * o + j];
    for (int i = 0; i < o; ++i) {
      to_first[observed[i]] += a[i];
      for (int j = 0; j <= i; ++j)
        to_second[observed[i] * d + observed[j]] += q[i * o + j];
    }
    for (int t = 0; t < m; ++t) {  // row t: S_mo whitened, then G = S_mo S_oo^-1
      double *cross = matrix + t * o, *gain = moved + t * o;
      for (int i = 0; i < o; ++i) {
        cross[i] = gain[i] = 0;
        for (int j = 0; j <= i; ++j)
          cross[i] += w[i * o + j] * from[observed[j] * d + missing[t]];
      }
      for (int i = 0; i < o; ++i)
        for (int j = 0; j <= i; ++j) gain[j] += cross[i] * w[i * o + j];
    }
    for (int t = 0; t < m; ++t) {
      const double *cross = matrix + t * o, *gain = moved + t * o;
      double shift = 0;
      for (int j = 0; j < o; ++j) shift += gain[j] * a[j];
      to_first[missing[t]] += shift;
      double* row = room;
      for (int j = 0; j < o; ++j) row[j] = 0;
      for (int i = 0; i < o; ++i)
        for (int j = 0; j < o; ++j) row[j] += gain[i] * q[i * o + j];
      for (int j = 0; j < o; ++j) lower(to_second, missing[t], observed[j]) += row[j];
      for (int u = 0; u <= t; ++u) {
        double explained = 0, spread = 0;
        for (int j = 0; j < o; ++j) {
          explained += cross[j] * matrix[u * o + j];
          spread += row[j] * moved[u * o + j];
        }
        const double left = from[missing[t] * d + missing[u]] - explained;
        lower(to_second, missing[t], missing[u]) += spread + count[c] * left;
      }
    }
  }

  double& lower(double* square, int i, int j) const {
    return i > j ? square[i * d + j] : square[j * d + i];
  }

  const Model& model;
  const int k, d;
  int o, m;  // how many are observed, and missing
  int *observed, *missing;
  double *whiteners, *second, *means, *first, *coefficients, *count, *matrix, *moved, *room,
      *values, *residuals, *parts;
};

std::size_t scratch_for_matrices(const Model& model) {
  const std::size_t k = model.n_components, d = model.n_features;
  return MatrixPattern::scratch(k, d) + FewHoles::scratch(k, d);
}

Outcome matrix_holes(const Rows& rows, const Model& model, const Holes& holes,
                     const Sums& sums) {
  Scratch memory(scratch_for_matrices(model));
  if (!memory.ok()) return NO_MEMORY;
  MatrixPattern pattern(model, memory);
  FewHoles few(model, memory);
  double log_likelihood = 0;
  for (int64_t p = 0; p < holes.n_patterns; ++p) {
    const bool* seen = holes.observed + p * model.n_features;
    const int64_t begin = holes.offsets[p], end = holes.offsets[p + 1];
    if (end - begin <= FEW && few.takes(seen)) {
      few.prepare(seen);
      log_likelihood += few.add(rows, begin, end, holes.varies, sums.count);
      continue;
    }
    if (!pattern.prepare(seen, holes.varies)) return NO_FACTOR;
    if (!pattern.add(rows, begin, end, log_likelihood)) return NO_MEMORY;
    pattern.finish(sums);
  }
  few.finish(sums);
  *sums.log_likelihood = log_likelihood;
  return DONE;
}

Outcome densities_with_holes(const Rows& rows, const Model& model, const Holes& holes,
                             const Densities& out) {
  Scratch memory(scratch_for_matrices(model));
  if (!memory.ok()) return NO_MEMORY;
  MatrixPattern pattern(model, memory);
  FewHoles few(model, memory);
  for (int64_t p = 0; p < holes.n_patterns; ++p) {
    const bool* seen = holes.observed + p * model.n_features;
    const int64_t begin = holes.offsets[p], end = holes.offsets[p + 1];
    if (end - begin <= FEW && few.takes(seen)) {
      few.prepare(seen);
      few.evaluate(rows, begin, end, out);
      continue;
    }
    if (!pattern.prepare(seen, holes.varies)) return NO_FACTOR;
    if (!pattern.evaluate(rows, begin, end, out)) return NO_MEMORY;
  }
  return DONE;
}

// Rows under diagonal covariances: a hole is a feature of weight zero, so rows of any
// patterns go together.
Outcome variance_holes(const Rows& rows, const Model& model, const Holes& holes,
                       const Sums& sums) {
  const int d = model.n_features, k = model.n_components;
  const std::size_t cells = std::size_t(d) * BLOCK, size = std::size_t(k) * d;
  Scratch memory(2 * padded(cells) + padded(k * BLOCK) + 3 * BLOCK + 2 * padded(size) +
                 padded(d) * 3);
  if (!memory.ok()) return NO_MEMORY;
  double *z = memory.take(cells), *seen = memory.take(cells);
  double* lp = memory.take(k * BLOCK);
  double *weight = memory.take(BLOCK), *total = memory.take(BLOCK);
  double* largest = memory.take(BLOCK);
  double *roots = memory.take(size), *logs = memory.take(size);
  for (std::size_t i = 0; i < size; ++i) {
    roots[i] = 1.0 / __builtin_sqrt(model.whiteners[i]);
    logs[i] = 0.5 * (LOG_2PI + __builtin_log(model.whiteners[i]));
  }
  double log_likelihood = 0;
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK) {
    const int n_panels = load_block(rows, begin, rows_here(rows.n_rows - begin), z, weight);
    for (int i = 0; i < d * n_panels * PANEL; i += W) {
      V* x = (V*)(z + i);
      const V known = *x == *x ? splat(1.0) : V{};
      *(V*)(seen + i) = known;
      *x = *x == *x ? *x : V{};
    }
    for (int c = 0; c < k; ++c)
      for (int p = 0; p < n_panels; ++p) {
        V q[NV] = {}, l[NV] = {};
        for (int j = 0; j < d; ++j) {
          const V* x = (const V*)(z + (p * d + j) * PANEL);
          const V* known = (const V*)(seen + (p * d + j) * PANEL);
          const double mean = model.means[c * d + j], root = roots[c * d + j];
          for (int v = 0; v < NV; ++v) {
            const V y = (x[v] - mean) * root * known[v];
            q[v] += y * y;
            l[v] += logs[c * d + j] * known[v];
          }
        }
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v)
          out[v] = model.log_coefficients[c] - l[v] - 0.5 * q[v];
      }
    log_likelihood += responsibilities(lp, k, weight, total, largest, n_panels);
    for (int c = 0; c < k; ++c) {
      V all = {};
      for (int b = 0; b < n_panels * PANEL; b += W) all += *(const V*)(lp + c * BLOCK + b);
      const double count = sum(all);
      sums.count[c] += count;
      for (int j = 0; j < d; ++j) {
        const double mean = model.means[c * d + j];
        V mass = {}, s = {}, t = {};
        for (int p = 0; p < n_panels; ++p) {
          const V* x = (const V*)(z + (p * d + j) * PANEL);
          const V* known = (const V*)(seen + (p * d + j) * PANEL);
          const V* part = (const V*)(lp + c * BLOCK + p * PANEL);
          for (int v = 0; v < NV; ++v) {
            const V y = x[v] - mean, own = part[v] * known[v];
            mass += own;
            s += own * y;
            t += own * y * y;
          }
        }
        const int i = c * d + j;
        const double hidden = holes.varies[j] ? count - sum(mass) : 0.0;
        sums.first[i] += sum(s);
        sums.second[i] += sum(t) + hidden * model.whiteners[i];
      }
    }
  }
  *sums.log_likelihood = log_likelihood;
  return DONE;
}

}  // namespace
