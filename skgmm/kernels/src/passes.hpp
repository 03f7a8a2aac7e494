// The passes over rows, for one instruction set.
//
// Every file isa_*.cpp includes this one with SKGMM_LANES (doubles in a vector) and
// SKGMM_ISA (a name) defined, and is compiled for that instruction set.  Everything
// is in an anonymous namespace and no template of the standard library is
// instantiated, so that no code for a newer processor can be linked into an older
// path.
//
// With SKGMM_SINGLE the same passes compute in single precision, in which a vector has
// twice the lanes: rows, densities and responsibilities are Real.  Sums of blocks are
// added in doubles in both, but those of Diag where it takes residuals.
//
// A block of rows is transposed: vector lanes run across rows, so that no code here
// depends on how the number of features fits a vector.  A block is a sequence of
// panels of PANEL rows; a panel holds its features one after another, PANEL values
// each, so that what the inner loops touch is contiguous.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "interface.hpp"

namespace {

#ifdef SKGMM_SINGLE
typedef float Real;
typedef int32_t Integer;
#else
typedef double Real;
typedef int64_t Integer;
#endif

constexpr int W = SKGMM_LANES * 8 / int(sizeof(Real));
constexpr int NV = 4;          // vectors in a panel
constexpr int PANEL = NV * W;  // rows in a panel
static_assert(BLOCK % PANEL == 0, "blocks are whole panels");

typedef Real V __attribute__((vector_size(8 * SKGMM_LANES), may_alias));
typedef Integer I __attribute__((vector_size(8 * SKGMM_LANES), may_alias));

#define SKGMM_INLINE inline __attribute__((always_inline))

SKGMM_INLINE V splat(Real x) { return V{} + x; }
SKGMM_INLINE V larger(V a, V b) { return a > b ? a : b; }

// The sum of the lanes, halves added to halves.
template <int LANES>
SKGMM_INLINE double sum_lanes(const Real* v) {
  if constexpr (LANES == 2) {
    return v[0] + v[1];
  } else {
    typedef Real Half __attribute__((vector_size(LANES / 2 * sizeof(Real)), may_alias));
    const Half half = *(const Half*)v + *(const Half*)(v + LANES / 2);
    return sum_lanes<LANES / 2>((const Real*)&half);
  }
}
SKGMM_INLINE double sum(V v) { return sum_lanes<W>((const Real*)&v); }

typedef Real V4 __attribute__((vector_size(4 * sizeof(Real)), may_alias));
#ifdef __clang__
#define SKGMM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef Integer I4 __attribute__((vector_size(4 * sizeof(Real))));
#define SKGMM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, I4{__VA_ARGS__})
#endif

// The sum of N vectors of four lanes, halves added to halves.
template <int N>
SKGMM_INLINE V4 fold(const V4* v) {
  if constexpr (N == 1) {
    return v[0];
  } else {
    return fold<N / 2>(v) + fold<N / 2>(v + N / 2);
  }
}

// Add the sums of the lanes of four vectors to out[0..3]: pairs are added together, so
// that a sum costs a third of four single ones.
SKGMM_INLINE void add_sums(const V* s, double* out) {
  if constexpr (W < 4) {
    for (int i = 0; i < 4; ++i) out[i] += sum(s[i]);
  } else {
    V4 h[4];
    for (int i = 0; i < 4; ++i) h[i] = fold<W / 4>((const V4*)&s[i]);
    const V4 a = SKGMM_SHUFFLE(h[0], h[1], 0, 4, 2, 6) + SKGMM_SHUFFLE(h[0], h[1], 1, 5, 3, 7);
    const V4 b = SKGMM_SHUFFLE(h[2], h[3], 0, 4, 2, 6) + SKGMM_SHUFFLE(h[2], h[3], 1, 5, 3, 7);
    const V4 all = SKGMM_SHUFFLE(a, b, 0, 1, 4, 5) + SKGMM_SHUFFLE(a, b, 2, 3, 6, 7);
    for (int i = 0; i < 4; ++i) out[i] += all[i];
  }
}

template <int A, int C, typename Tile>
SKGMM_INLINE void add_tile(const Tile& s, double* out, int ld) {
#pragma GCC unroll 8
  for (int a = 0; a < A; ++a) {
    if constexpr (C == 4) {
      add_sums(s[a], out + a * ld);
    } else {
      for (int c = 0; c < C; ++c) out[a * ld + c] += sum(s[a][c]);
    }
  }
}

#ifndef SKGMM_SINGLE
// exp(x) for x <= 0; zero below `lowest`, which is at least -708, where results are
// subnormal.
//
// x = n log 2 + r, |r| <= log(2)/2 (Cody and Waite); exp(r) by a polynomial of degree
// 11 whose coefficients are a Chebyshev fit of (exp(r) - 1 - r) / r^2 (relative error
// 1.3e-17).
SKGMM_INLINE V exp_negative(V x, double lowest = -708.0) {
  const double shift = 6755399441055744.0;  // 1.5 * 2^52: rounds to an integer
  const V bounded = larger(x, splat(lowest));
  const V shifted = bounded * 1.4426950408889634 + shift;
  const V n = shifted - shift;
  V r = bounded - n * 6.93147180369123816490e-01;
  r -= n * 1.90821492927058770002e-10;
  V p = r * 0x1.af38a9b0ec855p-26 + 0x1.289185613a3d6p-22;
  p = p * r + 0x1.71de0dae63bb3p-19;
  p = p * r + 0x1.a019b90d2ae7ap-16;
  p = p * r + 0x1.a01a01a7c41d5p-13;
  p = p * r + 0x1.6c16c1788bd90p-10;
  p = p * r + 0x1.11111111109b3p-7;
  p = p * r + 0x1.5555555553d63p-5;
  p = p * r + 0x1.5555555555556p-3;
  p = p * r + 0x1.0000000000001p-1;
  p = p * (r * r) + r + 1.0;
  const V scaled = (V)((I)p + ((I)shifted << 52));
  return x < splat(lowest) ? V{} : scaled;
}

// log(x) for normal x > 0; minus infinity for 0.
//
// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh((m - 1) / (m + 1)).
SKGMM_INLINE V log_positive(V x) {
  const int64_t one = 0x3ff0000000000000, mantissa = 0x000fffffffffffff;
  const I bits = (I)x;
  V m = (V)((bits & mantissa) | one);
  const double shift = 6755399441055744.0;
  V e = (V)((bits >> 52) + (int64_t)0x4338000000000000) - (shift + 1023.0);
  const auto large = m > splat(1.4142135623730951);
  m = large ? m * 0.5 : m;
  e = large ? e + 1.0 : e;
  const V s = (m - 1.0) / (m + 1.0), t = s * s;
  V p = t * (2.0 / 21) + 2.0 / 19;
  p = p * t + 2.0 / 17;
  p = p * t + 2.0 / 15;
  p = p * t + 2.0 / 13;
  p = p * t + 2.0 / 11;
  p = p * t + 2.0 / 9;
  p = p * t + 2.0 / 7;
  p = p * t + 2.0 / 5;
  p = p * t + 2.0 / 3;
  const V tail = e * 1.90821492927058770002e-10 + s * t * p;
  const V result = e * 6.93147180369123816490e-01 + (2.0 * s + tail);
  return x > V{} ? result : splat(-std::numeric_limits<double>::infinity());
}

#else
// The same in single precision: the polynomial is of degree 6 (relative error 1.0e-08).
SKGMM_INLINE V exp_negative(V x, Real lowest) {
  const Real shift = 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const V bounded = larger(x, splat(lowest));
  const V shifted = bounded * 1.44269504f + shift;
  const V n = shifted - shift;
  V r = bounded - n * 0.693359375f;
  r -= n * -2.12194440e-4f;
  V p = r * 0.00139337336f + 0.00836323574f;
  p = p * r + 0.041666463f;
  p = p * r + 0.166665763f;
  p = p * r + 0.5f;
  p = p * (r * r) + r + 1.0f;
  const V scaled = (V)((I)p + ((I)shifted << 23));
  return x < splat(lowest) ? V{} : scaled;
}

SKGMM_INLINE V log_positive(V x) {
  const int32_t one = 0x3f800000, mantissa = 0x007fffff;
  const I bits = (I)x;
  V m = (V)((bits & mantissa) | one);
  const Real shift = 12582912.0f;
  V e = (V)((bits >> 23) + int32_t(0x4b400000)) - (shift + 127.0f);
  const auto large = m > splat(1.41421356f);
  m = large ? m * 0.5f : m;
  e = large ? e + 1.0f : e;
  const V s = (m - 1.0f) / (m + 1.0f), t = s * s;
  V p = t * (2.0f / 9) + 2.0f / 7;
  p = p * t + 2.0f / 5;
  p = p * t + 2.0f / 3;
  const V tail = e * -2.12194440e-4f + s * t * p;
  const V result = e * 0.693359375f + (2.0f * s + tail);
  return x > V{} ? result : splat(-std::numeric_limits<Real>::infinity());
}
#endif

// Aligned memory for a pass; freed with it.
class Scratch {
 public:
  explicit Scratch(std::size_t doubles) {
    const std::size_t bytes = (doubles * 8 + 127) / 64 * 64;
    data_ = static_cast<double*>(std::aligned_alloc(64, bytes));
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  bool ok() const { return data_ != nullptr; }
  // Room for so many numbers; floats leave half of it empty.
  template <typename T = double>
  T* take(std::size_t numbers) {
    double* part = data_ + used_;
    used_ += (numbers + 7) / 8 * 8;
    return reinterpret_cast<T*>(part);
  }

 private:
  double* data_;
  std::size_t used_ = 0;
};

constexpr std::size_t padded(std::size_t doubles) { return (doubles + 7) / 8 * 8; }

// A mixture, as the lanes take it: see Model.
struct Gaussians {
  int n_components, n_features;
  const Real *means, *whiteners, *log_coefficients, *common_centre;
};

// ---- a block of rows --------------------------------------------------------

// The number of rows that a block has, and of panels that these fill.
SKGMM_INLINE int rows_here(int64_t left) { return left < BLOCK ? int(left) : BLOCK; }
SKGMM_INLINE int panels_of(int count) { return (count + PANEL - 1) / PANEL; }

// Transpose rows into panels, centred and scaled; rows past the end are zero.
template <typename T>
void load_rows(const Rows& rows, int64_t begin, int count, Real* z) {
  const T* data = static_cast<const T*>(rows.data) + begin * rows.row_stride;
  const int d = rows.n_features;
  const int64_t row_stride = rows.row_stride, column_stride = rows.column_stride;
  for (int p = 0; p < panels_of(count); ++p) {
    Real* panel = z + p * d * PANEL;
    const T* from = data + p * PANEL * row_stride;
    const int here = count - p * PANEL < PANEL ? count - p * PANEL : PANEL;
    for (int j = 0; j < d; ++j) {
      const int feature = rows.features ? rows.features[j] : j;
      const double centre = rows.centre ? rows.centre[feature] : 0.0;
      const double factor = rows.centre ? rows.inverse_scale[feature] : 1.0;
      const T* value = from + feature * column_stride;
      Real* to = panel + j * PANEL;
      for (int b = 0; b < here; ++b)
        to[b] = Real((double(value[b * row_stride]) - centre) * factor);
      for (int b = here; b < PANEL; ++b) to[b] = 0.0;
    }
  }
}

// The same with their weights; returns the number of panels.
int load_block(const Rows& rows, int64_t begin, int count, Real* z, Real* weight) {
  if (rows.is_float32)
    load_rows<float>(rows, begin, count, z);
  else
    load_rows<double>(rows, begin, count, z);
  const int n_panels = panels_of(count);
  for (int b = 0; b < n_panels * PANEL; ++b)
    weight[b] = b >= count ? 0.0
                : rows.weight ? Real(rows.weight[(begin + b) * rows.weight_stride])
                              : 1.0;
  return n_panels;
}

// Subtract a mean from a panel.
SKGMM_INLINE void subtract_mean(const Real* z, const Real* mean, int d, Real* out) {
  const V* from = (const V*)z;
  V* to = (V*)out;
  for (int j = 0; j < d; ++j) {
    const V m = splat(mean[j]);
    for (int v = 0; v < NV; ++v) to[j * NV + v] = from[j * NV + v] - m;
  }
}

SKGMM_INLINE int smaller(int a, int b) { return a < b ? a : b; }

SKGMM_INLINE Real root_of(Real x) {
  return sizeof(Real) == 8 ? Real(__builtin_sqrt(x)) : Real(__builtin_sqrtf(float(x)));
}

// So many numbers and as many more as fill vectors of 64 bytes.
constexpr int whole_vectors(int numbers) {
  constexpr int lanes = 64 / int(sizeof(Real));
  return (numbers + lanes - 1) / lanes * lanes;
}

// Calls `use` with a size of at most N that is known when compiled.
template <int N>
struct Size {
  static constexpr int value = N;
};

template <int N, typename Use>
SKGMM_INLINE void with_size(int size, Use use) {
  if constexpr (N > 1) {
    if (size < N) return with_size<N - 1>(size, use);
  }
  use(Size<N>());
}

// ---- triangular products ------------------------------------------------------

constexpr int TILE = SKGMM_LANES == 8 ? 6 : 2;  // rows of a whitener at a time

// A lower triangular matrix as tiles of TILE rows: for each column its TILE entries.
std::size_t packed_size(int d) {
  const int tiles = (d + TILE - 1) / TILE;
  return padded(std::size_t(tiles) * (tiles + 1) / 2 * TILE * TILE);
}

void pack_lower(const Real* lower, int d, Real* out) {
  for (int j0 = 0; j0 < d; j0 += TILE)
    for (int i = 0; i < j0 + TILE; ++i)
      for (int j = j0; j < j0 + TILE; ++j)
        *out++ = j < d && i <= j ? lower[j * d + i] : 0.0;
}

// Rows j0.. of a triangular product for one panel: hands each result to `use`.
template <int ROWS, typename Use>
SKGMM_INLINE void lower_rows(const Real* w, int j0, const V* z, Use use) {
  V y[ROWS][NV];  // not "= {}": GCC then zeroes memory besides registers
#pragma GCC unroll 8
  for (int j = 0; j < ROWS; ++j)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) y[j][v] = V{};
  for (int i = 0; i < j0; ++i) {
    const V* zi = z + i * NV;
#pragma GCC unroll 8
    for (int j = 0; j < ROWS; ++j)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) y[j][v] += w[i * TILE + j] * zi[v];
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int j = i; j < ROWS; ++j)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        y[j][v] += w[(j0 + i) * TILE + j] * z[(j0 + i) * NV + v];
#pragma GCC unroll 8
  for (int j = 0; j < ROWS; ++j) use(j0 + j, y[j]);
}

