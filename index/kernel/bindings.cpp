// The module index._kernel: what Python sees of the kernel. Arrays are taken as they are, never converted or copied;
// the interpreter's lock is released while the kernel works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "anchors.hpp"
#include "assembly.hpp"
#include "causes.hpp"
#include "history.hpp"
#include "levels.hpp"
#include "likeness.hpp"
#include "lookup.hpp"
#include "membership.hpp"
#include "postings.hpp"
#include "pursuit.hpp"
#include "scoring.hpp"
#include "searcher.hpp"
#include "sum.hpp"

namespace nb = nanobind;

namespace sparrow {
namespace {

template <typename T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AnyArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Words = std::optional<Array<std::uint64_t>>;
using OfRows = std::optional<Array<float>>;                                   // a value a row
using Factors = std::optional<std::tuple<Array<float>, float, float>>;        // with the least and the greatest
using Bottom = std::optional<std::tuple<std::int64_t, float, std::int64_t>>;  // a floor: rank, share, spared
using Csr = std::tuple<Array<std::int64_t>, AnyArray, AnyArray, OfRows>;      // row_starts, dims, values and steps

template <typename T>
nb::object owned(std::vector<T> values) {
    auto *kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void *memory) noexcept { delete static_cast<std::vector<T> *>(memory); });
    return nb::ndarray<nb::numpy, T>(kept->data(), {kept->size()}, owner).cast();
}

void require(bool holds, const char *what) {
    if (!holds) {
        throw std::invalid_argument(what);
    }
}

Rows view(const Array<std::int64_t> &starts, const AnyArray &dims, const AnyArray &values, std::size_t n_dims,
          const OfRows &scale, const OfRows &steps) {
    const bool wide = dims.dtype() == nb::dtype<std::uint32_t>();
    require(wide || dims.dtype() == nb::dtype<std::uint16_t>(), "dims must be uint16 or uint32");
    require(values.dtype() == (steps ? nb::dtype<std::int8_t>() : nb::dtype<float>()),
            "values must be float32, or int8 with steps");
    require(starts.size() > 0 && dims.size() == values.size(), "row_starts, dims and values do not fit together");
    const std::size_t n_rows = starts.size() - 1;
    require(!scale || scale->size() == n_rows, "item_scale must have a value a row");
    require(!steps || steps->size() == n_rows, "steps must have a value a row");
    require(n_rows <= INT32_MAX, "more rows than item numbers");
    return {starts.data(),
            dims.data(),
            values.data(),
            steps ? steps->data() : nullptr,
            scale ? scale->data() : nullptr,
            n_rows,
            n_dims,
            values.size(),
            wide};
}

Rows view(const Csr &csr, std::size_t n_dims) {
    const auto &[starts, dims, values, steps] = csr;
    return view(starts, dims, values, n_dims, std::nullopt, steps);
}

void check_query(std::size_t size, const Rows &rows) {
    if (size != rows.n_dims) {
        throw std::invalid_argument("the query has " + std::to_string(size) + " dims, the items have " +
                                    std::to_string(rows.n_dims));
    }
}

// Every one of them is looked at, so all are first taken as one: negative numbers are large ones without a sign.
void check_items(const std::int32_t *items, std::size_t n, std::size_t n_items) {
    std::uint32_t greatest = 0;
    for (std::size_t i = 0; i < n; i++) {
        greatest = std::max(greatest, static_cast<std::uint32_t>(items[i]));
    }
    if (n > 0 && greatest >= n_items) {
        const auto [least, most] = std::minmax_element(items, items + n);
        throw std::invalid_argument("item rows " + std::to_string(*least) + ".." + std::to_string(*most) +
                                    " given, of 0.." + std::to_string(n_items - 1) + ": leave out unknown items");
    }
}

Chosen choose(const Rows &rows, const Array<std::int32_t> &numbers) {
    check_items(numbers.data(), numbers.size(), rows.n_rows);
    return {rows, numbers.data(), numbers.size()};
}

// Checked item rows that are our own: an array of Python's another thread may change while the kernel works.
std::vector<std::int32_t> copied(const Array<std::int32_t> &items, std::size_t n_items) {
    std::vector<std::int32_t> own(items.data(), items.data() + items.size());
    check_items(own.data(), own.size(), n_items);
    return own;
}

