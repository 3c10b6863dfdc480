// Items by small numbers of their own, in the order in which they are met.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace sparrow {

class Numbering {
  public:
    std::size_t size() const { return items_.size(); }
    std::int32_t item(std::uint32_t number) const { return items_[number]; }

    // The number of an item, the next one where it is new. std::invalid_argument if it is no item row.
    std::uint32_t number_of(std::int32_t item) {
        if (item < 0) {
            throw std::invalid_argument("an item row is below 0");
        }
        if (2 * items_.size() >= slots_.size()) {
            grow();
        }
        std::uint32_t &slot = slots_[slot_of(item)];
        if (slot == kFree) {
            slot = static_cast<std::uint32_t>(items_.size());
            items_.push_back(item);
        }
        return slot;
    }

  private:
    static constexpr std::uint32_t kFree = UINT32_MAX;

    // Where an item is, or would be.
    std::size_t slot_of(std::int32_t item) const {
        constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 by the golden ratio: neighbours end up far apart
        const std::size_t mask = slots_.size() - 1;
        std::size_t slot = (static_cast<std::uint64_t>(item) * kGolden >> 32) & mask;
        while (slots_[slot] != kFree && items_[slots_[slot]] != item) {
            slot = (slot + 1) & mask;
        }
        return slot;
    }

    void grow() {
        constexpr std::size_t kFirst = 1024;
        slots_.assign(std::max(kFirst, 2 * slots_.size()), kFree);
        for (std::uint32_t number = 0; number < items_.size(); number++) {
            slots_[slot_of(items_[number])] = number;
        }
    }

    std::vector<std::uint32_t> slots_;  // open addressing: a power of two of them, at most half of them used
    std::vector<std::int32_t> items_;   // by number
};

}  // namespace sparrow