template <typename Use>
SKGMM_INLINE void lower_product(const Real* packed, int d, const V* z, Use use) {
  int j0 = 0;
  for (; j0 + TILE <= d; j0 += TILE) {
    lower_rows<TILE>(packed, j0, z, use);
    packed += (j0 + TILE) * TILE;
  }
  if (j0 == d) return;
  with_size<TILE - 1>(
      d - j0, [&](auto rows) { lower_rows<decltype(rows)::value>(packed, j0, z, use); });
}

// ---- sums over the rows of a block ----------------------------------------------

constexpr int SUM_ROWS = SKGMM_LANES == 8 ? 4 : 3, SUM_COLUMNS = 4;  // a tile of sums

// Add to out[a, b] the sums over rows of x[a] * y[b], for A x C of them.
template <int A, int C>
void sum_tile(const Real* x, int dx, const Real* y, int dy, double* out, int ld,
              int n_panels) {
  V s[A][C];
#pragma GCC unroll 8
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) s[a][c] = V{};
  for (int p = 0; p < n_panels; ++p) {
    const V* xp = (const V*)(x + p * dx * PANEL);
    const V* yp = (const V*)(y + p * dy * PANEL);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
#pragma GCC unroll 8
      for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) s[a][c] += xp[a * NV + v] * yp[c * NV + v];
  }
  add_tile<A, C>(s, out, ld);
}

