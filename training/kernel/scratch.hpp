// What a thread needs for kLanes users at a time: it does not grow with the batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "problem.hpp"

namespace sparrow {

// Floats that begin on a line of memory, where the widest vector may begin.
class Floats {
  public:
    explicit Floats(std::size_t n) : data_(static_cast<float *>(::operator new(n * sizeof(float), kLine))) {}
    float *data() const { return data_.get(); }

  private:
    static constexpr std::align_val_t kLine{64};
    struct Free {
        void operator()(float *memory) const { ::operator delete(memory, kLine); }
    };
    std::unique_ptr<float, Free> data_;
};

struct Scratch {
    explicit Scratch(const Problem &problem)
        : dims(2 * kLanes * problem.rows.n_dims),
          scores(kLanes * problem.n_outputs),
          gradient(problem.rows.n_rows * problem.rows.k, 0.0f),
          sizes(problem.query_dims > 0 ? problem.rows.n_dims : 0),
          sloping(longest(problem.histories)) {}

    Floats dims;                  // (n_dims, 2, kLanes): the user vectors, and the gradients with respect to them
    Floats scores;                // (n_outputs, kLanes): scores, then the gradients with respect to them
    std::vector<float> gradient;  // (n_rows, k): with respect to the values, of all users so far
    std::vector<float> sizes;     // (n_dims,): |q_d| of one user, to find those to keep
    std::vector<unsigned char> sloping;  // for each item of the users, whether its score is where relu6 has a slope

  private:
    // The most items that kLanes users have together.
    static std::size_t longest(const Histories &histories) {
        std::int64_t most = 0;
        for (std::size_t first = 0; first < histories.n_users; first += kLanes) {
            const std::size_t end = std::min(first + kLanes, histories.n_users);
            most = std::max(most, histories.starts[end] - histories.starts[first]);
        }
        return static_cast<std::size_t>(most);
    }
};

}  // namespace sparrow
