#include "assembly.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace sparrow {

Assembly::Assembly(const std::int32_t *items, const float *scores, const float *worth, std::size_t n, float rest)
    : scores_(scores, scores + n), worth_(worth, worth + n), rest_(rest) {
    for (std::size_t i = 0; i < n; i++) {
        if (numbering_.number_of(items[i]) != i) {
            throw std::invalid_argument("an item is in the ranking twice");
        }
    }
}

void Assembly::add(const std::int32_t *items, const float *scores, std::size_t n, const Part &part) {
    Candidate candidate{{}, std::vector<float>(scores, scores + n), part, kNone};
    candidate.items.reserve(n);
    for (std::size_t i = 0; i < n; i++) {
        candidate.items.push_back(numbering_.number_of(items[i]));
    }
    worth_.resize(numbering_.size(), rest_);
    candidates_.push_back(std::move(candidate));
}

std::vector<std::uint32_t> Assembly::add_sets(const Membership &sets, const std::vector<std::uint32_t> &skip,
                                              const Frame &frame, std::size_t fewest, std::size_t most,
                                              const Part &part) {
    struct Tally {
        std::size_t n = 0;
        double worth = 0;
    };
    n_sets_ = std::max(n_sets_, sets.n_sets);
    std::vector<Tally> tallies(sets.n_sets);
    const std::size_t n_columns = std::min(part.size, frame.n_columns);
    for (std::uint32_t number = 0; number < scores_.size(); number++) {
        sets.visit(numbering_.item(number), [&](std::uint32_t set) {
            Tally &tally = tallies[set];
            if (tally.n < n_columns) {
                tally.worth += frame.attention[tally.n] * static_cast<double>(worth_[number]);
            }
            tally.n++;
        });
    }
    for (const std::uint32_t set : skip) {
        tallies.at(set).n = 0;
    }
    std::vector<std::pair<double, std::uint32_t>> ranked;
    for (std::uint32_t set = 0; set < tallies.size(); set++) {
        if (tallies[set].n >= std::max<std::size_t>(fewest, 1)) {
            ranked.emplace_back(-tallies[set].worth, set);
        }
    }
    most = std::min(most, ranked.size());
    std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(most), ranked.end());
    std::vector<std::uint32_t> numbers, places(sets.n_sets, kNone);
    for (std::size_t i = 0; i < most; i++) {
        const std::uint32_t set = ranked[i].second;
        numbers.push_back(set);
        places[set] = static_cast<std::uint32_t>(candidates_.size());
        candidates_.push_back({{}, {}, part, set});
        candidates_.back().items.reserve(tallies[set].n);
        candidates_.back().scores.reserve(tallies[set].n);
    }
    for (std::uint32_t number = 0; number < scores_.size(); number++) {
        sets.visit(numbering_.item(number), [&](std::uint32_t set) {
            if (places[set] != kNone) {
                candidates_[places[set]].items.push_back(number);
                candidates_[places[set]].scores.push_back(scores_[number]);
            }
        });
    }
    return numbers;
}

std::vector<Placed> Assembly::page(const Frame &frame, const Demands &demands) {
    stamps_.assign(numbering_.size(), 0);
    stamp_ = 0;
    Draft draft = seated(frame.n_rows);
    settle(frame, draft);
    std::vector<std::uint32_t> others = promising(frame, draft);
    const auto wanted = [&](std::uint32_t number) { return candidates_[number].part.wanted; };
    for (std::size_t row = 0; row < frame.n_rows; row++) {
        if (draft.rows[row] != kNone) {
            continue;
        }
        const auto n_free = std::count(draft.rows.begin() + static_cast<std::ptrdiff_t>(row), draft.rows.end(), kNone);
        const bool only_wanted = n_free <= std::count_if(others.begin(), others.end(), wanted);
        draft.rows[row] = best_for(row, frame, demands, draft, others, only_wanted);
        others.erase(std::remove(others.begin(), others.end(), draft.rows[row]), others.end());
        settle(frame, draft);
    }
    reorder(frame, demands, draft);
    return told(draft);
}

// The candidates that a row is kept for; of several for one row, the first.
Assembly::Draft Assembly::seated(std::size_t n_rows) const {
    Draft draft{std::vector<std::uint32_t>(n_rows, kNone), std::vector<std::vector<std::uint32_t>>(n_rows)};
    for (std::uint32_t number = 0; number < candidates_.size(); number++) {
        const std::int64_t at = candidates_[number].part.at;
        if (at >= 0 && at < static_cast<std::int64_t>(n_rows) && draft.rows[static_cast<std::size_t>(at)] == kNone) {
            draft.rows[static_cast<std::size_t>(at)] = number;
        }
    }
    return draft;
}

