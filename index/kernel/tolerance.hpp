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
constexpr double kBfloatError = 0x1p-8 * (1.0 + 0x1p-6);
constexpr double kBfloatStep = 0x1p-134 * (1.0 + 0x1p-6);

// Of summing a row of `length` non-zeros twice, fast and exactly, as a share of |row| |query|. Where no bound holds,
// the greatest number but infinity, since a norm may be 0.
inline double summing_error(std::size_t length) {
    const double steps = (static_cast<double>(length) + 4.0) * 0x1p-24;
    return steps < 0.5 ? 2.0 * steps / (1.0 - steps) : std::numeric_limits<double>::max();
}

// Products below the normal range of float32 may vanish, before an item scale of at most `scale` multiplies their sum.
inline double underflow_error(std::size_t length, double scale) {
    return 4.0 * (static_cast<double>(length) + 1.0) * FLT_MIN * std::fmax(1.0, scale);
}

// Of any score that is summed from the lines of a block.
inline double rounding_error(const Postings &postings, std::size_t block, const Query &query, double scale) {
    const std::size_t length = postings.lengths[block];
    const double share = kHalfError + summing_error(length);
    return static_cast<double>(postings.norms[block]) * query.norm() * share +
           static_cast<double>(postings.units[block]) * query.sum() * kHalfStep + underflow_error(length, scale);
}

// Of any score of a row of `norm` at most that is summed from its values and a query in bfloat16.
inline double coarse_error(double norm, std::size_t length, const Query &query, double scale) {
    const double share = kBfloatError + summing_error(length);
    return norm * (query.norm_of_largest(length) * share + std::sqrt(static_cast<double>(length)) * kBfloatStep) +
           underflow_error(length, scale);
}

// A float below x.
inline float below(double x) { return std::nextafter(static_cast<float>(x), -std::numeric_limits<float>::infinity()); }

}  // namespace sparrow
