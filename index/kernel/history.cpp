#include "history.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sparrow {
namespace {

std::vector<std::int64_t> newest_first(const double *times, std::size_t n) {
    std::vector<std::int64_t> places(n);
    std::iota(places.begin(), places.end(), 0);
    std::stable_sort(places.begin(), places.end(), [&](std::int64_t one, std::int64_t other) {
        return times[one] > times[other] || (std::isnan(times[other]) && !std::isnan(times[one]));
    });
    return places;
}

// A number for each of up to n rows, in open addressing: with std::unordered_map, strongest() takes four times as long.
class Numbers {
  public:
    struct Slot {
        std::int32_t row = kFree;
        std::size_t number = 0;
    };
    static constexpr std::int32_t kFree = -1;

    explicit Numbers(std::size_t n) {
        while ((std::size_t{1} << bits_) < 2 * n) {
            bits_++;
        }
        slots_.resize(std::size_t{1} << bits_);
    }

    // The slot of a row, or a free one for it.
    Slot &of(std::int32_t row) {
        constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 by the golden ratio: neighbours end up far apart
        std::size_t at = static_cast<std::uint64_t>(row) * kGolden >> (64 - bits_);
        while (slots_[at].row != row && slots_[at].row != kFree) {
            at = (at + 1) & (slots_.size() - 1);
        }
        return slots_[at];
    }

  private:
    int bits_ = 1;
    std::vector<Slot> slots_;
};

}  // namespace

std::vector<std::int64_t> strongest(const Acts &acts, const Excluded &hidden, double least) {
    std::vector<std::int64_t> found;
    found.reserve(acts.n);
    Numbers numbers(acts.n);
    const auto strength = [&](std::int64_t place) { return std::abs(acts.weights[place]); };
    for (const std::int64_t place : newest_first(acts.times, acts.n)) {
        const std::int32_t row = acts.rows[place];
        if (row < 0 || !(strength(place) >= least) || (!(acts.weights[place] < 0.0) && hidden.contains(row))) {
            continue;
        }
        Numbers::Slot &slot = numbers.of(row);
        if (slot.row != row) {
            slot = {row, found.size()};
            found.push_back(place);
        } else if (strength(place) > strength(found[slot.number])) {
            found[slot.number] = place;
        }
    }
    return found;
}

}  // namespace sparrow
