// A float of each of kLanes users, in as many registers as the level needs, and sums over the users.
// SPARROW_WIDTH: floats in a register. Like everything that a level compiles, this is local to the file.
#pragma once

#include <cstddef>
#include <utility>

#include "problem.hpp"

namespace sparrow {
namespace {

template <std::size_t width>
struct Register {
    typedef float type __attribute__((vector_size(width * sizeof(float)), may_alias));
};
template <std::size_t width>
using Vector = typename Register<width>::type;

constexpr std::size_t kWidth = SPARROW_WIDTH;
constexpr std::size_t kParts = kLanes / kWidth;

struct alignas(kLanes * sizeof(float)) Lanes {
    Vector<kWidth> parts[kParts];
};

// Calls do_ for each part.
template <typename Do>
inline void each_part(Do do_) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < kParts; part++) {
        do_(part);
    }
}

inline void add(Lanes &to, float factor, const Lanes &lanes) {
    each_part([&](std::size_t part) { to.parts[part] += factor * lanes.parts[part]; });
}

inline Lanes product(const Lanes &a, const Lanes &b) {
    Lanes of;
    each_part([&](std::size_t part) { of.parts[part] = a.parts[part] * b.parts[part]; });
    return of;
}

// What __builtin_shufflevector is to take for a place of the sum of a and b, whose groups of 2 * half floats are
// halved: the first halves of a group of a, then of b; with `second`, their second halves.
template <std::size_t width, std::size_t half>
constexpr int taken(std::size_t place, bool second) {
    const std::size_t group = place / (2 * half) * (2 * half), within = place % (2 * half);
    const std::size_t of_b = within >= half ? width - half : 0;
    return static_cast<int>(group + within + of_b + (second ? half : 0));
}

template <std::size_t width, std::size_t half, std::size_t... place>
inline Vector<width> halved(Vector<width> a, Vector<width> b, std::index_sequence<place...>) {
    return __builtin_shufflevector(a, b, taken<width, half>(place, false)...) +
           __builtin_shufflevector(a, b, taken<width, half>(place, true)...);
}

// The sums of `width` vectors, in less than four steps a vector; `of` is overwritten.
template <std::size_t width, std::size_t half = width / 2>
inline Vector<width> sums(Vector<width> *of) {
    if constexpr (half == 0) {
        return of[0];
    } else {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < half; i++) {
            of[i] = halved<width, half>(of[i], of[i + half], std::make_index_sequence<width>());
        }
        return sums<width, half / 2>(of);
    }
}

template <std::size_t... place>
inline auto halves(Vector<kWidth> all, std::index_sequence<place...>) {
    return __builtin_shufflevector(all, all, static_cast<int>(place)...) +
           __builtin_shufflevector(all, all, static_cast<int>(place + sizeof...(place))...);
}

// The parts added, in a register or in half of one.
template <std::size_t width>
inline Vector<width> folded(const Lanes &lanes) {
    Vector<kWidth> all = lanes.parts[0];
    for (std::size_t part = 1; part < kParts; part++) {
        all += lanes.parts[part];
    }
    if constexpr (width == kWidth) {
        return all;
    } else {
        static_assert(2 * width == kWidth);
        return halves(all, std::make_index_sequence<width>());
    }
}

inline float sum(const Lanes &lanes) {
    const Vector<kWidth> all = folded<kWidth>(lanes);
    float total = 0;
    for (std::size_t lane = 0; lane < kWidth; lane++) {
        total += all[lane];
    }
    return total;
}

}  // namespace
}  // namespace sparrow
