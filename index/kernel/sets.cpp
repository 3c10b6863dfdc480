// The best of many sets of items, for the cost of about one search.
#include <algorithm>

#include "scoring.hpp"
#include "searcher.hpp"
#include "tolerance.hpp"
#include "window.hpp"

namespace sparrow {
namespace {

// The fast scores of some items, and what to read them from.
struct Members {
    const Set &set;
    std::size_t n_items;  // of the catalogue
    const float *scores;  // of the catalogue, hidden from n_items on

    std::size_t size() const { return set.all() ? n_items : set.n; }
    std::int32_t item(std::size_t member) const {
        return set.all() ? static_cast<std::int32_t>(member) : set.items[member];
    }
};

// Memory that sets share.
struct Room {
    std::vector<float> own;
    std::vector<float> maxima;
    std::vector<std::int32_t> left;
};

// Put the members into `room.left` that fast scores, `rounding` off at most, do not rule out from the n best.
void contend(const Loops &loops, const Members &members, std::size_t n, double rounding, Room &room) {
    const std::size_t n_members = members.size(), n_own = whole_vectors(n_members);
    const float *own = members.scores;
    if (!members.set.all()) {
        room.own.resize(n_own);
        for (std::size_t member = 0; member < n_members; member++) {
            room.own[member] = members.scores[members.set.items[member]];
        }
        std::fill(room.own.begin() + static_cast<std::ptrdiff_t>(n_members), room.own.end(), kHidden);
        own = room.own.data();
    }
    room.maxima.resize(n_own);
    const float reached = reached_by(loops, own, n_own, n, room.maxima.data());
    const float bound = below(static_cast<double>(reached) - 2.0 * rounding);
    room.left.clear();
    for (std::size_t member = 0; member < n_members; member++) {
        if (own[member] > bound) {
            room.left.push_back(members.item(member));
        }
    }
}

}  // namespace

std::vector<Hits> Searcher::top_n_per_set(const float *dense, Wanted wanted, const std::vector<Set> &sets) const {
    const Query query = checked(dense, wanted.boosts);
    wanted.n = std::min(wanted.n, rows_.n_rows);
    std::size_t n_members = 0;
    for (const Set &set : sets) {
        n_members += set.n;
    }
    if (wanted.n == 0) {
        return std::vector<Hits>(sets.size());
    }
    if (postings_.n_blocks == 1 || !few(query, n_members)) {
        return from_one_pass(query, wanted, sets);
    }
    std::vector<Hits> answers;
    for (const Set &set : sets) {
        answers.push_back(set.all() ? top_n(dense, wanted) : one_by_one(query, wanted, set));
    }
    return answers;
}

std::vector<Hits> Searcher::from_one_pass(const Query &query, const Wanted &wanted,
                                          const std::vector<Set> &sets) const {
    Borrowed scratch(pool_);
    float *scores = scratch->scores_of_all(postings_.n_blocks);
    double rounding = 0.0;
    for (std::size_t block = 0; block < postings_.n_blocks; block++) {
        loops_.accumulate(postings_.lines, postings_.lists(block, rows_.n_dims), query.active().data(),
                          query.active().size(), postings_.units[block], scores + block * kBlock);
        rounding = std::max(rounding, rounding_error(postings_, block, query, greatest_scale_));
    }
    for (std::size_t item = 0; item < rows_.n_rows && !wanted.boosts.none(); item++) {
        scores[item] *= wanted.boosts.factors[item];
    }
    rounding *= std::max(1.0, static_cast<double>(wanted.boosts.greatest));
    hide(wanted.excluded, 0, rows_.n_rows, scores);
    const Excluded nobody(nullptr, 0);  // who is excluded is hidden already
    const Wanted shown{wanted.n, nobody, {}, wanted.boosts, {}};
    Room room;
    std::vector<Hits> answers;
    for (const Set &set : sets) {
        contend(loops_, {set, rows_.n_rows, scores}, wanted.n, rounding, room);
        answers.push_back(one_by_one(query, shown, {room.left.data(), room.left.size()}));
    }
    std::fill(scores, scores + whole_vectors(rows_.n_rows), 0.0f);
    scratch.done();
    return answers;
}

}  // namespace sparrow
