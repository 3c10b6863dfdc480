#include "walk.hpp"

#include <algorithm>
#include <cmath>

#include "cost.hpp"
#include "scoring.hpp"
#include "tolerance.hpp"

namespace sparrow {

Walk::Walk(const Place &place, const Wanted &wanted, const Query &query, Scratch &scratch, Pruning *pruning)
    : place_(place),
      wanted_(wanted),
      query_(query),
      scratch_(scratch),
      pruning_(pruning),
      guessing_(pruning != nullptr),
      best_(wanted.n, wanted.floor) {}

Hits Walk::run() {
    pass();
    if (guessed_too_high()) {
        const float reached = best_.threshold();
        best_ = Best(wanted_.n, wanted_.floor);
        best_.require(reached);
        guess_ = kHidden;
        guessing_ = false;
        pass();
    }
    return best_.sorted();
}

// Only above the guess was everything found.
bool Walk::guessed_too_high() {
    if (guess_ == kHidden) {
        return false;
    }
    best_.shrink();
    return !(best_.threshold() > guess_);
}

// Items are met in ascending order, so one that only equals the n-th best so far cannot displace it.
void Walk::pass() {
    for (std::size_t block = 0; block < place_.postings.n_blocks; block++) {
        const std::size_t n_allowed = allowed_in(block);
        n_seen_ += n_allowed;
        if (n_allowed > 0) {
            best_.shrink();
            visit(block, n_allowed);
        }
    }
}

void Walk::visit(std::size_t block, std::size_t n_allowed) {
    if (!wanted_.allowed.all() && few(n_allowed)) {
        visit_rows(block);
    } else {
        visit_postings(block, n_allowed);
    }
    if (guessing_) {
        guess_ = std::max(guess_, guess(best_));
    }
}

void Walk::visit_rows(std::size_t block) {
    std::size_t n_items = 0;
    wanted_.allowed.visit(first_of(block), first_of(block) + items_in(block), [&](std::size_t item) {
        scratch_.found[n_items++] = static_cast<std::uint16_t>(item - first_of(block));
    });
    score_found(block, n_items, [&](Hit hit) { push_unless_excluded(wanted_, hit, best_); });
}

void Walk::visit_postings(std::size_t block, std::size_t n_allowed) {
    std::size_t done = 0, last = query_.active().size();
    if (guessing_ && !observed_) {
        look_first(block);
        done = pruning_->first_look();
    }
    const float known = std::max(best_.threshold(), guess_);
    double bound = wanted_.boosts.unboosted(static_cast<double>(known)) - rounding(block);
    if (pruning_ != nullptr && known > kHidden) {
        last = std::max(done, pruning_->plan(block, n_allowed, bound));
        bound -= static_cast<double>(place_.postings.norms[block]) * query_.tail(last, place_.postings.lengths[block]);
    }
    sum(block, done, last);
    hide(wanted_.excluded, first_of(block), items_in(block), scratch_.scores);
    if (known == kHidden) {
        boost(block);
        bound = opening_bound(block);
    }
    const std::size_t n_found = found_above(block, bound);
    score_found(block, n_found, [&](Hit hit) { best_.push(wanted_.boosts.boosted(hit)); });
}

// Guess from the items of a block that a few dimensions already recommend.
void Walk::look_first(std::size_t block) {
    const std::size_t n_items = items_in(block), m = pruning_->first_look();
    sum(block, 0, m);
    pruning_->observe(scratch_.scores, n_items, m);
    observed_ = true;
    hide(wanted_.excluded, first_of(block), n_items, scratch_.scores);
    const float bound = below(opening_bound(block));
    const std::size_t n_found =
        place_.loops.collect(scratch_.scores, whole_vectors(n_items), bound, false, scratch_.found);
    Best best(wanted_.n, wanted_.floor);
    score_found(block, n_found, [&](Hit hit) { best.push(wanted_.boosts.boosted(hit)); });
    guess_ = std::max(guess_, guess(best));
}

void Walk::sum(std::size_t block, std::size_t first, std::size_t last) {
    const Postings &postings = place_.postings;
    place_.loops.accumulate(postings.lines, postings.lists(block, place_.rows.n_dims), query_.active().data() + first,
                            last - first, postings.units[block], scratch_.scores);
}

void Walk::boost(std::size_t block) {
    for (std::size_t i = 0; i < items_in(block) && !wanted_.boosts.none(); i++) {
        scratch_.scores[i] *= wanted_.boosts.factors[first_of(block) + i];
    }
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

// Score the items whose numbers in the block were found.
template <typename Visit>
void Walk::score_found(std::size_t block, std::size_t n_found, Visit visit) const {
    score_each(
        place_.rows, query_.dense(), n_found, [&](std::size_t i) { return first_of(block) + scratch_.found[i]; },
        visit);
}

// Where no threshold is known: what n allowed items of the block reach, as far as its sums can tell. To look at the
// floor alone takes less time, and often it leaves few enough.
double Walk::opening_bound(std::size_t block) {
    const std::size_t n_scores = whole_vectors(items_in(block));
    if (!wanted_.allowed.all()) {
        place_.loops.mask(scratch_.scores, wanted_.allowed.words + first_of(block) / 64, n_scores / 64);
    }
    const double off = rounding(block) * std::max(1.0, static_cast<double>(wanted_.boosts.greatest));
    const auto reached = [&](std::size_t n) {
        return below(reached_by(place_.loops, scratch_.scores, n_scores, n, scratch_.maxima) - off);
    };
    const auto n_above = [&](double bound) {
        return place_.loops.collect(scratch_.scores, n_scores, below(bound), false, scratch_.found);
    };
    const float floor = wanted_.floor.under(reached);
    const bool enough = floor > kHidden && n_above(floor - off) <= wanted_.n;
    return (enough ? floor : std::max(floor, reached(wanted_.n))) - off;
}

double Walk::rounding(std::size_t block) const {
    return rounding_error(place_.postings, block, query_, place_.greatest_scale);
}

// What an answer of all items should reach, by the best of those seen. What is the n-th best of all is taken for the
// one that comes at its share of n here, and a margin later: three standard deviations of a count with this mean, and
// three.
float Walk::guess(Best &best) const {
    const std::size_t n_allowed = wanted_.allowed.all() ? place_.rows.n_rows : wanted_.allowed.count;
    const double part = static_cast<double>(n_seen_) / static_cast<double>(n_allowed);
    const auto reached = [&](std::size_t n) {
        const double expected = static_cast<double>(n) * part;
        const auto rank = static_cast<std::size_t>(std::ceil(expected + 3.0 * std::sqrt(expected) + 3.0));
        return rank < n ? best.score_of(rank) : kHidden;
    };
    return std::max(reached(wanted_.n), wanted_.floor.under(reached));
}

std::size_t Walk::allowed_in(std::size_t block) const {
    if (wanted_.allowed.all()) {
        return items_in(block);
    }
    const std::size_t n_words = (items_in(block) + 63) / 64;
    return place_.loops.count(wanted_.allowed.words + first_of(block) / 64, n_words);
}

bool Walk::few(std::size_t n_allowed) const {
    constexpr double kRead = 0.5;  // of a query's postings, usually, where pruning leaves some out
    const double share = static_cast<double>(query_.active().size()) / static_cast<double>(place_.rows.n_dims);
    const double n_postings =
        share * static_cast<double>(place_.rows.n_nonzeros) / static_cast<double>(place_.postings.n_blocks);
    return static_cast<double>(n_allowed) * kItemCost < kRead * n_postings * kPostingCost;
}

}  // namespace sparrow
