// How many dimensions of a query are worth reading before items are completed one by one.
//
// Of a query ordered by size, let only the first m dimensions be summed. A row of norm at most M with at most k
// non-zeros owes at most M * tail(m, k) to the others (Cauchy and Schwarz), so it can be among the best only if its
// partial sum is above threshold - M * tail(m, k). Signs do not matter. Reading more dimensions leaves fewer items to
// complete; the plan is the m at which both together cost least.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "postings.hpp"
#include "query.hpp"

namespace sparrow {

class Pruning {
  public:
    // For an ordered query, with the lists of the first block as a sample of all.
    Pruning(const Postings &postings, const Query &query, std::size_t n_dims);

    // How many dimensions to sum to see which items look promising.
    std::size_t first_look() const { return (query_.active().size() + 3) / 4; }

    // Learn how the sums of the first m dimensions are spread, from those of a block.
    void observe(const float *scores, std::size_t n, std::size_t m);

    // How many dimensions to read of a block that has n items which may be answered, given the threshold less what
    // rounding may hide.
    std::size_t plan(std::size_t block, std::size_t n, double threshold) const;

  private:
    static constexpr std::size_t kBins = 512;
    static constexpr std::size_t kSamples = 4096;
    static constexpr std::size_t kPlans = 48;

    // The share of items whose sum of the first m dimensions is above `bound`.
    double share_above(double bound, std::size_t m) const;

    const Postings &postings_;
    const Query &query_;
    std::vector<double> postings_before_;   // postings_before_[m]: in the lists of the first m dimensions, a block
    std::array<float, kBins + 1> share_{};  // share_[b]: of scores above b * step_
    double step_ = 0.0;                     // for the whole query
};

}  // namespace sparrow