// Item rows of a Python object, read where they are. By the buffer protocol, which for a dozen small arrays is several
// times as fast as nanobind's arrays are.
class Items {
  public:
    explicit Items(nb::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_ND | PyBUF_FORMAT) != 0) {
            throw nb::python_error();
        }
        if (view_.ndim != 1 || view_.itemsize != sizeof(std::int32_t) || std::string(view_.format) != "i") {
            PyBuffer_Release(&view_);
            throw nb::type_error("a set must be int32 item rows, in an array of one dimension, or None");
        }
    }
    ~Items() { PyBuffer_Release(&view_); }
    Items(const Items &) = delete;
    Items &operator=(const Items &) = delete;

    Set set() const {
        static constexpr std::int32_t kNone = 0;
        return {size() == 0 ? &kNone : static_cast<const std::int32_t *>(view_.buf), size()};
    }

  private:
    std::size_t size() const { return static_cast<std::size_t>(view_.shape[0]); }

    Py_buffer view_;
};

nb::tuple pair(const Hits &hits) {
    std::vector<std::int32_t> items(hits.size());
    std::vector<float> scores(hits.size());
    for (std::size_t i = 0; i < hits.size(); i++) {
        items[i] = hits[i].item;
        scores[i] = hits[i].score;
    }
    return nb::make_tuple(owned(std::move(items)), owned(std::move(scores)));
}

// Answers one behind the other, and where each starts.
nb::tuple flat(const std::vector<Hits> &answers) {
    std::vector<std::size_t> starts{0};
    for (const Hits &hits : answers) {
        starts.push_back(starts.back() + hits.size());
    }
    std::vector<std::int32_t> items;
    std::vector<float> scores;
    items.reserve(starts.back());
    scores.reserve(starts.back());
    for (const Hits &hits : answers) {
        for (const Hit &hit : hits) {
            items.push_back(hit.item);
            scores.push_back(hit.score);
        }
    }
    return nb::make_tuple(starts, owned(std::move(items)), owned(std::move(scores)));
}

Floor floor_of(const Bottom &bottom) {
    if (!bottom) {
        return {};
    }
    const auto &[rank, share, spared] = *bottom;
    require(rank > 0, "the rank of a floor must be at least 1");
    require(0.0f < share && share <= 1.0f, "the share of a floor must be above 0 and at most 1");
    require(spared >= 0, "what a floor spares must not be negative");
    return {static_cast<std::size_t>(rank), share, static_cast<std::size_t>(spared)};
}

// A searcher with the arrays that it looks into.
class Kernel {
  public:
    Kernel(Array<std::int64_t> row_starts, AnyArray dims, AnyArray values, std::size_t n_dims, OfRows item_scale,
           Array<std::uint16_t> lines, Array<std::uint32_t> list_starts, Array<float> units, Array<float> norms,
           Array<std::uint32_t> lengths, const std::string &level_name, OfRows steps)
        : row_starts_(row_starts),
          dims_(dims),
          values_(values),
          item_scale_(item_scale),
          steps_(steps),
          lines_(lines),
          list_starts_(list_starts),
          units_(units),
          norms_(norms),
          lengths_(lengths),
          searcher_(view(row_starts_, dims_, values_, n_dims, item_scale_, steps_), postings(n_dims),
                    level(level_name)) {}

    std::string level_name() const { return searcher_.loops().name; }

    nb::tuple top_n(const Array<float> &query, std::size_t n, const Array<std::int32_t> &exclude, const Words &words,
                    std::size_t count, const Factors &factors, bool prune, const Bottom &bottom) const {
        check_query(query.size(), rows());
        const Excluded excluded = exclusion(exclude);
        const Wanted wanted{n, excluded, allow(words, count), boost(factors), floor_of(bottom)};
        Hits hits;
        {
            const nb::gil_scoped_release release;
            hits = searcher_.top_n(query.data(), wanted, prune);
        }
        return pair(hits);
    }

