// The maximisation steps of the families: see families.hpp, and skgmm/families for what
// is computed and why.

#include "families.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "matrices.hpp"

Form Family::form() const {
  switch (code) {
    case EII: case VII: return SPHERICAL;
    case EEI: case VEI: case EVI: case VVI: return DIAG;
    case EEE: return TIED;
    default: return FULL;
  }
}

bool Family::fills_form() const {
  return code == VII || code == VVI || code == EEE || code == VVV;
}

namespace {

double sum(const Vector& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

double count(const Scatter& s) {
  return std::accumulate(s.count, s.count + s.n_components, 0.0);
}

// ---- averages of the scatter: _basic.py ----

// Each component, of so many numbers, over its count.
void over_counts(const Scatter& s, int own, double* out) {
  for (int c = 0; c < s.n_components; ++c)
    for (int i = 0; i < own; ++i) out[c * own + i] = s.values[c * own + i] / s.count[c];
}

// The sum over components, so many in the scatter, over all counts; for so many.
void pooled(const Scatter& s, int own, int from, int to, double* out) {
  Vector sums(own);
  for (int c = 0; c < from; ++c)
    for (int i = 0; i < own; ++i) sums[i] += s.values[c * own + i];
  const double all = count(s);
  for (int c = 0; c < to; ++c)
    for (int i = 0; i < own; ++i) out[c * own + i] = sums[i] / all;
}

// ---- volumes and shapes: _volume_shape.py ----

constexpr int TURNS = 100;
constexpr double CHANGE = 1e-11;

// The D-th roots of the products of D numbers, K of them.
Vector geometric_means(const double* spreads, int k, int d) {
  Vector means(k);
  for (int c = 0; c < k; ++c) {
    for (int j = 0; j < d; ++j) means[c] += std::log(spreads[c * d + j]);
    means[c] = std::exp(means[c] / d);
  }
  return means;
}

// The D-th roots of the determinants; none if a matrix is not positive definite.
Vector determinant_roots(const double* matrices, int k, int d) {
  Vector roots(k), whitener(square(d)), room(2 * std::size_t(d));
  for (int c = 0; c < k; ++c) {
    if (!whiten(matrices + c * square(d), d, whitener.data(), room.data())) return {};
    for (int j = 0; j < d; ++j) roots[c] += std::log(whitener[j * d + j]);
    roots[c] = std::exp(-2 * roots[c] / d);
  }
  return roots;
}

// Equal volumes: each component by the root of its size, and all at the mean of these.
void equal_volumes(const Scatter& s, const Vector& sizes, int own, double* out) {
  const double mean = sum(sizes) / count(s);
  for (int c = 0; c < s.n_components; ++c)
    for (int i = 0; i < own; ++i)
      out[c * own + i] = s.values[c * own + i] * (mean / sizes[c]);
}

// Turns of volumes and shape, until volumes hardly change; `updated(volumes)` writes them
// anew, and may fail.
template <class Updated>
bool settle(Updated updated, Vector& volumes) {
  for (int turn = 0; turn < TURNS; ++turn) {
    const Vector before = volumes;
    if (!updated(volumes)) return false;
    double change = 0;
    for (std::size_t c = 0; c < volumes.size(); ++c)
      change = std::max(change, std::abs(volumes[c] / before[c] - 1));
    if (change <= CHANGE) break;
  }
  return true;
}

// The sum over components of so many numbers over volumes, over all counts.
void shape_of(const Scatter& s, int own, const Vector& volumes, Vector& shape) {
  std::fill(shape.begin(), shape.end(), 0.0);
  for (int c = 0; c < s.n_components; ++c)
    for (int i = 0; i < own; ++i) shape[i] += s.values[c * own + i] / volumes[c];
  const double all = count(s);
  for (double& x : shape) x /= all;
}

// Each component has a volume and the common shape.
void of_shape(const Vector& volumes, const Vector& shape, double* out) {
  for (double volume : volumes)
    for (double x : shape) *out++ = volume * x;
}

void volumes_about_diagonal(const Scatter& s, Vector volumes, double* out) {
  const int d = s.n_features;
  Vector shape(d);
  settle(
      [&](Vector& v) {
        shape_of(s, d, v, shape);
        for (int c = 0; c < s.n_components; ++c) {
          double ratios = 0;
          for (int j = 0; j < d; ++j) ratios += s.values[c * d + j] / shape[j];
          v[c] = ratios / d / s.count[c];
        }
        return true;
      },
      volumes);
  shape_of(s, d, volumes, shape);
  of_shape(volumes, shape, out);
}

// The trace of a product of symmetric matrices, the second one W' W.
double trace(const double* matrix, const double* w, int d) {
  double total = 0;
  for (int p = 0; p < d; ++p)
    for (int i = 0; i <= p; ++i) {
      double y = 0;
      for (int j = 0; j <= p; ++j) y += matrix[i * d + j] * w[p * d + j];
      total += y * w[p * d + i];
    }
  return total;
}

// The mean variances of the components: volumes to begin with.
Vector mean_variances(const Scatter& s, std::size_t own, std::size_t stride) {
  Vector means(s.n_components);
  for (int c = 0; c < s.n_components; ++c) {
    for (std::size_t i = 0; i < own; i += stride) means[c] += s.values[c * own + i];
    means[c] /= s.n_features * s.count[c];
  }
  return means;
}

bool vee(const Scatter& s, bool warm, double* out) {
  const int d = s.n_features, own = d * d;
  Vector shape(own), whitener(own), room(2 * std::size_t(d));
  Vector volumes = warm ? determinant_roots(out, s.n_components, d)
                        : mean_variances(s, own, d + 1);
  if (volumes.empty()) return false;
  const bool settled = settle(
      [&](Vector& v) {
        shape_of(s, own, v, shape);
        if (!whiten(shape.data(), d, whitener.data(), room.data())) return false;
        for (int c = 0; c < s.n_components; ++c)
          v[c] = trace(s.values + c * own, whitener.data(), d) / (d * s.count[c]);
        return true;
      },
      volumes);
  shape_of(s, own, volumes, shape);
  of_shape(volumes, shape, out);
  return settled;
}

bool evv(const Scatter& s, double* out) {
  const Vector sizes = determinant_roots(s.values, s.n_components, s.n_features);
  if (!sizes.empty()) equal_volumes(s, sizes, int(square(s.n_features)), out);
  return !sizes.empty();
}

// ---- orientations: _orientation.py ----

constexpr int TRIAL_STEPS = 3, FIRST_STEPS = 10, STEPS = 3, CUTS = 8;
constexpr double GAIN = 1e-14, NO_GAIN = 1e-20, LARGEST_TURN = 0.5;

// Eigenvalues (D,), above zero, and eigenvectors as columns; the matrix is lost.
void principal_axes(double* matrix, int d, double* spreads, double* axes) {
  constexpr double EPS = std::numeric_limits<double>::epsilon();
  eigen(matrix, d, spreads, axes);
  for (int j = 0; j < d; ++j) spreads[j] = std::max(spreads[j], EPS * EPS * spreads[d - 1]);
}

// The matrix of variances along axes.
void along(const double* axes, const double* variances, int d, double* out) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j <= i; ++j) {
      double total = 0;
      for (int p = 0; p < d; ++p) total += axes[i * d + p] * variances[p] * axes[j * d + p];
      out[i * d + j] = out[j * d + i] = total;
    }
}

