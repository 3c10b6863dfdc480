// The step for CPUs with AVX2 and FMA.
#define SPARROW_WIDTH 8
#include "learn.hpp"

namespace sparrow {

extern const Loops kAvx2Loops;
const Loops kAvx2Loops{"avx2", learn};

}  // namespace sparrow