    nb::tuple top_n_within(const Array<float> &query, std::size_t n, const Array<std::int32_t> &exclude,
                           const Array<std::int32_t> &items, const Factors &factors, const Bottom &bottom) const {
        check_query(query.size(), rows());
        std::vector<std::int32_t> own = copied(items, rows().n_rows);
        const Excluded excluded = exclusion(exclude);
        const Wanted wanted{n, excluded, {}, boost(factors), floor_of(bottom)};
        Hits hits;
        {
            const nb::gil_scoped_release release;
            hits = searcher_.top_n_within(query.data(), wanted, std::move(own));
        }
        return pair(hits);
    }

    nb::tuple top_n_per_set(const Array<float> &query, std::size_t n, const Array<std::int32_t> &exclude,
                            const nb::sequence &sets, const Factors &factors) const {
        check_query(query.size(), rows());
        std::deque<Items> held;
        std::vector<Set> views;
        std::size_t n_items = 0;
        for (const nb::handle set : sets) {
            views.push_back(set.is_none() ? Set{} : held.emplace_back(set).set());
            n_items += views.back().n;
        }
        std::vector<std::int32_t> own;  // as in copied()
        own.reserve(n_items);
        for (Set &set : views) {
            if (set.n > 0) {
                own.insert(own.end(), set.items, set.items + set.n);
                set.items = own.data() + own.size() - set.n;
            }
        }
        check_items(own.data(), own.size(), rows().n_rows);
        const Excluded excluded = exclusion(exclude);
        const Wanted wanted{n, excluded, {}, boost(factors), {}};
        std::vector<Hits> answers;
        {
            const nb::gil_scoped_release release;
            answers = searcher_.top_n_per_set(query.data(), wanted, views);
        }
        return flat(answers);
    }

    nb::tuple batch(const Matrix &queries, std::size_t n, const std::vector<Array<std::int32_t>> &exclude,
                    const Words &words, std::size_t count) const {
        check_query(queries.shape(1), rows());
        require(exclude.size() == queries.shape(0), "exclude must have an entry a query");
        std::vector<Excluded> excluded;
        for (const Array<std::int32_t> &items : exclude) {
            excluded.push_back(exclusion(items));
        }
        const Allowed allowed = allow(words, count);
        std::vector<Hits> answers;
        {
            const nb::gil_scoped_release release;
            answers = searcher_.batch(queries.data(), n, excluded, allowed);
        }
        return flat(answers);
    }

    nb::object score_items(const Array<float> &query, const Array<std::int32_t> &items) const {
        check_query(query.size(), rows());
        const std::vector<std::int32_t> own = copied(items, rows().n_rows);
        std::vector<float> scores(own.size());
        {
            const nb::gil_scoped_release release;
            score_each(
                rows(), query.data(), own.size(), [&](std::size_t i) { return static_cast<std::size_t>(own[i]); },
                [&, next = scores.begin()](Hit hit) mutable { *next++ = hit.score; });
        }
        return owned(std::move(scores));
    }

    // The lock stays ours in these two: they take less time than others would need to find it free.

    nb::object anchors(const Array<std::int32_t> &items, const Array<float> &weights, const Array<float> &users,
                       float strong, std::size_t most, double distinct) const {
        require(weights.size() == items.size(), "there must be a weight a row");
        require(users.size() == rows().n_rows, "there must be a number of users an item");
        Rows unscaled = rows();
        unscaled.scale = nullptr;
        return owned(sparrow::anchors(choose(unscaled, items), weights.data(), users.data(), {strong, most, distinct}));
    }

    nb::tuple likeness(const Array<std::int32_t> &items, const Array<float> &taste, const Array<std::int32_t> &heads,
                       const Csr &queries, const Array<std::int32_t> &chosen, std::size_t n_best) const {
        require(taste.size() == items.size(), "there must be a taste an item");
        require(chosen.size() == heads.size(), "there must be a query a head");
        const Rows query_rows = view(queries, rows().n_dims);
        Likeness found =
            sparrow::likeness(choose(rows(), items), taste.data(), {heads.data(), choose(query_rows, chosen)}, n_best);
        return nb::make_tuple(owned(std::move(found.scores)), owned(std::move(found.worth)));
    }

  private:
    const Rows &rows() const { return searcher_.rows(); }

