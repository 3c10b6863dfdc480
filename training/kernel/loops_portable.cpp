// The step for any CPU.
#define SPARROW_WIDTH 4
#include "learn.hpp"

namespace sparrow {

extern const Loops kPortableLoops;
const Loops kPortableLoops{"portable", learn};

}  // namespace sparrow
