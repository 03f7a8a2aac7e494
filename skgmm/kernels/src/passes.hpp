// The passes over rows, for one instruction set.
//
// Every file isa_*.cpp includes this one with SKGMM_LANES (doubles in a vector) and
// SKGMM_ISA (a name) defined, and is compiled for that instruction set.  Everything
// is in an anonymous namespace and no template of the standard library is
// instantiated, so that no code for a newer processor can be linked into an older
// path.
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

constexpr int W = SKGMM_LANES;
constexpr int NV = 4;            // vectors in a panel
constexpr int PANEL = NV * W;    // rows in a panel
constexpr int NP = 256 / PANEL;  // panels in a block
constexpr int BLOCK = NP * PANEL;

typedef double V __attribute__((vector_size(8 * W), may_alias));
typedef int64_t I __attribute__((vector_size(8 * W), may_alias));

#define SKGMM_INLINE inline __attribute__((always_inline))

SKGMM_INLINE V splat(double x) { return V{} + x; }
SKGMM_INLINE V larger(V a, V b) { return a > b ? a : b; }

// The sum of the lanes, halves added to halves.
template <int LANES>
SKGMM_INLINE double sum_lanes(const double* v) {
  if constexpr (LANES == 2) {
    return v[0] + v[1];
  } else {
    typedef double Half __attribute__((vector_size(4 * LANES), may_alias));
    const Half half = *(const Half*)v + *(const Half*)(v + LANES / 2);
    return sum_lanes<LANES / 2>((const double*)&half);
  }
}
SKGMM_INLINE double sum(V v) { return sum_lanes<W>((const double*)&v); }

typedef double V4 __attribute__((vector_size(32), may_alias));
#ifdef __clang__
#define SKGMM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int64_t I4 __attribute__((vector_size(32)));
#define SKGMM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, I4{__VA_ARGS__})
#endif

