#include "cut.hpp"

#include <algorithm>
#include <functional>

namespace sparrow {

Cut cut_to(float *sizes, std::size_t n_dims, std::size_t n) {
    std::nth_element(sizes, sizes + (n - 1), sizes + n_dims, std::greater<float>());
    const float last = sizes[n - 1];
    return {last, static_cast<std::size_t>(std::count(sizes, sizes + n, last))};
}

}  // namespace sparrow