// Orientations of their own: the variances along them, from the sums of squares.
bool own_axes(Code code, const Scatter& s, bool warm, double* out) {
  const int k = s.n_components, d = s.n_features;
  Vector matrices(s.values, s.values + k * square(d)), axes(matrices.size()),
      spreads(std::size_t(k) * d), variances(spreads.size());
  for (int c = 0; c < k; ++c)
    principal_axes(&matrices[c * square(d)], d, &spreads[c * d], &axes[c * square(d)]);
  const Scatter seen = {k, d, s.count, spreads.data()};
  if (code == EEV) {
    pooled(seen, d, k, k, variances.data());
  } else {
    const Vector volumes = warm ? determinant_roots(out, k, d) : mean_variances(seen, d, 1);
    if (volumes.empty()) return false;
    volumes_about_diagonal(seen, volumes, variances.data());
  }
  for (int c = 0; c < k; ++c)
    along(&axes[c * square(d)], &variances[c * d], d, out + c * square(d));
  return true;
}

// Common axes, as columns, and how much is lost with a scatter.
class Axes {
 public:
  Axes(bool equal_volumes, const Scatter& s, const Vector& axes)
      : equal_(equal_volumes), s_(s), k_(s.n_components), d_(s.n_features), axes_(axes) {
    look();
  }

