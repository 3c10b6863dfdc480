#include "scratch.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sparrow {
namespace {

constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr std::size_t kScoresBytes = kBlockScores * sizeof(float);
constexpr std::size_t kFoundBytes = kBlockScores * sizeof(std::uint16_t);

}  // namespace

Pages::Pages(std::size_t n_bytes) {
    const std::size_t whole = (n_bytes + kHugePage - 1) / kHugePage * kHugePage;
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

Scratch::Scratch()
    : pages_(2 * kScoresBytes + kFoundBytes),
      scores(static_cast<float *>(pages_.data())),
      maxima(scores + kBlockScores),
      found(reinterpret_cast<std::uint16_t *>(maxima + kBlockScores)) {}

float *Scratch::scores_of_all(std::size_t n_blocks) {
    if (all_ == nullptr || n_blocks_ < n_blocks) {
        all_ = std::make_unique<Pages>((n_blocks + 1) * kScoresBytes);
        n_blocks_ = n_blocks;
    }
    return static_cast<float *>(all_->data());
}

std::unique_ptr<Scratch> ScratchPool::take() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!free_.empty()) {
            std::unique_ptr<Scratch> scratch = std::move(free_.back());
            free_.pop_back();
            return scratch;
        }
    }
    return std::make_unique<Scratch>();
}

void ScratchPool::give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(scratch));
}

}  // namespace sparrow
