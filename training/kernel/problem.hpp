// What a step works on: item rows with values at fixed positions, and the histories of a batch of users.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sparrow {

// Users who are computed side by side.
constexpr std::size_t kLanes = 16;

// k values in each row, of unit length; row-major.
struct Rows {
    const float *values;
    const std::int32_t *dims;
    std::size_t n_rows, k, n_dims;
};

// The users' items, one behind the other, each user's items distinct.
struct Histories {
    const std::int64_t *starts;
    const std::int32_t *items;
    std::size_t n_users;
};

struct Problem {
    Rows rows;
    Histories histories;
    // The rows that are scored, or null for all; and where in them an item is. All items of the histories are among
    // them.
    const std::int32_t *outputs;
    const std::int32_t *place;
    std::size_t n_outputs;
    // Keep so many largest |q_d| of a user vector; 0: all.
    std::size_t query_dims;
    // Losses are summed over users and divided by this.
    double denominator;
};

}  // namespace sparrow
