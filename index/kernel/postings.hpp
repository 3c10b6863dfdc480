// The inverted index: for each block of items and each dimension the items that have it, in lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "line.hpp"
#include "pages.hpp"
#include "rows.hpp"

namespace sparrow {

inline std::size_t blocks_of(std::size_t n_items) { return (n_items + kBlock - 1) / kBlock; }

// A view; the arrays belong to the caller.
struct Postings {
    const Line *lines;                 // lists behind one another
    const std::uint32_t *list_starts;  // (n_blocks * n_dims + 1,): first line of each list, block by block
    const float *units;                // (n_blocks,): what values are multiples of; powers of two
    const float *norms;                // (n_blocks,): no scaled row of the block is longer (L2)
    const std::uint32_t *lengths;      // (n_blocks,): no row of the block has more non-zeros
    std::size_t n_blocks;

    const std::uint32_t *lists(std::size_t block, std::size_t n_dims) const { return list_starts + block * n_dims; }
};

// Postings that own their arrays.
struct BuiltPostings {
    std::unique_ptr<Pages> lines;
    std::size_t n_lines = 0;
    std::vector<std::uint32_t> list_starts;
    std::vector<float> units;
    std::vector<float> norms;
    std::vector<std::uint32_t> lengths;
};

// Invert the rows; equal rows give equal bytes. std::invalid_argument for what is not a sparse matrix of finite values
// or would need more than 2^32 lines.
BuiltPostings build(const Rows &rows);

}  // namespace sparrow