    Postings postings(std::size_t n_dims) const {
        const std::size_t n_blocks = units_.size();
        require(lines_.size() % (2 * kLine) == 0, "lines must be whole");
        require(n_blocks == blocks_of(row_starts_.size() - 1) && norms_.size() == n_blocks &&
                    lengths_.size() == n_blocks && list_starts_.size() == n_blocks * n_dims + 1,
                "the postings are not those of these rows");
        const std::uint32_t *starts = list_starts_.data();
        const std::size_t n_lines = lines_.size() / (2 * kLine);
        require(std::is_sorted(starts, starts + list_starts_.size()) && starts[n_blocks * n_dims] <= n_lines,
                "lists of postings lie outside the lines");
        return {reinterpret_cast<const Line *>(lines_.data()),
                starts,
                units_.data(),
                norms_.data(),
                lengths_.data(),
                n_blocks};
    }

    Excluded exclusion(const Array<std::int32_t> &items) const {
        check_items(items.data(), items.size(), rows().n_rows);
        return {items.data(), items.size()};
    }

    Boosts boost(const Factors &factors) const {
        if (!factors) {
            return {};
        }
        const auto &[each, least, greatest] = *factors;
        require(each.size() == rows().n_rows, "boosts must have a factor an item");
        require(0.0f < least && least <= greatest && greatest <= FLT_MAX, "boosts must be finite and above 0");
        return {each.data(), least, greatest};
    }

    Allowed allow(const Words &words, std::size_t count) const {
        require(!words || words->size() == (rows().n_rows + 63) / 64, "the bitmap is not one of these items");
        return words ? Allowed{words->data(), count} : Allowed{};
    }

    Array<std::int64_t> row_starts_;
    AnyArray dims_;
    AnyArray values_;
    OfRows item_scale_;
    OfRows steps_;
    Array<std::uint16_t> lines_;
    Array<std::uint32_t> list_starts_;
    Array<float> units_;
    Array<float> norms_;
    Array<std::uint32_t> lengths_;
    Searcher searcher_;
};

std::vector<std::string> level_names() {
    std::vector<std::string> names;
    for (const Loops *loops : levels()) {
        names.emplace_back(loops->name);
    }
    return names;
}

nb::tuple build_postings(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                         std::size_t n_dims, const OfRows &item_scale, const OfRows &steps) {
    const Rows rows = view(row_starts, dims, values, n_dims, item_scale, steps);
    BuiltPostings built;
    {
        const nb::gil_scoped_release release;
        built = build(rows);
    }
    const std::size_t n_halves = built.n_lines * 2 * kLine;
    Pages *pages = built.lines.release();
    const nb::capsule owner(pages, [](void *memory) noexcept { delete static_cast<Pages *>(memory); });
    auto *halves = static_cast<std::uint16_t *>(pages->data());
    nb::object flat_lines = nb::ndarray<nb::numpy, std::uint16_t>(halves, {n_halves}, owner).cast();
    return nb::make_tuple(flat_lines, owned(std::move(built.list_starts)), owned(std::move(built.units)),
                          owned(std::move(built.norms)), owned(std::move(built.lengths)));
}

nb::object score_rows(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                      std::size_t n_dims, const Array<float> &query) {
    const Rows rows = view(row_starts, dims, values, n_dims, std::nullopt, std::nullopt);
    check_query(query.size(), rows);
    std::vector<float> scores(rows.n_rows);
    {
        const nb::gil_scoped_release release;
        score_each(
            rows, query.data(), rows.n_rows, [](std::size_t row) { return row; },
            [&, next = scores.begin()](Hit hit) mutable { *next++ = hit.score; });
    }
    return owned(std::move(scores));
}

// The lock stays ours in what follows: all of it takes less time than others would need to find it free.

nb::object rows_of_keys(const Array<std::uint64_t> &keys, const Array<std::int32_t> &rows,
                        const Array<std::uint64_t> &wanted) {
    require(keys.size() == rows.size(), "the table must have a row a key");
    std::vector<std::int32_t> found(wanted.size());
    look_up({keys.data(), rows.data(), keys.size()}, wanted.data(), wanted.size(), found.data());
    return owned(std::move(found));
}

nb::object distinct(const Array<std::int32_t> &values) {
    std::vector<std::int32_t> found(values.data(), values.data() + values.size());
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return owned(std::move(found));
}

