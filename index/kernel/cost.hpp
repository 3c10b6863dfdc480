// What a step costs, in nanoseconds where it was measured (benchmarks/reports). Only ratios count, and only for speed.
#pragma once

namespace sparrow {

constexpr double kPostingCost = 0.6;  // add one posting to the score of its item
constexpr double kItemCost = 40.0;    // score one item from its row
constexpr double kScanCost = 1.3;     // one non-zero of a row for a batch

}  // namespace sparrow
