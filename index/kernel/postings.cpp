#include "postings.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "half.hpp"

namespace sparrow {
namespace {

// Smaller units would make what a query is multiplied with subnormal, larger ones do not exist.
constexpr int kLeastExponent = -100;
constexpr int kGreatestExponent = 127;

// Sums of squares are rounded in double precision; this much more than covers it.
constexpr double kRoundUp = 1.0 + 1e-9;

struct Block {
    std::size_t first;
    std::size_t last;  // exclusive
};

Block block_of(const Rows &rows, std::size_t number) {
    return {number * kBlock, std::min(rows.n_rows, (number + 1) * kBlock)};
}

std::size_t dim_at(const Rows &rows, std::size_t place) {
    return rows.wide ? rows.wide_dims()[place] : rows.narrow_dims()[place];
}

double scaled(const Rows &rows, std::size_t row, std::size_t place) {
    const double value = rows.value(row, place);
    return rows.scale == nullptr ? value : value * static_cast<double>(rows.scale[row]);
}

void check(const Rows &rows, std::size_t row) {
    if (!rows.whole(row)) {
        throw std::invalid_argument("row " + std::to_string(row) + " lies outside the values");
    }
    for (std::size_t place = rows.begin(row); place < rows.end(row); place++) {
        if (dim_at(rows, place) >= rows.n_dims) {
            throw std::invalid_argument("row " + std::to_string(row) + " holds dim " +
                                        std::to_string(dim_at(rows, place)) + " of " + std::to_string(rows.n_dims));
        }
        if (!(std::fabs(scaled(rows, row, place)) <= static_cast<double>(std::numeric_limits<float>::max()))) {
            throw std::invalid_argument("row " + std::to_string(row) + " holds a value that is not finite in float32");
        }
    }
}

// What the block says of itself, and how many items each of its lists has.
struct Survey {
    float unit;
    float norm;
    std::uint32_t length;
};

Survey survey(const Rows &rows, Block block, std::uint32_t *counts) {
    double largest = 0.0, longest = 0.0;
    std::size_t most = 0;
    for (std::size_t row = block.first; row < block.last; row++) {
        check(rows, row);
        double square = 0.0;
        for (std::size_t place = rows.begin(row); place < rows.end(row); place++) {
            const double value = std::fabs(scaled(rows, row, place));
            largest = std::max(largest, value);
            square += value * value;
            counts[dim_at(rows, place)]++;
        }
        longest = std::max(longest, square);
        most = std::max(most, rows.end(row) - rows.begin(row));
    }
    int exponent = 0;
    std::frexp(largest, &exponent);  // largest < 2^exponent
    const float unit = std::ldexp(1.0f, std::clamp(exponent, kLeastExponent, kGreatestExponent));
    const float norm = static_cast<float>(std::sqrt(longest) * kRoundUp);
    const float above = std::nextafter(norm, std::numeric_limits<float>::infinity());
    return {unit, longest == 0.0 ? 0.0f : above, static_cast<std::uint32_t>(most)};
}

void fill(const Rows &rows, Block block, float unit, const std::uint32_t *lists, Line *lines,
          std::vector<std::uint32_t> &used) {
    const double per_unit = 1.0 / static_cast<double>(unit);  // exact: a power of two
    std::fill(used.begin(), used.end(), 0u);
    for (std::size_t row = block.first; row < block.last; row++) {
        for (std::size_t place = rows.begin(row); place < rows.end(row); place++) {
            const std::size_t dim = dim_at(rows, place);
            Line &line = lines[lists[dim] + used[dim] / kLine];
            const std::size_t slot = used[dim]++ % kLine;
            line.items[slot] = static_cast<std::uint16_t>(row - block.first);
            line.values[slot] = to_half(static_cast<float>(scaled(rows, row, place) * per_unit));
        }
    }
    for (std::size_t dim = 0; dim < rows.n_dims; dim++) {
        for (std::size_t slot = used[dim]; slot % kLine != 0; slot++) {
            Line &line = lines[lists[dim] + slot / kLine];
            line.items[slot % kLine] = static_cast<std::uint16_t>(kBlock);
            line.values[slot % kLine] = 0;
        }
    }
}

}  // namespace

BuiltPostings build(const Rows &rows) {
    const std::size_t n_blocks = blocks_of(rows.n_rows);
    BuiltPostings built;
    built.list_starts.assign(n_blocks * rows.n_dims + 1, 0);
    std::vector<std::uint32_t> counts(rows.n_dims);
    std::uint64_t n_lines = 0;
    for (std::size_t number = 0; number < n_blocks; number++) {
        std::fill(counts.begin(), counts.end(), 0u);
        const Survey found = survey(rows, block_of(rows, number), counts.data());
        built.units.push_back(found.unit);
        built.norms.push_back(found.norm);
        built.lengths.push_back(found.length);
        for (std::size_t dim = 0; dim < rows.n_dims; dim++) {
            n_lines += (counts[dim] + kLine - 1) / kLine;
            if (n_lines > std::numeric_limits<std::uint32_t>::max()) {
                throw std::invalid_argument("the postings need more than 2^32 lines of 16; split the catalogue");
            }
            built.list_starts[number * rows.n_dims + dim + 1] = static_cast<std::uint32_t>(n_lines);
        }
    }
    built.n_lines = n_lines;
    built.lines = std::make_unique<Pages>(n_lines * sizeof(Line));
    Line *lines = static_cast<Line *>(built.lines->data());
    for (std::size_t number = 0; number < n_blocks; number++) {
        const std::uint32_t *lists = built.list_starts.data() + number * rows.n_dims;
        fill(rows, block_of(rows, number), built.units[number], lists, lines, counts);
    }
    return built;
}

}  // namespace sparrow
