#include "rows.hpp"

#include <algorithm>
#include <cmath>

namespace sparrow {
namespace {

constexpr std::size_t kCacheLine = 64;

// The sums of n rows, each in its own order; floats, or eight in one.
template <std::size_t n, typename Dim, typename Value, typename Query, typename Sum>
void sum(const Rows &rows, const Dim *dims, const Value *values, const std::size_t *chosen, const Query &query,
         Sum *sums) {
    std::size_t begins[n], shared = rows.n_nonzeros;
    for (std::size_t i = 0; i < n; i++) {
        begins[i] = rows.begin(chosen[i]);
        shared = std::min(shared, rows.end(chosen[i]) - begins[i]);
    }
    Sum totals[n] = {};
    const auto add = [&](std::size_t i, std::size_t place) {
        if (dims[place] < rows.n_dims) {
            const Sum product = static_cast<float>(values[place]) * query[dims[place]];
            totals[i] += product;
        }
    };
    for (std::size_t j = 0; j < shared; j++) {
        for (std::size_t i = 0; i < n; i++) {
            add(i, begins[i] + j);
        }
    }
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t place = begins[i] + shared, end = rows.end(chosen[i]); place < end; place++) {
            add(i, place);
        }
    }
    std::copy(totals, totals + n, sums);
}

template <std::size_t n, typename Value, typename Query, typename Sum>
void sum(const Rows &rows, const Value *values, const std::size_t *chosen, const Query &query, Sum *sums) {
    rows.wide ? sum<n>(rows, rows.wide_dims(), values, chosen, query, sums)
              : sum<n>(rows, rows.narrow_dims(), values, chosen, query, sums);
}

template <std::size_t n, typename Query, typename Score>
void score_some(const Rows &rows, const std::size_t *chosen, const Query &query, Score *scores) {
    rows.steps == nullptr ? sum<n>(rows, rows.floats(), chosen, query, scores)
                          : sum<n>(rows, rows.codes(), chosen, query, scores);
    for (std::size_t i = 0; i < n; i++) {
        scores[i] = rows.steps == nullptr ? scores[i] : rows.steps[chosen[i]] * scores[i];
        scores[i] = rows.scale == nullptr ? scores[i] : rows.scale[chosen[i]] * scores[i];
    }
}

template <typename Query, typename Score>
void score_up_to(std::size_t n, const Rows &rows, const std::size_t *chosen, const Query &query, Score *scores) {
    if (n == kTogether) {
        return score_some<kTogether>(rows, chosen, query, scores);
    }
    for (std::size_t i = 0; i < n; i++) {
        score_some<1>(rows, chosen + i, query, scores + i);
    }
}

void prefetch(const void *start, std::size_t n_bytes) {
    const char *bytes = static_cast<const char *>(start);
    for (std::size_t place = 0; place < n_bytes; place += kCacheLine) {
        __builtin_prefetch(bytes + place);
    }
    __builtin_prefetch(bytes + n_bytes - 1);
}

}  // namespace

float score(const Rows &rows, std::size_t row, const float *query) {
    float found = 0.0f;
    score_some<1>(rows, &row, query, &found);
    return found;
}

void score_together(const Rows &rows, const std::size_t *chosen, std::size_t n, const float *query, float *scores) {
    score_up_to(n, rows, chosen, query, scores);
}

void score_together(const Rows &rows, const std::size_t *chosen, std::size_t n, const EightQueries &queries,
                    Eight *scores) {
    score_up_to(n, rows, chosen, queries, scores);
}

void spread(const Rows &rows, std::size_t row, float *dense) {
    each_value(rows, row, [&](std::size_t dim, float value) { dense[dim] = value; });
}

double unscaled_norm(const Rows &rows, std::size_t row) {
    double square = 0.0;
    for (std::size_t place = rows.begin(row), end = rows.end(row); place < end; place++) {
        const double value = rows.value(row, place);
        square += value * value;
    }
    return std::sqrt(square);
}

void prefetch_start(const Rows &rows, std::size_t row) {
    __builtin_prefetch(rows.starts + row);
    if (rows.steps != nullptr) {
        __builtin_prefetch(rows.steps + row);
    }
}

void prefetch_row(const Rows &rows, std::size_t row) {
    const std::size_t begin = rows.begin(row), end = rows.end(row);
    if (begin < end) {
        const std::size_t dim_bytes = rows.wide ? sizeof(std::uint32_t) : sizeof(std::uint16_t);
        prefetch(static_cast<const char *>(rows.dims) + begin * dim_bytes, (end - begin) * dim_bytes);
        const std::size_t value_bytes = rows.steps == nullptr ? sizeof(float) : sizeof(std::int8_t);
        prefetch(static_cast<const char *>(rows.values) + begin * value_bytes, (end - begin) * value_bytes);
    }
}

}  // namespace sparrow
