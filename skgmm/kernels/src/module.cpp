// The Python module: checks shapes, picks the instruction set, releases the GIL.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "interface.hpp"

namespace nb = nanobind;
using AnyRows = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using Weights = nb::ndarray<const double, nb::ndim<1>, nb::device::cpu>;
using Input = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<double, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::c_contig, nb::device::cpu>;
using Labels = nb::ndarray<int64_t, nb::c_contig, nb::device::cpu>;

extern const Passes skgmm_passes_baseline;
#ifdef SKGMM_X86
extern const Passes skgmm_passes_avx2;
extern const Passes skgmm_passes_avx512;
#endif

static const Passes& passes_of(const std::string& isa) {
  if (isa == "baseline") return skgmm_passes_baseline;
#ifdef SKGMM_X86
  if (isa == "avx2") return skgmm_passes_avx2;
  if (isa == "avx512") return skgmm_passes_avx512;
#endif
  throw std::invalid_argument("unknown instruction set");
}

// Instruction sets that this processor has, the best one first.
static std::vector<std::string> supported() {
  std::vector<std::string> names;
#ifdef SKGMM_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    names.push_back("avx512");
  if (avx2) names.push_back("avx2");
#endif
  names.push_back("baseline");
  return names;
}

static void check(bool good) {
  if (!good) throw std::invalid_argument("shape mismatch");
}

static Rows rows_of(const AnyRows& data) {
  Rows rows = {};
  rows.data = data.data();
  rows.is_float32 = data.dtype() == nb::dtype<float>();
  if (!rows.is_float32 && data.dtype() != nb::dtype<double>())
    throw std::invalid_argument("rows must be float32 or float64");
  rows.n_rows = data.shape(0);
  rows.n_features = int(data.shape(1));
  rows.row_stride = data.stride(0);
  rows.column_stride = data.stride(1);
  return rows;
}

// The size of the whiteners (and of second moments) of a form.
static std::size_t form_size(int form, std::size_t k, std::size_t d) {
  switch (form) {
    case FULL: return k * d * d;
    case TIED: return d * d;
    case DIAG: return k * d;
    default: return k;
  }
}

static Model model_of(int form, const Input& means, const Input& whiteners,
                      const Input& log_coefficients, const Input& common_centre) {
  check(means.ndim() == 2 && form >= 0 && form < N_FORMS);
  const std::size_t k = means.shape(0), d = means.shape(1);
  check(whiteners.size() == form_size(form, k, d));
  check(log_coefficients.size() == k && common_centre.size() == d);
  return {int(k),           int(d), means.data(), whiteners.data(), log_coefficients.data(),
          common_centre.data()};
}

static double statistics(const std::string& isa, int form, AnyRows data, Weights weight,
                         Input centre, Input inverse_scale, Input means, Input whiteners,
                         Input log_coefficients, Input common_centre, Output count,
                         Output first, std::optional<Output> second) {
  Rows rows = rows_of(data);
  const Model model = model_of(form, means, whiteners, log_coefficients, common_centre);
  const std::size_t k = model.n_components, d = model.n_features;
  check(rows.n_features == model.n_features && weight.size() == data.shape(0));
  check(centre.size() == d && inverse_scale.size() == d);
  check(count.size() == k && first.size() == k * d);
  check(second.has_value() == (form != TIED));
  check(!second || second->size() == form_size(form, k, d));
  rows.weight = weight.data();
  rows.weight_stride = weight.stride(0);
  rows.centre = centre.data();
  rows.inverse_scale = inverse_scale.data();
  double log_likelihood = 0;
  const Sums sums = {count.data(), first.data(), second ? second->data() : nullptr,
                     &log_likelihood};
  const auto pass = passes_of(isa).statistics[form];
  bool ok;
  {
    nb::gil_scoped_release release;
    ok = pass(rows, model, sums);
  }
  if (!ok) throw std::bad_alloc();
  return log_likelihood;
}

