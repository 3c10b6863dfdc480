#include "causes.hpp"

#include <limits>

namespace sparrow {
namespace {

std::int32_t place_of_most(const float *products, const float *weights, std::size_t n) {
    float most = -std::numeric_limits<float>::infinity();
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i++) {
        const float owed = weights[i] * products[i];
        if (weights[i] > 0.0f && owed > most) {
            most = owed;
            found = i;
        }
    }
    return static_cast<std::int32_t>(found);
}

}  // namespace

std::vector<std::int32_t> causes(const Chosen &history, const float *weights, const float *query,
                                 const Chosen &targets) {
    const std::vector<float> products = score_for_each(history, targets, query);
    std::vector<std::int32_t> found(targets.n);
    for (std::size_t target = 0; target < targets.n; target++) {
        found[target] = place_of_most(products.data() + target * history.n, weights, history.n);
    }
    return found;
}

}  // namespace sparrow
