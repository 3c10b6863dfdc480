// Which loops this CPU can run.
#pragma once

#include <string>
#include <vector>

#include "loops.hpp"

namespace sparrow {

// The levels that this CPU has, best first; never empty.
std::vector<const Loops *> levels();

// One of them by name, the best for an empty name; std::invalid_argument if this CPU has no such level.
const Loops &level(const std::string &name);

}  // namespace sparrow
