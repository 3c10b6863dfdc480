// Strong, recent items of a history that are not alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scoring.hpp"

namespace sparrow {

struct AnchorRules {
    float strong;      // the least weight, as a share of the greatest
    std::size_t most;  // of the strong and well known ones so many are tried, those that come first
    double distinct;   // no two have a larger cosine
};

// Places of the anchors in a history with its weights, (history.n,). `users`, (n_rows,), says how well items are known:
// of the strong ones only those in the upper half of it are tried. Rows have no scale here.
std::vector<std::int64_t> anchors(const Chosen &history, const float *weights, const float *users,
                                  const AnchorRules &rules);

}  // namespace sparrow
