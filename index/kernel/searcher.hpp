// Exact search over item rows and their postings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "hits.hpp"
#include "items.hpp"
#include "loops.hpp"
#include "postings.hpp"
#include "query.hpp"
#include "rows.hpp"
#include "scratch.hpp"
#include "wanted.hpp"

namespace sparrow {

// Items to be ranked on their own; null items: all of them.
struct Set {
    const std::int32_t *items = nullptr;  // (n,): no item twice
    std::size_t n = 0;

    bool all() const { return items == nullptr; }
};

// Answers are those of index/reference.py, to the last bit. A searcher may be used by several threads at once; item
// numbers given to it must exist. Every method refuses a query that is not finite, or so large that scores might not
// be, with std::invalid_argument.
class Searcher {
  public:
    Searcher(const Rows &rows, const Postings &postings, const Loops &loops);

    const Rows &rows() const { return rows_; }
    const Loops &loops() const { return loops_; }

    // The best of the allowed items that are not excluded. Without pruning every posting of the query is read.
    Hits top_n(const float *query, Wanted wanted, bool prune = true) const;

    // The best of the given items, instead of those that are allowed; items may repeat.
    Hits top_n_within(const float *query, Wanted wanted, std::vector<std::int32_t> items) const;

    // The best of each set, instead of those that are allowed.
    std::vector<Hits> top_n_per_set(const float *query, Wanted wanted, const std::vector<Set> &sets) const;

    // The n best for each of many queries of (n_dims,), one behind the other; `excluded` has an entry a query.
    std::vector<Hits> batch(const float *queries, std::size_t n, const std::vector<Excluded> &excluded,
                            const Allowed &allowed) const;

  private:
    Query checked(const float *query, const Boosts &boosts = {}) const;

    // No row is longer (L2) before its scale: sums must have room for it. The rows are read for it once, if ever.
    double greatest_unscaled_norm() const;

    // What reading all postings of a query costs.
    double reading_cost(const Query &query) const;

    // Whether scoring n items one by one is cheaper than reading the postings of a query.
    bool few(const Query &query, std::size_t n) const;

    Hits walk(Query &query, const Wanted &wanted, bool prune) const;
    Hits one_by_one(const Query &query, const Wanted &wanted, const Set &set) const;
    std::vector<Hits> from_one_pass(const Query &query, const Wanted &wanted, const std::vector<Set> &sets) const;

    // A scan trusts row_starts; they are checked once, before the first.
    bool scannable() const;
    bool worth_a_scan(const std::vector<Query> &queries, const Allowed &allowed) const;
    void scan(const std::vector<Query> &queries, std::size_t n, const Excluded *excluded, const Allowed &allowed,
              Hits *answers) const;

    Rows rows_;
    Postings postings_;
    const Loops &loops_;
    float greatest_norm_ = 0.0f;
    std::uint32_t greatest_length_ = 0;
    double greatest_scale_ = 0.0;  // of an item, without its sign
    double least_scale_ = 1.0;     // so too, of those below 1
    mutable ScratchPool pool_;
    mutable std::once_flag rows_checked_;
    mutable bool rows_whole_ = true;
    mutable std::once_flag norms_read_;
    mutable double greatest_unscaled_norm_ = 0.0;
};

}  // namespace sparrow
