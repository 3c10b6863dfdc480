#include "lookup.hpp"

#include <vector>

namespace sparrow {

// All keys take each step of the search together, without a branch: the memory then answers many at once.
void look_up(const Table &table, const std::uint64_t *keys, std::size_t n, std::int32_t *rows) {
    std::vector<std::size_t> places(n, 0);
    for (std::size_t length = table.n; length > 1;) {
        const std::size_t half = length / 2;
        for (std::size_t i = 0; i < n; i++) {
            places[i] += static_cast<std::size_t>(table.keys[places[i] + half - 1] < keys[i]) * half;
        }
        length -= half;
    }
    for (std::size_t i = 0; i < n; i++) {
        rows[i] = table.n > 0 && table.keys[places[i]] == keys[i] ? table.rows[places[i]] : -1;
    }
}

}  // namespace sparrow
