// Steps of EM in one call: see climb.hpp.

#include "climb.hpp"

#include <new>

#include "state.hpp"

int climb(const Data& data, const Family& family, const Regularisation& regularisation,
          const Parameters& parameters, bool of_moments, int n_steps, double* objectives) {
  try {
    State state(family, parameters, regularisation);
    if (of_moments) state.maximise_moments();
    for (int step = 0;; ++step) {
      if (!state.factorise()) return step - 1;
      objectives[step] = state.expectation(data);
      if (!std::isfinite(objectives[step])) return step - 1;
      state.write(parameters);
      if (step == n_steps) return step;
      state.maximisation();
    }
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
