// The Python module: checks shapes, picks the instruction set, releases the GIL.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "climb.hpp"
#include "crew.hpp"
#include "families.hpp"
#include "interface.hpp"
#include "matrices.hpp"
#include "partition.hpp"
#include "parts.hpp"

namespace nb = nanobind;
using AnyRows = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using Weights = nb::ndarray<const double, nb::ndim<1>, nb::device::cpu>;
using Input = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<double, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::c_contig, nb::device::cpu>;
using Labels = nb::ndarray<int64_t, nb::c_contig, nb::device::cpu>;
using FamilyOf = std::pair<int, bool>;  // its code, and whether weights are equal

extern const Passes skgmm_passes_baseline;
extern const SinglePasses skgmm_single_passes_baseline;
#ifdef SKGMM_X86
extern const Passes skgmm_passes_avx2;
extern const Passes skgmm_passes_avx512;
extern const SinglePasses skgmm_single_passes_avx2;
extern const SinglePasses skgmm_single_passes_avx512;
#endif

static const Passes& passes_of(const std::string& isa) {
  if (isa == "baseline") return skgmm_passes_baseline;
#ifdef SKGMM_X86
  if (isa == "avx2") return skgmm_passes_avx2;
  if (isa == "avx512") return skgmm_passes_avx512;
#endif
  throw std::invalid_argument("unknown instruction set");
}