// Whether each value is one of some others.
nb::object among(const Array<std::int32_t> &values, const Array<std::int32_t> &others) {
    const Excluded known(others.data(), others.size());
    auto *found = new bool[values.size()];
    const nb::capsule owner(found, [](void *memory) noexcept { delete[] static_cast<bool *>(memory); });
    std::transform(values.data(), values.data() + values.size(), found,
                   [&](std::int32_t value) { return known.contains(value); });
    return nb::ndarray<nb::numpy, bool>(found, {values.size()}, owner).cast();
}

Membership membership(const Array<std::int64_t> &starts, const Array<std::int32_t> &numbers, std::size_t n_sets) {
    require(starts.size() > 0, "starts must say where the last item ends");
    return {starts.data(), numbers.data(), starts.size() - 1, numbers.size(), n_sets};
}

using Attention = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Frame frame_of(const Attention &attention, const Array<std::int32_t> &cells) {
    const std::size_t n = attention.shape(0) * attention.shape(1);
    const std::size_t n_rows = attention.shape(0);
    const auto is_row = [n_rows](std::int32_t row) { return static_cast<std::uint32_t>(row) < n_rows; };
    require(cells.size() == n && std::all_of(cells.data(), cells.data() + n, is_row),
            "cells must be those of the attention");
    return {attention.shape(0), attention.shape(1), attention.data(), cells.data()};
}

void make_assembly(Assembly *assembly, const Array<std::int32_t> &items, const Array<float> &scores,
                   const Array<float> &worth, float rest) {
    require(items.size() == scores.size() && items.size() == worth.size(), "there must be a score and a worth an item");
    const auto fits = [](float value) { return std::isfinite(value) && value >= 0; };
    require(std::all_of(worth.data(), worth.data() + worth.size(), fits) && fits(rest),
            "what items are worth must be finite, and not below 0");
    new (assembly) Assembly(items.data(), scores.data(), worth.data(), items.size(), rest);
}

void add_candidate(Assembly &assembly, const Array<std::int32_t> &items, const Array<float> &scores, std::size_t size,
                   double weight, std::int64_t at, bool wanted, bool claims, bool yields) {
    require(items.size() == scores.size(), "there must be a score an item");
    require(std::isfinite(weight), "a weight must be finite");
    assembly.add(items.data(), scores.data(), items.size(), {size, weight, at, wanted, claims, yields});
}

std::vector<std::uint32_t> add_sets(Assembly &assembly, const Array<std::int64_t> &starts,
                                    const Array<std::int32_t> &numbers, std::size_t n_sets,
                                    const std::vector<std::uint32_t> &skip, const Attention &attention,
                                    const Array<std::int32_t> &cells, std::size_t fewest, std::size_t most,
                                    std::size_t size, double weight) {
    return assembly.add_sets(membership(starts, numbers, n_sets), skip, frame_of(attention, cells), fewest, most,
                             {size, weight});
}

nb::tuple page_of(Assembly &assembly, const Attention &attention, const Array<std::int32_t> &cells, std::size_t fewest,
                  double max_overlap, double diversity, const Matrix &cosines, float same, std::size_t look) {
    require(cosines.shape(0) == cosines.shape(1), "cosines must be as many in a row as there are rows");
    require(cosines.shape(0) >= assembly.n_sets(), "a set has no cosines");
    const Demands demands{fewest, max_overlap, diversity, {cosines.data(), cosines.shape(0)}, same, look};
    std::vector<std::tuple<std::uint32_t, std::size_t>> rows;
    std::vector<Hits> hits;
    for (Placed &placed : assembly.page(frame_of(attention, cells), demands)) {
        rows.emplace_back(placed.candidate, placed.row);
        hits.push_back(std::move(placed.hits));
    }
    return nb::make_tuple(rows, flat(hits));
}

nb::object places_that_count(const Array<std::int32_t> &rows, const Array<double> &times, const Array<double> &weights,
                             const Array<std::int32_t> &hidden, double least) {
    require(times.size() == rows.size() && weights.size() == rows.size(), "acts must have a time and a weight each");
    const Acts acts{rows.data(), times.data(), weights.data(), rows.size()};
    return owned(strongest(acts, Excluded(hidden.data(), hidden.size()), least));
}