// Add to out[a, c] the sums over the rows of a block of x[a] * y[c], and to squares
// those of x[a] * y[c]^2; x (A, BLOCK) a row at a time, such as responsibilities.
template <int A, int C, bool SQUARES>
void sum_rows(const Real* x, const Real* y, int dy, double* out, double* squares,
              int n_panels) {
  V s[A][C], t[A][C];
#pragma GCC unroll 8
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) s[a][c] = t[a][c] = V{};
  for (int p = 0; p < n_panels; ++p) {
    const V* yp = (const V*)(y + p * dy * PANEL);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        const V value = yp[c * NV + v];
#pragma GCC unroll 8
        for (int a = 0; a < A; ++a) {
          const V part = *(const V*)(x + a * BLOCK + p * PANEL + v * W);
          s[a][c] += part * value;
          if (SQUARES) t[a][c] += part * (value * value);
        }
      }
  }
  if constexpr (SQUARES && C == 2) {
    for (int a = 0; a < A; ++a) {
      const V four[4] = {s[a][0], s[a][1], t[a][0], t[a][1]};
      double sums[4] = {};
      add_sums(four, sums);
      for (int c = 0; c < 2; ++c) {
        out[a * dy + c] += sums[c];
        squares[a * dy + c] += sums[2 + c];
      }
    }
  } else {
    add_tile<A, C>(s, out, dy);
    if (SQUARES) add_tile<A, C>(t, squares, dy);
  }
}

// out (dx, ld) += x y' over the rows of a block; with `lower` only tiles that reach
// the lower triangle.
void add_products(const Real* x, int dx, const Real* y, int dy, double* out, int ld,
                  int n_panels, bool lower) {
  for (int a = 0; a < dx; a += SUM_ROWS) {
    const int na = smaller(SUM_ROWS, dx - a);
    const int end = lower ? smaller(dy, a + na) : dy;
    for (int c = 0; c < end; c += SUM_COLUMNS) {
      const int nc = smaller(SUM_COLUMNS, end - c);
      with_size<SUM_ROWS>(na, [&](auto rows) {
        with_size<SUM_COLUMNS>(nc, [&](auto columns) {
          sum_tile<decltype(rows)::value, decltype(columns)::value>(
              x + a * PANEL, dx, y + c * PANEL, dy, out + a * ld + c, ld, n_panels);
        });
      });
    }
  }
}

// ---- responsibilities -------------------------------------------------------------

// Responsibilities of less than 2^-60 of the largest (2^-30 in single precision) are
// zero: less than rounding in every sum.
constexpr Real NEGLIGIBLE = sizeof(Real) == 8 ? -41.58883083359672 : -20.79441541679836;

// lp (K, BLOCK) becomes exp(lp - max); `total` their sums and `largest` the maxima.
SKGMM_INLINE void exponentials(Real* lp, int k, Real* total, Real* largest,
                               int n_panels) {
  for (int b = 0; b < n_panels * PANEL; b += PANEL) {
    V top[NV], all[NV] = {};
    for (int v = 0; v < NV; ++v) top[v] = splat(-std::numeric_limits<Real>::max());
    for (int c = 0; c < k; ++c) {
      const V* x = (const V*)(lp + c * BLOCK + b);
      for (int v = 0; v < NV; ++v) top[v] = larger(top[v], x[v]);
    }
    for (int c = 0; c < k; ++c) {
      V* x = (V*)(lp + c * BLOCK + b);
      for (int v = 0; v < NV; ++v) {
        x[v] = exp_negative(x[v] - top[v], NEGLIGIBLE);
        all[v] += x[v];
      }
    }
    for (int v = 0; v < NV; ++v) {
      ((V*)(total + b))[v] = all[v];
      ((V*)(largest + b))[v] = top[v];
    }
  }
}

// Return the sum over a block of weight * (largest + log(total)).
double log_likelihood_of(const Real* weight, const Real* total, const Real* largest,
                         int n_panels) {
  const V *w = (const V*)weight, *t = (const V*)total, *top = (const V*)largest;
  const int n = n_panels * NV;
  I ones = n_panels % 2 == 0 ? ~I{} : I{};
  for (int i = 0; i < n; ++i) ones &= w[i] == splat(1.0);
  bool all = true;
  for (int lane = 0; lane < W; ++lane) all &= ones[lane] != 0;
  V sums = {};
  if (all) {  // the logarithm of a product: totals are at most K
    for (int i = 0; i < n; i += 2 * NV) {
      V product = t[i];
      sums += top[i];
      for (int j = i + 1; j < i + 2 * NV; ++j) {
        product *= t[j];
        sums += top[j];
      }
      sums += log_positive(product);
    }
  } else {
    for (int i = 0; i < n; ++i)
      sums += w[i] > V{} ? w[i] * (top[i] + log_positive(t[i])) : V{};
  }
  return sum(sums);
}

// Make lp the weighted responsibilities; return the weighted log-likelihood.
double responsibilities(Real* lp, int k, const Real* weight, Real* total, Real* largest,
                        int n_panels) {
  exponentials(lp, k, total, largest, n_panels);
  const double log_likelihood = log_likelihood_of(weight, total, largest, n_panels);
  for (int b = 0; b < n_panels * PANEL; b += W) {
    const V t = *(const V*)(total + b), w = *(const V*)(weight + b);
    *(V*)(total + b) = t > V{} ? w / t : V{};
  }
  for (int c = 0; c < k; ++c)
    for (int b = 0; b < n_panels * PANEL; b += W)
      *(V*)(lp + c * BLOCK + b) *= *(const V*)(total + b);
  return log_likelihood;
}

