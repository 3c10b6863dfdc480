#include "walk.hpp"

#include <algorithm>
#include <cmath>

#include "scoring.hpp"
#include "tolerance.hpp"

namespace sparrow {

Walk::Walk(const Place &place, const Wanted &wanted, const Query &query, Scratch &scratch, Pruning *pruning)
    : place_(place), wanted_(wanted), query_(query), scratch_(scratch), pruning_(pruning),
      guessing_(pruning != nullptr), best_(wanted.n) {}

Hits Walk::run() {
    pass();
    if (guess_ > kHidden && !(best_.threshold() > guess_)) {
        const float reached = best_.threshold();
        best_ = Best(wanted_.n);
        best_.require(reached);
        guess_ = kHidden;
        guessing_ = false;
        pass();
    }
    return best_.sorted();
}

void Walk::pass() {
    for (std::size_t block = 0; block < place_.postings.n_blocks; block++) {
        visit(block);
        best_.shrink();
        if (guessing_) {
            guess_ = std::max(guess_, guess_after(block + 1, best_));
        }
    }
}

void Walk::visit(std::size_t block) {
    const std::size_t n_active = query_.active().size();
    std::size_t done = 0, last = n_active;
    if (guessing_ && block == 0) {
        look_first();
        done = pruning_->first_look();
    }
    const float known = std::max(best_.threshold(), guess_);
    double bound = static_cast<double>(known) - rounding(block);
    if (pruning_ != nullptr && known > kHidden) {
        last = std::max(done, pruning_->plan(block, items_in(block), bound));
        bound -= static_cast<double>(place_.postings.norms[block]) * query_.tail(last, place_.postings.lengths[block]);
    }
    sum(block, done, last);
    hide(wanted_.excluded, first_of(block), items_in(block), scratch_.scores);
    const std::size_t n_found = found_above(block, known > kHidden ? bound : opening_bound(block));
    score_each(
        place_.rows, query_.dense(), n_found, [&](std::size_t i) { return first_of(block) + scratch_.found[i]; },
        [&](Hit hit) { best_.push(hit); });
}

// Guess from the items of the first block that a few dimensions already recommend.
void Walk::look_first() {
    const std::size_t n_items = items_in(0), m = pruning_->first_look();
    sum(0, 0, m);
    pruning_->observe(scratch_.scores, n_items, m);
    hide(wanted_.excluded, 0, n_items, scratch_.scores);
    const double bound = opening_bound(0);
    const std::size_t n_found =
        place_.loops.collect(scratch_.scores, whole_vectors(n_items), below(bound), false, scratch_.found);
    Best best(wanted_.n);
    score_each(
        place_.rows, query_.dense(), n_found, [&](std::size_t i) { return scratch_.found[i]; },
        [&](Hit hit) { best.push(hit); });
    guess_ = guess_after(1, best);
}

void Walk::sum(std::size_t block, std::size_t first, std::size_t last) {
    const Postings &postings = place_.postings;
    place_.loops.accumulate(postings.lines, postings.lists(block, place_.rows.n_dims), query_.active().data() + first,
                            last - first, postings.units[block], scratch_.scores);
}

// Collect the block's items above a bound, and leave the scores 0.
std::size_t Walk::found_above(std::size_t block, double bound) {
    std::uint16_t *found = scratch_.found;
    const std::size_t n_scores = whole_vectors(items_in(block));
    const std::size_t n_found = place_.loops.collect(scratch_.scores, n_scores, below(bound), true, found);
    if (wanted_.allowed.all()) {
        return n_found;
    }
    const auto forbidden = [&](std::uint16_t number) { return !wanted_.allowed.contains(first_of(block) + number); };
    return static_cast<std::size_t>(std::remove_if(found, found + n_found, forbidden) - found);
}

// Where no threshold is known: what n allowed items of the block reach, as far as its sums can tell.
double Walk::opening_bound(std::size_t block) {
    const std::size_t n_items = items_in(block);
    for (std::size_t i = 0; i < n_items && !wanted_.allowed.all(); i++) {
        scratch_.scores[i] = wanted_.allowed.contains(first_of(block) + i) ? scratch_.scores[i] : kHidden;
    }
    const std::size_t n_scores = whole_vectors(n_items);
    const float reached = reached_by(place_.loops, scratch_.scores, n_scores, wanted_.n, scratch_.maxima);
    return static_cast<double>(reached) - 2.0 * rounding(block);
}

double Walk::rounding(std::size_t block) const { return rounding_error(place_.postings, block, query_); }

// The margin is three standard deviations of a count with this mean, and three.
float Walk::guess_after(std::size_t n_blocks, Best &best) const {
    const double part = std::min(1.0, static_cast<double>(first_of(n_blocks)) / static_cast<double>(place_.rows.n_rows));
    const double expected = static_cast<double>(wanted_.n) * part;
    const auto rank = static_cast<std::size_t>(std::ceil(expected + 3.0 * std::sqrt(expected) + 3.0));
    return rank < wanted_.n ? best.score_of(rank) : kHidden;
}

std::size_t Walk::items_in(std::size_t block) const {
    return std::min(kBlock, place_.rows.n_rows - first_of(block));
}

}  // namespace sparrow
