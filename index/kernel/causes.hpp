// Which item of a history speaks most for each of some targets.
#pragma once

#include <cstdint>
#include <vector>

#include "scoring.hpp"

namespace sparrow {

// For each target the place in the history of what adds most to query . target, weight * (row . target): of items with
// a weight above 0, of equal ones the first; 0 where there is none. A target counts only at dims where the query is not
// 0, and neither rows nor targets have a scale.
std::vector<std::int32_t> causes(const Chosen &history, const float *weights, const float *query,
                                 const Chosen &targets);

}  // namespace sparrow
