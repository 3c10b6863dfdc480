// Sets of items: those that must not be answered, and those that may.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparrow {

// Excluded items, ascending and unique.
class Excluded {
  public:
    Excluded(const std::int32_t *items, std::size_t n) : items_(items, items + n) {
        std::sort(items_.begin(), items_.end());
        items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
    }

    bool contains(std::int32_t item) const { return std::binary_search(items_.begin(), items_.end(), item); }

    // Call `visit` with each one of first..last-1.
    template <typename Visit>
    void visit(std::size_t first, std::size_t last, Visit visit) const {
        auto next = std::lower_bound(items_.begin(), items_.end(), static_cast<std::int64_t>(first));
        for (; next != items_.end() && static_cast<std::size_t>(*next) < last; ++next) {
            visit(static_cast<std::size_t>(*next));
        }
    }

  private:
    std::vector<std::int32_t> items_;
};

// One bit an item, a view; null words: every item.
struct Allowed {
    const std::uint64_t *words = nullptr;  // (ceil(n_items / 64),); bits beyond n_items are 0
    std::size_t count = 0;                 // how many are set

    bool all() const { return words == nullptr; }
    bool contains(std::size_t item) const { return all() || (words[item / 64] >> (item % 64) & 1u) != 0; }

    // Call `visit` with each allowed one of first..last-1, ascending; `first` is a multiple of 64. Not for all().
    template <typename Visit>
    void visit(std::size_t first, std::size_t last, Visit visit) const {
        for (std::size_t word = first / 64; word * 64 < last; word++) {
            for (std::uint64_t left = words[word]; left != 0; left &= left - 1) {
                const std::size_t item = word * 64 + static_cast<std::size_t>(__builtin_ctzll(left));
                if (item < last) {
                    visit(item);
                }
            }
        }
    }
};

}  // namespace sparrow
