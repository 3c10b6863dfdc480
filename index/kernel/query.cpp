#include "query.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>

#include "half.hpp"

namespace sparrow {
namespace {

// Sums in double precision are rounded; this share of the whole sum more than covers it.
constexpr double kSlack = 1e-9;

// std::invalid_argument if the sum of all sizes is not finite: then one of them is not, as finite floats cannot pass
// the range of double precision.
void check_finite(double sum, const std::vector<Active> &active) {
    if (std::isfinite(sum)) {
        return;
    }
    const auto wrong =
        std::find_if(active.begin(), active.end(), [](const Active &one) { return !std::isfinite(one.value); });
    throw std::invalid_argument("the query holds " + std::to_string(wrong->value) + " at dim " +
                                std::to_string(wrong->dim) + "; it must be finite");
}

}  // namespace

Query::Query(const float *dense, std::size_t n_dims) : dense_(dense), active_(n_dims) {
    Active *next = active_.data();
    for (std::size_t dim = 0; dim < n_dims; dim++) {  // without a branch: which dimensions are 0 cannot be predicted
        const float value = dense[dim];
        *next = {static_cast<std::uint32_t>(dim), value};
        next += value != 0.0f;
    }
    active_.resize(static_cast<std::size_t>(next - active_.data()));
    double square = 0.0, sum = 0.0;
    for (const Active &active : active_) {
        const double value = active.value;
        square += value * value;
        sum += std::fabs(value);
    }
    check_finite(sum, active_);
    norm_ = std::sqrt(square) * (1.0 + kSlack);
    sum_ = sum * (1.0 + kSlack);
}

// Sizes compare as their bits do, so whole numbers are sorted: twice as fast as values with a dimension each.
void Query::order_by_size() {
    std::vector<std::uint64_t> keys;
    keys.reserve(active_.size());
    for (const Active &active : active_) {
        keys.push_back(static_cast<std::uint64_t>(bits_of(std::fabs(active.value))) << 32 | active.dim);
    }
    std::sort(keys.begin(), keys.end(), std::greater<std::uint64_t>());
    squares_before_.assign(1, 0.0);
    squares_before_.reserve(keys.size() + 1);
    for (std::size_t place = 0; place < keys.size(); place++) {
        const auto dim = static_cast<std::uint32_t>(keys[place]);
        active_[place] = {dim, dense_[dim]};
        const double value = dense_[dim];
        squares_before_.push_back(squares_before_.back() + value * value);
    }
}

double Query::tail(std::size_t first, std::size_t count) const {
    const std::size_t last = std::min(active_.size(), first + count);
    if (first >= last) {
        return 0.0;
    }
    const double square = squares_before_[last] - squares_before_[first];
    return std::sqrt(square + kSlack * squares_before_.back());
}

double Query::norm_of_largest(std::size_t count) const {
    if (count >= active_.size()) {
        return norm_;
    }
    std::vector<double> squares;
    squares.reserve(active_.size());
    for (const Active &active : active_) {
        squares.push_back(static_cast<double>(active.value) * static_cast<double>(active.value));
    }
    const auto last = squares.begin() + static_cast<std::ptrdiff_t>(count);
    std::nth_element(squares.begin(), last, squares.end(), std::greater<double>());
    return std::sqrt(std::accumulate(squares.begin(), last, 0.0)) * (1.0 + kSlack);
}

double Query::head(std::size_t count) const { return std::sqrt(squares_before_[count]); }

}  // namespace sparrow
