#include "searcher.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "cost.hpp"
#include "pruning.hpp"
#include "scoring.hpp"
#include "tolerance.hpp"
#include "window.hpp"

namespace sparrow {
namespace {

// Scores stay finite below this, with room for what they are summed from.
constexpr double kGreatestScore = 1e37;

// With fewer blocks the first, of which everything must be read to know how scores are spread, is too much of the whole.
constexpr std::size_t kPrunedBlocks = 4;

// Needed where there is no bound yet; afterwards the few that are found are looked up.
void hide_others(const Allowed &allowed, std::size_t first, std::size_t n, float *scores) {
    for (std::size_t i = 0; i < n && !allowed.all(); i++) {
        scores[i] = allowed.contains(first + i) ? scores[i] : kHidden;
    }
}

std::size_t keep_allowed(const Allowed &allowed, std::size_t first, std::uint16_t *found, std::size_t n_found) {
    if (allowed.all()) {
        return n_found;
    }
    const auto forbidden = [&](std::uint16_t number) { return !allowed.contains(first + number); };
    return static_cast<std::size_t>(std::remove_if(found, found + n_found, forbidden) - found);
}

}  // namespace

Searcher::Searcher(const Rows &rows, const Postings &postings, const Loops &loops)
    : rows_(rows), postings_(postings), loops_(loops) {
    for (std::size_t block = 0; block < postings.n_blocks; block++) {
        greatest_norm_ = std::max(greatest_norm_, postings.norms[block]);
        greatest_length_ = std::max(greatest_length_, postings.lengths[block]);
    }
    scannable_ = true;
    for (std::size_t row = 0; row < rows.n_rows; row++) {
        scannable_ = scannable_ && rows.whole(row);
    }
}

Query Searcher::checked(const float *dense) const {
    Query query(dense, rows_.n_dims);
    if (!(static_cast<double>(greatest_norm_) * query.norm() < kGreatestScore)) {
        throw std::invalid_argument("the query is so large that scores may pass the range of float32");
    }
    return query;
}

std::size_t Searcher::items_in(std::size_t block) const { return std::min(kBlock, rows_.n_rows - block * kBlock); }

double Searcher::error(std::size_t block, const Query &query) const {
    const std::size_t length = postings_.lengths[block];
    const double share = kHalfError + summing_error(length);
    return static_cast<double>(postings_.norms[block]) * query.norm() * share +
           static_cast<double>(postings_.units[block]) * query.sum() * kHalfStep + underflow_error(length);
}

bool Searcher::few(const Query &query, std::size_t n) const {
    const double share = static_cast<double>(query.active().size()) / static_cast<double>(rows_.n_dims);
    const double n_postings = static_cast<double>(rows_.n_nonzeros) * share;
    return static_cast<double>(n) * kItemCost < n_postings * kPostingCost;
}

Hits Searcher::top_n(const float *dense, std::size_t n, const Excluded &excluded, const Allowed &allowed,
                     bool prune) const {
    Query query = checked(dense);
    n = std::min(n, allowed.all() ? rows_.n_rows : allowed.count);
    if (n == 0) {
        return {};
    }
    if (!allowed.all() && few(query, allowed.count)) {
        return from_rows(query, n, excluded, allowed);
    }
    return from_postings(query, n, excluded, allowed, prune && postings_.n_blocks >= kPrunedBlocks);
}

Hits Searcher::top_n_within(const float *dense, std::size_t n, const Excluded &excluded,
                            std::vector<std::int32_t> items) const {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
    const Query query = checked(dense);
    if (few(query, items.size())) {
        return best_of(query, n, excluded, {items.data(), items.size()});
    }
    std::vector<std::uint64_t> words((rows_.n_rows + 63) / 64);
    for (const std::int32_t item : items) {
        words[static_cast<std::size_t>(item) / 64] |= std::uint64_t{1} << (item % 64);
    }
    return top_n(dense, n, excluded, {words.data(), items.size()}, true);
}

Hits Searcher::best_of(const Query &query, std::size_t n, const Excluded &excluded, const Set &set) const {
    Best best(std::min(n, set.n));
    score_each(
        rows_, query.dense(), n == 0 ? 0 : set.n, [&](std::size_t i) { return static_cast<std::size_t>(set.items[i]); },
        [&](Hit hit) {
            if (hit.score >= best.threshold() && !excluded.contains(hit.item)) {
                best.push(hit);
            }
        });
    return best.sorted();
}

Hits Searcher::from_rows(const Query &query, std::size_t n, const Excluded &excluded, const Allowed &allowed) const {
    std::vector<std::int32_t> items;
    items.reserve(allowed.count);
    for (std::size_t word = 0; word < (rows_.n_rows + 63) / 64; word++) {
        for (std::uint64_t left = allowed.words[word]; left != 0; left &= left - 1) {
            const auto bit = static_cast<std::size_t>(__builtin_ctzll(left));
            if (word * 64 + bit < rows_.n_rows) {
                items.push_back(static_cast<std::int32_t>(word * 64 + bit));
            }
        }
    }
    return best_of(query, n, excluded, {items.data(), items.size()});
}

Hits Searcher::from_postings(Query &query, std::size_t n, const Excluded &excluded, const Allowed &allowed,
                             bool prune) const {
    const double kept = allowed.all() ? 1.0 : static_cast<double>(allowed.count) / static_cast<double>(rows_.n_rows);
    std::unique_ptr<Pruning> pruning;
    if (prune) {
        query.order_by_size();
        pruning = std::make_unique<Pruning>(postings_, query, rows_.n_dims);
    }
    const std::vector<Active> &active = query.active();
    Best best(n);
    Borrowed scratch(pool_);
    float *scores = scratch->scores;
    for (std::size_t block = 0; block < postings_.n_blocks; block++) {
        const std::size_t first = block * kBlock, n_items = items_in(block);
        const double rounding = error(block, query), threshold = static_cast<double>(best.threshold());
        const bool opening = best.threshold() == kHidden;
        const std::size_t m = opening || !prune ? active.size()
                                                : pruning->plan(block, n_items, threshold - rounding, kept);
        loops_.accumulate(postings_.lines, postings_.lists(block, rows_.n_dims), active.data(), m,
                          postings_.units[block], scores);
        if (opening && prune) {
            pruning->observe(scores, n_items);
        }
        hide(excluded, first, n_items, scores);
        double bound = threshold - rounding;
        if (opening) {
            hide_others(allowed, first, n_items, scores);
            const float reached = reached_by(loops_, scores, whole_vectors(n_items), n, scratch->maxima);
            bound = static_cast<double>(reached) - 2.0 * rounding;
        } else if (m < active.size()) {
            bound -= static_cast<double>(postings_.norms[block]) * query.tail(m, postings_.lengths[block]);
        }
        std::size_t n_found = loops_.collect(scores, whole_vectors(n_items), below(bound), scratch->found);
        n_found = keep_allowed(allowed, first, scratch->found, n_found);
        score_each(
            rows_, query.dense(), n_found, [&](std::size_t i) { return first + scratch->found[i]; },
            [&](Hit hit) { best.push(hit); });
        best.shrink();
    }
    scratch.done();
    return best.sorted();
}

}  // namespace sparrow