nb::object sum_rows(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                    std::size_t n_dims, const Array<std::int32_t> &items, const Array<float> &weights,
                    const OfRows &steps) {
    const Rows rows = view(row_starts, dims, values, n_dims, std::nullopt, steps);
    require(weights.size() == items.size(), "there must be a weight a row");
    check_items(items.data(), items.size(), rows.n_rows);
    return owned(weighted_sum(rows, items.data(), weights.data(), items.size()));
}

// Rows with their zeros, one behind the other.
nb::object dense_rows(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                      std::size_t n_dims, const OfRows &steps, const Array<std::int32_t> &chosen) {
    const Rows rows = view(row_starts, dims, values, n_dims, std::nullopt, steps);
    check_items(chosen.data(), chosen.size(), rows.n_rows);
    std::vector<float> dense(chosen.size() * n_dims);
    for (std::size_t i = 0; i < chosen.size(); i++) {
        spread(rows, static_cast<std::size_t>(chosen.data()[i]), dense.data() + i * n_dims);
    }
    return owned(std::move(dense));
}

nb::object cosines_of(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                      std::size_t n_dims, const OfRows &steps, const Array<std::int32_t> &chosen) {
    const Rows rows = view(row_starts, dims, values, n_dims, std::nullopt, steps);
    return owned(cosines(choose(rows, chosen)));
}

std::vector<std::int32_t> causes_of(const Csr &csr, std::size_t n_dims, const Array<std::int32_t> &items,
                                    const Array<float> &weights, const Array<float> &query, const Csr &target_csr,
                                    const Array<std::int32_t> &numbers) {
    const Rows rows = view(csr, n_dims), targets = view(target_csr, n_dims);
    check_query(query.size(), rows);
    require(weights.size() == items.size(), "there must be a weight a row");
    return causes(choose(rows, items), weights.data(), query.data(), choose(targets, numbers));
}

nb::object pursue_numbers(const Matrix &cosines, const Array<std::int32_t> &numbers, const Array<float> &scores,
                          const std::vector<std::int32_t> &used, std::size_t count, float same) {
    const std::size_t n = cosines.shape(0);
    const auto known = [&](std::int32_t number) { return static_cast<std::uint32_t>(number) < n; };
    require(cosines.shape(1) == n, "cosines must be as many in a row as there are rows");
    require(numbers.size() == scores.size(), "there must be a score a number");
    require(std::all_of(numbers.data(), numbers.data() + numbers.size(), known) &&
                std::all_of(used.begin(), used.end(), known),
            "a number is none of the cosines");
    return owned(pursue({cosines.data(), n}, {numbers.data(), scores.data(), numbers.size()}, used, count, same));
}

nb::tuple split_by_set(const Array<std::int64_t> &starts, const Array<std::int32_t> &numbers, std::size_t n_sets,
                       const std::vector<std::int32_t> &wanted, const Array<std::int32_t> &items,
                       const Array<float> &scores) {
    require(items.size() == scores.size(), "there must be a score an item");
    const Membership sets = membership(starts, numbers, n_sets);
    return flat(split(sets, wanted, items.data(), scores.data(), items.size()));
}

// The n sets whose rows a query scores highest, above 0 and at least `least`, of those with enough items left.
nb::tuple best_sets(const Array<std::int64_t> &row_starts, const AnyArray &dims, const AnyArray &values,
                    std::size_t n_dims, const Array<float> &query, const Array<std::int64_t> &starts,
                    const Array<std::int32_t> &numbers, const Array<std::int64_t> &sizes,
                    const Array<std::int32_t> &exclude, std::int64_t fewest, double least, std::size_t n) {
    const Rows rows = view(row_starts, dims, values, n_dims, std::nullopt, std::nullopt);
    check_query(query.size(), rows);
    require(sizes.size() == rows.n_rows, "there must be a size a row");
    require(fewest >= 0 && fewest <= INT32_MAX, "fewest must be a number of items");
    const Membership sets = membership(starts, numbers, rows.n_rows);
    const std::vector<std::int64_t> excluded = count_per_set(sets, exclude.data(), exclude.size());
    Best best(std::min(n, rows.n_rows));
    score_each(
        rows, query.data(), rows.n_rows, [](std::size_t row) { return row; },
        [&](Hit hit) {
            const bool enough = sizes.data()[hit.item] >= fewest + excluded[static_cast<std::size_t>(hit.item)];
            if (enough && hit.score > 0.0f && static_cast<double>(hit.score) >= least) {
                best.push(hit);
            }
        });
    return pair(best.sorted());
}

