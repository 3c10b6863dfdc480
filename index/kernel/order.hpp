// The order of what a search finds: descending score, equal scores by ascending item.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "half.hpp"

namespace sparrow {

struct Hit {
    float score;
    std::int32_t item;
};

using Hits = std::vector<Hit>;

struct Better {
    bool operator()(const Hit &a, const Hit &b) const {
        return a.score > b.score || (a.score == b.score && a.item < b.item);
    }
};

// A number that ascends in that order: the bits of floats that are not NaN, and of integers, do so within a sign. 0 and
// -0 are equal.
inline std::uint64_t place_in_order(const Hit &hit) {
    constexpr std::uint32_t kNegative = 0x80000000u;
    const std::uint32_t bits = bits_of(hit.score + 0.0f);
    const std::uint32_t descending = (bits & kNegative) != 0 ? bits : ~(bits | kNegative);
    return static_cast<std::uint64_t>(descending) << 32 | (static_cast<std::uint32_t>(hit.item) ^ kNegative);
}

// Sort hits, best first. From some on by the digits of their places, the last digit first: it
// cannot be predicted which of two hits is better, so that each comparison would take as long as ten such steps.
inline void sort(Hits &hits) {
    constexpr std::size_t kFew = 64, kDigits = 8, kValues = 256;
    if (hits.size() < kFew) {
        return std::sort(hits.begin(), hits.end(), Better());
    }
    const auto digit = [](const Hit &hit, std::size_t d) { return place_in_order(hit) >> (8 * d) & (kValues - 1); };
    std::array<std::array<std::uint32_t, kValues>, kDigits> counts{};
    for (const Hit &hit : hits) {
        for (std::size_t d = 0; d < kDigits; d++) {
            counts[d][digit(hit, d)]++;
        }
    }
    Hits sorted(hits.size());
    for (std::size_t d = 0; d < kDigits; d++) {
        std::array<std::uint32_t, kValues> &next = counts[d];
        if (next[digit(hits[0], d)] == hits.size()) {
            continue;  // all have this digit
        }
        std::uint32_t before = 0;
        for (std::uint32_t &count : next) {
            before += std::exchange(count, before);
        }
        for (const Hit &hit : hits) {
            sorted[next[digit(hit, d)]++] = hit;
        }
        hits.swap(sorted);
    }
}

}  // namespace sparrow
