// Eight queries side by side, so that a row is read once for all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparrow {

constexpr std::size_t kEight = 8;

// Half of them: a vector of GCC and Clang, of a size that every CPU adds at once.
using Four [[gnu::vector_size(16)]] = float;

// A number for each query. Each keeps to itself: what becomes of it is what would become of it alone.
struct Eight {
    Four low, high;

    // Not (query < 4 ? low : high)[query % 4], which GCC's sanitizers get wrong.
    void set(std::size_t query, float number) {
        if (query < 4) {
            low[query] = number;
        } else {
            high[query - 4] = number;
        }
    }

    float operator[](std::size_t query) const { return query < 4 ? low[query] : high[query - 4]; }

    Eight &operator+=(const Eight &other) {
        low += other.low;
        high += other.high;
        return *this;
    }
};

inline Eight operator*(float factor, const Eight &numbers) { return {factor * numbers.low, factor * numbers.high}; }

// Up to eight dense queries. Few dims are in any of them, and only those have a place among the values.
class EightQueries {
  public:
    explicit EightQueries(std::size_t n_dims) : places_(n_dims, 0), values_(1) {}

    void set(std::size_t query, std::size_t dim, float value) {
        if (places_[dim] == 0) {
            places_[dim] = static_cast<std::uint32_t>(values_.size());
            values_.emplace_back();
        }
        values_[places_[dim]].set(query, value);
    }

    const Eight &operator[](std::size_t dim) const { return values_[places_[dim]]; }

  private:
    std::vector<std::uint32_t> places_;  // (n_dims,): in the values
    std::vector<Eight> values_;          // the first are 0, for all other dims
};

}  // namespace sparrow