// How many rows of a block have a part in a component.
SKGMM_INLINE int count_active(const Real* r, int n_panels) {
  I found = {};
  for (int b = 0; b < n_panels * PANEL; b += W) found -= *(const V*)(r + b) > V{};
  int count = 0;
  for (int w = 0; w < W; ++w) count += int(found[w]);
  return count;
}

// Whether to gather the active rows: they are few, and work on a row is more than that.
SKGMM_INLINE bool worth_gathering(int count, int d, int n_panels) {
  return d >= 8 && 6 * count < n_panels * PANEL;
}

// Gather the rows of a block that have a part in a component into panels of their own,
// minus its mean, and their parts; return the number of panels.
int gather(const Real* z, const Real* r, const Real* mean, int d, int e, Real* x, Real* part,
           int of_panels) {
  int index[BLOCK + 1], count = 0;
  for (int b = 0; b < of_panels * PANEL; ++b) {
    index[count] = b;
    count += r[b] > 0.0;
  }
  const int n_panels = panels_of(count);
  for (int t = 0; t < n_panels * PANEL; ++t) {
    Real* to = x + (t / PANEL) * e * PANEL + t % PANEL;
    const int b = t < count ? index[t] : 0;
    const Real* from = z + (b / PANEL) * d * PANEL + b % PANEL;
    for (int j = 0; j < d; ++j) to[j * PANEL] = from[j * PANEL] - mean[j];
    part[t] = t < count ? r[b] : Real(0);
  }
  return n_panels;
}

// ---- forms: what the E-step and the sums of each are --------------------------------
//
// A form has log_joint(z, lp, n_panels), accumulate(z, r, n_panels) and finish(sums).

struct Full {
  static std::size_t n_whiteners(std::size_t k, std::size_t d) { return k * d * d; }
  const Gaussians& model;
  Real *packed, *centred, *roots;
  double* augmented;

  static std::size_t scratch(const Model& m) {
    const std::size_t block = padded(std::size_t(m.n_features + 1) * BLOCK);
    const std::size_t square = std::size_t(m.n_features + 1) * (m.n_features + 1);
    return m.n_components * (packed_size(m.n_features) + padded(square)) + block +
           BLOCK;
  }

  Full(const Gaussians& m, Scratch& memory) : model(m) {
    const int d = m.n_features, k = m.n_components;
    packed = memory.take<Real>(k * packed_size(d));
    for (int c = 0; c < k; ++c)
      pack_lower(m.whiteners + std::size_t(c) * d * d, d, packed + c * packed_size(d));
    centred = memory.take<Real>((d + 1) * BLOCK);
    roots = memory.take<Real>(BLOCK);
    const std::size_t square = padded(std::size_t(d + 1) * (d + 1));
    augmented = memory.take(k * square);
    std::memset(augmented, 0, k * square * 8);
  }

  void log_joint(const Real* z, Real* lp, int n_panels) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      const Real* w = packed + c * packed_size(d);
      const V coefficient = splat(model.log_coefficients[c]);
      for (int p = 0; p < n_panels; ++p) {
        V q[NV] = {};
        subtract_mean(z + p * d * PANEL, model.means + c * d, d, centred);
        lower_product(w, d, (const V*)centred, [&](int, const V* y) {
          for (int v = 0; v < NV; ++v) q[v] += y[v] * y[v];
        });
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v) out[v] = coefficient - Real(0.5) * q[v];
      }
    }
  }

  // Rows, extended by a one, times the roots of their parts: the second moments of
  // these hold all three sums.
  void accumulate(const Real* z, const Real* r, int of_panels) {
    const int d = model.n_features, e = d + 1;
    const std::size_t square = padded(std::size_t(e) * e);
    for (int c = 0; c < model.n_components; ++c) {
      const Real *own = r + c * BLOCK, *mean = model.means + c * d;
      const int count = count_active(own, of_panels);
      if (count == 0) continue;
      const bool few = worth_gathering(count, d, of_panels);
      const int n_panels =
          few ? gather(z, own, mean, d, e, centred, roots, of_panels) : of_panels;
      const Real* part = few ? roots : own;
      for (int b = 0; b < n_panels * PANEL; ++b) roots[b] = root_of(part[b]);
      for (int p = 0; p < n_panels; ++p) {
        const V* root = (const V*)(roots + p * PANEL);
        const V* from = (const V*)(few ? centred + p * e * PANEL : z + p * d * PANEL);
        V* x = (V*)(centred + p * e * PANEL);
        for (int j = 0; j < d; ++j) {
          const V m = splat(few ? Real(0) : mean[j]);
          for (int v = 0; v < NV; ++v) x[j * NV + v] = (from[j * NV + v] - m) * root[v];
        }
        for (int v = 0; v < NV; ++v) x[d * NV + v] = root[v];
      }
      add_products(centred, e, centred, e, augmented + c * square, e, n_panels, true);
    }
  }

  void finish(const Sums& sums) {
    const int d = model.n_features, e = d + 1;
    const std::size_t square = padded(std::size_t(e) * e);
    for (int c = 0; c < model.n_components; ++c) {
      const double* from = augmented + c * square;
      for (int i = 0; i < d; ++i)
        for (int j = 0; j <= i; ++j)
          sums.second[(std::size_t(c) * d + i) * d + j] += from[i * e + j];
      for (int j = 0; j < d; ++j) sums.first[c * d + j] += from[d * e + j];
      sums.count[c] += from[d * e + d];
    }
  }
};


// Any form with D known when compiled: nothing leaves the registers.
template <int D, Form FORM>
struct Small {
  static constexpr int OWN = FORM == SPHERICAL ? 1 : FORM == DIAG ? D : D * D;  // of a whitener
  static constexpr int SECOND = FORM == TIED   ? 0
                                : FORM == FULL ? D * (D + 1) / 2
                                               : OWN;
  static constexpr int N_SUMS = 1 + D + SECOND;  // count, first, second
  static std::size_t n_whiteners(std::size_t k, std::size_t) {
    return (FORM == TIED ? 1 : k) * OWN;
  }
  const Gaussians& model;
  double* sums;

  static std::size_t scratch(const Model& m) {
    return padded(std::size_t(m.n_components) * N_SUMS);
  }

  Small(const Gaussians& m, Scratch& memory) : model(m) {
    sums = memory.take(std::size_t(m.n_components) * N_SUMS);
    std::memset(sums, 0, std::size_t(m.n_components) * N_SUMS * 8);
  }

  void log_joint(const Real* z, Real* lp, int n_panels) {
    for (int c = 0; c < model.n_components; ++c) {
      const Real* w = model.whiteners + (FORM == TIED ? 0 : c * OWN);
      const Real* mean = model.means + c * D;
      const Real coefficient = model.log_coefficients[c];
      for (int p = 0; p < n_panels; ++p)
        for (int v = 0; v < NV; ++v) {
          const V* from = (const V*)(z + p * D * PANEL) + v;
          V x[D], q = {};
#pragma GCC unroll 4
          for (int i = 0; i < D; ++i) {
            x[i] = from[i * NV] - mean[i];
            const V y = white(w, x, i);
            q += y * y;
          }
          *((V*)(lp + c * BLOCK + p * PANEL) + v) = coefficient - Real(0.5) * q;
        }
    }
  }

