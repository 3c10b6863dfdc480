// Many queries at once: every row is read once for 32 of them.
//
// The values of 32 queries at one dimension fill a cache line (bfloat16), and all lines of a query table fit the L2. So
// a non-zero costs one load and two multiplications for 32 queries, however many of its dimensions a query uses. What
// the coarse scores leave open is scored exactly.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

#include "cost.hpp"
#include "half.hpp"
#include "scoring.hpp"
#include "searcher.hpp"
#include "tolerance.hpp"

namespace sparrow {
namespace {

// Items between two looks at what was found: bounds rise, so fewer are found.
constexpr std::size_t kChunk = 256;

// The bound of a query that is not there.
constexpr float kNothing = std::numeric_limits<float>::infinity();

// The nearest bfloat16, as the low half of a word.
std::uint32_t to_bfloat(float value) {
    const std::uint32_t bits = bits_of(value);
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

// Items whose coarse score may still put them among the n best.
class Contenders {
  public:
    Contenders(std::size_t n, double slack) : n_(n), slack_(slack), room_(2 * n + 128) {}

    // Items with lower coarse scores are out.
    float bound() const { return bound_; }

    void push(Hit coarse) {
        hits_.push_back(coarse);
        if (hits_.size() >= room_) {
            shrink();
            room_ = std::max(room_, 2 * hits_.size());
        }
    }

    // All that are left, by item.
    const Hits &by_item() {
        shrink();
        std::sort(hits_.begin(), hits_.end(), [](const Hit &a, const Hit &b) { return a.item < b.item; });
        return hits_;
    }

  private:
    void shrink() {
        if (hits_.size() <= n_) {
            return;
        }
        std::nth_element(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(n_ - 1), hits_.end(), Better());
        bound_ = below(static_cast<double>(hits_[n_ - 1].score) - slack_);
        const auto out = [&](const Hit &hit) { return !(hit.score > bound_); };
        hits_.erase(std::remove_if(hits_.begin(), hits_.end(), out), hits_.end());
    }

    std::size_t n_;
    double slack_;
    std::size_t room_;
    float bound_ = -std::numeric_limits<float>::infinity();
    Hits hits_;
};

// The values of up to 32 queries, by dimension; behind the last one stand zeros.
struct Table {
    explicit Table(std::size_t n_dims)
        : entries(static_cast<PackedValues *>(std::aligned_alloc(sizeof(PackedValues), bytes(n_dims))), std::free) {
        if (entries == nullptr) {
            throw std::bad_alloc();
        }
        std::fill_n(entries.get(), n_dims + 1, PackedValues{});
    }

    static std::size_t bytes(std::size_t n_dims) { return (n_dims + 1) * sizeof(PackedValues); }

    void add(std::size_t number, const Query &query) {
        const unsigned shift = number < kBatch / 2 ? 0 : 16;
        for (const Active &active : query.active()) {
            entries.get()[active.dim].pairs[number % (kBatch / 2)] |= to_bfloat(active.value) << shift;
        }
    }

    std::unique_ptr<PackedValues, void (*)(void *)> entries;
};

// The contenders of each query of a batch, of those items that it may have.
class Contest {
  public:
    Contest(const Excluded *excluded, const Allowed &allowed) : excluded_(excluded), allowed_(allowed) {
        std::fill(bounds_, bounds_ + kBatch, kNothing);
    }

    void add_query(std::size_t n, double slack) {
        contenders_.emplace_back(n, slack);
        bounds_[contenders_.size() - 1] = contenders_.back().bound();
    }

    // (kBatch,): which scores are worth telling, by query.
    const float *bounds() const { return bounds_; }

    void push(const ItemScores &item) {
        for (std::uint32_t left = item.above; left != 0; left &= left - 1) {
            const auto number = static_cast<std::size_t>(__builtin_ctz(left));
            const bool contends = item.scores[number] > bounds_[number] &&
                                  allowed_.contains(static_cast<std::size_t>(item.item)) &&
                                  !excluded_[number].contains(item.item);
            if (contends) {
                contenders_[number].push({item.scores[number], item.item});
                bounds_[number] = contenders_[number].bound();
            }
        }
    }

    const Hits &left_of(std::size_t number) { return contenders_[number].by_item(); }

  private:
    const Excluded *excluded_;
    const Allowed &allowed_;
    std::vector<Contenders> contenders_;
    float bounds_[kBatch];
};

}  // namespace

std::vector<Hits> Searcher::batch(const float *dense, std::size_t n, const std::vector<Excluded> &excluded,
                                  const Allowed &allowed) const {
    std::vector<Hits> answers(excluded.size());
    for (std::size_t first = 0; first < excluded.size(); first += kBatch) {
        const std::size_t n_queries = std::min(kBatch, excluded.size() - first);
        std::vector<Query> queries;
        for (std::size_t number = 0; number < n_queries; number++) {
            queries.push_back(checked(dense + (first + number) * rows_.n_dims));
        }
        if (worth_a_scan(queries, allowed)) {
            scan(queries, n, excluded.data() + first, allowed, answers.data() + first);
            continue;
        }
        for (std::size_t number = 0; number < n_queries; number++) {
            answers[first + number] = top_n(queries[number].dense(), {n, excluded[first + number], allowed});
        }
    }
    return answers;
}

bool Searcher::worth_a_scan(const std::vector<Query> &queries, const Allowed &allowed) const {
    double reading = 0.0;
    for (const Query &query : queries) {
        reading += reading_cost(query);
    }
    const bool all_few = !allowed.all() && few(queries.front(), allowed.count);
    const double scanning = static_cast<double>(rows_.n_nonzeros) * kScanCost;
    const double contending = static_cast<double>(queries.size()) * kContendCost;
    return !rows_.wide && !all_few && scanning + contending < reading && scannable();
}

bool Searcher::scannable() const {
    std::call_once(rows_checked_, [&] {
        for (std::size_t row = 0; row < rows_.n_rows; row++) {
            rows_whole_ = rows_whole_ && rows_.whole(row);
        }
    });
    return rows_whole_;
}

void Searcher::scan(const std::vector<Query> &queries, std::size_t n, const Excluded *excluded, const Allowed &allowed,
                    Hits *answers) const {
    if (n == 0) {
        return;
    }
    Table table(rows_.n_dims);
    Contest contest(excluded, allowed);
    for (std::size_t number = 0; number < queries.size(); number++) {
        const Query &query = queries[number];
        table.add(number, query);
        const double norm = static_cast<double>(greatest_norm_);
        contest.add_query(n, 2.0 * coarse_error(norm, greatest_length_, query, greatest_scale_));
    }
    const ScanRows rows{rows_.starts, rows_.narrow_dims(), rows_.values,
                        rows_.steps,  rows_.scale,         static_cast<std::uint32_t>(rows_.n_dims)};
    std::vector<ItemScores> found(kChunk);
    for (std::size_t first = 0; first < rows_.n_rows; first += kChunk) {
        const std::size_t last = std::min(rows_.n_rows, first + kChunk);
        const std::size_t n_found = loops_.scan(rows, first, last, table.entries.get(), contest.bounds(), found.data());
        for (std::size_t i = 0; i < n_found; i++) {
            contest.push(found[i]);
        }
    }
    for (std::size_t number = 0; number < queries.size(); number++) {
        const Hits &left = contest.left_of(number);
        Best best(n);
        score_each(
            rows_, queries[number].dense(), left.size(),
            [&](std::size_t i) { return static_cast<std::size_t>(left[i].item); }, [&](Hit hit) { best.push(hit); });
        answers[number] = best.sorted();
    }
}

}  // namespace sparrow
