// Print the sums of every pass over a few rows, for comparison between architectures: a
// line begins with 1 if they are in single precision.  Compiled and run by .ci/aarch64,
// here and under emulation.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "../skgmm/kernels/src/interface.hpp"

extern const Passes skgmm_passes_baseline;
extern const SinglePasses skgmm_single_passes_baseline;

using Vector = std::vector<double>;

static void print(bool single, double log_likelihood, std::initializer_list<const Vector*> sums) {
  std::printf("%d %.10e", single, log_likelihood);
  for (auto* v : sums) {
    double total = 0;
    for (std::size_t i = 0; i < v->size(); ++i) total += (*v)[i] * (1 + i % 7);
    std::printf(" %.10e", total);
  }
  std::printf("\n");
}

// A sequence that is the same everywhere, unlike std::normal_distribution.
static double draw() {
  static uint64_t state = 1;
  double total = 0;
  for (int i = 0; i < 12; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    total += double(state >> 11) / 9007199254740992.0;
  }
  return total - 6;
}

int main() {
  for (int form = 0; form < N_FORMS; ++form)
    for (int d : {1, 2, 3, 4, 5, 10, 33})
      for (int k : {1, 3}) {
        const int n = 700;
        const bool matrix = form == FULL || form == TIED;
        const int matrices = form == TIED ? 1 : k;
        std::vector<double> x(n * d), weight(n), centre(d), scale(d, 0.5), means(k * d),
            coefficients(k), whiteners(matrices * (form == SPHERICAL ? 1 : matrix ? d * d : d));
        for (auto* v : {&x, &centre, &means, &coefficients})
          for (double& e : *v) e = draw();
        for (double& e : weight) e = std::fabs(draw());
        for (std::size_t i = 0; i < whiteners.size(); ++i) {
          const int row = int(i) % (d * d) / d, column = int(i) % d;
          whiteners[i] = !matrix || row == column ? 0.5 + std::fabs(draw())
                         : column < row           ? 0.1 * draw()
                                                  : 0.0;
        }
        const Rows rows = {x.data(), false, n, d, d, 1, weight.data(), 1,
                           centre.data(), scale.data(), nullptr};
        const Model model = {k, d, means.data(), whiteners.data(), coefficients.data(), centre.data()};
        std::vector<double> count(k), first(k * d), second(whiteners.size() + d * d), density(n);
        double log_likelihood = 0;
        const Sums sums = {count.data(), first.data(), form == TIED ? nullptr : second.data(),
                           &log_likelihood};
        if (!skgmm_passes_baseline.statistics[form](rows, model, sums)) return 1;
        if (!skgmm_passes_baseline.densities[form](rows, model, {density.data(), nullptr, nullptr}))
          return 1;
        print(false, log_likelihood, {&count, &first, &second, &density});
        for (auto* v : {&count, &first, &second}) std::fill(v->begin(), v->end(), 0.0);
        const std::size_t size = (n + BLOCK - 1) / BLOCK * BLOCK;
        float* values = static_cast<float*>(std::aligned_alloc(64, size * (d + 1) * sizeof(float)));
        skgmm_single_passes_baseline.load(rows, values, values + size * d);
        const Panels panels = {n, values, values + size * d};
        if (!skgmm_single_passes_baseline.statistics[form](panels, model, sums)) return 1;
        std::free(values);
        print(true, log_likelihood, {&count, &first, &second});
      }
}
