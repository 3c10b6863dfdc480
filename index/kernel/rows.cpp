#include "rows.hpp"

#include <cmath>

namespace sparrow {
namespace {

constexpr std::size_t kCacheLine = 64;

template <typename Dim, typename Value>
float sum(const Rows &rows, const Dim *dims, const Value *values, std::size_t row, const float *query) {
    float total = 0.0f;
    for (std::size_t place = rows.begin(row), end = rows.end(row); place < end; place++) {
        if (dims[place] < rows.n_dims) {
            const float product = static_cast<float>(values[place]) * query[dims[place]];
            total += product;
        }
    }
    return total;
}

template <typename Value>
float sum(const Rows &rows, const Value *values, std::size_t row, const float *query) {
    return rows.wide ? sum(rows, rows.wide_dims(), values, row, query)
                     : sum(rows, rows.narrow_dims(), values, row, query);
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
    const float total = rows.steps == nullptr ? sum(rows, rows.floats(), row, query)
                                              : sum(rows, rows.codes(), row, query) * rows.steps[row];
    return rows.scale == nullptr ? total : total * rows.scale[row];
}

void spread(const Rows &rows, std::size_t row, float *dense) {
    for (std::size_t place = rows.begin(row), end = rows.end(row); place < end; place++) {
        const std::size_t dim = rows.wide ? rows.wide_dims()[place] : rows.narrow_dims()[place];
        if (dim < rows.n_dims) {
            dense[dim] = rows.rounded(row, place);
        }
    }
}

std::vector<float> cosines(const Rows &rows, const std::int32_t *chosen, std::size_t n) {
    std::vector<float> found(n * n), lengths(n);
    for (std::size_t i = 0; i < n; i++) {
        std::vector<float> dense(rows.n_dims);
        spread(rows, static_cast<std::size_t>(chosen[i]), dense.data());
        for (std::size_t j = 0; j < n; j++) {
            found[i * n + j] = score(rows, static_cast<std::size_t>(chosen[j]), dense.data());
        }
        const float length = std::sqrt(found[i * n + i]);
        lengths[i] = length == 0.0f ? 1.0f : length;
    }
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t j = 0; j < n; j++) {
            found[i * n + j] = found[i * n + j] / lengths[j] / lengths[i];
        }
    }
    return found;
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
