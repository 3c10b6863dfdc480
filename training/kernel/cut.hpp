// Which dims of a user vector are kept.
#pragma once

#include <cstddef>

namespace sparrow {

// All sizes above `last`, and the first `n_tied` of those that equal it.
struct Cut {
    float last;
    std::size_t n_tied;
};

// The cut that keeps the n largest of n_dims sizes, of equal ones the first, as index.query has it; 0 < n <= n_dims.
// `sizes` are put into another order.
Cut cut_to(float *sizes, std::size_t n_dims, std::size_t n);

}  // namespace sparrow
