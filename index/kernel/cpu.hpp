// Which instruction sets this CPU has, and the choice among loops that were compiled for several.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#if SPARROW_X86
#include <cpuid.h>
#endif

namespace sparrow {

inline bool always() { return true; }

#if SPARROW_X86
// Not every compiler's __builtin_cpu_supports knows this one. That the system keeps its registers follows from AVX2.
inline bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

inline bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

template <typename Loops>
struct Level {
    const Loops *loops;
    bool (*supported)();
};

// Those of a table, best first, that this CPU can run.
template <typename Loops, std::size_t n>
std::vector<const Loops *> supported(const Level<Loops> (&table)[n]) {
    std::vector<const Loops *> found;
    for (const Level<Loops> &level : table) {
        if (level.supported()) {
            found.push_back(level.loops);
        }
    }
    return found;
}

// One by name, the first for an empty name; std::invalid_argument if there is no such level.
template <typename Loops>
const Loops &choose(const std::vector<const Loops *> &levels, const std::string &name) {
    std::string known;
    for (const Loops *loops : levels) {
        if (name.empty() || name == loops->name) {
            return *loops;
        }
        known += (known.empty() ? "" : ", ") + std::string(loops->name);
    }
    throw std::invalid_argument("this CPU has no level '" + name + "'; it has " + known);
}

}  // namespace sparrow