  void accumulate(const Real* z, const Real* r, int n_panels) {
    for (int c = 0; c < model.n_components; ++c) {
      const Real* mean = model.means + c * D;
      V total[N_SUMS] = {};
      for (int p = 0; p < n_panels; ++p)
        for (int v = 0; v < NV; ++v) {
          const V part = *((const V*)(r + c * BLOCK + p * PANEL) + v);
          const V* from = (const V*)(z + p * D * PANEL) + v;
          V x[D];
          total[0] += part;
#pragma GCC unroll 4
          for (int i = 0, n = D + 1; i < D; ++i) {
            x[i] = from[i * NV] - mean[i];
            const V t = part * x[i];
            total[1 + i] += t;
            if constexpr (FORM == SPHERICAL) total[n] += t * x[i];
            if constexpr (FORM == DIAG) total[n++] += t * x[i];
#pragma GCC unroll 4
            for (int j = 0; j <= i && FORM == FULL; ++j) total[n++] += t * x[j];
          }
        }
      for (int i = 0; i < N_SUMS; ++i) sums[c * N_SUMS + i] += sum(total[i]);
    }
  }

  void finish(const Sums& result) {
    for (int c = 0; c < model.n_components; ++c) {
      const double* from = sums + c * N_SUMS;
      result.count[c] += *from++;
      for (int i = 0; i < D; ++i) result.first[c * D + i] += *from++;
      if constexpr (FORM == SPHERICAL) result.second[c] += *from / D;
      for (int i = 0; i < D && FORM == DIAG; ++i) result.second[c * D + i] += *from++;
      for (int i = 0; i < D && FORM == FULL; ++i)
        for (int j = 0; j <= i; ++j) result.second[(c * D + i) * D + j] += *from++;
    }
  }

 private:
  // Feature i of whitened residuals.
  SKGMM_INLINE static V white(const Real* w, const V* x, int i) {
    if constexpr (FORM == SPHERICAL) return w[0] * x[i];
    if constexpr (FORM == DIAG) return w[i] * x[i];
    if constexpr (FORM == FULL || FORM == TIED) {
      V y = w[i * D] * x[0];
#pragma GCC unroll 4
      for (int j = 1; j <= i; ++j) y += w[i * D + j] * x[j];
      return y;
    }
  }
};

// Squared distances of a panel from a mean, each feature times a factor; `factor` is
// null for factors of one.
SKGMM_INLINE void distances(const V* x, const Real* mean, const Real* factor, int d, V* q) {
  for (int v = 0; v < NV; ++v) q[v] = V{};
  for (int j = 0; j < d; ++j) {
    const V m = splat(mean[j]);
    for (int v = 0; v < NV; ++v) {
      V y = x[j * NV + v] - m;
      if (factor) y *= factor[j];
      q[v] += y * y;
    }
  }
}

// Squared distances of a panel from all means as products of matrices,
//
//   sum_j p_j (x_j - m_j)^2 = sum_j (p_j x_j - 2 p_j m_j) x_j + sum_j p_j m_j^2
//
// (SQUARES), or with the squares |x|^2 known and one precision a component.  Each
// feature is read once for a tile of components.
template <bool SQUARES>
class Products {
 public:
  static std::size_t size(std::size_t k, std::size_t d) {
    return padded(k * d * (SQUARES ? 2 : 1)) + 2 * padded(k);
  }

  // `precisions`: (K, D) for SQUARES, else (K,), null for ones.
  void prepare(Scratch& memory, int n_components, int n_features, const Real* means,
               const Real* roots) {
    k = n_components, d = n_features;
    const int tiles = (k + TILE - 1) / TILE;
    tile = (k + tiles - 1) / tiles;
    coefficients = memory.take<Real>(std::size_t(k) * d * (SQUARES ? 2 : 1));
    lengths = memory.take<Real>(k);
    factors = memory.take<Real>(k);
    Real* to = coefficients;
    longest = 0;
    for (int c = 0; c < k; ++c) {
      factors[c] = SQUARES || !roots ? Real(1) : roots[c] * roots[c];
      lengths[c] = 0;
      for (int j = 0; j < d; ++j) {
        const Real p = SQUARES ? roots[c * d + j] * roots[c * d + j] : Real(1);
        lengths[c] += p * means[c * d + j] * means[c * d + j];
      }
      const Real length = factors[c] * lengths[c];
      longest = longest > length ? longest : length;
    }
    for (int c0 = 0; c0 < k; c0 += tile)
      for (int j = 0; j < d; ++j)
        for (int square = 0; square < (SQUARES ? 2 : 1); ++square)
          for (int c = c0; c < smaller(c0 + tile, k); ++c) {
            const Real root = SQUARES ? roots[c * d + j] : Real(1);
            *to++ = square ? root * root : -2 * root * root * means[c * d + j];
          }
  }

  // Write the squared distances of a panel to out (K, BLOCK); return whether they
  // have their digits.
  bool evaluate(const V* x, Real* out) const {
    V norms[NV] = {};
    I fine = ~I{};
    if (!SQUARES)
      for (int j = 0; j < d; ++j)
        for (int v = 0; v < NV; ++v) norms[v] += x[j * NV + v] * x[j * NV + v];
    const Real* from = coefficients;
    for (int c0 = 0; c0 < k; c0 += tile) {
      const int here = smaller(tile, k - c0);
      with_size<TILE>(here, [&](auto size) {
        constexpr int N = decltype(size)::value;
        V q[N][NV];
        polynomials<N>(from, x, q);
        for (int c = 0; c < N; ++c)
          for (int v = 0; v < NV; ++v) {
            const V sum = (q[c][v] + lengths[c0 + c] + norms[v]) * factors[c0 + c];
            ((V*)(out + (c0 + c) * BLOCK))[v] = larger(sum, V{});
            fine &= sum < splat(PRODUCTS_UP_TO - longest);  // not so for NaN
          }
      });
      from += std::size_t(here) * d * (SQUARES ? 2 : 1);
    }
    bool all = true;
    for (int w = 0; w < W; ++w) all &= fine[w] != 0;
    return all;
  }

 private:
  // The largest squared distance, in standard deviations, at which a difference of
  // products has eleven digits, in single precision four: neither p x^2 nor p m^2 is
  // above four times that.
  static constexpr Real PRODUCTS_UP_TO = sizeof(Real) == 8 ? 2.5e4 : 1e3;

  template <int N>
  SKGMM_INLINE void polynomials(const Real* from, const V* x, V (*q)[NV]) const {
    V s[N][NV];
#pragma GCC unroll 8
    for (int c = 0; c < N; ++c)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) s[c][v] = V{};
    for (int j = 0; j < d; ++j) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        const V value = x[j * NV + v];
#pragma GCC unroll 8
        for (int c = 0; c < N; ++c)
          s[c][v] += SQUARES ? (from[N + c] * value + from[c]) * value : from[c] * value;
      }
      from += SQUARES ? 2 * N : N;
    }
