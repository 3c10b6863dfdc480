// The hot loops for CPUs with AVX-512 (F, BW, DQ, VL) and F16C.
#include <immintrin.h>

#include "loops.hpp"

namespace sparrow {
namespace {

constexpr std::size_t kLanes = 16;

inline void add_line(const Line &line, __m512 factor, float *scores) {
    alignas(64) float products[kLine];
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(line.values));
    _mm512_store_ps(products, _mm512_mul_ps(factor, _mm512_cvtph_ps(halves)));
#pragma GCC unroll 16
    for (std::size_t x = 0; x < kLine; x++) {
        scores[line.items[x]] += products[x];
    }
}

// A list is read while the next one is asked for: the memory is slow to begin, and lists begin anywhere.
void accumulate(const Line *lines, const std::uint32_t *lists, const Active *active, std::size_t n_active, float unit,
                float *scores) {
    for (std::size_t a = 0; a < n_active; a++) {
        const std::uint32_t dim = active[a].dim, next_dim = active[a + 1 < n_active ? a + 1 : a].dim;
        const Line *line = lines + lists[dim], *end = lines + lists[dim + 1];
        const Line *next = lines + lists[next_dim], *next_end = lines + lists[next_dim + 1];
        const __m512 factor = _mm512_set1_ps(active[a].value * unit);
        for (; line < end && next < next_end; line++, next++) {
            __builtin_prefetch(next);
            add_line(*line, factor, scores);
        }
        for (; line < end; line++) {
            add_line(*line, factor, scores);
        }
        for (; next < next_end; next++) {
            __builtin_prefetch(next);
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
    const __m512 hidden = _mm512_set1_ps(-__builtin_inff());
    for (std::size_t i = 0; i < n_words * 64; i += kLanes) {
        const auto is_set = static_cast<__mmask16>(words[i / 64] >> (i % 64));
        _mm512_storeu_ps(scores + i, _mm512_mask_mov_ps(hidden, is_set, _mm512_loadu_ps(scores + i)));
    }
}

std::size_t maxima(const float *scores, std::size_t n_vectors, std::size_t height, float *out) {
    std::size_t written = 0;
    for (std::size_t first = 0; first < n_vectors; first += height) {
        const std::size_t last = first + height < n_vectors ? first + height : n_vectors;
        __m512 greatest = _mm512_loadu_ps(scores + first * kLanes);
        for (std::size_t v = first + 1; v < last; v++) {
            greatest = _mm512_max_ps(greatest, _mm512_loadu_ps(scores + v * kLanes));
        }
        _mm512_storeu_ps(out + written, greatest);
        written += kLanes;
    }
    return written;
}

// Without a branch, which could not be predicted. Writes a whole vector: what is found never overtakes what is read.
inline std::size_t write_numbers(std::size_t first, __mmask16 above, std::uint16_t *found) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first)));
    const __m256i written = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(above, numbers));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(found), written);
    return static_cast<std::size_t>(__builtin_popcount(above));
}

std::size_t collect(float *scores, std::size_t n_scores, float bound, bool clear, std::uint16_t *found) {
    const __m512 bounds = _mm512_set1_ps(bound), zero = _mm512_setzero_ps();
    std::size_t n_found = 0;
    for (std::size_t i = 0; i < n_scores; i += 4 * kLanes) {
        __mmask16 above[4];
        for (std::size_t part = 0; part < 4; part++) {
            above[part] = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + i + part * kLanes), bounds, _CMP_GT_OQ);
            if (clear) {
                _mm512_storeu_ps(scores + i + part * kLanes, zero);
            }
        }
        if ((above[0] | above[1] | above[2] | above[3]) != 0) {
            for (std::size_t part = 0; part < 4; part++) {
                n_found += write_numbers(i + part * kLanes, above[part], found + n_found);
            }
        }
    }
    return n_found;
}

template <typename Value>
std::size_t scan_values(const ScanRows &rows, const Value *values, std::size_t first, std::size_t last,
                        const PackedValues *table, const float *bounds, ItemScores *found) {
    const float *const row_factors[] = {rows.steps, rows.scale};
    const __m512 low_bounds = _mm512_loadu_ps(bounds), high_bounds = _mm512_loadu_ps(bounds + kLanes);
    const __m512i high_half = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    std::size_t n_found = 0;
    for (std::size_t item = first; item < last; item++) {
        __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
        for (std::int64_t place = rows.starts[item]; place < rows.starts[item + 1]; place++) {
            const std::uint32_t dim = rows.dims[place] < rows.n_dims ? rows.dims[place] : rows.n_dims;
            const __m512i packed = _mm512_loadu_si512(table + dim);
            const __m512 value = _mm512_set1_ps(static_cast<float>(values[place]));
            low = _mm512_fmadd_ps(value, _mm512_castsi512_ps(_mm512_slli_epi32(packed, 16)), low);
            high = _mm512_fmadd_ps(value, _mm512_castsi512_ps(_mm512_and_si512(packed, high_half)), high);
        }
        for (const float *factors : row_factors) {
            if (factors != nullptr) {
                low = _mm512_mul_ps(low, _mm512_set1_ps(factors[item]));
                high = _mm512_mul_ps(high, _mm512_set1_ps(factors[item]));
            }
        }
        const std::uint32_t above_low = _mm512_cmp_ps_mask(low, low_bounds, _CMP_GT_OQ);
        const std::uint32_t above_high = _mm512_cmp_ps_mask(high, high_bounds, _CMP_GT_OQ);
        if ((above_low | above_high) != 0) {
            found[n_found].item = static_cast<std::int32_t>(item);
            found[n_found].above = above_low | above_high << kLanes;
            _mm512_storeu_ps(found[n_found].scores, low);
            _mm512_storeu_ps(found[n_found].scores + kLanes, high);
            n_found++;
        }
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

extern const Loops kAvx512Loops;
const Loops kAvx512Loops{"avx512", accumulate, count, mask, maxima, collect, scan};

}  // namespace sparrow
