#include "query.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace sparrow {
namespace {

// Sums in double precision are rounded; this share of the whole sum more than covers it.
constexpr double kSlack = 1e-9;

}  // namespace

Query::Query(const float *dense, std::size_t n_dims) : dense_(dense), active_(n_dims) {
    double square = 0.0;
    std::size_t n_active = 0;
    for (std::size_t dim = 0; dim < n_dims; dim++) {  // without a branch: which dimensions are 0 cannot be predicted
        const double value = dense[dim];
        active_[n_active] = {static_cast<std::uint32_t>(dim), dense[dim]};
        n_active += value != 0.0;
        square += value * value;
        sum_ += std::fabs(value);
    }
    active_.resize(n_active);
    for (std::size_t dim = 0; dim < n_dims && !std::isfinite(sum_); dim++) {
        if (!std::isfinite(dense[dim])) {
            throw std::invalid_argument("the query holds " + std::to_string(dense[dim]) + " at dim " +
                                        std::to_string(dim) + "; it must be finite");
        }
    }
    norm_ = std::sqrt(square) * (1.0 + kSlack);
    sum_ *= 1.0 + kSlack;
}

void Query::order_by_size() {
    std::sort(active_.begin(), active_.end(), [](const Active &a, const Active &b) {
        const float left = std::fabs(a.value), right = std::fabs(b.value);
        return left > right || (left == right && a.dim < b.dim);
    });
    squares_before_.assign(1, 0.0);
    for (const Active &active : active_) {
        const double value = active.value;
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

double Query::head(std::size_t count) const { return std::sqrt(squares_before_[count]); }

}  // namespace sparrow
