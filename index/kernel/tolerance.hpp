// How far a score computed fast may lie from the score that is answered.
//
// A fast score takes rounded values and sums in any order. With u = 2^-24 and g(m) = m u / (1 - m u), a sum of m
// rounded products is off by at most g(m + 1) times the sum of their sizes, and that sum is at most |row| |query|
// (Cauchy and Schwarz). (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1)
#pragma once

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <limits>

#include "postings.hpp"
#include "query.hpp"

namespace sparrow {

// Rounding errors of a stored value or of a query: relative, or absolute where the value is subnormal.
constexpr double kHalfError = 0x1p-11 * (1.0 + 0x1p-8);
constexpr double kHalfStep = 0x1p-25 * (1.0 + 0x1p-8);
constexpr double kBfloatError = 0x1p-9 * (1.0 + 0x1p-6);

// Of summing a row of `length` non-zeros twice, fast and exactly, as a share of |row| |query|; infinity if no bound
// holds.
inline double summing_error(std::size_t length) {
    const double steps = (static_cast<double>(length) + 4.0) * 0x1p-24;
    return steps < 0.5 ? 2.0 * steps / (1.0 - steps) : std::numeric_limits<double>::infinity();
}

// Products below the normal range of float32 may vanish.
inline double underflow_error(std::size_t length) { return 4.0 * (static_cast<double>(length) + 1.0) * FLT_MIN; }

// Of any score that is summed from the lines of a block.
inline double rounding_error(const Postings &postings, std::size_t block, const Query &query) {
    const std::size_t length = postings.lengths[block];
    const double share = kHalfError + summing_error(length);
    return static_cast<double>(postings.norms[block]) * query.norm() * share +
           static_cast<double>(postings.units[block]) * query.sum() * kHalfStep + underflow_error(length);
}

// A float below x.
inline float below(double x) { return std::nextafter(static_cast<float>(x), -std::numeric_limits<float>::infinity()); }

}  // namespace sparrow
