#include "scratch.hpp"

#include <utility>

namespace sparrow {
namespace {

constexpr std::size_t kScoresBytes = kBlockScores * sizeof(float);
constexpr std::size_t kFoundBytes = kBlockScores * sizeof(std::uint16_t);

}  // namespace

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
