// The best of many sets of items, for the cost of about one search.
#include <algorithm>

#include "scoring.hpp"
#include "searcher.hpp"
#include "tolerance.hpp"
#include "window.hpp"

namespace sparrow {
namespace {

// Fast scores of all items, and how far they may be off.
struct FastScores {
    const float *scores;
    std::size_t n_items;
    double rounding;
};

// The items of a set that fast scores do not rule out from its n best.
std::vector<std::int32_t> contenders(const Loops &loops, const FastScores &fast, const Set &set, std::size_t n) {
    const std::size_t n_members = set.all() ? whole_vectors(fast.n_items) : set.n;
    std::vector<float> own(n_members);
    float reached;
    if (set.all()) {
        reached = reached_by(loops, fast.scores, n_members, n, own.data());
    } else {
        std::transform(set.items, set.items + set.n, own.begin(), [&](std::int32_t item) { return fast.scores[item]; });
        reached = nth_greatest(own.data(), own.size(), n);
    }
    const float bound = below(static_cast<double>(reached) - 2.0 * fast.rounding);
    std::vector<std::int32_t> left;
    for (std::size_t member = 0; member < (set.all() ? fast.n_items : set.n); member++) {
        const std::int32_t item = set.all() ? static_cast<std::int32_t>(member) : set.items[member];
        if (fast.scores[item] > bound) {
            left.push_back(item);
        }
    }
    return left;
}

}  // namespace

std::vector<Hits> Searcher::top_n_per_set(const float *dense, std::size_t n, const Excluded &excluded,
                                          const std::vector<Set> &sets) const {
    const Query query = checked(dense);
    std::size_t n_members = 0;
    for (const Set &set : sets) {
        n_members += set.n;
    }
    if (n == 0) {
        return std::vector<Hits>(sets.size());
    }
    if (postings_.n_blocks == 1 || !few(query, n_members)) {
        return from_one_pass(query, n, excluded, sets);
    }
    std::vector<Hits> answers;
    for (const Set &set : sets) {
        answers.push_back(set.all() ? top_n(dense, n, excluded, {}, true) : best_of(query, n, excluded, set));
    }
    return answers;
}

std::vector<Hits> Searcher::from_one_pass(const Query &query, std::size_t n, const Excluded &excluded,
                                          const std::vector<Set> &sets) const {
    Borrowed scratch(pool_);
    float *scores = scratch->scores_of_all(postings_.n_blocks);
    FastScores fast{scores, rows_.n_rows, 0.0};
    for (std::size_t block = 0; block < postings_.n_blocks; block++) {
        loops_.accumulate(postings_.lines, postings_.lists(block, rows_.n_dims), query.active().data(),
                          query.active().size(), postings_.units[block], scores + block * kBlock);
        fast.rounding = std::max(fast.rounding, rounding_error(postings_, block, query));
    }
    hide(excluded, 0, rows_.n_rows, scores);
    std::vector<Hits> answers;
    for (const Set &set : sets) {
        const std::vector<std::int32_t> left = contenders(loops_, fast, set, n);
        answers.push_back(best_of(query, n, excluded, {left.data(), left.size()}));
    }
    std::fill(scores, scores + whole_vectors(rows_.n_rows), 0.0f);
    scratch.done();
    return answers;
}

}  // namespace sparrow
