// The best of what a search finds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "floor.hpp"
#include "order.hpp"

namespace sparrow {

// Keeps the n best of what is pushed, down to a floor.
class Best {
  public:
    explicit Best(std::size_t n, const Floor &floor = {}) : n_(n), floor_(floor) {
        hits_.reserve(std::min(n, kRoom) + kSpare);
    }

    // The n-th best score so far or the floor, -infinity while there is neither. What is below can be left out.
    float threshold() const { return threshold_; }

    void push(Hit hit) {
        if (hit.score >= threshold_) {  // never true of NaN
            hits_.push_back(hit);
            if (hits_.size() >= 2 * n_ + kRoom) {
                shrink();
            }
        }
    }

    // Let nothing below a score in: one that the whole answer is known to reach.
    void require(float score) { threshold_ = score; }

    // The rank-th best score so far, -infinity while there are fewer; rank is at least 1 and at most n.
    float score_of(std::size_t rank) {
        if (hits_.size() < rank) {
            return -std::numeric_limits<float>::infinity();
        }
        const auto place = hits_.begin() + static_cast<std::ptrdiff_t>(rank - 1);
        std::nth_element(hits_.begin(), place, hits_.end(), Better());
        return place->score;
    }

    // Bring the threshold up to date.
    void shrink() {
        if (hits_.size() > n_) {
            std::nth_element(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(n_), hits_.end(), Better());
            hits_.resize(n_);
        }
        if (hits_.size() == n_ && n_ > 0) {
            const auto worst = std::max_element(hits_.begin(), hits_.end(), Better());  // the last in that order
            threshold_ = std::max(threshold_, worst->score);
        }
        threshold_ = std::max(threshold_, floor_.under([&](std::size_t rank) { return score_of(rank); }));
    }

    // The n best down to the floor, best first.
    Hits sorted() {
        if (hits_.size() > 2 * n_) {
            shrink();
        }
        sort(hits_);
        hits_.resize(std::min(n_, hits_.size()));
        hits_.resize(std::max(std::min(floor_.spared, hits_.size()), n_above_floor()));
        return std::move(hits_);
    }

  private:
    static constexpr std::size_t kRoom = 1024;
    static constexpr std::size_t kSpare = 32;  // of a small set few are more than wanted

    // How many of sorted hits reach the floor.
    std::size_t n_above_floor() const {
        const Floor sparing_none{floor_.rank, floor_.share};
        const float floor = sparing_none.under([this](std::size_t rank) {
            return rank <= hits_.size() ? hits_[rank - 1].score : -std::numeric_limits<float>::infinity();
        });
        const auto reaches = [floor](const Hit &hit) { return hit.score >= floor; };
        return static_cast<std::size_t>(std::partition_point(hits_.begin(), hits_.end(), reaches) - hits_.begin());
    }

    std::size_t n_;
    Floor floor_;
    float threshold_ = -std::numeric_limits<float>::infinity();
    Hits hits_;
};

}  // namespace sparrow
