#include "membership.hpp"

#include <stdexcept>
#include <string>

namespace sparrow {

std::vector<std::int64_t> count_per_set(const Membership &sets, const std::int32_t *items, std::size_t n) {
    std::vector<std::int64_t> counts(sets.n_sets);
    for (std::size_t i = 0; i < n; i++) {
        sets.visit(items[i], [&](std::uint32_t number) { counts[number]++; });
    }
    return counts;
}

std::vector<Hits> split(const Membership &sets, const std::vector<std::int32_t> &wanted, const std::int32_t *items,
                        const float *scores, std::size_t n) {
    std::vector<Hits> found(wanted.size());
    std::vector<Hits *> own(sets.n_sets);
    for (std::size_t i = 0; i < wanted.size(); i++) {
        const auto number = static_cast<std::uint32_t>(wanted[i]);
        if (number >= sets.n_sets || own[number] != nullptr) {
            throw std::invalid_argument("set " + std::to_string(wanted[i]) + " does not exist or is wanted twice");
        }
        own[number] = &found[i];
    }
    for (std::size_t i = 0; i < n; i++) {
        sets.visit(items[i], [&](std::uint32_t number) {
            if (own[number] != nullptr) {
                own[number]->push_back({scores[i], items[i]});
            }
        });
    }
    return found;
}

}  // namespace sparrow
