// One query's way through the blocks: sum postings, see what is left to score, keep the best. Blocks without an allowed
// item are passed by; where there are few, they are scored one by one.
//
// The sooner a high threshold is known the less is read, so a pruned walk guesses one: of n items to be found in all
// blocks, a part f of them should hold about n f. What is the n f-th best score there, with a margin, is taken for a
// score that n items reach. So is a floor guessed, from its rank. In the end all is known: should neither n items nor
// the floor be above the guess, a second walk with what the first one found makes up for it. The answer is exact either
// way.
#pragma once

#include <algorithm>
#include <cstddef>

#include "hits.hpp"
#include "loops.hpp"
#include "postings.hpp"
#include "pruning.hpp"
#include "query.hpp"
#include "rows.hpp"
#include "scratch.hpp"
#include "wanted.hpp"
#include "window.hpp"

namespace sparrow {

// Where to search.
struct Place {
    const Rows &rows;
    const Postings &postings;
    const Loops &loops;
    double greatest_scale;  // of an item
};

class Walk {
  public:
    // Everything must outlive the walk. With `pruning` the query must be ordered by size.
    Walk(const Place &place, const Wanted &wanted, const Query &query, Scratch &scratch, Pruning *pruning);

    Hits run();

  private:
    void pass();
    bool guessed_too_high();
    void visit(std::size_t block, std::size_t n_allowed);
    void visit_rows(std::size_t block);
    void visit_postings(std::size_t block, std::size_t n_allowed);
    void look_first(std::size_t block);
    void sum(std::size_t block, std::size_t first, std::size_t last);
    void boost(std::size_t block);
    std::size_t found_above(std::size_t block, double bound);
    template <typename Visit>
    void score_found(std::size_t block, std::size_t n_found, Visit visit) const;
    double opening_bound(std::size_t block);
    double rounding(std::size_t block) const;
    float guess(Best &best) const;

    std::size_t first_of(std::size_t block) const { return block * kBlock; }
    std::size_t items_in(std::size_t block) const { return std::min(kBlock, place_.rows.n_rows - first_of(block)); }
    std::size_t allowed_in(std::size_t block) const;

    // Whether scoring so many of a block's items one by one is cheaper than reading its postings.
    bool few(std::size_t n_allowed) const;

    const Place &place_;
    const Wanted &wanted_;
    const Query &query_;
    Scratch &scratch_;
    Pruning *pruning_;
    bool guessing_;
    bool observed_ = false;
    std::size_t n_seen_ = 0;  // allowed items of the blocks up to this one
    Best best_;
    float guess_ = kHidden;
};

}  // namespace sparrow
