// What the module and the passes of every instruction set agree on: plain pointers.

#pragma once

#include <cstdint>

constexpr int BLOCK = 256;  // rows that a pass has at hand at a time

// Rows of data, any strides (in elements).
struct Rows {
  const void* data;
  bool is_float32;
  int64_t n_rows;
  int n_features;
  int64_t row_stride, column_stride;
  const double* weight;  // null: ones
  int64_t weight_stride;
  const double* centre;  // null: rows are in the mixture's coordinates already
  const double* inverse_scale;
  const int* features;  // which columns are read, n_features of them; null: the first
};

// A mixture: log_coefficients (K,) are log(weight) - (D log(2 pi) + log|C|) / 2,
// whiteners have the shape of the form; common_centre (D,) is of tied ones only.
struct Model {
  int n_components, n_features;
  const double *means, *whiteners, *log_coefficients, *common_centre;
};

// Where sums are added to; second moments: the lower triangles, and none of tied ones.
struct Sums {
  double *count, *first, *second, *log_likelihood;
};

// Which features (D,) are observed in rows offsets[p] to offsets[p + 1]; and which have
// conditional variances.
struct Holes {
  int64_t n_patterns;
  const int64_t* offsets;
  const bool *observed, *varies;
};

enum Outcome { DONE, NO_MEMORY, NO_FACTOR };

// Where densities go: with labels, log_density has the largest log joint densities.
struct Densities {
  double *log_density, *log_responsibilities;
  int64_t* labels;
};

enum Form { FULL, TIED, DIAG, SPHERICAL, N_FORMS };

// The passes of one instruction set; each returns false if memory is short.
struct Passes {
  bool (*statistics[N_FORMS])(const Rows&, const Model&, const Sums&);
  // Of full and of diagonal covariances, which are in the place of the whiteners, as
  // are log(weight) in that of log_coefficients.
  Outcome (*statistics_with_holes[2])(const Rows&, const Model&, const Holes&, const Sums&);
  // Of full covariances, given likewise; both densities are wanted.
  Outcome (*densities_with_holes)(const Rows&, const Model&, const Holes&, const Densities&);
  bool (*densities[N_FORMS])(const Rows&, const Model&, const Densities&);
  void (*exponentials)(const double*, double*, int64_t);
  void (*logarithms)(const double*, double*, int64_t);
};

// Rows and their weights in single precision, in the layout of one instruction set: whole
// blocks, BLOCK * D values each.
struct Panels {
  int64_t n_rows;
  const float *values, *weights;
};

// Passes in single precision, of one instruction set: for searches, in which what rounding
// does to sums decides nothing.
struct SinglePasses {
  void (*load)(const Rows&, float* values, float* weights);
  bool (*statistics[N_FORMS])(const Panels&, const Model&, const Sums&);
};
