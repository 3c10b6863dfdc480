// A query as the kernel uses it: its active dimensions, and how much the dimensions left out can still add.
#pragma once

#include <cstddef>
#include <vector>

#include "line.hpp"

namespace sparrow {

class Query {
  public:
    // Takes a dense query of (n_dims,), which must outlive this. std::invalid_argument if a value is not finite.
    Query(const float *dense, std::size_t n_dims);

    const float *dense() const { return dense_; }
    const std::vector<Active> &active() const { return active_; }

    // Order the active dimensions by descending |value|, which tail() needs; before, they ascend.
    void order_by_size();

    // The L2 norm of the `count` largest values from place `first` on, in the order of order_by_size(); rounded up.
    // By Cauchy and Schwarz no row of norm 1 and `count` non-zeros owes more to the dimensions from `first` on.
    double tail(std::size_t first, std::size_t count) const;

    // The L2 norm of the first `count` values in that order.
    double head(std::size_t count) const;

    // The L2 norm of the `count` largest values, in any order; rounded up.
    double norm_of_largest(std::size_t count) const;

    // The L2 and L1 norms of the whole query; rounded up.
    double norm() const { return norm_; }
    double sum() const { return sum_; }

  private:
    const float *dense_;
    std::vector<Active> active_;
    std::vector<double> squares_before_;  // squares_before_[p]: of the places before p
    double norm_ = 0.0;
    double sum_ = 0.0;
};

}  // namespace sparrow
