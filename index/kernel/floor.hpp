// A score that an answer must reach, told by the answer itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace sparrow {

// Of what comes after the first `spared` items, none may score less than `share` of what the rank-th best scores,
// rounded to float32. No floor where there are fewer, or where the rank-th scores 0 or less; rank 0: none at all.
struct Floor {
    std::size_t rank = 0;
    float share = 1.0f;  // above 0, at most 1
    std::size_t spared = 0;

    // Whether some of the n best may be left out.
    bool matters(std::size_t n) const { return rank > 0 && std::max(rank, spared) < n; }

    // What every item of an answer reaches, given a function that says for a number of items what so many reach: too
    // little if it says too little, and -infinity if it cannot say.
    template <typename ReachedBy>
    float under(ReachedBy reached_by) const {
        const float score = rank > 0 ? reached_by(rank) : 0.0f;
        if (!(score > 0.0f)) {
            return -std::numeric_limits<float>::infinity();
        }
        const float floor = share * score;
        return spared > rank ? std::min(floor, reached_by(spared)) : floor;
    }
};

}  // namespace sparrow