static const SinglePasses& single_passes_of(const std::string& isa) {
#ifdef SKGMM_X86
  if (isa == "avx2") return skgmm_single_passes_avx2;
  if (isa == "avx512") return skgmm_single_passes_avx512;
#endif
  return skgmm_single_passes_baseline;
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

// Rows with their weights, and the frame they are seen in.
static Rows weighted_rows(const AnyRows& data, const Weights& weight, const Input& centre,
                          const Input& inverse_scale) {
  Rows rows = rows_of(data);
  const std::size_t d = rows.n_features;
  check(weight.size() == data.shape(0) && centre.size() == d && inverse_scale.size() == d);
  rows.weight = weight.data();
  rows.weight_stride = weight.stride(0);
  rows.centre = centre.data();
  rows.inverse_scale = inverse_scale.data();
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
  const Rows rows = weighted_rows(data, weight, centre, inverse_scale);
  const Model model = model_of(form, means, whiteners, log_coefficients, common_centre);
  const std::size_t k = model.n_components, d = model.n_features;
  check(rows.n_features == model.n_features);
  check(count.size() == k && first.size() == k * d);
  check(second.has_value() == (form != TIED));
  check(!second || second->size() == form_size(form, k, d));
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

// Patterns of holes in rows that are sorted by them.
static Holes holes_of(const Rows& rows, const Offsets& offsets, const Flags& observed,
                      const Flags& varies) {
  const std::size_t d = rows.n_features;
  check(varies.size() == d);
  check(offsets.size() > 0 && observed.size() == (offsets.size() - 1) * d);
  const std::size_t n_patterns = offsets.size() - 1;
  for (std::size_t p = 0; p < n_patterns; ++p)
    check(0 <= offsets.data()[p] && offsets.data()[p] <= offsets.data()[p + 1]);
  check(offsets.data()[n_patterns] <= rows.n_rows);
  return {int64_t(n_patterns), offsets.data(), observed.data(), varies.data()};
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
  check(centre.size() == d && inverse_scale.size() == d);
  check(count.size() == k && first.size() == k * d);
  check(second.size() == form_size(form, k, d));
  const Holes holes = holes_of(rows, offsets, observed, varies);
  rows.weight = weight.data();
  rows.weight_stride = weight.stride(0);
  rows.centre = centre.data();
  rows.inverse_scale = inverse_scale.data();
  double log_likelihood = 0;
  const Sums sums = {count.data(), first.data(), second.data(), &log_likelihood};
  const auto pass = passes_of(isa).statistics_with_holes[form == DIAG];
  Outcome outcome;
  {
    nb::gil_scoped_release release;
    outcome = pass(rows, model, holes, sums);
  }
  if (outcome == NO_MEMORY) throw std::bad_alloc();
  return {log_likelihood, outcome == NO_FACTOR};
}

// Densities of rows with holes under full covariances, see above; returns whether a matrix
// had no factor.
static bool densities_with_holes(const std::string& isa, AnyRows data, Input means,
                                 Input covariances, Input log_weights, Offsets offsets,
                                 Flags observed, Flags varies, Output log_density,
                                 Output log_responsibilities) {
  const Rows rows = rows_of(data);
  check(means.ndim() == 2);
  const std::size_t k = means.shape(0), d = means.shape(1), n = data.shape(0);
  check(rows.n_features == int(d) && covariances.size() == form_size(FULL, k, d));
  check(log_weights.size() == k);
  check(log_density.size() == n && log_responsibilities.size() == n * k);
  const Model model = {int(k), int(d), means.data(), covariances.data(), log_weights.data(),
                       nullptr};
  const Holes holes = holes_of(rows, offsets, observed, varies);
  const Densities out = {log_density.data(), log_responsibilities.data(), nullptr};
  const auto pass = passes_of(isa).densities_with_holes;
  Outcome outcome;
  {
    nb::gil_scoped_release release;
    outcome = pass(rows, model, holes, out);
  }
  if (outcome == NO_MEMORY) throw std::bad_alloc();
  return outcome == NO_FACTOR;
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

// Rows with holes: their values and weights, offsets of their patterns, what is observed in
// each, and which features have conditional variances.
using WithHoles = std::optional<std::tuple<AnyRows, Weights, Offsets, Flags, Flags>>;

// What steps of EM climb, and where they begin and end: weights, means and values are
// changed in place.  They are of several runs, one after the other.
struct Task {
  Task(const std::string& isa, FamilyOf of, AnyRows rows, Weights weight, Input centre,
       Input inverse_scale, Input total_mean, Input total_scatter, const WithHoles& with_holes,
       std::optional<double> log_noise, Output weights, Output means, Output values, double size,
       Input variance, Input held, Input ridge, Crew* crew)
      : family{Code(of.first), of.second},
        regularisation{size, variance.data(), held.data(), ridge.data()} {
    check(means.ndim() == 3 && of.first >= 0 && of.first < N_CODES);
    n_runs = means.shape(0);
    const std::size_t k = means.shape(1), d = means.shape(2);
    const Form form = family.form();
    n_parts = k + log_noise.has_value();
    n_values = form_size(form, k, d);
    check(weights.size() == n_runs * n_parts && values.size() == n_runs * n_values);
    check(variance.size() == d && held.size() == d && ridge.size() == d);
    check(form != TIED || (total_mean.size() == d && total_scatter.size() == d * d));
    parameters = {int(k), int(d), weights.data(), means.data(), values.data()};
    const Passes& passes = passes_of(isa);
    data.pass = passes.statistics[form];
    data.densities = passes.densities[form];
    data.has_noise = log_noise.has_value();
    data.log_noise = log_noise.value_or(0.0);
    data.rows = weighted_rows(rows, weight, centre, inverse_scale);
    data.crew = crew;
    data.total = {total_mean.data(), total_scatter.data()};
    check(data.rows.n_features == int(d));
    data.pass_with_holes = passes.statistics_with_holes[form == DIAG || form == SPHERICAL];
    if (!with_holes) return;
    const auto& [others, other_weight, offsets, observed, varies] = *with_holes;
    data.with_holes = weighted_rows(others, other_weight, centre, inverse_scale);
    data.holes = holes_of(data.with_holes, offsets, observed, varies);
    check(data.with_holes.n_features == int(d));
  }

  // The parameters of one run.
  Parameters of(std::size_t run) const {
    const std::size_t k = parameters.n_components, d = parameters.n_features;
    return {int(k), int(d), parameters.weights + run * n_parts, parameters.means + run * k * d,
            parameters.values + run * n_values};
  }

  Family family;
  Data data = {};
  std::size_t n_runs, n_parts, n_values;
  Regularisation regularisation;
  Parameters parameters;
};

// Rows in single precision; none where memory is short, or weights have other sizes.
class InSingle {
 public:
  InSingle(const SinglePasses& passes, const Rows& rows) {
    double largest = 0;
    for (int64_t i = 0; i < rows.n_rows; ++i)
      largest = std::max(largest, rows.weight[i * rows.weight_stride]);
    if (!(largest > 1e-12 && largest < 1e12)) return;
    const std::size_t blocks = (rows.n_rows + BLOCK - 1) / BLOCK, d = rows.n_features;
    const std::size_t size = blocks * BLOCK;
    values_.reset(static_cast<float*>(std::aligned_alloc(64, size * (d + 1) * sizeof(float))));
    if (!values_) return;
    passes.load(rows, values_.get(), values_.get() + size * d);
    panels = {rows.n_rows, values_.get(), values_.get() + size * d};
  }

  Panels panels = {};

 private:
  std::unique_ptr<float, decltype(&std::free)> values_{nullptr, &std::free};
};

// Steps of EM: see climb.hpp; objectives (R, ...) have room for one more than the steps,
// and made (R,) says how many were made.
static void climb_rows(const std::string& isa, FamilyOf of, AnyRows rows, Weights weight,
                       Input centre, Input inverse_scale, Input total_mean,
                       Input total_scatter, WithHoles with_holes,
                       std::optional<double> log_noise, Output weights, Output means,
                       Output values, double size, Input variance, Input held, Input ridge,
                       Crew* crew, bool of_moments, bool single, Output objectives, Labels made) {
  Task task(isa, of, rows, weight, centre, inverse_scale, total_mean, total_scatter,
            with_holes, log_noise, weights, means, values, size, variance, held, ridge,
            crew);
  check(objectives.ndim() == 2 && objectives.shape(1) > 0 && made.size() == task.n_runs);
  check(objectives.shape(0) == task.n_runs);
  const std::size_t room = objectives.shape(1);
  nb::gil_scoped_release release;
  std::optional<InSingle> in_single;
  if (single && task.data.rows.n_rows && !task.data.has_noise) {
    const SinglePasses& passes = single_passes_of(isa);
    task.data.panels = in_single.emplace(passes, task.data.rows).panels;
    if (task.data.panels.values) task.data.single_pass = passes.statistics[task.family.form()];
  }
  // A crew shares the runs, or the passes of the only one.
  if (task.n_runs > 1) task.data.crew = nullptr;
  for_each_part(task.n_runs > 1 ? crew : nullptr, int(task.n_runs), [&](int run) {
    made.data()[run] = climb(task.data, task.family, task.regularisation, task.of(run),
                             of_moments, int(room) - 1, objectives.data() + run * room);
  });
}

// Leaps: see climb.hpp; objectives has room for one more than the passes.
static std::pair<int, bool> leap_rows(const std::string& isa, FamilyOf of, AnyRows rows,
                                      Weights weight, Input centre, Input inverse_scale,
                                      Input total_mean, Input total_scatter,
                                      WithHoles with_holes, std::optional<double> log_noise,
                                      Output weights, Output means, Output values,
                                      double size, Input variance, Input held, Input ridge,
                                      Crew* crew, double tol, Output objectives) {
  const Task task(isa, of, rows, weight, centre, inverse_scale, total_mean, total_scatter,
                  with_holes, log_noise, weights, means, values, size, variance, held, ridge,
                  crew);
  check(objectives.size() > 0 && task.n_runs == 1);
  bool converged = false;
  nb::gil_scoped_release release;
  const int made = leap(task.data, task.family, task.regularisation, task.parameters,
                        int(objectives.size()) - 1, tol, objectives.data(), &converged);
  return {made, converged};
}

// Labels of k-means from centres, which move: see partition.hpp.
static void kmeans_rows(const std::string& isa, AnyRows data, Weights weight, int n_iterations,
                        Output centres, Labels labels) {
  Rows rows = rows_of(data);
  check(centres.ndim() == 2 && centres.shape(1) == data.shape(1));
  check(weight.size() == data.shape(0) && labels.size() == data.shape(0));
  rows.weight = weight.data();
  rows.weight_stride = weight.stride(0);
  const auto pass = passes_of(isa).densities[SPHERICAL];
  bool ok;
  {
    nb::gil_scoped_release release;
    ok = kmeans(pass, rows, int(centres.shape(0)), n_iterations, centres.data(), labels.data());
  }
  if (!ok) throw std::bad_alloc();
}

static void class_moments_of(int form, AnyRows data, Weights weight, Input centre,
                             Input inverse_scale, Labels labels, Output count, Output means,
                             Output second) {
  const Rows rows = weighted_rows(data, weight, centre, inverse_scale);
  const std::size_t k = count.size(), d = rows.n_features;
  check(form >= 0 && form < N_FORMS && labels.size() == data.shape(0));
  check(means.size() == k * d && second.size() == form_size(form, k, d));
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels.data()[i] >= 0 && labels.data()[i] < int64_t(k));
  nb::gil_scoped_release release;
  class_moments(Form(form), rows, labels.data(), int(k), count.data(), means.data(),
                second.data());
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
  m.def("parts_of", [](int64_t n_rows, int n_components, int n_features) {
    return parts_of(n_rows, n_components, n_features);
  });
  nb::class_<Crew>(m, "Crew")
      .def(nb::init<>())
      .def("call", &Crew::call)
      .def("helpers", &Crew::helpers)
      .def("help", &Crew::help, nb::call_guard<nb::gil_scoped_release>())
      .def("dismiss", &Crew::dismiss);
  // What is written to must be the caller's own memory: no conversion makes a copy.
  const auto in = nb::arg();
  const auto out = nb::arg().noconvert();
  const auto maybe = nb::arg().noconvert().none();
  m.def("statistics", &statistics, in, in, in, in, in, in, in, in, in, in, out, out, maybe);
  m.def("statistics_with_holes", &statistics_with_holes, in, in, in, in, in, in, in, in, in,
        in, in, in, out, out, out);
  m.def("densities_with_holes", &densities_with_holes, in, in, in, in, in, in, in, in, out, out);
  m.def("densities", &densities, in, in, in, in, in, in, in, out, maybe, maybe);
  m.def("whiteners", &whiteners, in, out);
  const auto maybe_in = nb::arg().none();
  m.def("climb", &climb_rows, in, in, in, in, in, in, in, in, maybe_in, maybe_in, out, out, out,
        in, in, in, in, maybe_in, in, in, out, out);
  m.def("leap", &leap_rows, in, in, in, in, in, in, in, in, maybe_in, maybe_in, out, out, out, in,
        in, in, in, maybe_in, in, out);
  m.def("kmeans", &kmeans_rows, in, in, in, in, out, out);
  m.def("class_moments", &class_moments_of, in, in, in, in, in, out, out, out, out);
  m.def("exponentials", &exponentials, in, in, out);
  m.def("logarithms", &logarithms, in, in, out);
}
