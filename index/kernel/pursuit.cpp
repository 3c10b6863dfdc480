#include "pursuit.hpp"

#include <algorithm>
#include <limits>

namespace sparrow {

std::vector<std::int32_t> pursue(const Cosines &cosines, const Candidates &candidates,
                                 const std::vector<std::int32_t> &used, std::size_t count, float same) {
    constexpr double kOut = -std::numeric_limits<double>::infinity();
    std::vector<double> left(candidates.scores, candidates.scores + candidates.n);
    for (std::size_t i = 0; i < candidates.n; i++) {
        const float *near = cosines.row(candidates.numbers[i]);
        if (std::any_of(used.begin(), used.end(), [&](std::int32_t number) { return near[number] > same; })) {
            left[i] = kOut;
        }
    }
    std::vector<std::int32_t> chosen;
    while (chosen.size() < count && !left.empty()) {
        const auto best = std::max_element(left.begin(), left.end());
        if (*best == kOut) {
            break;
        }
        const std::int32_t number = candidates.numbers[best - left.begin()];
        const float *near = cosines.row(number), score = static_cast<float>(std::max(*best, 0.0));
        *best = kOut;
        for (std::size_t i = 0; i < candidates.n; i++) {
            const float cosine = near[candidates.numbers[i]];
            left[i] = cosine > same ? kOut : left[i] - static_cast<double>(score * cosine);
        }
        chosen.push_back(number);
    }
    return chosen;
}

}  // namespace sparrow
