// Rows read one by one, while the memory already fetches those that come next.
#pragma once

#include <cstddef>

#include "rows.hpp"

namespace sparrow {

// Visit i = 0..n-1 in that order, where row_at(i) is about to be read.
template <typename RowAt, typename Visit>
void read_ahead(const Rows &rows, std::size_t n, RowAt row_at, Visit visit) {
    constexpr std::size_t kAhead = 6;                    // rows on their way; as many again that we look up
    constexpr std::size_t kNear = std::size_t{1} << 16;  // non-zeros that a cache holds with all else: nothing to fetch
    const std::size_t n_fetched = rows.n_nonzeros > kNear ? n : 0;
    for (std::size_t i = 0; i < n_fetched && i < 2 * kAhead; i++) {
        prefetch_start(rows, row_at(i));
    }
    for (std::size_t i = 0; i < n_fetched && i < kAhead; i++) {
        prefetch_row(rows, row_at(i));
    }
    for (std::size_t i = 0; i < n; i++) {
        if (i + 2 * kAhead < n_fetched) {
            prefetch_start(rows, row_at(i + 2 * kAhead));
        }
        if (i + kAhead < n_fetched) {
            prefetch_row(rows, row_at(i + kAhead));
        }
        visit(i);
    }
}

}  // namespace sparrow