// Add the sums of the lanes of four vectors to out[0..3]: pairs are added together, so
// that a sum costs a third of four single ones.
SKGMM_INLINE void add_sums(const V* s, double* out) {
  if constexpr (W < 4) {
    for (int i = 0; i < 4; ++i) out[i] += sum(s[i]);
  } else {
    V4 h[4];
    for (int i = 0; i < 4; ++i) {
      const V4* half = (const V4*)&s[i];
      h[i] = W == 8 ? half[0] + half[W / 8] : half[0];
    }
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
  double* take(std::size_t doubles) {
    double* part = data_ + used_;
    used_ += (doubles + 7) / 8 * 8;
    return part;
  }

 private:
  double* data_;
  std::size_t used_ = 0;
};

constexpr std::size_t padded(std::size_t doubles) { return (doubles + 7) / 8 * 8; }

// ---- a block of rows --------------------------------------------------------

// Transpose rows into panels, centred and scaled; rows past the end are zero.
template <typename T>
void load_rows(const Rows& rows, int64_t begin, int count, double* z) {
  const T* data = static_cast<const T*>(rows.data) + begin * rows.row_stride;
  const int d = rows.n_features;
  const int64_t row_stride = rows.row_stride, column_stride = rows.column_stride;
  for (int p = 0; p < NP; ++p) {
    double* panel = z + p * d * PANEL;
    const T* from = data + p * PANEL * row_stride;
    const int here = count - p * PANEL < PANEL ? count - p * PANEL : PANEL;
    for (int j = 0; j < d; ++j) {
      const double centre = rows.centre ? rows.centre[j] : 0.0;
      const double factor = rows.centre ? rows.inverse_scale[j] : 1.0;
      const T* value = from + j * column_stride;
      double* to = panel + j * PANEL;
      for (int b = 0; b < here; ++b)
        to[b] = (double(value[b * row_stride]) - centre) * factor;
      for (int b = here > 0 ? here : 0; b < PANEL; ++b) to[b] = 0.0;
    }
  }
}

void load_block(const Rows& rows, int64_t begin, int count, double* z, double* weight) {
  if (rows.is_float32)
    load_rows<float>(rows, begin, count, z);
  else
    load_rows<double>(rows, begin, count, z);
  for (int b = 0; b < BLOCK; ++b)
    weight[b] = b >= count ? 0.0
                : rows.weight ? rows.weight[(begin + b) * rows.weight_stride]
                              : 1.0;
}

// Subtract a mean from a panel.
SKGMM_INLINE void subtract_mean(const double* z, const double* mean, int d, double* out) {
  const V* from = (const V*)z;
  V* to = (V*)out;
  for (int j = 0; j < d; ++j) {
    const V m = splat(mean[j]);
    for (int v = 0; v < NV; ++v) to[j * NV + v] = from[j * NV + v] - m;
  }
}

// ---- triangular products ------------------------------------------------------

constexpr int TILE = W == 8 ? 6 : W == 4 ? 2 : 2;  // rows of a whitener at a time

// A lower triangular matrix as tiles of TILE rows: for each column its TILE entries.
std::size_t packed_size(int d) {
  const int tiles = (d + TILE - 1) / TILE;
  return padded(std::size_t(tiles) * (tiles + 1) / 2 * TILE * TILE);
}

void pack_lower(const double* lower, int d, double* out) {
  for (int j0 = 0; j0 < d; j0 += TILE)
    for (int i = 0; i < j0 + TILE; ++i)
      for (int j = j0; j < j0 + TILE; ++j)
        *out++ = j < d && i <= j ? lower[j * d + i] : 0.0;
}

// Rows j0.. of a triangular product for one panel: hands each result to `use`.
template <int ROWS, typename Use>
SKGMM_INLINE void lower_rows(const double* w, int j0, const V* z, Use use) {
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

template <int ROWS, typename Use>
SKGMM_INLINE void last_rows(int left, const double* w, int j0, const V* z, Use use) {
  if constexpr (ROWS > 0) {
    if (left == ROWS)
      lower_rows<ROWS>(w, j0, z, use);
    else
      last_rows<ROWS - 1>(left, w, j0, z, use);
  }
}

template <typename Use>
SKGMM_INLINE void lower_product(const double* packed, int d, const V* z, Use use) {
  int j0 = 0;
  for (; j0 + TILE <= d; j0 += TILE) {
    lower_rows<TILE>(packed, j0, z, use);
    packed += (j0 + TILE) * TILE;
  }
  last_rows<TILE - 1>(d - j0, packed, j0, z, use);
}

// ---- sums over the rows of a block ----------------------------------------------

constexpr int SUM_ROWS = W == 8 ? 4 : 3, SUM_COLUMNS = 4;  // a tile of sums

// Add to out[a, b] the sums over rows of x[a] * y[b], for A x C of them.
template <int A, int C>
void sum_tile(const double* x, int dx, const double* y, int dy, double* out, int ld,
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

typedef void (*SumTile)(const double*, int, const double*, int, double*, int, int);

template <int A>
SumTile sum_tile_of(int c) {
  switch (c) {
    case 1: return sum_tile<A, 1>;
    case 2: return sum_tile<A, 2>;
    case 3: return sum_tile<A, 3>;
    default: return sum_tile<A, 4>;
  }
}

SumTile sum_tile_of(int a, int c) {
  switch (a) {
    case 1: return sum_tile_of<1>(c);
    case 2: return sum_tile_of<2>(c);
    case 3: return sum_tile_of<3>(c);
    default: return sum_tile_of<4>(c);
  }
}

// The same for x (A, BLOCK), a feature at a time, such as responsibilities.
template <int A, int C>
void sum_rows(const double* x, const double* y, int dy, double* out) {
  V s[A][C];
#pragma GCC unroll 8
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) s[a][c] = V{};
  for (int p = 0; p < NP; ++p) {
    const V* yp = (const V*)(y + p * dy * PANEL);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
#pragma GCC unroll 8
      for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c)
          s[a][c] += *(const V*)(x + a * BLOCK + p * PANEL + v * W) * yp[c * NV + v];
  }
  add_tile<A, C>(s, out, dy);
}

typedef void (*SumRows)(const double*, const double*, int, double*);

template <int A>
SumRows sum_rows_of(int c) {
  switch (c) {
    case 1: return sum_rows<A, 1>;
    case 2: return sum_rows<A, 2>;
    case 3: return sum_rows<A, 3>;
    default: return sum_rows<A, 4>;
  }
}

SumRows sum_rows_of(int a, int c) {
  switch (a) {
    case 1: return sum_rows_of<1>(c);
    case 2: return sum_rows_of<2>(c);
    case 3: return sum_rows_of<3>(c);
    default: return sum_rows_of<4>(c);
  }
}

SKGMM_INLINE int smaller(int a, int b) { return a < b ? a : b; }

// out (dx, ld) += x y' over the rows of a block; with `lower` only tiles that reach
// the lower triangle.
void add_products(const double* x, int dx, const double* y, int dy, double* out, int ld,
                  int n_panels, bool lower) {
  for (int a = 0; a < dx; a += SUM_ROWS) {
    const int na = smaller(SUM_ROWS, dx - a);
    const int end = lower ? smaller(dy, a + na) : dy;
    for (int c = 0; c < end; c += SUM_COLUMNS) {
      const int nc = smaller(SUM_COLUMNS, end - c);
      sum_tile_of(na, nc)(x + a * PANEL, dx, y + c * PANEL, dy, out + a * ld + c, ld,
                          n_panels);
    }
  }
}

// ---- responsibilities -------------------------------------------------------------

// Responsibilities of less than 2^-60 of the largest are zero: less than rounding in
// every sum.
constexpr double NEGLIGIBLE = -41.58883083359672;

// lp (K, BLOCK) becomes exp(lp - max); `total` their sums and `largest` the maxima.
SKGMM_INLINE void exponentials(double* lp, int k, double* total, double* largest) {
  for (int b = 0; b < BLOCK; b += PANEL) {
    V top[NV], all[NV] = {};
    for (int v = 0; v < NV; ++v) top[v] = splat(-std::numeric_limits<double>::max());
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

// Make lp the weighted responsibilities; return the weighted log-likelihood.
double responsibilities(double* lp, int k, const double* weight, double* total,
                        double* largest) {
  exponentials(lp, k, total, largest);
  V log_likelihood = {};
  for (int b = 0; b < BLOCK; b += W) {
    const V t = *(const V*)(total + b), w = *(const V*)(weight + b);
    const V log_density = *(const V*)(largest + b) + log_positive(t);
    log_likelihood += w > V{} ? w * log_density : V{};
    *(V*)(total + b) = t > V{} ? w / t : V{};
  }
  for (int c = 0; c < k; ++c)
    for (int b = 0; b < BLOCK; b += W)
      *(V*)(lp + c * BLOCK + b) *= *(const V*)(total + b);
  return sum(log_likelihood);
}

// How many rows of a block have a part in a component.
SKGMM_INLINE int count_active(const double* r) {
  I found = {};
  for (int b = 0; b < BLOCK; b += W) found -= *(const V*)(r + b) > V{};
  int count = 0;
  for (int w = 0; w < W; ++w) count += int(found[w]);
  return count;
}

// Whether to gather the active rows: they are few, and work on a row is more than that.
SKGMM_INLINE bool worth_gathering(int count, int d) { return d >= 8 && 6 * count < BLOCK; }

// Gather the rows of a block that have a part in a component into panels of their own,
// minus its mean, and their parts; return the number of panels.
int gather(const double* z, const double* r, const double* mean, int d, int e, double* x,
           double* part) {
  int index[BLOCK + 1], count = 0;
  for (int b = 0; b < BLOCK; ++b) {
    index[count] = b;
    count += r[b] > 0.0;
  }
  const int n_panels = (count + PANEL - 1) / PANEL;
  for (int t = 0; t < n_panels * PANEL; ++t) {
    double* to = x + (t / PANEL) * e * PANEL + t % PANEL;
    const int b = t < count ? index[t] : 0;
    const double* from = z + (b / PANEL) * d * PANEL + b % PANEL;
    for (int j = 0; j < d; ++j) to[j * PANEL] = from[j * PANEL] - mean[j];
    part[t] = t < count ? r[b] : 0.0;
  }
  return n_panels;
}

// ---- forms: what the E-step and the sums of each are --------------------------------
//
// A form has prepare(model), log_joint(z, lp) and accumulate(z, r).

struct Full {
  const Model& model;
  double *packed, *centred, *augmented, *roots;

  static std::size_t scratch(const Model& m) {
    const std::size_t block = padded(std::size_t(m.n_features + 1) * BLOCK);
    const std::size_t square = std::size_t(m.n_features + 1) * (m.n_features + 1);
    return m.n_components * (packed_size(m.n_features) + padded(square)) + block +
           BLOCK;
  }

  Full(const Model& m, Scratch& memory) : model(m) {
    const int d = m.n_features, k = m.n_components;
    packed = memory.take(k * packed_size(d));
    for (int c = 0; c < k; ++c)
      pack_lower(m.whiteners + std::size_t(c) * d * d, d, packed + c * packed_size(d));
    centred = memory.take((d + 1) * BLOCK);
    roots = memory.take(BLOCK);
    const std::size_t square = padded(std::size_t(d + 1) * (d + 1));
    augmented = memory.take(k * square);
    std::memset(augmented, 0, k * square * 8);
  }

  void log_joint(const double* z, double* lp) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      const double* w = packed + c * packed_size(d);
      const V coefficient = splat(model.log_coefficients[c]);
      for (int p = 0; p < NP; ++p) {
        V q[NV] = {};
        subtract_mean(z + p * d * PANEL, model.means + c * d, d, centred);
        lower_product(w, d, (const V*)centred, [&](int, const V* y) {
          for (int v = 0; v < NV; ++v) q[v] += y[v] * y[v];
        });
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v) out[v] = coefficient - 0.5 * q[v];
      }
    }
  }

  // Rows, extended by a one, times the roots of their parts: the second moments of
  // these hold all three sums.
  void accumulate(const double* z, const double* r, const double*) {
    const int d = model.n_features, e = d + 1;
    const std::size_t square = padded(std::size_t(e) * e);
    for (int c = 0; c < model.n_components; ++c) {
      const double *own = r + c * BLOCK, *mean = model.means + c * d;
      const int count = count_active(own);
      if (count == 0) continue;
      const bool few = worth_gathering(count, d);
      const int n_panels = few ? gather(z, own, mean, d, e, centred, roots) : NP;
      const double* part = few ? roots : own;
      for (int b = 0; b < n_panels * PANEL; ++b) roots[b] = __builtin_sqrt(part[b]);
      for (int p = 0; p < n_panels; ++p) {
        const V* root = (const V*)(roots + p * PANEL);
        const V* from = (const V*)(few ? centred + p * e * PANEL : z + p * d * PANEL);
        V* x = (V*)(centred + p * e * PANEL);
        for (int j = 0; j < d; ++j) {
          const V m = splat(few ? 0.0 : mean[j]);
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


// Full with D known when compiled: nothing leaves the registers.
template <int D>
struct SmallFull {
  static constexpr int N_SUMS = 1 + D + D * (D + 1) / 2;  // count, first, second
  const Model& model;
  double* sums;

  static std::size_t scratch(const Model& m) {
    return padded(std::size_t(m.n_components) * N_SUMS);
  }

  SmallFull(const Model& m, Scratch& memory) : model(m) {
    sums = memory.take(std::size_t(m.n_components) * N_SUMS);
    std::memset(sums, 0, std::size_t(m.n_components) * N_SUMS * 8);
  }

  void log_joint(const double* z, double* lp) {
    for (int c = 0; c < model.n_components; ++c) {
      const double *w = model.whiteners + c * D * D, *mean = model.means + c * D;
      const double coefficient = model.log_coefficients[c];
      for (int p = 0; p < NP; ++p)
        for (int v = 0; v < NV; ++v) {
          const V* from = (const V*)(z + p * D * PANEL) + v;
          V x[D], q = {};
#pragma GCC unroll 4
          for (int i = 0; i < D; ++i) {
            x[i] = from[i * NV] - mean[i];
            V y = w[i * D] * x[0];
#pragma GCC unroll 4
            for (int j = 1; j <= i; ++j) y += w[i * D + j] * x[j];
            q += y * y;
          }
          *((V*)(lp + c * BLOCK + p * PANEL) + v) = coefficient - 0.5 * q;
        }
    }
  }

  void accumulate(const double* z, const double* r, const double*) {
    for (int c = 0; c < model.n_components; ++c) {
      const double* mean = model.means + c * D;
      V total[N_SUMS] = {};
      for (int p = 0; p < NP; ++p)
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
#pragma GCC unroll 4
            for (int j = 0; j <= i; ++j) total[n++] += t * x[j];
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
      for (int i = 0; i < D; ++i)
        for (int j = 0; j <= i; ++j) result.second[(c * D + i) * D + j] += *from++;
    }
  }
};

// Squared distances of a block from means, each feature times a factor: 4 panels'
// sums at once.  `factor` is null for factors of one.
SKGMM_INLINE void distances(const double* z, const double* mean, const double* factor,
                            int d, int p, V* q) {
  const V* x = (const V*)(z + p * d * PANEL);
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

// Panels of rows with a one after their features.
SKGMM_INLINE void extend(const double* z, int d, double* out) {
  for (int p = 0; p < NP; ++p) {
    std::memcpy(out + p * (d + 1) * PANEL, z + p * d * PANEL, std::size_t(d) * PANEL * 8);
    for (int b = 0; b < PANEL; ++b) out[(p * (d + 1) + d) * PANEL + b] = 1.0;
  }
}

// Add to out (k, e) the sums over rows of r[c] * x[j]; r is (k, BLOCK).
SKGMM_INLINE void add_products_of_rows(const double* r, int k, const double* x, int e,
                                       double* out) {
  for (int c = 0; c < k; c += SUM_ROWS)
    for (int j = 0; j < e; j += SUM_COLUMNS)
      sum_rows_of(smaller(SUM_ROWS, k - c), smaller(SUM_COLUMNS, e - j))(r + c * BLOCK, x + j * PANEL,
                                                             e, out + c * e + j);
}

// Add the counts, and the first moments about the means, from sums of r [z; 1]'.
void add_first(const Model& model, const double* moments, const Sums& sums) {
  const int d = model.n_features;
  for (int c = 0; c < model.n_components; ++c) {
    const double* from = moments + std::size_t(c) * (d + 1);
    for (int j = 0; j < d; ++j)
      sums.first[c * d + j] += from[j] - from[d] * model.means[c * d + j];
    sums.count[c] += from[d];
  }
}

struct Diag {
  const Model& model;
  double* sums;  // (K, 2 D + 1): first, second, count
  double *centred, *parts, *zeros;

  static std::size_t scratch(const Model& m) {
    const std::size_t d = m.n_features, k = m.n_components;
    return padded(k * (2 * d + 1)) + padded(d * BLOCK) + BLOCK + padded(d);
  }

  Diag(const Model& m, Scratch& memory) : model(m) {
    const std::size_t d = m.n_features, k = m.n_components;
    sums = memory.take(k * (2 * d + 1));
    std::memset(sums, 0, k * (2 * d + 1) * 8);
    centred = memory.take(d * BLOCK);
    parts = memory.take(BLOCK);
    zeros = memory.take(d);
    std::memset(zeros, 0, d * 8);
  }

  void log_joint(const double* z, double* lp) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      const V coefficient = splat(model.log_coefficients[c]);
      for (int p = 0; p < NP; ++p) {
        V q[NV];
        distances(z, model.means + c * d, model.whiteners + c * d, d, p, q);
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v) out[v] = coefficient - 0.5 * q[v];
      }
    }
  }

  void accumulate(const double* z, const double* r, const double*) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      double* out = sums + c * (2 * d + 1);
      const double *own = r + c * BLOCK, *mean = model.means + c * d;
      const int count = count_active(own);
      if (count == 0) continue;
      if (worth_gathering(count, d)) {
        const int n_panels = gather(z, own, mean, d, d, centred, parts);
        add_moments(centred, parts, zeros, d, n_panels, out);
      } else {
        add_moments(z, own, mean, d, NP, out);
      }
    }
  }

  static void add_moments(const double* z, const double* part, const double* mean, int d,
                          int n_panels, double* out) {
    V count = {};
    for (int b = 0; b < n_panels * PANEL; b += W) count += *(const V*)(part + b);
    out[2 * d] += sum(count);
    for (int j = 0; j < d; ++j) {
      const V m = splat(mean[j]);
      V first[2] = {}, second[2] = {};
      for (int p = 0; p < n_panels; ++p) {
        const V* x = (const V*)(z + (p * d + j) * PANEL);
        const V* w = (const V*)(part + p * PANEL);
        for (int v = 0; v < NV; ++v) {
          const V y = x[v] - m, t = w[v] * y;
          first[v % 2] += t;
          second[v % 2] += t * y;
        }
      }
      out[j] += sum(first[0] + first[1]);
      out[d + j] += sum(second[0] + second[1]);
    }
  }

  void finish(const Sums& result) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      const double* from = sums + c * (2 * d + 1);
      for (int j = 0; j < d; ++j) result.first[c * d + j] += from[j];
      for (int j = 0; j < d; ++j) result.second[c * d + j] += from[d + j];
      result.count[c] += from[2 * d];
    }
  }
};

