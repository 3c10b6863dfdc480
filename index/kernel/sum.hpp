// From a history to a query: the other direction of a score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace sparrow {

// q = x E, (n_dims,): the sum of weight * value, item after item and in stored order, in double precision, rounded to
// float32 at the end. A value is what score() takes it for, without the item scale. Bit for bit index/reference.py.
std::vector<float> weighted_sum(const Rows &rows, const std::int32_t *items, const float *weights, std::size_t n);

}  // namespace sparrow
