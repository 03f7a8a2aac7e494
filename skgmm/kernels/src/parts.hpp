// Parts of rows, whose sums are made by several threads and added in order: how many there
// are depends on the sizes only, so sums are the same for any number of threads.

#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "crew.hpp"
#include "interface.hpp"

inline int64_t blocks_of(int64_t n_rows) { return (n_rows + BLOCK - 1) / BLOCK; }

// A power of two, of parts that have a few whole blocks, since each prepares for itself what
// a pass needs, and work that is worth a thread: a few times what it takes to hand it out.
inline int parts_of(int64_t n_rows, int n_components, int n_features) {
  constexpr double BLOCKS = 3, MULTIPLICATIONS = 2e5, MOST = 16;
  const double d = n_features, work = double(n_rows) * n_components * d * (d + 10);
  const double parts = std::min({blocks_of(n_rows) / BLOCKS, work / MULTIPLICATIONS, MOST});
  int n_parts = 1;
  while (2 * n_parts <= parts) n_parts *= 2;
  return n_parts;
}

// The first row of a part, and that of the next.
inline std::pair<int64_t, int64_t> range_of(int part, int n_parts, int64_t n_rows) {
  const auto first = [&](int part) {
    return std::min(blocks_of(n_rows) * part / n_parts * BLOCK, n_rows);
  };
  return {first(part), first(part + 1)};
}

inline Rows between(Rows rows, int64_t begin, int64_t end) {
  const std::size_t size = rows.is_float32 ? sizeof(float) : sizeof(double);
  rows.data = static_cast<const char*>(rows.data) + begin * rows.row_stride * int64_t(size);
  rows.weight += begin * rows.weight_stride;
  rows.n_rows = end - begin;
  return rows;
}

inline Panels between(Panels panels, int n_features, int64_t begin, int64_t end) {
  return {end - begin, panels.values + begin * n_features, panels.weights + begin};
}

// The patterns of a part of rows with holes.
struct PartOfHoles {
  int64_t first;  // pattern
  std::vector<int64_t> offsets;

  Holes view(const Holes& holes, int n_features) const {
    return {int64_t(offsets.size()) - 1, offsets.data(), holes.observed + first * n_features,
            holes.varies};
  }
};

inline std::vector<PartOfHoles> parts_of(const Holes& holes, int64_t n_rows, int n_parts) {
  std::vector<PartOfHoles> parts(n_parts);
  const int64_t* const last = holes.offsets + holes.n_patterns;
  for (int part = 0; part < n_parts; ++part) {
    const auto [begin, end] = range_of(part, n_parts, n_rows);
    const int64_t* from = std::upper_bound(holes.offsets, last, begin) - 1;
    parts[part].first = from - holes.offsets;
    for (; from <= last; ++from) {
      parts[part].offsets.push_back(std::clamp(*from, begin, end) - begin);
      if (*from >= end) break;
    }
  }
  return parts;
}

// Call use(part) for each: in any order and thread if there is a crew.
template <typename Use>
void for_each_part(Crew* crew, int n_parts, const Use& use) {
  if (crew && n_parts > 1) {
    crew->run(n_parts, [](const void* use, int part) { (*static_cast<const Use*>(use))(part); },
              &use);
    return;
  }
  for (int part = 0; part < n_parts; ++part) use(part);
}
