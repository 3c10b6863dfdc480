#include "sum.hpp"

#include "ahead.hpp"

namespace sparrow {
namespace {

template <typename Dim>
void add(const Rows &rows, const Dim *dims, std::size_t row, double weight, double *query) {
    for (std::size_t place = rows.begin(row), end = rows.end(row); place < end; place++) {
        if (dims[place] < rows.n_dims) {
            query[dims[place]] += weight * static_cast<double>(rows.rounded(row, place));
        }
    }
}

}  // namespace

std::vector<float> weighted_sum(const Rows &rows, const std::int32_t *items, const float *weights, std::size_t n) {
    std::vector<double> query(rows.n_dims, 0.0);
    const auto row_at = [&](std::size_t i) { return static_cast<std::size_t>(items[i]); };
    read_ahead(rows, n, row_at, [&](std::size_t i) {
        if (rows.wide) {
            add(rows, rows.wide_dims(), row_at(i), weights[i], query.data());
        } else {
            add(rows, rows.narrow_dims(), row_at(i), weights[i], query.data());
        }
    });
    return {query.begin(), query.end()};
}

}  // namespace sparrow
