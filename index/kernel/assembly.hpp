// A page: which of some candidate rows it has, and which items stand in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hits.hpp"
#include "membership.hpp"
#include "numbering.hpp"
#include "pursuit.hpp"

namespace sparrow {

// A page without its content: how much each cell is looked at.
struct Frame {
    std::size_t n_rows;
    std::size_t n_columns;
    const double *attention;    // (n_rows, n_columns), row by row
    const std::int32_t *cells;  // (n_rows * n_columns,): the row of each, in the order in which they are filled
};

// What the rows of a page must be.
struct Demands {
    std::size_t fewest;  // items, but of a row that is wanted
    double max_overlap;  // share of a candidate's best items that other rows may hold already
    double diversity;    // how much the cosine to a row of the page takes from what a candidate gains
    Cosines cosines;     // between sets
    float same;          // sets with a larger cosine are one taste, and never on one page
    std::size_t look;    // candidates that are tried for each row
};

// How a candidate takes part.
struct Part {
    std::size_t size;      // items at most
    double weight = 1;     // of what it gains
    std::int64_t at = -1;  // the row that is kept for it; -1: any
    bool wanted = false;   // it is on the page whatever it gains, with one item at least
    bool claims = false;   // its items are its own before the cells are filled
    bool yields = false;   // that it holds an item is no reason against another row
};

// A row of the page.
struct Placed {
    std::uint32_t candidate;  // by number, in the order in which they were added
    std::size_t row;          // from the top; those between may be empty
    Hits hits;
};

// Candidates, and the page that they make.
class Assembly {
  public:
    // The ranking that says what items are worth: items, scores and worth, (n,) each, no item twice. What is not in it
    // is worth `rest`.
    Assembly(const std::int32_t *items, const float *scores, const float *worth, std::size_t n, float rest);

    // A candidate with items in the order in which they would stand, none twice.
    void add(const std::int32_t *items, const float *scores, std::size_t n, const Part &part);

    // The sets whose members in the ranking would be worth most to the top row, `most` at most, each with `fewest` of
    // them at least: as a candidate each. Their numbers, the best first. None of `skip`.
    std::vector<std::uint32_t> add_sets(const Membership &sets, const std::vector<std::uint32_t> &skip,
                                        const Frame &frame, std::size_t fewest, std::size_t most, const Part &part);

    // Sets have numbers below it.
    std::size_t n_sets() const { return n_sets_; }

    // Multiply the weight of a candidate.
    void weigh(std::size_t candidate, double factor) { candidates_.at(candidate).part.weight *= factor; }

    // The page, top row first. From the top each row gets the candidate with which the whole page gains most; then rows
    // below the first trade places while that makes it worth more.
    std::vector<Placed> page(const Frame &frame, const Demands &demands);

  private:
    struct Candidate {
        std::vector<std::uint32_t> items;  // by own number
        std::vector<float> scores;
        Part part;
        std::uint32_t set;
    };

    // Rows, what stands in them, and what that is worth.
    struct Draft {
        std::vector<std::uint32_t> rows;                 // candidates, or kNone
        std::vector<std::vector<std::uint32_t>> places;  // of each row: places in the candidate's items
        double worth = 0;
    };

    // A row while it is filled.
    struct Filling {
        const Candidate *candidate;  // nullptr: none
        const double *attention;     // of its cells
        std::size_t n_cells;         // that it may fill
        std::size_t n_filled = 0;
        std::size_t next = 0;  // the place that it looks at next
    };

    static constexpr std::uint32_t kNone = UINT32_MAX;

    Draft seated(std::size_t n_rows) const;
    std::vector<std::uint32_t> promising(const Frame &frame, const Draft &draft) const;
    std::uint32_t best_for(std::size_t row, const Frame &frame, const Demands &demands, const Draft &draft,
                           const std::vector<std::uint32_t> &others, bool only_wanted);
    template <typename Stand>
    double fill(const Frame &frame, const std::vector<std::uint32_t> &rows, Stand stand);
    double take(Filling &filling);
    void settle(const Frame &frame, Draft &draft);
    void reorder(const Frame &frame, const Demands &demands, Draft &draft);
    bool moves(const Draft &draft, std::size_t row) const;
    bool full_enough(std::size_t fewest) const;
    void hold(const Draft &draft);
    bool allowed(const Demands &demands, const Draft &draft, const Candidate &candidate) const;
    float nearest(const Demands &demands, const Draft &draft, const Candidate &candidate) const;
    double own_worth(const Frame &frame, const Candidate &candidate) const;
    std::vector<Placed> told(const Draft &draft) const;

    Numbering numbering_;
    std::vector<float> scores_;  // of the ranking
    std::vector<float> worth_;   // by own number
    float rest_;
    std::vector<Candidate> candidates_;
    std::size_t n_sets_ = 0;
    std::vector<std::uint32_t> stamps_;  // by own number: an item is taken if its stamp is the newest
    std::uint32_t stamp_ = 0;
    std::vector<bool> held_;        // by own number: whether a row that does not yield has it
    std::vector<Filling> filling_;  // of each row, as it was filled last
};

}  // namespace sparrow
