#include "likeness.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "scoring.hpp"

namespace sparrow {
namespace {

float geometric_mean(float score, float taste) {
    const float product = score > 0.0f ? score * taste : 0.0f;
    return product > 0.0f ? std::sqrt(product) : 0.0f;  // never NaN
}

double sum_of_best(const float *scores, std::size_t n, std::size_t n_best) {
    std::vector<float> best(std::min(n, n_best));
    std::partial_sort_copy(scores, scores + n, best.begin(), best.end(), std::greater<float>());
    return std::accumulate(best.rbegin(), best.rend(), 0.0);
}

}  // namespace

Likeness likeness(const Rows &rows, const Heads &heads, const Pool &pool, std::size_t n_best) {
    Likeness found{std::vector<float>(heads.n * pool.n), std::vector<double>(heads.n)};
    score_for_each(rows, heads.queries, heads.n, pool.items, pool.n, found.scores.data());
    for (std::size_t head = 0; head < heads.n; head++) {
        float *scores = found.scores.data() + head * pool.n;
        for (std::size_t i = 0; i < pool.n; i++) {
            scores[i] = pool.items[i] == heads.items[head] ? 0.0f : geometric_mean(scores[i], pool.taste[i]);
        }
        found.worth[head] = sum_of_best(scores, pool.n, n_best);
    }
    return found;
}

}  // namespace sparrow