// Sums over rows with holes, sorted by pattern; `spread` are the covariances, in the shape
// of their form.  Returns the log-likelihood, and whether a matrix had no factor: then the
// sums are not all there.
static std::pair<double, bool> statistics_with_holes(
    const std::string& isa, int form, AnyRows data, Weights weight, Input centre,
    Input inverse_scale, Input means, Input spread, Input log_weights, Offsets offsets,
    Flags observed, Flags varies, Output count, Output first, Output second) {
  check(form == FULL || form == DIAG);
  Rows rows = rows_of(data);
  const Model model = model_of(form, means, spread, log_weights, centre);
  const std::size_t k = model.n_components, d = model.n_features;
  check(rows.n_features == model.n_features && weight.size() == data.shape(0));
  check(centre.size() == d && inverse_scale.size() == d && varies.size() == d);
  check(count.size() == k && first.size() == k * d);
  check(second.size() == form_size(form, k, d));
  check(offsets.size() > 0 && observed.size() == (offsets.size() - 1) * d);
  const std::size_t n_patterns = offsets.size() - 1;
  for (std::size_t p = 0; p < n_patterns; ++p)
    check(0 <= offsets.data()[p] && offsets.data()[p] <= offsets.data()[p + 1]);
  check(offsets.data()[n_patterns] <= rows.n_rows);
  rows.weight = weight.data();
  rows.weight_stride = weight.stride(0);
  rows.centre = centre.data();
  rows.inverse_scale = inverse_scale.data();
  double log_likelihood = 0;
  const Sums sums = {count.data(), first.data(), second.data(), &log_likelihood};
  const Holes holes = {int64_t(n_patterns), offsets.data(), observed.data(), varies.data()};
  const auto pass = passes_of(isa).statistics_with_holes[form == DIAG];
  Outcome outcome;
  {
    nb::gil_scoped_release release;
    outcome = pass(rows, model, holes, sums);
  }
  if (outcome == NO_MEMORY) throw std::bad_alloc();
  return {log_likelihood, outcome == NO_FACTOR};
}

static void densities(const std::string& isa, int form, AnyRows data, Input means,
                      Input whiteners, Input log_coefficients, Input common_centre,
                      Output log_density, std::optional<Output> log_responsibilities,
                      std::optional<Labels> labels) {
  const Rows rows = rows_of(data);
  const Model model = model_of(form, means, whiteners, log_coefficients, common_centre);
  const std::size_t n = data.shape(0);
  check(rows.n_features == model.n_features && log_density.size() == n);
  Densities out = {log_density.data(), nullptr, nullptr};
  if (log_responsibilities) {
    check(log_responsibilities->size() == n * model.n_components);
    out.log_responsibilities = log_responsibilities->data();
  }
  if (labels) {
    check(labels->size() == n);
    out.labels = labels->data();
  }
  const auto pass = passes_of(isa).densities[form];
  bool ok;
  {
    nb::gil_scoped_release release;
    ok = pass(rows, model, out);
  }
  if (!ok) throw std::bad_alloc();
}

// The inverse of the lower Cholesky factor of one matrix; `row` has room for D numbers
// twice.  The matrix is brought to a diagonal near one first, by powers of two: features
// of any scale then neither overflow nor underflow.  False if it is not positive
// definite; a pivot of the size of rounding errors might as well have been negative.
static bool whiten(const double* a, std::size_t d, double* w, double* row) {
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

// Write the whiteners of matrices (K, D, D); return the first that has none, or -1.
static int64_t whiteners(Input matrices, Output out) {
  check(matrices.ndim() == 3 && matrices.shape(1) == matrices.shape(2));
  check(matrices.size() == out.size());
  const std::size_t d = matrices.shape(1);
  std::vector<double> room(2 * d);
  for (std::size_t c = 0; c < matrices.shape(0); ++c)
    if (!whiten(matrices.data() + c * d * d, d, out.data() + c * d * d, room.data()))
      return int64_t(c);
  return -1;
}

static void exponentials(const std::string& isa, Input x, Output out) {
  check(x.size() == out.size());
  passes_of(isa).exponentials(x.data(), out.data(), int64_t(x.size()));
}

static void logarithms(const std::string& isa, Input x, Output out) {
  check(x.size() == out.size());
  passes_of(isa).logarithms(x.data(), out.data(), int64_t(x.size()));
}

NB_MODULE(_compiled, m) {
  m.def("supported", &supported);
  // What is written to must be the caller's own memory: no conversion makes a copy.
  const auto in = nb::arg();
  const auto out = nb::arg().noconvert();
  const auto maybe = nb::arg().noconvert().none();
  m.def("statistics", &statistics, in, in, in, in, in, in, in, in, in, in, out, out, maybe);
  m.def("statistics_with_holes", &statistics_with_holes, in, in, in, in, in, in, in, in, in,
        in, in, in, out, out, out);
  m.def("densities", &densities, in, in, in, in, in, in, in, out, maybe, maybe);
  m.def("whiteners", &whiteners, in, out);
  m.def("exponentials", &exponentials, in, in, out);
  m.def("logarithms", &logarithms, in, in, out);
}