  const Vector& axes() const { return axes_; }
  const Vector& spreads() const { return spreads_; }
  double loss() const { return loss_; }

  // Turn them to a smaller loss, by so many steps or until little is to gain.
  void turn(int n_steps, double gain) {
    Vector angles(square(d_));
    for (int n = 0; n < n_steps; ++n)
      if (!(newton(angles) > gain) || !rotate(angles)) return;
  }

 private:
  // See the scatter along the axes.
  void look() {
    seen_.resize(k_ * square(d_));
    spreads_.resize(std::size_t(k_) * d_);
    Vector room(square(d_));
    for (int c = 0; c < k_; ++c) {
      double* seen = &seen_[c * square(d_)];
      multiply(s_.values + c * square(d_), axes_.data(), d_, room.data());
      for (int i = 0; i < d_; ++i)
        for (int j = 0; j < d_; ++j) {
          double total = 0;
          for (int p = 0; p < d_; ++p) total += axes_[p * d_ + i] * room[p * d_ + j];
          seen[i * d_ + j] = total;
        }
      for (int j = 0; j < d_; ++j) spreads_[c * d_ + j] = seen[j * d_ + j];
    }
    loss_ = lost();
  }

  double lost() const {
    if (equal_)
      return count(s_) * d_ * std::log(sum(geometric_means(spreads_.data(), k_, d_)));
    double total = 0;
    for (int c = 0; c < k_; ++c)
      for (int j = 0; j < d_; ++j) total += s_.count[c] * std::log(spreads_[c * d_ + j]);
    return total;
  }

  // The derivatives of the loss by the logarithms of a component.
  Vector shares() const {
    if (!equal_) return Vector(s_.count, s_.count + k_);
    Vector sizes = geometric_means(spreads_.data(), k_, d_);
    const double scale = count(s_) / sum(sizes);
    for (double& size : sizes) size *= scale;
    return sizes;
  }

  // The angles for all pairs of axes, antisymmetric; returns what they gain.
  double newton(Vector& angles) const {
    const Vector shares = this->shares();
    const double total = sum(shares);
    double gain = 0, largest = LARGEST_TURN;
    for (int i = 0; i < d_; ++i)
      for (int j = 0; j <= i; ++j) {
        double slope = 0, crossed = 0;
        for (int c = 0; c < k_; ++c) {
          const double* spread = &spreads_[c * d_];
          const double from = shares[c] / spread[i], to = shares[c] / spread[j];
          slope += seen_[c * square(d_) + i * d_ + j] * (from - to);
          crossed += spread[i] * to + spread[j] * from;
        }
        const double angle = slope / std::max(crossed - 2 * total, 1e-12 * total);
        angles[i * d_ + j] = angle;
        angles[j * d_ + i] = -angle;
        gain += 0.5 * slope * angle / total;
        largest = std::max(largest, std::abs(angle));
      }
    for (double& angle : angles) angle *= LARGEST_TURN / largest;
    return gain;
  }

  // Turn to axes of smaller loss on the way; false if there are none.
  bool rotate(const Vector& angles) {
    const Vector before = axes_, seen = seen_, spreads = spreads_;
    const double loss = loss_;
    Vector left(angles.size()), right(angles.size());
    double part = 0.5;
    for (int cut = 0; cut < CUTS; ++cut, part *= 0.25) {
      for (int i = 0; i < d_; ++i)
        for (int j = 0; j < d_; ++j) {
          const double half = part * angles[i * d_ + j];
          left[i * d_ + j] = (i == j) - half;
          right[i * d_ + j] = (i == j) + half;
        }
      solve(left.data(), right.data(), d_);
      multiply(before.data(), right.data(), d_, axes_.data());
      look();
      if (loss_ < loss) return true;
    }
    axes_ = before;
    seen_ = seen;
    spreads_ = spreads;
    loss_ = loss;
    return false;
  }

  bool equal_;
  Scatter s_;
  int k_, d_;
  Vector axes_, seen_, spreads_;
  double loss_;
};