#pragma GCC unroll 8
    for (int c = 0; c < N; ++c)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) q[c][v] = s[c][v];
  }

  int k, d, tile;
  Real *coefficients, *lengths, *factors, longest;
};

// Sums over rows of r, r x and, with SQUARES, r x^2: (K), (K, D), (K, D).
template <bool SQUARES>
class Moments {
 public:
  static std::size_t size(std::size_t k, std::size_t d) {
    return padded(k) + (SQUARES ? 2 : 1) * padded(k * d);
  }

  void prepare(Scratch& memory, int n_components, int n_features) {
    k = n_components, d = n_features;
    const std::size_t bytes = std::size_t(k) * d * 8;
    count = memory.take(k);
    first = memory.take(std::size_t(k) * d);
    std::memset(count, 0, std::size_t(k) * 8);
    std::memset(first, 0, bytes);
    if (!SQUARES) return;
    second = memory.take(std::size_t(k) * d);
    std::memset(second, 0, bytes);
  }

  void add(const Real* z, const Real* r, int n_panels) {
    constexpr int COLUMNS = SQUARES ? 2 : SUM_COLUMNS;
    for (int j = 0; j < d; j += COLUMNS)  // so that these are read from memory once
      with_size<COLUMNS>(smaller(COLUMNS, d - j), [&](auto columns) {
        for (int c = 0; c < k; c += SUM_ROWS)
          with_size<SUM_ROWS>(smaller(SUM_ROWS, k - c), [&](auto rows) {
            sum_rows<decltype(rows)::value, decltype(columns)::value, SQUARES>(
                r + c * BLOCK, z + j * PANEL, d, first + c * d + j, second + c * d + j,
                n_panels);
          });
      });
    for (int c = 0; c < k; ++c) {
      V total = {};
      for (int b = 0; b < n_panels * PANEL; b += W) total += *(const V*)(r + c * BLOCK + b);
      count[c] += sum(total);
    }
  }

  // Add the moments about the means to the result.
  void finish(const Gaussians& model, const Sums& result) const {
    for (int c = 0; c < k; ++c) {
      result.count[c] += count[c];
      for (int i = c * d; i < (c + 1) * d; ++i) {
        const double mean = model.means[i];
        result.first[i] += first[i] - count[c] * mean;
        if (SQUARES) result.second[i] += second[i] - mean * (2 * first[i] - count[c] * mean);
      }
    }
  }

 private:
  int k, d;
  double *count, *first, *second = nullptr;
};

// lp = coefficient - q / 2, for a component and a panel.
SKGMM_INLINE void log_densities(Real coefficient, const V* q, V* lp) {
  for (int v = 0; v < NV; ++v) lp[v] = coefficient - Real(0.5) * q[v];
}

struct Diag {
  static std::size_t n_whiteners(std::size_t k, std::size_t d) { return k * d; }
  const Gaussians& model;
  const int d, k, stride;  // features, components, padded features
  Products<true> products;
  Moments<true> moments;
  bool products_suffice;
  double* count;  // padded; sums where moments do not suffice
  Real *means, *first, *second;
  Real* block_rows;

  static std::size_t scratch(const Model& m) {
    const std::size_t k = m.n_components, stride = whole_vectors(m.n_features);
    return padded(k) + 3 * k * stride + stride * BLOCK +
           Products<true>::size(k, m.n_features) + Moments<true>::size(k, m.n_features);
  }

  Diag(const Gaussians& m, Scratch& memory)
      : model(m), d(m.n_features), k(m.n_components), stride(whole_vectors(d)) {
    products.prepare(memory, k, d, m.means, m.whiteners);
    moments.prepare(memory, k, d);
    const std::size_t size = std::size_t(k) * stride;
    means = memory.take<Real>(size);
    first = memory.take<Real>(size);
    second = memory.take<Real>(size);
    count = memory.take(k);
    block_rows = memory.take<Real>(std::size_t(stride) * BLOCK);
    std::memset(means, 0, size * sizeof(Real));
    std::memset(first, 0, size * sizeof(Real));
    std::memset(second, 0, size * sizeof(Real));
    std::memset(count, 0, std::size_t(k) * 8);
    std::memset(block_rows, 0, std::size_t(stride) * BLOCK * sizeof(Real));
    for (int c = 0; c < k; ++c)
      std::memcpy(means + c * stride, m.means + c * d, std::size_t(d) * sizeof(Real));
  }

  void log_joint(const Real* z, Real* lp, int n_panels) {
    products_suffice = true;
    for (int p = 0; p < n_panels; ++p) {
      const V* x = (const V*)(z + p * d * PANEL);
      Real* out = lp + p * PANEL;
      const bool suffice = products.evaluate(x, out);
      products_suffice &= suffice;
      for (int c = 0; c < k; ++c) {
        V* q = (V*)(out + c * BLOCK);
        if (!suffice) distances(x, model.means + c * d, model.whiteners + c * d, d, q);
        log_densities(model.log_coefficients[c], q, q);
      }
    }
  }

  void accumulate(const Real* z, const Real* r, int n_panels) {
    int active = 0;
    for (int c = 0; c < k; ++c) active += count_active(r + c * BLOCK, n_panels);
    // To have the rows one by one costs as much as the products of ten components.
    if (d >= 8 && (k - 10) * n_panels * PANEL > 2 * active)
      add_rows(z, r, n_panels);
    else if (products_suffice)
      moments.add(z, r, n_panels);
    else
      for (int c = 0; c < k; ++c) add_panels(z, r + c * BLOCK, c, n_panels);
  }

  // Only the rows that have a part in a component, lanes across features.
  void add_rows(const Real* z, const Real* r, int n_panels) {
    for (int p = 0; p < n_panels; ++p)
      for (int j = 0; j < d; ++j)
        for (int b = 0; b < PANEL; ++b)
          block_rows[(p * PANEL + b) * stride + j] = z[(p * d + j) * PANEL + b];
    for (int c = 0; c < k; ++c) {
      const V* mean = (const V*)(means + c * stride);
      V *s = (V*)(first + c * stride), *t = (V*)(second + c * stride);
      for (int b = 0; b < n_panels * PANEL; ++b) {
        const Real part = r[c * BLOCK + b];
        if (!(part > 0)) continue;
        const V* x = (const V*)(block_rows + b * stride);
        count[c] += part;
        for (int j = 0; j < stride / W; ++j) {
          const V y = x[j] - mean[j], weighted = part * y;
          s[j] += weighted;
          t[j] += weighted * y;
        }
      }
    }
  }

  void add_panels(const Real* z, const Real* part, int c, int n_panels) {
    V total = {};
    for (int b = 0; b < n_panels * PANEL; b += W) total += *(const V*)(part + b);
    count[c] += sum(total);
    for (int j = 0; j < d; ++j) {
      const V m = splat(means[c * stride + j]);
      V s = {}, t = {};
      for (int p = 0; p < n_panels; ++p) {
        const V* x = (const V*)(z + (p * d + j) * PANEL);
        const V* w = (const V*)(part + p * PANEL);
        for (int v = 0; v < NV; ++v) {
          const V y = x[v] - m, weighted = w[v] * y;
          s += weighted;
          t += weighted * y;
        }
      }
      first[c * stride + j] += sum(s);
      second[c * stride + j] += sum(t);
    }
  }

