// Small matrices, row by row in memory.

#pragma once

#include <cstddef>
#include <vector>

using Vector = std::vector<double>;

inline std::size_t square(int d) { return std::size_t(d) * d; }

// Write the inverse of the lower Cholesky factor of a matrix (D, D), of which the lower
// triangle counts; room is for 2 D numbers.  False if it is not positive definite.
bool whiten(const double* matrix, std::size_t d, double* whitener, double* room);

// The inverse of a lower triangular matrix.
void invert(const double* lower, int d, double* inverse);

// The product of two lower triangular matrices.
void multiply_lower(const double* a, const double* b, int d, double* product);

// The product of two matrices.
void multiply(const double* a, const double* b, int d, double* product);

// Replace b by a^-1 b.  The symmetric part of `a`, which is lost, is positive definite: no
// pivots are sought.
void solve(double* a, double* b, int d);

// The lower triangle is all of a symmetric matrix.
void mirror(double* matrix, int d);

// Eigenvalues of a symmetric matrix, which is lost, in ascending order, and eigenvectors
// as columns.
void eigen(double* matrix, int d, double* eigenvalues, double* vectors);
