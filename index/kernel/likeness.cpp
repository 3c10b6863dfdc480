#include "likeness.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sparrow {
namespace {

// Without a branch, so that several are made at once. Never NaN, which is not above 0.
float geometric_mean(float score, float taste) {
    return std::sqrt(std::max(0.0f, std::max(0.0f, score) * std::max(0.0f, taste)));
}

// What is not above 0 adds nothing. The best are kept in descending order: what comes in pushes the lower ones down.
double sum_of_best(const float *scores, std::size_t n, std::size_t n_best) {
    std::vector<float> best(std::min(n, n_best));
    for (std::size_t i = 0; i < n && !best.empty(); i++) {
        if (scores[i] > best.back()) {
            for (std::size_t rank = best.size() - 1; rank > 0; rank--) {
                best[rank] = std::max(best[rank], std::min(best[rank - 1], scores[i]));
            }
            best[0] = std::max(best[0], scores[i]);
        }
    }
    return std::accumulate(best.rbegin(), best.rend(), 0.0);
}

}  // namespace

Likeness likeness(const Chosen &pool, const float *taste, const Heads &heads, std::size_t n_best) {
    Likeness found{score_for_each(pool, heads.queries), std::vector<double>(heads.queries.n)};
    for (std::size_t head = 0; head < heads.queries.n; head++) {
        float *scores = found.scores.data() + head * pool.n;
        for (std::size_t i = 0; i < pool.n; i++) {
            const float mean = geometric_mean(scores[i], taste[i]);
            scores[i] = pool.numbers[i] == heads.items[head] ? 0.0f : mean;
        }
        found.worth[head] = sum_of_best(scores, pool.n, n_best);
    }
    return found;
}

}  // namespace sparrow
