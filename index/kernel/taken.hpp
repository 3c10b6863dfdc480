// Which items are taken already, of a page that is filled row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparrow {

// A ranking of items, none twice; a view.
struct Ranking {
    const std::int32_t *items;  // (n,): not below 0
    std::size_t n;
};

// What a row must be.
struct Bounds {
    std::size_t size;    // at most so many items
    std::size_t fewest;  // at least so many
    double overlap;      // share of the best `size` of its ranking that may be taken already
};

class Taken {
  public:
    // The places of the first `most` items of a ranking that are not taken.
    std::vector<std::int64_t> left_of(const Ranking &ranking, std::size_t most) const;

    // The same of a row within the bounds, whose items are taken from now on; none, and nothing taken, where they do
    // not allow for one.
    std::vector<std::int64_t> take(const Ranking &ranking, const Bounds &bounds);

  private:
    bool contains(std::int32_t item) const { return !slots_.empty() && slots_[slot_of(item)] == item; }
    std::size_t slot_of(std::int32_t item) const;
    void add(std::int32_t item);
    void grow();

    static constexpr std::int32_t kFree = -1;

    std::vector<std::int32_t> slots_;  // open addressing: a power of two of them, at most half of them used
    std::size_t n_ = 0;
};

}  // namespace sparrow
