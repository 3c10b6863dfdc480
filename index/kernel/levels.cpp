#include "levels.hpp"

#include <stdexcept>

#if SPARROW_X86
#include <cpuid.h>
#endif

namespace sparrow {

extern const Loops kPortableLoops;
#if SPARROW_X86
extern const Loops kAvx2Loops;
extern const Loops kAvx512Loops;
#endif

namespace {

bool always() { return true; }

#if SPARROW_X86
// Not every compiler's __builtin_cpu_supports knows this one. That the system keeps its registers follows from AVX2.
bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

struct Level {
    const Loops *loops;
    bool (*supported)();
};

// Best first.
constexpr Level kLevels[] = {
#if SPARROW_X86
    {&kAvx512Loops, has_avx512},
    {&kAvx2Loops, has_avx2},
#endif
    {&kPortableLoops, always},
};

}  // namespace

std::vector<const Loops *> levels() {
    std::vector<const Loops *> found;
    for (const Level &level : kLevels) {
        if (level.supported()) {
            found.push_back(level.loops);
        }
    }
    return found;
}

const Loops &level(const std::string &name) {
    std::string known;
    for (const Loops *loops : levels()) {
        if (name.empty() || name == loops->name) {
            return *loops;
        }
        known += (known.empty() ? "" : ", ") + std::string(loops->name);
    }
    throw std::invalid_argument("this CPU has no level '" + name + "'; it has " + known);
}

}  // namespace sparrow