struct Spherical {
  const Model& model;
  double *squares, *extended, *moments, *second;

  static std::size_t scratch(const Model& m) {
    const std::size_t k = m.n_components, e = m.n_features + 1;
    return padded(k * BLOCK) + padded(e * BLOCK) + padded(k * e) + padded(k);
  }

  Spherical(const Model& m, Scratch& memory) : model(m) {
    const std::size_t k = m.n_components, e = m.n_features + 1;
    squares = memory.take(k * BLOCK);
    extended = memory.take(e * BLOCK);
    moments = memory.take(k * e);
    second = memory.take(k);
    std::memset(moments, 0, k * e * 8);
    std::memset(second, 0, k * 8);
  }

  void log_joint(const double* z, double* lp) {
    const int d = model.n_features;
    for (int c = 0; c < model.n_components; ++c) {
      const V coefficient = splat(model.log_coefficients[c]);
      const double factor = -0.5 * model.whiteners[c] * model.whiteners[c];
      for (int p = 0; p < NP; ++p) {
        V* q = (V*)(squares + c * BLOCK + p * PANEL);
        distances(z, model.means + c * d, nullptr, d, p, q);
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v) out[v] = coefficient + factor * q[v];
      }
    }
  }

  void accumulate(const double* z, const double* r, const double*) {
    const int d = model.n_features, k = model.n_components;
    extend(z, d, extended);
    add_products_of_rows(r, k, extended, d + 1, moments);
    for (int c = 0; c < k; ++c) {
      V total = {};
      for (int b = 0; b < BLOCK; b += W)
        total += *(const V*)(r + c * BLOCK + b) * *(const V*)(squares + c * BLOCK + b);
      second[c] += sum(total);
    }
  }

  void finish(const Sums& sums) {
    add_first(model, moments, sums);
    for (int c = 0; c < model.n_components; ++c)
      sums.second[c] += second[c] / model.n_features;
  }
};

