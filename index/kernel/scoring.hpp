// Scores of many items, exactly, while the memory already fetches those that come next.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hits.hpp"
#include "rows.hpp"

namespace sparrow {

// Visit each of the items item_at(0..n-1) as a Hit, in that order.
template <typename ItemAt, typename Visit>
void score_each(const Rows &rows, const float *query, std::size_t n, ItemAt item_at, Visit visit) {
    constexpr std::size_t kAhead = 6;                    // rows on their way; as many again that we look up
    constexpr std::size_t kNear = std::size_t{1} << 18;  // non-zeros that a cache holds: nothing to fetch
    const std::size_t n_fetched = rows.n_nonzeros > kNear ? n : 0;
    for (std::size_t i = 0; i < n_fetched && i < 2 * kAhead; i++) {
        prefetch_start(rows, item_at(i));
    }
    for (std::size_t i = 0; i < n_fetched && i < kAhead; i++) {
        prefetch_row(rows, item_at(i));
    }
    for (std::size_t i = 0; i < n; i++) {
        if (i + 2 * kAhead < n_fetched) {
            prefetch_start(rows, item_at(i + 2 * kAhead));
        }
        if (i + kAhead < n_fetched) {
            prefetch_row(rows, item_at(i + kAhead));
        }
        const std::size_t item = item_at(i);
        visit(Hit{score(rows, item, query), static_cast<std::int32_t>(item)});
    }
}

}  // namespace sparrow
