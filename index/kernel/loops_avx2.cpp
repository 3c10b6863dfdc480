// The hot loops for CPUs with AVX2, FMA and F16C.
#include <immintrin.h>

#include "loops.hpp"

namespace sparrow {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kVector = 16;

inline void add_line(const Line &line, __m256 factor, float *scores) {
    alignas(32) float products[kLine];
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i *>(line.values));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i *>(line.values + kLanes));
    _mm256_store_ps(products, _mm256_mul_ps(factor, _mm256_cvtph_ps(low)));
    _mm256_store_ps(products + kLanes, _mm256_mul_ps(factor, _mm256_cvtph_ps(high)));
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
        const __m256 factor = _mm256_set1_ps(active[a].value * unit);
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
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256 hidden = _mm256_set1_ps(-__builtin_inff());
    for (std::size_t i = 0; i < n_words * 64; i += kLanes) {
        const __m256i own =
            _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(words[i / 64] >> (i % 64) & 0xffu)), bits);
        const __m256 is_set = _mm256_castsi256_ps(_mm256_cmpeq_epi32(own, bits));
        _mm256_storeu_ps(scores + i, _mm256_blendv_ps(hidden, _mm256_loadu_ps(scores + i), is_set));
    }
}

std::size_t maxima(const float *scores, std::size_t n_vectors, std::size_t height, float *out) {
    std::size_t written = 0;
    for (std::size_t first = 0; first < n_vectors; first += height) {
        const std::size_t last = first + height < n_vectors ? first + height : n_vectors;
        __m256 low = _mm256_loadu_ps(scores + first * kVector);
        __m256 high = _mm256_loadu_ps(scores + first * kVector + kLanes);
        for (std::size_t v = first + 1; v < last; v++) {
            low = _mm256_max_ps(low, _mm256_loadu_ps(scores + v * kVector));
            high = _mm256_max_ps(high, _mm256_loadu_ps(scores + v * kVector + kLanes));
        }
        _mm256_storeu_ps(out + written, low);
        _mm256_storeu_ps(out + written + kLanes, high);
        written += kVector;
    }
    return written;
}

std::size_t collect(float *scores, std::size_t n_scores, float bound, bool clear, std::uint16_t *found) {
    const __m256 bounds = _mm256_set1_ps(bound), zero = _mm256_setzero_ps();
    std::size_t n_found = 0;
    for (std::size_t i = 0; i < n_scores; i += 4 * kLanes) {
        std::uint32_t above = 0;
        for (std::size_t part = 0; part < 4; part++) {
            float *place = scores + i + part * kLanes;
            const int mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(place), bounds, _CMP_GT_OQ));
            above |= static_cast<std::uint32_t>(mask) << (part * kLanes);
            if (clear) {
                _mm256_storeu_ps(place, zero);
            }
        }
        for (; above != 0; above &= above - 1) {
            found[n_found++] = static_cast<std::uint16_t>(i + static_cast<std::size_t>(__builtin_ctz(above)));
        }
    }
    return n_found;
}

// The products of 8 queries with the values at their dimension: `shift` 16 takes the low halves, 0 the high ones.
inline __m256 add_low(__m256 sum, __m256 value, __m256i packed) {
    return _mm256_fmadd_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32(packed, 16)), sum);
}

inline __m256 add_high(__m256 sum, __m256 value, __m256i packed) {
    const __m256i high_half = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return _mm256_fmadd_ps(value, _mm256_castsi256_ps(_mm256_and_si256(packed, high_half)), sum);
}

inline std::uint32_t above(__m256 scores, const float *bounds) {
    const __m256 greater = _mm256_cmp_ps(scores, _mm256_loadu_ps(bounds), _CMP_GT_OQ);
    return static_cast<std::uint32_t>(_mm256_movemask_ps(greater));
}

template <typename Value>
std::size_t scan_values(const ScanRows &rows, const Value *values, std::size_t first, std::size_t last,
                        const PackedValues *table, const float *bounds, ItemScores *found) {
    const float *const row_factors[] = {rows.steps, rows.scale};
    std::size_t n_found = 0;
    for (std::size_t item = first; item < last; item++) {
        __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
        for (std::int64_t place = rows.starts[item]; place < rows.starts[item + 1]; place++) {
            const std::uint32_t dim = rows.dims[place] < rows.n_dims ? rows.dims[place] : rows.n_dims;
            const auto *packed = reinterpret_cast<const __m256i *>(table + dim);
            const __m256i first_half = _mm256_loadu_si256(packed), second_half = _mm256_loadu_si256(packed + 1);
            const __m256 value = _mm256_set1_ps(static_cast<float>(values[place]));
            sums[0] = add_low(sums[0], value, first_half);
            sums[1] = add_low(sums[1], value, second_half);
            sums[2] = add_high(sums[2], value, first_half);
            sums[3] = add_high(sums[3], value, second_half);
        }
        std::uint32_t mask = 0;
        for (std::size_t part = 0; part < 4; part++) {
            for (const float *factors : row_factors) {
                sums[part] = factors == nullptr ? sums[part] : _mm256_mul_ps(sums[part], _mm256_set1_ps(factors[item]));
            }
            mask |= above(sums[part], bounds + part * kLanes) << (part * kLanes);
        }
        if (mask != 0) {
            found[n_found].item = static_cast<std::int32_t>(item);
            found[n_found].above = mask;
            for (std::size_t part = 0; part < 4; part++) {
                _mm256_storeu_ps(found[n_found].scores + part * kLanes, sums[part]);
            }
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

extern const Loops kAvx2Loops;
const Loops kAvx2Loops{"avx2", accumulate, count, mask, maxima, collect, scan};

}  // namespace sparrow