  void finish(const Sums& result) {
    moments.finish(model, result);
    for (int c = 0; c < k; ++c) {
      result.count[c] += count[c];
      for (int j = 0; j < d; ++j) {
        result.first[c * d + j] += first[c * stride + j];
        result.second[c * d + j] += second[c * stride + j];
      }
    }
  }
};

struct Spherical {
  static std::size_t n_whiteners(std::size_t k, std::size_t) { return k; }
  const Gaussians& model;
  Products<false> products;
  Moments<false> moments;
  Real* squares;  // squared distances in standard deviations
  double* second;  // and their sums

  static std::size_t scratch(const Model& m) {
    const std::size_t k = m.n_components, d = m.n_features;
    return padded(k * BLOCK) + padded(k) + Products<false>::size(k, d) +
           Moments<false>::size(k, d);
  }

  Spherical(const Gaussians& m, Scratch& memory) : model(m) {
    const std::size_t k = m.n_components, d = m.n_features;
    products.prepare(memory, k, d, m.means, m.whiteners);
    moments.prepare(memory, k, d);
    squares = memory.take<Real>(k * BLOCK);
    second = memory.take(k);
    std::memset(second, 0, k * 8);
  }

  void log_joint(const Real* z, Real* lp, int n_panels) {
    const int d = model.n_features;
    for (int p = 0; p < n_panels; ++p) {
      const V* x = (const V*)(z + p * d * PANEL);
      const bool suffice = products.evaluate(x, squares + p * PANEL);
      for (int c = 0; c < model.n_components; ++c) {
        V* q = (V*)(squares + c * BLOCK + p * PANEL);
        const Real root = model.whiteners[c];
        if (!suffice) {
          distances(x, model.means + c * d, nullptr, d, q);
          for (int v = 0; v < NV; ++v) q[v] = q[v] * root * root;
        }
        log_densities(model.log_coefficients[c], q, (V*)(lp + c * BLOCK + p * PANEL));
      }
    }
  }

  void accumulate(const Real* z, const Real* r, int n_panels) {
    moments.add(z, r, n_panels);
    for (int c = 0; c < model.n_components; ++c) {
      V total = {};
      for (int b = 0; b < n_panels * PANEL; b += W) {
        const V part = *(const V*)(r + c * BLOCK + b);
        const V square = *(const V*)(squares + c * BLOCK + b);
        total += part > V{} ? part * square : V{};
      }
      second[c] += sum(total);
    }
  }

  void finish(const Sums& sums) {
    moments.finish(model, sums);
    for (int c = 0; c < model.n_components; ++c) {
      const double root = model.whiteners[c];
      sums.second[c] += second[c] / (model.n_features * root * root);
    }
  }
};

// One whitener for all: rows and means are whitened about a centre that they share.
// Second moments follow from the total scatter: they are not summed.
struct Tied {
  static std::size_t n_whiteners(std::size_t, std::size_t d) { return d * d; }
  const Gaussians& model;
  Products<false> products;
  Moments<false> moments;
  Real *packed, *centred, *white, *white_means;

  static std::size_t scratch(const Model& m) {
    const std::size_t k = m.n_components, d = m.n_features;
    return packed_size(d) + 2 * padded(d * PANEL) + padded(k * d) +
           Products<false>::size(k, d) + Moments<false>::size(k, d);
  }

  Tied(const Gaussians& m, Scratch& memory) : model(m) {
    const std::size_t k = m.n_components, d = m.n_features;
    packed = memory.take<Real>(packed_size(d));
    pack_lower(m.whiteners, d, packed);
    centred = memory.take<Real>(d * PANEL);
    white = memory.take<Real>(d * PANEL);
    white_means = memory.take<Real>(k * d);
    for (std::size_t c = 0; c < k; ++c)
      for (std::size_t i = 0; i < d; ++i) {
        double y = 0;
        for (std::size_t j = 0; j <= i; ++j)
          y += m.whiteners[i * d + j] * (m.means[c * d + j] - m.common_centre[j]);
        white_means[c * d + i] = Real(y);
      }
    products.prepare(memory, k, d, white_means, nullptr);
    moments.prepare(memory, k, d);
  }

  void log_joint(const Real* z, Real* lp, int n_panels) {
    const int d = model.n_features;
    V* y = (V*)white;
    for (int p = 0; p < n_panels; ++p) {
      subtract_mean(z + p * d * PANEL, model.common_centre, d, centred);
      lower_product(packed, d, (const V*)centred, [&](int j, const V* from) {
        for (int v = 0; v < NV; ++v) y[j * NV + v] = from[v];
      });
      Real* out = lp + p * PANEL;
      const bool suffice = products.evaluate(y, out);
      for (int c = 0; c < model.n_components; ++c) {
        V* q = (V*)(out + c * BLOCK);
        if (!suffice) distances(y, white_means + c * d, nullptr, d, q);
        log_densities(model.log_coefficients[c], q, q);
      }
    }
  }

  void accumulate(const Real* z, const Real* r, int n_panels) { moments.add(z, r, n_panels); }

  void finish(const Sums& sums) { moments.finish(model, sums); }
};

// ---- passes -------------------------------------------------------------------------

#ifdef SKGMM_SINGLE
// The mixture in single precision.
template <typename Form>
Gaussians gaussians_of(const Model& m, Scratch& memory) {
  const auto copy = [&](const double* from, std::size_t size) {
    Real* to = memory.take<Real>(size);
    for (std::size_t i = 0; i < size; ++i) to[i] = Real(from[i]);
    return to;
  };
  const std::size_t k = m.n_components, d = m.n_features;
  return {m.n_components, m.n_features, copy(m.means, k * d),
          copy(m.whiteners, Form::n_whiteners(k, d)), copy(m.log_coefficients, k),
          copy(m.common_centre, d)};
}

template <typename Form>
std::size_t room_for_gaussians(const Model& m) {
  const std::size_t k = m.n_components, d = m.n_features;
  return padded(k * d) + padded(Form::n_whiteners(k, d)) + padded(k) + padded(d);
}

template <typename Form>
bool statistics(const Panels& panels, const Model& model, const Sums& sums) {
  const int k = model.n_components;
  Scratch memory(Form::scratch(model) + room_for_gaussians<Form>(model) +
                 padded(std::size_t(k) * BLOCK) + 2 * BLOCK);
  if (!memory.ok()) return false;
  Real* lp = memory.take<Real>(k * BLOCK);
  Real* total = memory.take<Real>(BLOCK);
  Real* largest = memory.take<Real>(BLOCK);
  const Gaussians gaussians = gaussians_of<Form>(model, memory);
  Form form(gaussians, memory);
  double log_likelihood = 0;
  for (int64_t begin = 0; begin < panels.n_rows; begin += BLOCK) {
    const int n_panels = panels_of(rows_here(panels.n_rows - begin));
    const Real* z = panels.values + begin * model.n_features;
    form.log_joint(z, lp, n_panels);
    log_likelihood += responsibilities(lp, k, panels.weights + begin, total, largest, n_panels);
    form.accumulate(z, lp, n_panels);
  }
  form.finish(sums);
  *sums.log_likelihood = log_likelihood;
  return true;
}

