// Scores of many items, exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ahead.hpp"
#include "hits.hpp"
#include "rows.hpp"

namespace sparrow {

// Visit each of the items item_at(0..n-1) with its score, a float or eight in one, in that order.
template <typename Score, typename Query, typename ItemAt, typename Visit>
void each_score(const Rows &rows, const Query &query, std::size_t n, ItemAt item_at, Visit visit) {
    std::size_t items[kTogether];
    Score scores[kTogether];
    read_ahead(rows, n, item_at, [&](std::size_t i) {
        const std::size_t place = i % kTogether;
        items[place] = item_at(i);
        if (place + 1 == kTogether || i + 1 == n) {
            score_together(rows, items, place + 1, query, scores);
            for (std::size_t j = 0; j <= place; j++) {
                visit(items[j], scores[j]);
            }
        }
    });
}

// Visit each of the items item_at(0..n-1) as a Hit, in that order.
template <typename ItemAt, typename Visit>
void score_each(const Rows &rows, const float *query, std::size_t n, ItemAt item_at, Visit visit) {
    each_score<float>(rows, query, n, item_at,
                      [&](std::size_t item, float score) { visit(Hit{score, static_cast<std::int32_t>(item)}); });
}

// Some rows of a matrix, by number; a view.
struct Chosen {
    const Rows &rows;
    const std::int32_t *numbers;  // (n,): they must exist
    std::size_t n;

    std::size_t operator[](std::size_t i) const { return static_cast<std::size_t>(numbers[i]); }
};

// The scores of items for each of other rows, before their scale, as a query: (queries.n, items.n), query by query.
// Where there is a mask, (n_dims,), queries are taken for 0 at the dims where it is 0.
std::vector<float> score_for_each(const Chosen &items, const Chosen &queries, const float *mask = nullptr);

// The cosine of each of some rows to each, (n, n), row by row; 0 for one without a value. Rows have no scale here.
std::vector<float> cosines(const Chosen &chosen);

}  // namespace sparrow
