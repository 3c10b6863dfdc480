// The ELSA loss of sixteen users and its gradient, fused: q = x A, s = A q - x, g = d loss / d s, and
// dA = g q^T + x^T (A^T g)^T at the positions of A only. Included by loops_*.cpp, each of which compiles it for a
// level: so all is local to the file, and nothing of the standard library is used that would be compiled once for all
// of them.
//
// Of the time nearly all goes into `score` and `spread`, which for each value touch one dim of the sixteen users: a
// line of memory to read, in `spread` two to read and one to write. The rest is 1 / k of that.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cut.hpp"
#include "lanes.hpp"
#include "loops.hpp"

namespace sparrow {
namespace {

// A dim of the user vectors, beside the gradient with respect to it: whoever reads one reads both.
struct Dim {
    Lanes query;
    Lanes gradient;
};

constexpr float kMost = 6;  // of relu6

inline Dim *dims_of(Scratch &scratch) { return reinterpret_cast<Dim *>(scratch.dims.data()); }
inline Lanes *scores_of(Scratch &scratch) { return reinterpret_cast<Lanes *>(scratch.scores.data()); }
inline float &of_user(Lanes &lanes, std::size_t lane) { return reinterpret_cast<float *>(&lanes)[lane]; }

// Keeps the query_dims largest |q_d| of a user.
void cut(const Problem &problem, std::size_t lane, Scratch &scratch) {
    Dim *dims = dims_of(scratch);
    const std::size_t n_dims = problem.rows.n_dims;
    if (problem.query_dims >= n_dims) {
        return;
    }
    for (std::size_t d = 0; d < n_dims; d++) {
        scratch.sizes[d] = std::fabs(of_user(dims[d].query, lane));
    }
    Cut kept = cut_to(scratch.sizes.data(), n_dims, problem.query_dims);
    for (std::size_t d = 0; d < n_dims; d++) {
        const float size = std::fabs(of_user(dims[d].query, lane));
        const bool tied = size == kept.last && kept.n_tied > 0;
        kept.n_tied -= tied;
        if (size <= kept.last && !tied) {
            of_user(dims[d].query, lane) = 0;
        }
    }
}

void encode(const Problem &problem, std::size_t first, std::size_t n, Scratch &scratch) {
    const Rows &rows = problem.rows;
    const Histories &histories = problem.histories;
    Dim *dims = dims_of(scratch);
    for (std::size_t d = 0; d < rows.n_dims; d++) {
        dims[d] = Dim{};
    }
    for (std::size_t lane = 0; lane < n; lane++) {
        for (std::int64_t x = histories.starts[first + lane]; x < histories.starts[first + lane + 1]; x++) {
            const std::size_t row = static_cast<std::size_t>(histories.items[x]) * rows.k;
            for (std::size_t j = row; j < row + rows.k; j++) {
                of_user(dims[rows.dims[j]].query, lane) += rows.values[j];
            }
        }
        if (problem.query_dims > 0) {
            cut(problem, lane, scratch);
        }
    }
}

void score(const Problem &problem, Scratch &scratch) {
    const Rows &rows = problem.rows;
    const Dim *dims = dims_of(scratch);
    Lanes *scores = scores_of(scratch);
    for (std::size_t o = 0; o < problem.n_outputs; o++) {
        const std::size_t row = problem.outputs ? problem.outputs[o] : o;
        const float *value = rows.values + row * rows.k;
        const std::int32_t *dim = rows.dims + row * rows.k;
        Lanes even{}, odd{};
        std::size_t j = 0;
        for (; j + 1 < rows.k; j += 2) {
            add(even, value[j], dims[dim[j]].query);
            add(odd, value[j + 1], dims[dim[j + 1]].query);
        }
        if (j < rows.k) {
            add(even, value[j], dims[dim[j]].query);
        }
        add(even, 1, odd);
        scores[o] = even;
    }
}

// Calls do_(score, lane) for each item of the users' histories.
template <typename Do>
void each_own(const Problem &problem, std::size_t first, std::size_t n, Scratch &scratch, Do do_) {
    const Histories &histories = problem.histories;
    float *scores = scratch.scores.data();
    for (std::size_t lane = 0; lane < n; lane++) {
        for (std::int64_t x = histories.starts[first + lane]; x < histories.starts[first + lane + 1]; x++) {
            const std::int32_t item = histories.items[x];
            do_(scores[(problem.place ? problem.place[item] : item) * kLanes + lane], lane);
        }
    }
}

// Scores to gradients with respect to them. p = relu6(s), c = cos(p, x): g = 2 / (denominator |p|) (c p / |p| - x /
// |x|), and 0 where relu6 is flat. The loss of a user is |p / |p| - x / |x||^2 = 2 - 2 c, or 1 where one of the two is
// empty.
double differentiate(const Problem &problem, std::size_t first, std::size_t n, Scratch &scratch) {
    Lanes *scores = scores_of(scratch);
    each_own(problem, first, n, scratch, [](float &score, std::size_t) { score -= 1; });
    const Vector<kWidth> zero{}, most = zero + kMost;
    Lanes squares{};
    for (std::size_t o = 0; o < problem.n_outputs; o++) {
        each_part([&](std::size_t part) {
            Vector<kWidth> predicted = scores[o].parts[part];
            predicted = predicted > zero ? predicted : zero;
            predicted = predicted < most ? predicted : most;
            squares.parts[part] += predicted * predicted;
        });
    }
    float overlap[kLanes] = {};
    unsigned char *slopes = scratch.sloping.data();
    each_own(problem, first, n, scratch, [&](const float &score, std::size_t lane) {
        overlap[lane] += score > 0 ? (score < kMost ? score : kMost) : 0;
        *slopes++ = score > 0 && score < kMost;
    });
    double loss = 0;
    Lanes of_predicted{};
    float of_own[kLanes] = {};
    for (std::size_t lane = 0; lane < n; lane++) {
        const std::int64_t size = problem.histories.starts[first + lane + 1] - problem.histories.starts[first + lane];
        const float target = size > 0 ? 1 / std::sqrt(static_cast<float>(size)) : 0;
        const float square = of_user(squares, lane), inverse = square > 0 ? 1 / std::sqrt(square) : 0;
        const float cosine = overlap[lane] * target * inverse;
        const auto scale = static_cast<float>(2 / problem.denominator) * inverse;
        loss += (inverse > 0) + (target > 0) - 2.0 * cosine;
        of_user(of_predicted, lane) = scale * cosine * inverse;
        of_own[lane] = scale * target;
    }
    for (std::size_t o = 0; o < problem.n_outputs; o++) {
        each_part([&](std::size_t part) {
            const Vector<kWidth> score = scores[o].parts[part];
            const Vector<kWidth> gradient = score > zero ? score * of_predicted.parts[part] : zero;
            scores[o].parts[part] = score < most ? gradient : zero;
        });
    }
    const unsigned char *sloping = scratch.sloping.data();
    each_own(problem, first, n, scratch,
             [&](float &gradient, std::size_t lane) { gradient -= *sloping++ ? of_own[lane] : 0; });
    return loss;
}

// `width` values of a row, as `spread` has it.
template <std::size_t width>
inline void spread_some(const Lanes &gradient, const float *value, const std::int32_t *dim, Dim *dims, float *out) {
    Vector<width> products[width];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < width; i++) {
        Dim &of = dims[dim[i]];
        products[i] = folded<width>(product(gradient, of.query));
        add(of.gradient, value[i], gradient);
    }
    const Vector<width> found = sums<width>(products);
    for (std::size_t i = 0; i < width; i++) {
        out[i] += found[i];
    }
}

// Takes the gradients with respect to the scores to the values (through the decoder) and to the user vectors.
void spread(const Problem &problem, Scratch &scratch) {
    const Rows &rows = problem.rows;
    Dim *dims = dims_of(scratch);
    const Lanes *gradients = scores_of(scratch);
    for (std::size_t o = 0; o < problem.n_outputs; o++) {
        const std::size_t row = problem.outputs ? problem.outputs[o] : o;
        const Lanes gradient = gradients[o];
        const float *value = rows.values + row * rows.k;
        const std::int32_t *dim = rows.dims + row * rows.k;
        float *out = scratch.gradient.data() + row * rows.k;
        std::size_t j = 0;
        for (; j + kWidth <= rows.k; j += kWidth) {
            spread_some<kWidth>(gradient, value + j, dim + j, dims, out + j);
        }
        if (j + kWidth / 2 <= rows.k) {
            spread_some<kWidth / 2>(gradient, value + j, dim + j, dims, out + j);
            j += kWidth / 2;
        }
        for (; j < rows.k; j++) {
            Dim &of = dims[dim[j]];
            out[j] += sum(product(gradient, of.query));
            add(of.gradient, value[j], gradient);
        }
    }
}

// Takes the gradients with respect to the user vectors to the values, through the encoder. What was cut from a user
// vector still gets its gradient (straight through), or it could never come back.
void through_encoder(const Problem &problem, std::size_t first, std::size_t n, Scratch &scratch) {
    const Rows &rows = problem.rows;
    const Histories &histories = problem.histories;
    Dim *dims = dims_of(scratch);
    for (std::size_t lane = 0; lane < n; lane++) {
        for (std::int64_t x = histories.starts[first + lane]; x < histories.starts[first + lane + 1]; x++) {
            const std::size_t row = static_cast<std::size_t>(histories.items[x]) * rows.k;
            for (std::size_t j = row; j < row + rows.k; j++) {
                scratch.gradient[j] += of_user(dims[rows.dims[j]].gradient, lane);
            }
        }
    }
}

double learn(const Problem &problem, std::size_t first, Scratch &scratch) {
    const std::size_t n = std::min(kLanes, problem.histories.n_users - first);
    encode(problem, first, n, scratch);
    score(problem, scratch);
    const double loss = differentiate(problem, first, n, scratch);
    spread(problem, scratch);
    through_encoder(problem, first, n, scratch);
    return loss;
}

}  // namespace
}  // namespace sparrow
