#include "pruning.hpp"

#include <algorithm>
#include <cmath>

#include "cost.hpp"

namespace sparrow {

Pruning::Pruning(const Postings &postings, const Query &query, std::size_t n_dims)
    : postings_(postings), query_(query), postings_before_(1, 0.0) {
    const std::uint32_t *lists = postings.lists(0, n_dims);
    postings_before_.reserve(query.active().size() + 1);
    for (const Active &active : query.active()) {
        const double n_postings = static_cast<double>((lists[active.dim + 1] - lists[active.dim]) * kLine);
        postings_before_.push_back(postings_before_.back() + n_postings);
    }
}

void Pruning::observe(const float *scores, std::size_t n, std::size_t m) {
    const std::size_t stride = std::max<std::size_t>(1, n / kSamples);
    float greatest = 0.0f;
    for (std::size_t i = 0; i < n; i += stride) {
        greatest = std::max(greatest, scores[i]);
    }
    const double step = static_cast<double>(greatest) / kBins;
    std::size_t n_seen = 0;
    for (std::size_t i = 0; i < n; i += stride, n_seen++) {
        if (scores[i] > 0.0f) {
            const double bin = std::min<double>(kBins - 1, static_cast<double>(scores[i]) / step);
            share_[static_cast<std::size_t>(bin)] += 1.0f;
        }
    }
    for (std::size_t bin = kBins; bin-- > 0;) {
        share_[bin] += share_[bin + 1];
    }
    for (float &share : share_) {
        share /= static_cast<float>(n_seen);
    }
    step_ = step * query_.head(query_.active().size()) / query_.head(m);
}

// Sums grow with the root of the square that they hold: so they would if values were independent.
double Pruning::share_above(double bound, std::size_t m) const {
    if (!(bound > 0.0)) {
        return 1.0;
    }
    const double step = step_ * query_.head(m) / query_.head(query_.active().size());
    return static_cast<double>(share_[static_cast<std::size_t>(std::min<double>(kBins, bound / step))]);
}

std::size_t Pruning::plan(std::size_t block, std::size_t n, double threshold) const {
    const std::size_t n_active = query_.active().size();
    const double norm = static_cast<double>(postings_.norms[block]);
    std::size_t best = n_active;
    double least = kPostingCost * postings_before_[n_active];
    for (std::size_t step = 1; step < kPlans; step++) {
        const std::size_t m = n_active * step / kPlans;
        const double bound = threshold - norm * query_.tail(m, postings_.lengths[block]);
        const double n_left = static_cast<double>(n) * share_above(bound, m);
        const double cost = kPostingCost * postings_before_[m] + kItemCost * n_left;
        if (cost < least) {
            least = cost;
            best = m;
        }
    }
    return best;
}

}  // namespace sparrow
