// The module training._kernel: what Python sees of the kernel. Arrays are taken as they are, never converted or copied;
// the interpreter's lock is released while the kernel works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "levels.hpp"
#include "step.hpp"

namespace nb = nanobind;

namespace sparrow {

namespace {

template <typename T, int n_axes>
using Array = nb::ndarray<const T, nb::ndim<n_axes>, nb::c_contig, nb::device::cpu>;
using Outputs = std::optional<Array<std::int32_t, 1>>;

void require(bool holds, const char *what) {
    if (!holds) {
        throw std::invalid_argument(what);
    }
}

bool within(const std::int32_t *numbers, std::size_t n, std::size_t end) {
    return std::all_of(numbers, numbers + n,
                       [&](std::int32_t x) { return x >= 0 && static_cast<std::size_t>(x) < end; });
}

// Where in `outputs` each row is, -1 where it is not.
std::vector<std::int32_t> places(const Outputs &outputs, std::size_t n_rows) {
    std::vector<std::int32_t> place;
    if (outputs) {
        require(within(outputs->data(), outputs->size(), n_rows), "outputs must be item rows");
        place.assign(n_rows, -1);
        for (std::size_t o = 0; o < outputs->size(); o++) {
            place[outputs->data()[o]] = static_cast<std::int32_t>(o);
        }
    }
    return place;
}

std::vector<std::string> level_names() {
    std::vector<std::string> names;
    for (const Loops *loops : levels()) {
        names.emplace_back(loops->name);
    }
    return names;
}

nb::tuple step_on(const Array<std::int32_t, 2> &dims, const Array<float, 2> &values, std::size_t n_dims,
                  const Array<std::int64_t, 1> &starts, const Array<std::int32_t, 1> &items, double denominator,
                  const Outputs &outputs, std::size_t query_dims, std::size_t n_threads,
                  const std::string &level_name) {
    const std::size_t n_rows = values.shape(0), k = values.shape(1);
    require(dims.shape(0) == n_rows && dims.shape(1) == k, "dims and values must have one shape");
    require(within(dims.data(), dims.size(), n_dims), "dims must be within 0..n_dims-1");
    require(starts.size() > 0 && starts.data()[0] == 0 &&
                std::is_sorted(starts.data(), starts.data() + starts.size()) &&
                static_cast<std::size_t>(starts.data()[starts.size() - 1]) == items.size(),
            "the starts of the histories must ascend from 0 to the number of items");
    require(within(items.data(), items.size(), n_rows), "the items of the histories must be item rows");
    const std::vector<std::int32_t> place = places(outputs, n_rows);
    require(!outputs || std::all_of(items.data(), items.data() + items.size(), [&](auto i) { return place[i] >= 0; }),
            "outputs must hold every item of the histories");
    const Problem problem{{values.data(), dims.data(), n_rows, k, n_dims},
                          {starts.data(), items.data(), starts.size() - 1},
                          outputs ? outputs->data() : nullptr,
                          outputs ? place.data() : nullptr,
                          outputs ? outputs->size() : n_rows,
                          query_dims,
                          denominator};
    const Loops &loops = level(level_name);
    Slope slope;
    {
        const nb::gil_scoped_release release;
        slope = step(problem, loops, n_threads);
    }
    auto *kept = new std::vector<float>(std::move(slope.gradient));
    nb::capsule owner(kept, [](void *memory) noexcept { delete static_cast<std::vector<float> *>(memory); });
    return nb::make_tuple(slope.loss, nb::ndarray<nb::numpy, float>(kept->data(), {n_rows, k}, owner));
}

}  // namespace
}  // namespace sparrow

NB_MODULE(_kernel, module) {
    using namespace sparrow;
    using namespace nb::literals;
    module.doc() = "Sparrow's training kernel; training.models.engine is the way to use it.";
    module.def("levels", &level_names);
    module.def("step", &step_on, "dims"_a.noconvert(), "values"_a.noconvert(), "n_dims"_a, "starts"_a.noconvert(),
               "items"_a.noconvert(), "denominator"_a, "outputs"_a.noconvert().none() = nb::none(), "query_dims"_a = 0,
               "n_threads"_a = 1, "level"_a = "");
}
