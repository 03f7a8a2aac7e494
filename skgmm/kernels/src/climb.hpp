// Steps of EM in one call, for small problems, where to go back to Python after each
// pass would take longer than the pass.

#pragma once

#include <cstddef>

#include "crew.hpp"
#include "families.hpp"
#include "interface.hpp"

// Pseudo-observations of variances, a part of the counts in some of these (held), and
// what is added to the estimated variances; each of D numbers.
struct Regularisation {
  double size;
  const double *variance, *held, *ridge;
};

// Mean (D,) and scatter (D, D) of the complete rows, for the tied form; null otherwise.
struct Total {
  const double *mean, *scatter;
};

// Weights (K,), or with that of noise (K + 1,), means (K, D) and covariances in the shape of
// the form.
struct Parameters {
  int n_components, n_features;
  double *weights, *means, *values;
};

using Pass = bool (*)(const Rows&, const Model&, const Sums&);
using SinglePass = bool (*)(const Panels&, const Model&, const Sums&);
using DensityPass = bool (*)(const Rows&, const Model&, const Densities&);
using PassWithHoles = Outcome (*)(const Rows&, const Model&, const Holes&, const Sums&);

// What is climbed: complete rows, and rows with holes, any of which may be none; with noise
// there are complete rows only.
struct Data {
  Pass pass;
  DensityPass densities;
  Rows rows;
  Total total;
  bool has_noise;
  double log_noise;  // its log-density
  PassWithHoles pass_with_holes;
  Rows with_holes;
  Holes holes;
  SinglePass single_pass;  // null: not wanted
  Panels panels;           // the complete rows
  Crew* crew;              // null: one thread
};

// Replace parameters by those that some steps of EM lead to.  The penalised log-likelihood
// is written before the first step and after each.  Returns the number of steps made:
// fewer than wanted, or -1, where a matrix is not positive definite, where memory is
// short, where tied moments would lose digits, and where the objective is not finite.  If
// `of_moments` the parameters are counts, means, and second moments about these.
int climb(const Data& data, const Family& family, const Regularisation& regularisation,
          const Parameters& parameters, bool of_moments, int n_steps, double* objectives);

// The same by SQUAREM: two steps of EM show where to leap, and a third one lands (see
// _em.py).  It ends where the penalised log-likelihood that is still to be gained is
// estimated at no more than `tol`, or where rounding hides any gain, and is converged
// then; and after so many passes, or where a leap cannot be computed.
int leap(const Data& data, const Family& family, const Regularisation& regularisation,
         const Parameters& parameters, int n_passes, double tol, double* objectives,
         bool* converged);