// The candidates that no row is kept for, those that would be worth most to the top row first.
std::vector<std::uint32_t> Assembly::promising(const Frame &frame, const Draft &draft) const {
    std::vector<std::pair<double, std::uint32_t>> ranked;
    for (std::uint32_t number = 0; number < candidates_.size(); number++) {
        if (std::find(draft.rows.begin(), draft.rows.end(), number) == draft.rows.end()) {
            ranked.emplace_back(-own_worth(frame, candidates_[number]), number);
        }
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::uint32_t> numbers;
    for (const auto &[_, number] : ranked) {
        numbers.push_back(number);
    }
    return numbers;
}

// The candidate of those left with which a row makes the page gain most, the first of equal ones; kNone: none fits.
// `look` of those that may be on the page are tried, and more until one fits.
std::uint32_t Assembly::best_for(std::size_t row, const Frame &frame, const Demands &demands, const Draft &draft,
                                 const std::vector<std::uint32_t> &others, bool only_wanted) {
    hold(draft);
    std::vector<std::uint32_t> rows = draft.rows;
    std::uint32_t best = kNone;
    double most = -std::numeric_limits<double>::infinity();
    std::size_t n_tried = 0;
    for (const std::uint32_t number : others) {
        const Candidate &candidate = candidates_[number];
        if (best != kNone && n_tried >= demands.look) {
            break;
        }
        if (candidate.part.wanted ? false : only_wanted || !allowed(demands, draft, candidate)) {
            continue;
        }
        n_tried++;
        rows[row] = number;
        const double worth = fill(frame, rows, [](std::size_t, std::size_t) {});
        const double share = 1 - demands.diversity * static_cast<double>(nearest(demands, draft, candidate));
        const double gain = candidate.part.weight * (worth - draft.worth) * share;
        if (full_enough(demands.fewest) && gain > most) {
            most = gain;
            best = number;
        }
    }
    return best;
}

// What a page of some rows is worth. What claims its items has them; then cell by cell each takes the next item of its
// row that is left. Calls `stand` with row and place of each item.
template <typename Stand>
double Assembly::fill(const Frame &frame, const std::vector<std::uint32_t> &rows, Stand stand) {
    stamp_++;
    filling_.clear();
    for (std::size_t row = 0; row < frame.n_rows; row++) {
        const Candidate *candidate = rows[row] == kNone ? nullptr : &candidates_[rows[row]];
        const std::size_t n_cells = candidate == nullptr ? 0 : std::min(candidate->part.size, frame.n_columns);
        filling_.push_back({candidate, frame.attention + row * frame.n_columns, n_cells});
    }
    double worth = 0;
    const auto next = [&](std::size_t row) {
        Filling &filling = filling_[row];
        const double more = filling.n_filled < filling.n_cells ? take(filling) : -1;
        if (more < 0) {
            return false;
        }
        worth += more;
        stand(row, filling.next - 1);
        return true;
    };
    for (std::size_t row = 0; row < frame.n_rows; row++) {
        while (filling_[row].candidate != nullptr && filling_[row].candidate->part.claims && next(row)) {
        }
    }
    for (std::size_t i = 0; i < frame.n_rows * frame.n_columns; i++) {
        next(static_cast<std::size_t>(frame.cells[i]));
    }
    return worth;
}

// The next cell of a row takes the next item that is left, if there is one, and tells what it is worth there; else -1.
double Assembly::take(Filling &filling) {
    const std::vector<std::uint32_t> &items = filling.candidate->items;
    while (filling.next < items.size() && stamps_[items[filling.next]] == stamp_) {
        filling.next++;
    }
    if (filling.next == items.size()) {
        filling.n_cells = filling.n_filled;
        return -1;
    }
    const std::uint32_t item = items[filling.next++];
    stamps_[item] = stamp_;
    return filling.attention[filling.n_filled++] * static_cast<double>(worth_[item]);
}

// Pairs of the first few rows below the top one trade places, unless one is kept for its row, while the page is worth
// more by a billionth at least and every row has items enough.
void Assembly::reorder(const Frame &frame, const Demands &demands, Draft &draft) {
    constexpr std::size_t kFew = 8;  // all pairs of many rows take long, and far down little is won
    constexpr double kMore = 1 + 1e-9;
    const std::size_t n = std::min(frame.n_rows, kFew);
    bool better = true;
    while (better) {
        better = false;
        for (std::size_t row = 1; row < n; row++) {
            for (std::size_t other = row + 1; other < n && moves(draft, row); other++) {
                if (!moves(draft, other)) {
                    continue;
                }
                std::swap(draft.rows[row], draft.rows[other]);
                const double worth = fill(frame, draft.rows, [](std::size_t, std::size_t) {});
                if (worth > draft.worth * kMore && full_enough(demands.fewest)) {
                    draft.worth = worth;
                    better = true;
                } else {
                    std::swap(draft.rows[row], draft.rows[other]);
                }
            }
        }
    }
    settle(frame, draft);
}

// Whether a row has a candidate that may stand elsewhere.
bool Assembly::moves(const Draft &draft, std::size_t row) const {
    return draft.rows[row] != kNone && candidates_[draft.rows[row]].part.at < 0;
}

void Assembly::settle(const Frame &frame, Draft &draft) {
    for (std::vector<std::uint32_t> &places : draft.places) {
        places.clear();
    }
    draft.worth = fill(frame, draft.rows, [&](std::size_t row, std::size_t place) {
        draft.places[row].push_back(static_cast<std::uint32_t>(place));
    });
}

// Whether each row has been filled enough: those that are kept for what is wanted may be empty.
bool Assembly::full_enough(std::size_t fewest) const {
    return std::all_of(filling_.begin(), filling_.end(), [&](const Filling &filling) {
        if (filling.candidate == nullptr) {
            return true;
        }
        const Part &part = filling.candidate->part;
        return filling.n_filled >= (part.wanted ? (part.at < 0 ? 1 : 0) : std::min(fewest, part.size));
    });
}

// Note what the rows of a draft hold that do not yield.
void Assembly::hold(const Draft &draft) {
    held_.assign(numbering_.size(), false);
    for (std::size_t row = 0; row < draft.rows.size(); row++) {
        if (draft.rows[row] != kNone && !candidates_[draft.rows[row]].part.yields) {
            for (const std::uint32_t place : draft.places[row]) {
                held_[candidates_[draft.rows[row]].items[place]] = true;
            }
        }
    }
}

// Whether the rows of a draft that do not yield hold few enough of a candidate's best items, and none is of its taste.
bool Assembly::allowed(const Demands &demands, const Draft &draft, const Candidate &candidate) const {
    if (nearest(demands, draft, candidate) > demands.same) {
        return false;
    }
    if (candidate.part.yields) {
        return true;
    }
    const std::size_t n = std::min(candidate.items.size(), candidate.part.size);
    const auto held = std::count_if(candidate.items.begin(), candidate.items.begin() + static_cast<std::ptrdiff_t>(n),
                                    [&](std::uint32_t item) { return held_[item]; });
    return static_cast<double>(held) <= demands.max_overlap * static_cast<double>(n);
}

// The largest cosine of a set to those of a draft, 0 for what is no set.
float Assembly::nearest(const Demands &demands, const Draft &draft, const Candidate &candidate) const {
    float cosine = 0;
    for (const std::uint32_t number : draft.rows) {
        if (candidate.set != kNone && number != kNone && candidates_[number].set != kNone) {
            const float *near = demands.cosines.row(static_cast<std::int32_t>(candidate.set));
            cosine = std::max(cosine, near[candidates_[number].set]);
        }
    }
    return cosine;
}

// What the items of a candidate would be worth to the top row, if it had them for itself.
double Assembly::own_worth(const Frame &frame, const Candidate &candidate) const {
    const std::size_t n = std::min({candidate.items.size(), candidate.part.size, frame.n_columns});
    double worth = 0;
    for (std::size_t i = 0; i < n; i++) {
        worth += frame.attention[i] * static_cast<double>(worth_[candidate.items[i]]);
    }
    return candidate.part.weight * worth;
}

std::vector<Placed> Assembly::told(const Draft &draft) const {
    std::vector<Placed> page;
    for (std::size_t row = 0; row < draft.rows.size(); row++) {
        if (draft.rows[row] == kNone || draft.places[row].empty()) {
            continue;
        }
        const Candidate &candidate = candidates_[draft.rows[row]];
        Placed placed{draft.rows[row], row, {}};
        for (const std::uint32_t place : draft.places[row]) {
            placed.hits.push_back({candidate.scores[place], numbering_.item(candidate.items[place])});
        }
        page.push_back(std::move(placed));
    }
    return page;
}

}  // namespace sparrow
