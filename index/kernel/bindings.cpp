// The module index._kernel: what Python sees of the kernel.
#include <nanobind/nanobind.h>

NB_MODULE(_kernel, module) {
    module.doc() = "Sparrow's search kernel.";
}
