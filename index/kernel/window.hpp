// Fast scores of consecutive items, and what takes an item out of the running.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>

#include "items.hpp"
#include "loops.hpp"

namespace sparrow {

// The score of an item that must not be found.
constexpr float kHidden = -std::numeric_limits<float>::infinity();

// Loops read whole vectors, four at a time.
inline std::size_t whole_vectors(std::size_t n) { return (n + 63) / 64 * 64; }

// Hide excluded items and the places behind the last of n items from `first` on.
inline void hide(const Excluded &excluded, std::size_t first, std::size_t n, float *scores) {
    excluded.visit(first, first + n, [&](std::size_t item) { scores[item - first] = kHidden; });
    std::fill(scores + n, scores + whole_vectors(n), kHidden);
}

// The n-th greatest value, kHidden if there are fewer; moves the values about.
inline float nth_greatest(float *values, std::size_t n_values, std::size_t n) {
    if (n == 0 || n_values < n) {
        return kHidden;
    }
    std::replace_if(values, values + n_values, [](float value) { return std::isnan(value); }, kHidden);
    std::nth_element(values, values + (n - 1), values + n_values, std::greater<float>());
    return values[n - 1];
}

// A score that at least n items reach, found without sorting: the n-th greatest of the maxima of groups is reached by n
// items, one a group. With several times n groups, few other items are above it. `n_scores` is a multiple of 16, and
// `maxima` has room for as many.
inline float reached_by(const Loops &loops, const float *scores, std::size_t n_scores, std::size_t n, float *maxima) {
    constexpr std::size_t kGroups = 4;  // for each of the n
    const std::size_t height = std::max<std::size_t>(1, n_scores / (kGroups * n));
    return nth_greatest(maxima, loops.maxima(scores, n_scores / kLine, height, maxima), n);
}

}  // namespace sparrow
