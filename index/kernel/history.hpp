// What of a history counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "items.hpp"

namespace sparrow {

// What was done with items, in columns; a view.
struct Acts {
    const std::int32_t *rows;  // below 0: of an item that is not there
    const double *times;
    const double *weights;
    std::size_t n;
};

// The places of the acts that count, those of the newest items first: of each item the strongest, the newest among
// equals. None counts that is weaker than `least`, and of hidden items only what is below 0. Of equal times the first
// is the newest; NaN is older than any. Bit for bit index/reference.py.
std::vector<std::int64_t> strongest(const Acts &acts, const Excluded &hidden, double least);

}  // namespace sparrow