struct Tied {
  const Model& model;
  double *packed, *centred, *white, *white_means, *weighted, *extended, *moments, *total;

  static std::size_t scratch(const Model& m) {
    const std::size_t k = m.n_components, d = m.n_features, e = d + 1;
    return packed_size(d) + 3 * padded(d * BLOCK) + padded(k * d) + padded(e * BLOCK) +
           padded(k * e) + padded(d * d);
  }

  Tied(const Model& m, Scratch& memory) : model(m) {
    const std::size_t k = m.n_components, d = m.n_features, e = d + 1;
    packed = memory.take(packed_size(d));
    pack_lower(m.whiteners, d, packed);
    centred = memory.take(d * BLOCK);
    white = memory.take(d * BLOCK);
    weighted = memory.take(d * BLOCK);
    white_means = memory.take(k * d);
    for (std::size_t c = 0; c < k; ++c)
      for (std::size_t i = 0; i < d; ++i) {
        double y = 0;
        for (std::size_t j = 0; j <= i; ++j)
          y += m.whiteners[i * d + j] * (m.means[c * d + j] - m.common_centre[j]);
        white_means[c * d + i] = y;
      }
    extended = memory.take(e * BLOCK);
    moments = memory.take(k * e);
    total = memory.take(d * d);
    std::memset(moments, 0, k * e * 8);
    std::memset(total, 0, d * d * 8);
  }

