#include "pages.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sparrow {
namespace {

constexpr std::size_t kHugePage = std::size_t{1} << 21;

}  // namespace

Pages::Pages(std::size_t n_bytes) {
    const std::size_t whole = (n_bytes / kHugePage + 1) * kHugePage;
    data_ = std::aligned_alloc(kHugePage, whole);
    if (data_ == nullptr) {
        throw std::bad_alloc();
    }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    madvise(data_, whole, MADV_HUGEPAGE);  // advice: without it all is slower, nothing is wrong
#endif
    std::memset(data_, 0, whole);
}

Pages::~Pages() { std::free(data_); }

}  // namespace sparrow
