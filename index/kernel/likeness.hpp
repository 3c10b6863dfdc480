// How well items go both with one item of a history and with all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scoring.hpp"

namespace sparrow {

// Items of a history, and the queries that each of them alone makes; a view.
struct Heads {
    const std::int32_t *items;  // (queries.n,)
    Chosen queries;
};

struct Likeness {
    std::vector<float> scores;  // (n_heads, n_pool): sqrt(score * taste), 0 where that is less and for the head itself
    std::vector<double> worth;  // (n_heads,): the sum of the best of each
};

// Taste is what the history speaks for each item of the pool, (pool.n,). Worth is of the `n_best` best, summed in
// ascending order.
Likeness likeness(const Chosen &pool, const float *taste, const Heads &heads, std::size_t n_best);

}  // namespace sparrow
