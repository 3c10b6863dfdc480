// Scores of many items, exactly.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ahead.hpp"
#include "hits.hpp"
#include "rows.hpp"

namespace sparrow {

// Visit each of the items item_at(0..n-1) as a Hit, in that order.
template <typename ItemAt, typename Visit>
void score_each(const Rows &rows, const float *query, std::size_t n, ItemAt item_at, Visit visit) {
    std::size_t items[kTogether];
    float scores[kTogether];
    read_ahead(rows, n, item_at, [&](std::size_t i) {
        const std::size_t place = i % kTogether;
        items[place] = item_at(i);
        if (place + 1 == kTogether || i + 1 == n) {
            score_together(rows, items, place + 1, query, scores);
            for (std::size_t j = 0; j <= place; j++) {
                visit(Hit{scores[j], static_cast<std::int32_t>(items[j])});
            }
        }
    });
}

// Their scores for each of queries of (n_dims,) that lie one behind the other, query by query.
inline void score_for_each(const Rows &rows, const float *queries, std::size_t n_queries, const std::int32_t *items,
                           std::size_t n, float *scores) {
    for (std::size_t query = 0; query < n_queries; query++) {
        score_each(
            rows, queries + query * rows.n_dims, n, [&](std::size_t i) { return static_cast<std::size_t>(items[i]); },
            [&](Hit hit) { *scores++ = hit.score; });
    }
}

}  // namespace sparrow