nb::tuple best_of(const Array<std::int32_t> &items, const Array<float> &scores, std::size_t n, bool positive) {
    require(items.size() == scores.size(), "there must be a score an item");
    Best best(std::min(n, items.size()));
    for (std::size_t i = 0; i < items.size(); i++) {
        if (!positive || scores.data()[i] > 0.0f) {
            best.push({scores.data()[i], items.data()[i]});
        }
    }
    return pair(best.sorted());
}

// Texts by row, of all that lie one behind the other.
nb::list texts_of(const Array<std::uint8_t> &bytes, const Array<std::int64_t> &starts,
                  const Array<std::int32_t> &rows) {
    nb::list found;
    for (std::size_t i = 0; i < rows.size(); i++) {
        const std::int32_t row = rows.data()[i];
        if (row < 0 || static_cast<std::size_t>(row) + 1 >= starts.size()) {
            const std::int64_t last = static_cast<std::int64_t>(starts.size()) - 2;
            throw nb::index_error(("row " + std::to_string(row) + " is not in 0.." + std::to_string(last)).c_str());
        }
        const std::int64_t first = starts.data()[row], last = starts.data()[row + 1];
        if (first < 0 || first > last || static_cast<std::uint64_t>(last) > bytes.size()) {
            throw std::invalid_argument("the text of row " + std::to_string(row) + " lies outside the bytes");
        }
        const char *text = reinterpret_cast<const char *>(bytes.data()) + first;
        PyObject *made = PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(last - first), nullptr);
        if (made == nullptr) {
            throw nb::python_error();
        }
        found.append(nb::steal(made));
    }
    return found;
}

}  // namespace
}  // namespace sparrow