// Axes along which all the matrices are diagonal, if there are any.
Vector axes_shared_by(const double* matrices, int k, int d) {
  const std::size_t own = square(d);
  Vector mixed(own), axes(own), spreads(d);
  for (int c = 0; c < k; ++c) {
    const double* matrix = matrices + c * own;
    double size = 0;
    for (int j = 0; j < d; ++j) size += matrix[j * d + j];
    const double part = (1 + 0.5 * std::cos(double(c))) / size;
    for (std::size_t i = 0; i < own; ++i) mixed[i] += part * matrix[i];
  }
  principal_axes(mixed.data(), d, spreads.data(), axes.data());
  const Vector ones(k, 1.0);
  Axes found(false, {k, d, ones.data(), matrices}, axes);
  found.turn(FIRST_STEPS, NO_GAIN);
  return found.axes();
}

// The axes of a sum of the matrices.
Vector common_principal_axes(const double* matrices, int k, int d) {
  Vector pooled(square(d)), axes(square(d)), spreads(d);
  for (int c = 0; c < k; ++c)
    for (std::size_t i = 0; i < pooled.size(); ++i) pooled[i] += matrices[c * pooled.size() + i];
  principal_axes(pooled.data(), d, spreads.data(), axes.data());
  return axes;
}

// The best of several beginnings: the features, and the principal axes of all components
// and of each.
Axes best_axes(bool equal_volumes, const Scatter& s) {
  const int k = s.n_components, d = s.n_features;
  Vector features(square(d));
  for (int i = 0; i < d; ++i) features[i * d + i] = 1;
  Axes best(equal_volumes, s, features);
  best.turn(TRIAL_STEPS, GAIN);
  for (int c = -1; c < k; ++c) {
    const double* matrices = s.values + (c < 0 ? 0 : c * square(d));
    Axes other(equal_volumes, s, common_principal_axes(matrices, c < 0 ? k : 1, d));
    other.turn(TRIAL_STEPS, GAIN);
    if (other.loss() < best.loss()) best = other;
  }
  best.turn(FIRST_STEPS, GAIN);
  return best;
}

// The axes of previous covariances, turned on.
Axes better_axes(bool equal_volumes, const Scatter& s, const double* previous) {
  Axes axes(equal_volumes, s, axes_shared_by(previous, s.n_components, s.n_features));
  axes.turn(STEPS, GAIN);
  return axes;
}

// A common orientation.
void common_axes(Code code, const Scatter& s, bool warm, double* out) {
  const int k = s.n_components, d = s.n_features;
  const bool equal = code == EVE;
  const Axes best = warm ? better_axes(equal, s, out) : best_axes(equal, s);
  const Scatter seen = {k, d, s.count, best.spreads().data()};
  Vector variances(best.spreads().size());
  if (equal)
    equal_volumes(seen, geometric_means(seen.values, k, d), d, variances.data());
  else
    over_counts(seen, d, variances.data());
  for (int c = 0; c < k; ++c)
    along(best.axes().data(), &variances[c * d], d, out + c * square(d));
}

// Volumes about a diagonal shape.
void vei(const Scatter& s, bool warm, double* out) {
  const int k = s.n_components, d = s.n_features;
  volumes_about_diagonal(s, warm ? geometric_means(out, k, d) : mean_variances(s, d, 1), out);
}

}  // namespace

bool maximise(Code code, const Scatter& s, bool warm, double* out) {
  const int k = s.n_components, d = s.n_features;
  switch (code) {
    case EII: pooled(s, 1, k, k, out); return true;
    case VII: over_counts(s, 1, out); return true;
    case EEI: pooled(s, d, k, k, out); return true;
    case VEI: vei(s, warm, out); return true;
    case EVI: equal_volumes(s, geometric_means(s.values, k, d), d, out); return true;
    case VVI: over_counts(s, d, out); return true;
    case EEE: pooled(s, d * d, 1, 1, out); return true;
    case VEE: return vee(s, warm, out);
    case EVV: return evv(s, out);
    case EEV:
    case VEV: return own_axes(code, s, warm, out);
    case EVE:
    case VVE: common_axes(code, s, warm, out); return true;
    default: over_counts(s, d * d, out); return true;
  }
}
