#include "searcher.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "cost.hpp"
#include "pruning.hpp"
#include "scoring.hpp"
#include "walk.hpp"

namespace sparrow {
namespace {

// Scores, and queries in bfloat16, stay finite below this, with room for what they are summed from.
constexpr double kGreatestScore = 1e37;

// No int8 is larger. Sums of a row are multiplied by its step at the end, and must be finite until then.
constexpr double kGreatestCode = 128.0;

}  // namespace

Searcher::Searcher(const Rows &rows, const Postings &postings, const Loops &loops)
    : rows_(rows), postings_(postings), loops_(loops) {
    for (std::size_t block = 0; block < postings.n_blocks; block++) {
        greatest_norm_ = std::max(greatest_norm_, postings.norms[block]);
        greatest_length_ = std::max(greatest_length_, postings.lengths[block]);
    }
    for (std::size_t row = 0; row < rows.n_rows && rows.scale != nullptr; row++) {
        const double scale = std::fabs(static_cast<double>(rows.scale[row]));
        greatest_scale_ = std::max(greatest_scale_, scale);
        least_scale_ = std::min(least_scale_, scale);
    }
}

Query Searcher::checked(const float *dense, const Boosts &boosts) const {
    Query query(dense, rows_.n_dims);
    double greatest = std::max(1.0, static_cast<double>(greatest_norm_)) * query.norm();
    if (greatest < kGreatestScore && greatest >= kGreatestScore * least_scale_) {
        greatest = std::max(greatest, greatest_unscaled_norm() * query.norm());
    }
    if (rows_.steps != nullptr) {
        greatest = std::max(greatest, kGreatestCode * query.sum());
    }
    if (!(greatest * std::max(1.0, static_cast<double>(boosts.greatest)) < kGreatestScore)) {
        std::ostringstream message;
        message << "the query, of norm " << query.norm()
                << ", is so large that scores may pass the range of float32: scale it down";
        throw std::invalid_argument(message.str());
    }
    return query;
}

double Searcher::greatest_unscaled_norm() const {
    std::call_once(norms_read_, [&] {
        for (std::size_t row = 0; row < rows_.n_rows; row++) {
            greatest_unscaled_norm_ = std::max(greatest_unscaled_norm_, unscaled_norm(rows_, row));
        }
    });
    return greatest_unscaled_norm_;
}

double Searcher::reading_cost(const Query &query) const {
    const double share = static_cast<double>(query.active().size()) / static_cast<double>(rows_.n_dims);
    return static_cast<double>(rows_.n_nonzeros) * share * kPostingCost;
}

bool Searcher::few(const Query &query, std::size_t n) const {
    return static_cast<double>(n) * kItemCost < reading_cost(query);
}

Hits Searcher::top_n(const float *dense, Wanted wanted, bool prune) const {
    Query query = checked(dense, wanted.boosts);
    const Allowed &allowed = wanted.allowed;
    wanted.n = std::min(wanted.n, allowed.all() ? rows_.n_rows : allowed.count);
    if (!wanted.floor.matters(wanted.n)) {
        wanted.floor = {};
    }
    const bool worth_planning = (allowed.all() || !few(query, allowed.count)) && reading_cost(query) > kPlanCost;
    return walk(query, wanted, prune && worth_planning && postings_.n_blocks > 1);
}

Hits Searcher::top_n_within(const float *dense, Wanted wanted, std::vector<std::int32_t> items) const {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
    const Query query = checked(dense, wanted.boosts);
    if (few(query, items.size())) {
        return one_by_one(query, wanted, {items.data(), items.size()});
    }
    std::vector<std::uint64_t> words((rows_.n_rows + 63) / 64);
    for (const std::int32_t item : items) {
        words[static_cast<std::size_t>(item) / 64] |= std::uint64_t{1} << (item % 64);
    }
    wanted.allowed = {words.data(), items.size()};
    return top_n(dense, wanted);
}

Hits Searcher::one_by_one(const Query &query, const Wanted &wanted, const Set &set) const {
    Best best(std::min(wanted.n, set.n), wanted.floor);
    score_each(
        rows_, query.dense(), wanted.n == 0 ? 0 : set.n,
        [&](std::size_t i) { return static_cast<std::size_t>(set.items[i]); },
        [&](Hit hit) { push_unless_excluded(wanted, hit, best); });
    return best.sorted();
}

Hits Searcher::walk(Query &query, const Wanted &wanted, bool prune) const {
    if (wanted.n == 0) {
        return {};
    }
    Borrowed scratch(pool_);
    std::unique_ptr<Pruning> pruning;
    if (prune) {
        query.order_by_size();
        pruning = std::make_unique<Pruning>(postings_, query, rows_.n_dims);
    }
    const Place place{rows_, postings_, loops_, greatest_scale_};
    Hits hits = Walk(place, wanted, query, *scratch, pruning.get()).run();
    scratch.done();
    return hits;
}

}  // namespace sparrow
