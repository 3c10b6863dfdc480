// What a caller wants: how many items, which not, which at most, which rather, and down to what score.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstddef>

#include "floor.hpp"
#include "hits.hpp"
#include "items.hpp"

namespace sparrow {

// A factor on each score, a view; null factors: none. Pruning goes on under boosts, with a bound that they widen.
struct Boosts {
    const float *factors = nullptr;  // (n_items,): finite and above 0
    float least = 1.0f;
    float greatest = 1.0f;

    bool none() const { return factors == nullptr; }
    Hit boosted(Hit hit) const { return none() ? hit : Hit{hit.score * factors[hit.item], hit.item}; }

    // What the score of an item must exceed for its boosted score to reach a threshold. The product is rounded, and may
    // vanish.
    double unboosted(double threshold) const {
        const double least_product = threshold - FLT_MIN;
        const double score = least_product / static_cast<double>(least_product > 0.0 ? greatest : least);
        return none() ? threshold : score - std::fabs(score) * 0x1p-22;
    }
};

struct Wanted {
    std::size_t n;
    const Excluded &excluded;
    Allowed allowed = {};
    Boosts boosts = {};
    Floor floor = {};
};

// Whether an item is excluded is asked last: it takes longer than to compare scores.
inline void push_unless_excluded(const Wanted &wanted, Hit hit, Best &best) {
    const Hit boosted = wanted.boosts.boosted(hit);
    if (boosted.score >= best.threshold() && !wanted.excluded.contains(hit.item)) {
        best.push(boosted);
    }
}

}  // namespace sparrow
