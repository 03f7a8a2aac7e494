// The maximisation steps of the families: skgmm/families is the specification.

#pragma once

#include "interface.hpp"

// By mclust's codes, in its order.
enum Code { EII, VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV, N_CODES };

// Which covariances there are, and whether all weights are the same.
struct Family {
  Code code;
  bool equal_weights;

  // In which these covariances are evaluated.
  Form form() const;
  // Whether all covariances of the form are of the family.
  bool fills_form() const;
};

// Counts (K,), above zero, and the scatter about the means in the shape of the form.
struct Scatter {
  int n_components, n_features;
  const double *count, *values;
};

// Write the covariances of greatest likelihood, in the shape of the form.  Where they have
// no closed form they are better than those that are there before, if it is `warm`.  Those
// of an impossible scatter are not finite.  False if a matrix is not positive definite.
bool maximise(Code code, const Scatter& scatter, bool warm, double* covariances);
