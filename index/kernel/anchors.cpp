#include "anchors.hpp"

#include <algorithm>
#include <cmath>

namespace sparrow {
namespace {

using Places = std::vector<std::int64_t>;

Places strong_ones(const float *weights, std::size_t n, float share) {
    Places strong;
    const float least = n == 0 ? 0.0f : share * *std::max_element(weights, weights + n);
    for (std::size_t i = 0; i < n; i++) {
        if (weights[i] >= least) {
            strong.push_back(static_cast<std::int64_t>(i));
        }
    }
    return strong;
}

// The first of those at the median or above.
Places well_known(const Places &places, const Chosen &history, const float *users, std::size_t most) {
    std::vector<float> known(places.size());
    std::transform(places.begin(), places.end(), known.begin(), [&](std::int64_t place) {
        return std::fmax(0.0f, users[history[static_cast<std::size_t>(place)]]);  // never NaN
    });
    std::vector<float> sorted = known;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    Places found;
    for (std::size_t i = 0; i < places.size() && found.size() < most; i++) {
        if (known[i] >= *middle) {
            found.push_back(places[i]);
        }
    }
    return found;
}

}  // namespace

std::vector<std::int64_t> anchors(const Chosen &history, const float *weights, const float *users,
                                  const AnchorRules &rules) {
    const Places tried = well_known(strong_ones(weights, history.n, rules.strong), history, users, rules.most);
    std::vector<std::int32_t> numbers;
    for (const std::int64_t place : tried) {
        numbers.push_back(history.numbers[place]);
    }
    const std::vector<float> near = cosines({history.rows, numbers.data(), numbers.size()});
    std::vector<std::size_t> apart;
    for (std::size_t i = 0; i < tried.size(); i++) {
        const float *own = near.data() + i * tried.size();
        if (std::all_of(apart.begin(), apart.end(), [&](std::size_t j) { return own[j] <= rules.distinct; })) {
            apart.push_back(i);
        }
    }
    Places found;
    for (const std::size_t i : apart) {
        found.push_back(tried[i]);
    }
    return found;
}

}  // namespace sparrow
