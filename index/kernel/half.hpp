// Half precision (IEEE 754 binary16) in plain C++, for building and for CPUs without a conversion of their own.
#pragma once

#include <cstdint>
#include <cstring>

namespace sparrow {

static inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// The nearest half, ties to even; for |value| < 65520. At most 2^-11 of the value away, or 2^-25 where that is more.
static inline std::uint16_t to_half(float value) {
    const std::uint32_t bits = bits_of(value);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
    const std::uint32_t size = bits & 0x7fffffffu;
    if (size < 113u << 23) {  // below 2^-14 the sum with 0.5 leaves the ten bits of a subnormal at the low end
        return static_cast<std::uint16_t>(sign | (bits_of(float_of(size) + 0.5f) - bits_of(0.5f)));
    }
    const std::uint32_t odd = size >> 13 & 1u;
    return static_cast<std::uint16_t>(sign | ((size + 0xfffu + odd - (112u << 23)) >> 13));
}

// Exact for every finite half; no step touches a subnormal float, which a host may have set to be flushed to zero.
static inline float from_half(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t size = (half & 0x7fffu) << 13;
    const bool subnormal = size < 1u << 23;
    const float whole = float_of(size + (112u << 23) + (subnormal ? 1u << 23 : 0u));
    return float_of(bits_of(subnormal ? whole - float_of(113u << 23) : whole) | sign);
}

}  // namespace sparrow
