// Which of some candidates to take, each for what those before it leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparrow {

// The cosine of each of n directions to each, (n, n), row by row; a view.
struct Cosines {
    const float *values;
    std::size_t n;

    const float *row(std::int32_t number) const { return values + static_cast<std::size_t>(number) * n; }
};

// Some directions, by number, and what speaks for each; a view.
struct Candidates {
    const std::int32_t *numbers;  // (n,): in the cosines
    const float *scores;          // (n,)
    std::size_t n;
};

// Numbers of up to `count` candidates by matching pursuit, in that order: the one with the highest score, of equal ones
// the first, whose direction is taken out of the scores of all, and so on. None has a cosine above `same` to one before
// it, or to one that is `used`. Every number must be one of the cosines.
std::vector<std::int32_t> pursue(const Cosines &cosines, const Candidates &candidates,
                                 const std::vector<std::int32_t> &used, std::size_t count, float same);

}  // namespace sparrow
