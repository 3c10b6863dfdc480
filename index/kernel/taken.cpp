#include "taken.hpp"

#include <algorithm>
#include <utility>

namespace sparrow {

std::vector<std::int64_t> Taken::left_of(const Ranking &ranking, std::size_t most) const {
    std::vector<std::int64_t> places;
    places.reserve(std::min(most, ranking.n));
    for (std::size_t place = 0; place < ranking.n && places.size() < most; place++) {
        if (!contains(ranking.items[place])) {
            places.push_back(static_cast<std::int64_t>(place));
        }
    }
    return places;
}

std::vector<std::int64_t> Taken::take(const Ranking &ranking, const Bounds &bounds) {
    const std::size_t n_best = std::min(bounds.size, ranking.n);
    const auto n_taken =
        std::count_if(ranking.items, ranking.items + n_best, [&](std::int32_t item) { return contains(item); });
    if (static_cast<double>(n_taken) > bounds.overlap * static_cast<double>(n_best)) {
        return {};
    }
    std::vector<std::int64_t> places = left_of(ranking, bounds.size);
    if (places.size() < bounds.fewest) {
        return {};
    }
    for (const std::int64_t place : places) {
        add(ranking.items[place]);
    }
    return places;
}

std::size_t Taken::slot_of(std::int32_t item) const {
    constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 by the golden ratio: neighbours end up far apart
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = (static_cast<std::uint64_t>(item) * kGolden >> 32) & mask;
    while (slots_[slot] != item && slots_[slot] != kFree) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

void Taken::add(std::int32_t item) {
    if (2 * n_ >= slots_.size()) {
        grow();
    }
    std::int32_t &slot = slots_[slot_of(item)];
    n_ += slot == kFree ? 1 : 0;
    slot = item;
}

void Taken::grow() {
    constexpr std::size_t kFirst = 256;
    const std::vector<std::int32_t> before =
        std::exchange(slots_, std::vector<std::int32_t>(std::max(kFirst, 2 * slots_.size()), kFree));
    for (const std::int32_t item : before) {
        if (item != kFree) {
            slots_[slot_of(item)] = item;
        }
    }
}

}  // namespace sparrow
