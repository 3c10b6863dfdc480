// What a step costs, in nanoseconds where it was measured (benchmarks/reports). Only ratios count, and only for speed.
#pragma once

#include "line.hpp"

namespace sparrow {

constexpr double kPostingCost = 0.6;  // add one posting to the score of its item
constexpr double kItemCost = 40.0;    // score one item from its row
constexpr double kScanCost = 1.3;     // one non-zero of a row for a batch

// What a search costs however small the catalogue is. None where `make fuzz` sets a small block: there small catalogues
// shall go every way that large ones go.
constexpr double fixed_cost(double cost) { return kBlock == kBlockOfFormat ? cost : 0.0; }

constexpr double kPlanCost = fixed_cost(100e3);    // order a query's dims, look first, plan each block
constexpr double kContendCost = fixed_cost(50e3);  // keep and complete what a scan leaves open, for a query of a batch

}  // namespace sparrow
