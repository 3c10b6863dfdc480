#include "rows.hpp"

namespace sparrow {
namespace {

constexpr std::size_t kCacheLine = 64;

template <typename Dim>
float sum(const Dim *dims, const float *values, std::size_t begin, std::size_t end, const float *query,
          std::size_t n_dims) {
    float total = 0.0f;
    for (std::size_t place = begin; place < end; place++) {
        if (dims[place] < n_dims) {
            const float product = values[place] * query[dims[place]];
            total += product;
        }
    }
    return total;
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
    const std::size_t begin = rows.begin(row), end = rows.end(row);
    const float total = rows.wide ? sum(rows.wide_dims(), rows.values, begin, end, query, rows.n_dims)
                                  : sum(rows.narrow_dims(), rows.values, begin, end, query, rows.n_dims);
    return rows.scale == nullptr ? total : total * rows.scale[row];
}

void prefetch_start(const Rows &rows, std::size_t row) { __builtin_prefetch(rows.starts + row); }

void prefetch_row(const Rows &rows, std::size_t row) {
    const std::size_t begin = rows.begin(row), end = rows.end(row);
    if (begin < end) {
        const std::size_t dim_bytes = rows.wide ? sizeof(std::uint32_t) : sizeof(std::uint16_t);
        prefetch(static_cast<const char *>(rows.dims) + begin * dim_bytes, (end - begin) * dim_bytes);
        prefetch(rows.values + begin, (end - begin) * sizeof(float));
    }
}

}  // namespace sparrow