  void log_joint(const double* z, double* lp) {
    const int d = model.n_features;
    for (int p = 0; p < NP; ++p) {
      subtract_mean(z + p * d * PANEL, model.common_centre, d, centred + p * d * PANEL);
      V* out = (V*)(white + p * d * PANEL);
      lower_product(packed, d, (const V*)(centred + p * d * PANEL),
                    [&](int j, const V* y) {
                      for (int v = 0; v < NV; ++v) out[j * NV + v] = y[v];
                    });
    }
    for (int c = 0; c < model.n_components; ++c) {
      const V coefficient = splat(model.log_coefficients[c]);
      for (int p = 0; p < NP; ++p) {
        V q[NV];
        distances(white, white_means + c * d, nullptr, d, p, q);
        V* out = (V*)(lp + c * BLOCK + p * PANEL);
        for (int v = 0; v < NV; ++v) out[v] = coefficient - 0.5 * q[v];
      }
    }
  }

  // About the common centre; the caller turns total into within scatter.
  void accumulate(const double*, const double* r, const double* weight) {
    const int d = model.n_features;
    extend(centred, d, extended);
    add_products_of_rows(r, model.n_components, extended, d + 1, moments);
    for (int p = 0; p < NP; ++p) {
      const V* w = (const V*)(weight + p * PANEL);
      const V* x = (const V*)(centred + p * d * PANEL);
      V* y = (V*)(weighted + p * d * PANEL);
      for (int j = 0; j < d; ++j)
        for (int v = 0; v < NV; ++v) y[j * NV + v] = w[v] * x[j * NV + v];
    }
    add_products(weighted, d, centred, d, total, d, NP, true);
  }

