// k-means, and the moments of the classes of a partition.

#pragma once

#include "climb.hpp"
#include "interface.hpp"

// Move centres (K, D) by iterations of Lloyd until the labels stay, for so many at most;
// pass is that of the spherical form, rows are contiguous.  A centre without rows stays
// where it is.  False if memory is short.
bool kmeans(DensityPass pass, const Rows& rows, int n_clusters, int n_iterations,
            double* centres, int64_t* labels);

// Counts (K,), means (K, D), and second moments about the means in the shape of a form
// (lower triangles, added up for the tied one) of classes of rows.  Arrays are zero.
void class_moments(Form form, const Rows& rows, const int64_t* labels, int n_classes,
                   double* count, double* means, double* second);
