// How well items go both with one item of a history and with all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace sparrow {

// Items with what the history speaks for each; a view.
struct Pool {
    const std::int32_t *items;  // (n,): they must exist
    const float *taste;         // (n,)
    std::size_t n;
};

// Items of a history, and the queries that each of them alone makes; a view.
struct Heads {
    const std::int32_t *items;  // (n,)
    const float *queries;       // (n, n_dims)
    std::size_t n;
};

struct Likeness {
    std::vector<float> scores;  // (n_heads, n_pool): sqrt(score * taste), 0 where that is less and for the head itself
    std::vector<double> worth;  // (n_heads,): the sum of the best of each
};

// Worth is of the `n_best` best, summed in ascending order.
Likeness likeness(const Rows &rows, const Heads &heads, const Pool &pool, std::size_t n_best);

}  // namespace sparrow
