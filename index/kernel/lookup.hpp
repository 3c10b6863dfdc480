// From keys to rows, by a binary search among sorted keys.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sparrow {

// A view; the arrays belong to the caller. Keys that do not ascend are not found, or wrongly, but nothing outside is
// read.
struct Table {
    const std::uint64_t *keys;  // (n,): ascending
    const std::int32_t *rows;   // (n,): what belongs to each key
    std::size_t n;
};

// Write the row of each of n keys, the first where several have one, and -1 where none has.
void look_up(const Table &table, const std::uint64_t *keys, std::size_t n, std::int32_t *rows);

}  // namespace sparrow
