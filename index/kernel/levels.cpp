#include "levels.hpp"

#include "cpu.hpp"

namespace sparrow {

extern const Loops kPortableLoops;
#if SPARROW_X86
extern const Loops kAvx2Loops;
extern const Loops kAvx512Loops;
#endif

namespace {

// Best first.
constexpr Level<Loops> kLevels[] = {
#if SPARROW_X86
    {&kAvx512Loops, has_avx512},
    {&kAvx2Loops, has_avx2},
#endif
    {&kPortableLoops, always},
};

}  // namespace

std::vector<const Loops *> levels() { return supported(kLevels); }

const Loops &level(const std::string &name) { return choose(levels(), name); }

}  // namespace sparrow