NB_MODULE(_kernel, module) {
    using namespace sparrow;
    using namespace nb::literals;
    module.doc() = "Sparrow's search kernel; index.search and index.postings are the ways to use it.";
    module.attr("BLOCK") = kBlock;
    module.def("levels", &level_names);
    module.def("build_postings", &build_postings, "row_starts"_a.noconvert(), "dims"_a.noconvert(),
               "values"_a.noconvert(), "n_dims"_a, "item_scale"_a.noconvert().none(),
               "steps"_a.noconvert().none() = nb::none());
    module.def("score_rows", &score_rows, "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(),
               "n_dims"_a, "query"_a.noconvert());
    module.def("rows_of_keys", &rows_of_keys, "keys"_a.noconvert(), "rows"_a.noconvert(), "wanted"_a.noconvert());
    module.def("among", &among, "values"_a.noconvert(), "others"_a.noconvert());
    module.def("distinct", &distinct, "values"_a.noconvert());
    module.def("strongest", &places_that_count, "rows"_a.noconvert(), "times"_a.noconvert(), "weights"_a.noconvert(),
               "hidden"_a.noconvert(), "least"_a);
    module.def("sum_rows", &sum_rows, "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(),
               "n_dims"_a, "items"_a.noconvert(), "weights"_a.noconvert(), "steps"_a.noconvert().none() = nb::none());
    module.def("dense_rows", &dense_rows, "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(),
               "n_dims"_a, "steps"_a.noconvert().none(), "rows"_a.noconvert());
    module.def("cosines", &cosines_of, "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(),
               "n_dims"_a, "steps"_a.noconvert().none(), "rows"_a.noconvert());
    module.def("causes", &causes_of, "rows"_a.noconvert(), "n_dims"_a, "items"_a.noconvert(), "weights"_a.noconvert(),
               "query"_a.noconvert(), "targets"_a.noconvert(), "numbers"_a.noconvert());
    module.def("pursue", &pursue_numbers, "cosines"_a.noconvert(), "numbers"_a.noconvert(), "scores"_a.noconvert(),
               "used"_a, "count"_a, "same"_a);
    module.def("split_by_set", &split_by_set, "starts"_a.noconvert(), "numbers"_a.noconvert(), "n_sets"_a, "wanted"_a,
               "items"_a.noconvert(), "scores"_a.noconvert());
    module.def("best_sets", &best_sets, "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(),
               "n_dims"_a, "query"_a.noconvert(), "starts"_a.noconvert(), "numbers"_a.noconvert(),
               "sizes"_a.noconvert(), "exclude"_a.noconvert(), "fewest"_a, "least"_a, "n"_a);
    module.def("best_of", &best_of, "items"_a.noconvert(), "scores"_a.noconvert(), "n"_a, "positive"_a = false);
    module.def("texts_of", &texts_of, "texts"_a.noconvert(), "starts"_a.noconvert(), "rows"_a.noconvert());
    nb::class_<Assembly>(module, "Assembly")
        .def("__init__", &make_assembly, "items"_a.noconvert(), "scores"_a.noconvert(), "worth"_a.noconvert(), "rest"_a)
        .def("add", &add_candidate, "items"_a.noconvert(), "scores"_a.noconvert(), "size"_a, "weight"_a = 1.0,
             "at"_a = -1, "wanted"_a = false, "claims"_a = false, "yields"_a = false)
        .def("add_sets", &add_sets, "starts"_a.noconvert(), "numbers"_a.noconvert(), "n_sets"_a, "skip"_a,
             "attention"_a.noconvert(), "cells"_a.noconvert(), "fewest"_a, "most"_a, "size"_a, "weight"_a)
        .def("weigh", &Assembly::weigh, "candidate"_a, "factor"_a)
        .def("page", &page_of, "attention"_a.noconvert(), "cells"_a.noconvert(), "fewest"_a, "max_overlap"_a,
             "diversity"_a, "cosines"_a.noconvert(), "same"_a, "look"_a);
    nb::class_<Kernel>(module, "Kernel")
        .def(nb::init<Array<std::int64_t>, AnyArray, AnyArray, std::size_t, OfRows, Array<std::uint16_t>,
                      Array<std::uint32_t>, Array<float>, Array<float>, Array<std::uint32_t>, const std::string &,
                      OfRows>(),
             "row_starts"_a.noconvert(), "dims"_a.noconvert(), "values"_a.noconvert(), "n_dims"_a,
             "item_scale"_a.noconvert().none(), "lines"_a.noconvert(), "list_starts"_a.noconvert(),
             "block_units"_a.noconvert(), "block_norms"_a.noconvert(), "block_lengths"_a.noconvert(), "level"_a = "",
             "steps"_a.noconvert().none() = nb::none())
        .def_prop_ro("level", &Kernel::level_name)
        .def("top_n", &Kernel::top_n, "query"_a.noconvert(), "n"_a, "exclude"_a.noconvert(),
             "words"_a.noconvert().none(), "count"_a, "boosts"_a.noconvert().none() = nb::none(), "prune"_a = true,
             "floor"_a.none() = nb::none())
        .def("top_n_within", &Kernel::top_n_within, "query"_a.noconvert(), "n"_a, "exclude"_a.noconvert(),
             "items"_a.noconvert(), "boosts"_a.noconvert().none() = nb::none(), "floor"_a.none() = nb::none())
        .def("top_n_per_set", &Kernel::top_n_per_set, "query"_a.noconvert(), "n"_a, "exclude"_a.noconvert(),
             "sets"_a.noconvert(), "boosts"_a.noconvert().none() = nb::none())
        .def("batch", &Kernel::batch, "queries"_a.noconvert(), "n"_a, "exclude"_a.noconvert(),
             "words"_a.noconvert().none(), "count"_a)
        .def("score_items", &Kernel::score_items, "query"_a.noconvert(), "items"_a.noconvert())
        .def("anchors", &Kernel::anchors, "items"_a.noconvert(), "weights"_a.noconvert(), "users"_a.noconvert(),
             "strong"_a, "most"_a, "distinct"_a)
        .def("likeness", &Kernel::likeness, "items"_a.noconvert(), "taste"_a.noconvert(), "heads"_a.noconvert(),
             "queries"_a.noconvert(), "chosen"_a.noconvert(), "n_best"_a);
}
