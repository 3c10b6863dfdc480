// The hot loops for any CPU.
#include "half.hpp"
#include "loops.hpp"

namespace sparrow {
namespace {

constexpr std::size_t kLanes = 16;

void accumulate(const Line *lines, const std::uint32_t *lists, const Active *active, std::size_t n_active, float unit,
                float *scores) {
    for (std::size_t a = 0; a < n_active; a++) {
        const float factor = active[a].value * unit;
        for (std::size_t l = lists[active[a].dim]; l < lists[active[a].dim + 1]; l++) {
            for (std::size_t x = 0; x < kLine; x++) {
                scores[lines[l].items[x]] += factor * from_half(lines[l].values[x]);
            }
        }
    }
}

std::size_t count(const std::uint64_t *words, std::size_t n_words) {
    std::size_t n_set = 0;
    for (std::size_t word = 0; word < n_words; word++) {
        n_set += static_cast<std::size_t>(__builtin_popcountll(words[word]));
    }
    return n_set;
}

void mask(float *scores, const std::uint64_t *words, std::size_t n_words) {
    for (std::size_t i = 0; i < n_words * 64; i++) {
        scores[i] = (words[i / 64] >> (i % 64) & 1u) != 0 ? scores[i] : -__builtin_inff();
    }
}

std::size_t maxima(const float *scores, std::size_t n_vectors, std::size_t height, float *out) {
    std::size_t written = 0;
    for (std::size_t first = 0; first < n_vectors; first += height) {
        const std::size_t last = first + height < n_vectors ? first + height : n_vectors;
        for (std::size_t lane = 0; lane < kLanes; lane++) {
            float greatest = scores[first * kLanes + lane];
            for (std::size_t v = first + 1; v < last; v++) {
                const float next = scores[v * kLanes + lane];
                greatest = next > greatest ? next : greatest;
            }
            out[written++] = greatest;
        }
    }
    return written;
}

std::size_t collect(float *scores, std::size_t n_scores, float bound, bool clear, std::uint16_t *found) {
    std::size_t n_found = 0;
    for (std::size_t i = 0; i < n_scores; i++) {
        if (scores[i] > bound) {
            found[n_found++] = static_cast<std::uint16_t>(i);
        }
        scores[i] = clear ? 0.0f : scores[i];
    }
    return n_found;
}

template <typename Value>
void score_item(const ScanRows &rows, const Value *values, std::size_t item, const PackedValues *table, float *scores) {
    const float *const row_factors[] = {rows.steps, rows.scale};
    for (std::size_t q = 0; q < kBatch; q++) {
        scores[q] = 0.0f;
    }
    for (std::int64_t place = rows.starts[item]; place < rows.starts[item + 1]; place++) {
        const std::uint32_t dim = rows.dims[place] < rows.n_dims ? rows.dims[place] : rows.n_dims;
        const auto value = static_cast<float>(values[place]);
        for (std::size_t pair = 0; pair < kBatch / 2; pair++) {
            const std::uint32_t packed = table[dim].pairs[pair];
            scores[pair] += value * float_of(packed << 16);
            scores[pair + kBatch / 2] += value * float_of(packed & 0xffff0000u);
        }
    }
    for (const float *factors : row_factors) {
        for (std::size_t q = 0; q < kBatch && factors != nullptr; q++) {
            scores[q] *= factors[item];
        }
    }
}

template <typename Value>
std::size_t scan_values(const ScanRows &rows, const Value *values, std::size_t first, std::size_t last,
                        const PackedValues *table, const float *bounds, ItemScores *found) {
    std::size_t n_found = 0;
    for (std::size_t item = first; item < last; item++) {
        ItemScores &next = found[n_found];
        score_item(rows, values, item, table, next.scores);
        next.item = static_cast<std::int32_t>(item);
        next.above = 0;
        for (std::size_t q = 0; q < kBatch; q++) {
            next.above |= static_cast<std::uint32_t>(next.scores[q] > bounds[q]) << q;
        }
        n_found += next.above != 0;
    }
    return n_found;
}

std::size_t scan(const ScanRows &rows, std::size_t first, std::size_t last, const PackedValues *table,
                 const float *bounds, ItemScores *found) {
    if (rows.steps == nullptr) {
        return scan_values(rows, static_cast<const float *>(rows.values), first, last, table, bounds, found);
    }
    return scan_values(rows, static_cast<const std::int8_t *>(rows.values), first, last, table, bounds, found);
}

}  // namespace

extern const Loops kPortableLoops;
const Loops kPortableLoops{"portable", accumulate, count, mask, maxima, collect, scan};

}  // namespace sparrow