  void finish(const Sums& sums) {
    const int d = model.n_features, e = d + 1;
    for (int c = 0; c < model.n_components; ++c) {
      const double* from = moments + std::size_t(c) * e;
      for (int j = 0; j < d; ++j) sums.first[c * d + j] += from[j];
      sums.count[c] += from[d];
    }
    for (int i = 0; i < d; ++i)
      for (int j = 0; j <= i; ++j) sums.second[i * d + j] += total[i * d + j];
  }
};

// ---- passes -------------------------------------------------------------------------

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
  Form form(model, memory);
  double log_likelihood = 0;
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK) {
    const int64_t left = rows.n_rows - begin;
    load_block(rows, begin, left < BLOCK ? int(left) : BLOCK, z, weight);
    form.log_joint(z, lp);
    log_likelihood += responsibilities(lp, k, weight, total, largest);
    form.accumulate(z, lp, weight);
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
  Form form(model, memory);
  for (int64_t begin = 0; begin < rows.n_rows; begin += BLOCK) {
    const int64_t left = rows.n_rows - begin;
    const int count = left < BLOCK ? int(left) : BLOCK;
    load_block(rows, begin, count, z, weight);
    form.log_joint(z, lp);
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
    exponentials(lp, k, total, largest);
    for (int b = 0; b < BLOCK; b += W)
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

bool statistics_full(const Rows& rows, const Model& model, const Sums& sums) {
  switch (model.n_features) {
    case 1: return statistics<SmallFull<1>>(rows, model, sums);
    case 2: return statistics<SmallFull<2>>(rows, model, sums);
    case 3: return statistics<SmallFull<3>>(rows, model, sums);
    case 4: return statistics<SmallFull<4>>(rows, model, sums);
    default: return statistics<Full>(rows, model, sums);
  }
}

bool densities_full(const Rows& rows, const Model& model, const Densities& out) {
  switch (model.n_features) {
    case 1: return densities<SmallFull<1>>(rows, model, out);
    case 2: return densities<SmallFull<2>>(rows, model, out);
    case 3: return densities<SmallFull<3>>(rows, model, out);
    case 4: return densities<SmallFull<4>>(rows, model, out);
    default: return densities<Full>(rows, model, out);
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

}  // namespace

#define SKGMM_CONCAT(a, b) a##b
#define SKGMM_NAME(a, b) SKGMM_CONCAT(a, b)

extern const Passes SKGMM_NAME(skgmm_passes_, SKGMM_ISA);
const Passes SKGMM_NAME(skgmm_passes_, SKGMM_ISA) = {
    {statistics_full, statistics<Tied>, statistics<Diag>, statistics<Spherical>},
    {densities_full, densities<Tied>, densities<Diag>, densities<Spherical>},
    exponentials_of,
    logarithms_of,
};
