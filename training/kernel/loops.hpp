// The step on a few users, compiled once per level of the CPU.
#pragma once

#include <cstddef>

#include "problem.hpp"
#include "scratch.hpp"

namespace sparrow {

struct Loops {
    const char *name;
    // Users first.. (at most kLanes): adds to scratch.gradient; their loss, not divided yet.
    double (*learn)(const Problem &problem, std::size_t first, Scratch &scratch);
};

}  // namespace sparrow
