// The unit of a posting list: one cache line of 16 items of a block and their values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sparrow {

// Items of a block. Their numbers fit 16 bits and leave kBlock itself free for padding; their scores (256 KiB) fit the
// L2. The format has this number; `make fuzz` sets a small one, so that small catalogues have many blocks.
constexpr std::size_t kBlockOfFormat = 65472;
#ifdef SPARROW_BLOCK
constexpr std::size_t kBlock = SPARROW_BLOCK;
#else
constexpr std::size_t kBlock = kBlockOfFormat;
#endif

// Scores of a block have room for every 16-bit number, so that no number found in a file can reach outside.
constexpr std::size_t kBlockScores = 65536;

static_assert(kBlock % 64 == 0 && kBlock < kBlockScores, "a block is whole words of a bitmap and whole vectors");

constexpr std::size_t kLine = 16;

struct Line {
    std::uint16_t items[kLine];   // row within the block, ascending in a list; kBlock: padding
    std::uint16_t values[kLine];  // half precision, in units of the block; 0 for padding
};
static_assert(sizeof(Line) == 64, "a line fills a cache line");

// A dimension that a query uses.
struct Active {
    std::uint32_t dim;
    float value;
};

}  // namespace sparrow
