// Which of some sets items are in, and what follows for each set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "hits.hpp"

namespace sparrow {

// The numbers of the sets of each item, one behind the other; a view. An item that the table does not have is in none.
struct Membership {
    const std::int64_t *starts;  // (n_items + 1,): where those of an item start
    const std::int32_t *numbers;
    std::size_t n_items;
    std::size_t n_numbers;
    std::size_t n_sets;

    // Call `visit` with the number of each set that an item is in; std::invalid_argument if the table leads outside.
    template <typename Visit>
    void visit(std::int32_t item, Visit visit) const {
        if (static_cast<std::uint32_t>(item) >= n_items) {
            return;
        }
        const std::int64_t first = starts[item], last = starts[item + 1];
        if (first < 0 || last > static_cast<std::int64_t>(n_numbers)) {
            throw std::invalid_argument("starts lead outside the numbers");
        }
        for (std::int64_t place = first; place < last; place++) {
            const auto number = static_cast<std::uint32_t>(numbers[place]);
            if (number >= n_sets) {
                throw std::invalid_argument("a number is that of no set");
            }
            visit(number);
        }
    }
};

// How many of some items are in each set, (n_sets,).
std::vector<std::int64_t> count_per_set(const Membership &sets, const std::int32_t *items, std::size_t n);

// Those of some hits that are in each of the wanted sets, in their order. std::invalid_argument if a set does not exist
// or is wanted twice.
std::vector<Hits> split(const Membership &sets, const std::vector<std::int32_t> &wanted, const std::int32_t *items,
                        const float *scores, std::size_t n);

}  // namespace sparrow
