// The item rows themselves (CSR), and the score that is answered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "eight.hpp"

namespace sparrow {

// A view; the arrays belong to the caller. Nothing in them is trusted: a row that points outside is taken for empty, a
// dimension outside adds nothing.
struct Rows {
    const std::int64_t *starts;  // (n_rows + 1,)
    const void *dims;            // (n_nonzeros,): uint16, or uint32 if wide
    const void *values;          // (n_nonzeros,): float, or int8 if there are steps
    const float *steps;          // (n_rows,): what the values of each row are multiples of; null for floats
    const float *scale;          // (n_rows,): factor on each score; may be null
    std::size_t n_rows;
    std::size_t n_dims;
    std::size_t n_nonzeros;
    bool wide;

    const std::uint16_t *narrow_dims() const { return static_cast<const std::uint16_t *>(dims); }
    const std::uint32_t *wide_dims() const { return static_cast<const std::uint32_t *>(dims); }
    const float *floats() const { return static_cast<const float *>(values); }
    const std::int8_t *codes() const { return static_cast<const std::int8_t *>(values); }

    bool whole(std::size_t row) const {
        return starts[row] >= 0 && starts[row] <= starts[row + 1] &&
               static_cast<std::uint64_t>(starts[row + 1]) <= n_nonzeros;
    }
    double value(std::size_t row, std::size_t place) const {
        return steps == nullptr ? static_cast<double>(floats()[place])
                                : static_cast<double>(codes()[place]) * static_cast<double>(steps[row]);
    }
    float rounded(std::size_t row, std::size_t place) const {
        return steps == nullptr ? floats()[place] : static_cast<float>(codes()[place]) * steps[row];
    }
    std::size_t begin(std::size_t row) const { return whole(row) ? static_cast<std::size_t>(starts[row]) : 0; }
    std::size_t end(std::size_t row) const { return whole(row) ? static_cast<std::size_t>(starts[row + 1]) : 0; }
};

// The sum of value * query[dim] in stored order, then times the row's step, then times its scale, each product and each
// sum rounded to float32: bit for bit the score of index/reference.py. This is the only code that computes a score
// which leaves the kernel; it must be compiled without contraction.
float score(const Rows &rows, std::size_t row, const float *query);

// The scores of up to kTogether rows: a sum waits for each of its additions, while other sums could go on. For eight
// queries each score is that for it alone.
constexpr std::size_t kTogether = 4;
void score_together(const Rows &rows, const std::size_t *chosen, std::size_t n, const float *query, float *scores);
void score_together(const Rows &rows, const std::size_t *chosen, std::size_t n, const EightQueries &queries,
                    Eight *scores);

// Visit the non-zeros of a row, before its scale, as dim and value.
template <typename Visit>
void each_value(const Rows &rows, std::size_t row, Visit visit) {
    for (std::size_t place = rows.begin(row), end = rows.end(row); place < end; place++) {
        const std::size_t dim = rows.wide ? rows.wide_dims()[place] : rows.narrow_dims()[place];
        if (dim < rows.n_dims) {
            visit(dim, rows.rounded(row, place));
        }
    }
}

// Write a row, before its scale, into n_dims zeros.
void spread(const Rows &rows, std::size_t row, float *dense);

// The L2 norm of a row before its scale, in double precision.
double unscaled_norm(const Rows &rows, std::size_t row);

// Ask the memory for what score() will read: first where the row lies, and when that is there, the row.
void prefetch_start(const Rows &rows, std::size_t row);
void prefetch_row(const Rows &rows, std::size_t row);

}  // namespace sparrow
