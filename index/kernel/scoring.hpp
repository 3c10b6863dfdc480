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
    read_ahead(rows, n, item_at, [&](std::size_t i) {
        const std::size_t item = item_at(i);
        visit(Hit{score(rows, item, query), static_cast<std::int32_t>(item)});
    });
}

}  // namespace sparrow
