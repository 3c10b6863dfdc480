// A step on a batch: its loss and the gradient with respect to the values.
#pragma once

#include <cstddef>
#include <vector>

#include "loops.hpp"
#include "problem.hpp"

namespace sparrow {

struct Slope {
    double loss;
    std::vector<float> gradient;  // of the shape of the values
};

// The same numbers for the same number of threads: which users a thread has, and in which order threads are summed, is
// fixed. std::bad_alloc or std::system_error if memory or threads run out.
Slope step(const Problem &problem, const Loops &loops, std::size_t n_threads);

}  // namespace sparrow
