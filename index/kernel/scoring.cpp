#include "scoring.hpp"

#include <algorithm>
#include <cmath>

namespace sparrow {
namespace {

EightQueries side_by_side(const Chosen &queries, std::size_t first, std::size_t last, const float *mask) {
    EightQueries beside(queries.rows.n_dims);
    for (std::size_t i = first; i < last; i++) {
        each_value(queries.rows, queries[i], [&](std::size_t dim, float value) {
            if (mask == nullptr || mask[dim] != 0.0f) {
                beside.set(i - first, dim, value);
            }
        });
    }
    return beside;
}

}  // namespace

std::vector<float> score_for_each(const Chosen &items, const Chosen &queries, const float *mask) {
    std::vector<float> scores(queries.n * items.n);
    const auto item_at = [&](std::size_t i) { return items[i]; };
    for (std::size_t first = 0; first < queries.n; first += kEight) {
        const std::size_t last = std::min(first + kEight, queries.n);
        const EightQueries beside = side_by_side(queries, first, last, mask);
        float *next = scores.data() + first * items.n;
        each_score<Eight>(items.rows, beside, items.n, item_at, [&](std::size_t, const Eight &found) {
            for (std::size_t query = 0; query < last - first; query++) {
                next[query * items.n] = found[query];
            }
            next++;
        });
    }
    return scores;
}

std::vector<float> cosines(const Chosen &chosen) {
    const std::size_t n = chosen.n;
    std::vector<float> found = score_for_each(chosen, chosen), lengths(n);
    for (std::size_t i = 0; i < n; i++) {
        const float length = std::sqrt(found[i * n + i]);
        lengths[i] = length == 0.0f ? 1.0f : length;
    }
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t j = 0; j < n; j++) {
            found[i * n + j] = found[i * n + j] / lengths[j] / lengths[i];
        }
    }
    return found;
}

}  // namespace sparrow