void load(const Rows& rows, float* values, float* weights) {
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK)
    load_block(rows, begin, rows_here(rows.n_rows - begin), values + begin * rows.n_features,
               weights + begin);
}
#else
SKGMM_INLINE Gaussians gaussians_of(const Model& m) {
  return {m.n_components, m.n_features, m.means, m.whiteners, m.log_coefficients,
          m.common_centre};
}

template <typename Form>
bool statistics(const Rows& rows, const Model& model, const Sums& sums) {
  const int d = model.n_features, k = model.n_components;
  Scratch memory(Form::scratch(model) + padded(std::size_t(d) * BLOCK) +
                 padded(std::size_t(k) * BLOCK) + 3 * BLOCK);
  if (!memory.ok()) return false;
  double* z = memory.take(d * BLOCK);
  double* lp = memory.take(k * BLOCK);
  double* weight = memory.take(BLOCK);
  double* total = memory.take(BLOCK);
  double* largest = memory.take(BLOCK);
  const Gaussians gaussians = gaussians_of(model);
  Form form(gaussians, memory);
  double log_likelihood = 0;
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK) {
    const int n_panels = load_block(rows, begin, rows_here(rows.n_rows - begin), z, weight);
    form.log_joint(z, lp, n_panels);
    log_likelihood += responsibilities(lp, k, weight, total, largest, n_panels);
    form.accumulate(z, lp, n_panels);
  }
  form.finish(sums);
  *sums.log_likelihood = log_likelihood;
  return true;
}

template <typename Form>
bool densities(const Rows& rows, const Model& model, const Densities& out) {
  const int d = model.n_features, k = model.n_components;
  Scratch memory(Form::scratch(model) + padded(std::size_t(d) * BLOCK) +
                 2 * padded(std::size_t(k) * BLOCK) + 3 * BLOCK);
  if (!memory.ok()) return false;
  double* z = memory.take(d * BLOCK);
  double* lp = memory.take(k * BLOCK);
  double* logs = memory.take(k * BLOCK);
  double* weight = memory.take(BLOCK);
  double* total = memory.take(BLOCK);
  double* largest = memory.take(BLOCK);
  const Gaussians gaussians = gaussians_of(model);
  Form form(gaussians, memory);
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK) {
    const int count = rows_here(rows.n_rows - begin);
    const int n_panels = load_block(rows, begin, count, z, weight);
    form.log_joint(z, lp, n_panels);
    if (out.labels) {
      for (int b = 0; b < count; ++b) {
        int best = 0;
        for (int c = 1; c < k; ++c)
          if (lp[c * BLOCK + b] > lp[best * BLOCK + b]) best = c;
        out.labels[begin + b] = best;
        out.log_density[begin + b] = lp[best * BLOCK + b];
      }
      continue;
    }
    if (out.log_responsibilities) std::memcpy(logs, lp, std::size_t(k) * BLOCK * 8);
    exponentials(lp, k, total, largest, n_panels);
    for (int b = 0; b < n_panels * PANEL; b += W)
      *(V*)(total + b) = log_positive(*(const V*)(total + b));
    for (int b = 0; b < count; ++b) out.log_density[begin + b] = largest[b] + total[b];
    // In this order: the sum of the two would round the smaller one away.
    if (out.log_responsibilities)
      for (int b = 0; b < count; ++b)
        for (int c = 0; c < k; ++c)
          out.log_responsibilities[(begin + b) * k + c] =
              logs[c * BLOCK + b] - largest[b] - total[b];
  }
  return true;
}

#endif

}  // namespace

#ifndef SKGMM_SINGLE
#include "holes.hpp"
#endif

namespace {

template <template <int> class Small, typename Large, typename Data>
bool statistics_by_size(const Data& rows, const Model& model, const Sums& sums) {
  switch (model.n_features) {
    case 1: return statistics<Small<1>>(rows, model, sums);
    case 2: return statistics<Small<2>>(rows, model, sums);
    case 3: return statistics<Small<3>>(rows, model, sums);
    case 4: return statistics<Small<4>>(rows, model, sums);
    default: return statistics<Large>(rows, model, sums);
  }
}

template <int D>
using SmallFull = Small<D, FULL>;
template <int D>
using SmallTied = Small<D, TIED>;
template <int D>
using SmallDiag = Small<D, DIAG>;
template <int D>
using SmallSpherical = Small<D, SPHERICAL>;

#ifndef SKGMM_SINGLE
template <template <int> class Small, typename Large>
bool densities_by_size(const Rows& rows, const Model& model, const Densities& out) {
  switch (model.n_features) {
    case 1: return densities<Small<1>>(rows, model, out);
    case 2: return densities<Small<2>>(rows, model, out);
    case 3: return densities<Small<3>>(rows, model, out);
    case 4: return densities<Small<4>>(rows, model, out);
    default: return densities<Large>(rows, model, out);
  }
}

void exponentials_of(const double* x, double* out, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    V v;
    std::memcpy(&v, x + i, sizeof(V));
    v = exp_negative(v);
    std::memcpy(out + i, &v, sizeof(V));
  }
  V rest = splat(1.0);
  std::memcpy(&rest, x + i, std::size_t(n - i) * 8);
  rest = exp_negative(rest);
  std::memcpy(out + i, &rest, std::size_t(n - i) * 8);
}

void logarithms_of(const double* x, double* out, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    V v;
    std::memcpy(&v, x + i, sizeof(V));
    v = log_positive(v);
    std::memcpy(out + i, &v, sizeof(V));
  }
  V rest = splat(1.0);
  std::memcpy(&rest, x + i, std::size_t(n - i) * 8);
  rest = log_positive(rest);
  std::memcpy(out + i, &rest, std::size_t(n - i) * 8);
}

#endif

}  // namespace

#define SKGMM_CONCAT(a, b) a##b
#define SKGMM_NAME(a, b) SKGMM_CONCAT(a, b)

#ifdef SKGMM_SINGLE
extern const SinglePasses SKGMM_NAME(skgmm_single_passes_, SKGMM_ISA);
const SinglePasses SKGMM_NAME(skgmm_single_passes_, SKGMM_ISA) = {
    load,
    {statistics_by_size<SmallFull, Full>, statistics_by_size<SmallTied, Tied>,
     statistics_by_size<SmallDiag, Diag>, statistics_by_size<SmallSpherical, Spherical>},
};
#else
extern const Passes SKGMM_NAME(skgmm_passes_, SKGMM_ISA);
const Passes SKGMM_NAME(skgmm_passes_, SKGMM_ISA) = {
    {statistics_by_size<SmallFull, Full>, statistics_by_size<SmallTied, Tied>,
     statistics_by_size<SmallDiag, Diag>, statistics_by_size<SmallSpherical, Spherical>},
    {matrix_holes, variance_holes},
    densities_with_holes,
    {densities_by_size<SmallFull, Full>, densities_by_size<SmallTied, Tied>,
     densities_by_size<SmallDiag, Diag>, densities_by_size<SmallSpherical, Spherical>},
    exponentials_of,
    logarithms_of,
};
#endif
