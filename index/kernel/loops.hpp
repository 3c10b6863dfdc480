// The hot loops, one implementation a level of instruction sets, chosen at run time.
//
// A file of loops is compiled for CPUs that the rest of the kernel must not assume. So nothing in it may be shared with
// other files: no inline function and no template of a header, of which the linker keeps one copy for all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "line.hpp"

namespace sparrow {

// How many queries of a batch are scored together: their values at one dimension fill a cache line (bfloat16).
constexpr std::size_t kBatch = 32;

// Queries 0..15 in the low halves, 16..31 in the high halves.
struct PackedValues {
    std::uint32_t pairs[kBatch / 2];
};

// Scores of one item for a batch.
struct ItemScores {
    std::int32_t item;
    std::uint32_t above;  // bit q: scores[q] is above the bound of query q
    float scores[kBatch];
};

// What scan() reads of the rows; as in Rows, but checked.
struct ScanRows {
    const std::int64_t *starts;
    const std::uint16_t *dims;
    const void *values;  // float; int8 if there are steps
    const float *steps;  // may be null
    const float *scale;  // may be null
    std::uint32_t n_dims;
};

struct Loops {
    const char *name;

    // Add value * unit * q to the scores of every item in the lists of the active dimensions. `lists` is that of the
    // block; `scores` holds kBlockScores.
    void (*accumulate)(const Line *lines, const std::uint32_t *lists, const Active *active, std::size_t n_active,
                       float unit, float *scores);

    // How many bits are set.
    std::size_t (*count)(const std::uint64_t *words, std::size_t n_words);

    // The scores whose bits are not set become -infinity; n_words * 64 scores.
    void (*mask)(float *scores, const std::uint64_t *words, std::size_t n_words);

    // The greatest of each group of scores: group g of lane l are the scores 16 * v + l, v from g * height up to
    // (g + 1) * height. `n_vectors` counts vectors of 16. Returns how many maxima were written.
    std::size_t (*maxima)(const float *scores, std::size_t n_vectors, std::size_t height, float *maxima);

    // The numbers of the scores above a bound, ascending; every score becomes 0 if they are to be cleared. `n_scores`
    // is a multiple of 64.
    std::size_t (*collect)(float *scores, std::size_t n_scores, float bound, bool clear, std::uint16_t *found);

    // Score the items first..last-1 for a batch; `table` has n_dims + 1 entries, the last one 0. Items of which no
    // score is above its bound are left out. Returns how many were written to `found`.
    std::size_t (*scan)(const ScanRows &rows, std::size_t first, std::size_t last, const PackedValues *table,
                        const float *bounds, ItemScores *found);
};

}  // namespace sparrow
