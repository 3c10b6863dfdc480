// Memory that a search needs and the next one can have: allocated once a thread, kept in a pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "line.hpp"
#include "pages.hpp"

namespace sparrow {

class Scratch {
  public:
    Scratch();

    // (n_blocks * kBlock and more, so that a block has kBlockScores): 0 between uses.
    float *scores_of_all(std::size_t n_blocks);

  private:
    Pages pages_;
    std::unique_ptr<Pages> all_;  // made when first asked for
    std::size_t n_blocks_ = 0;

  public:
    float *const scores;         // (kBlockScores,): 0 between uses
    float *const maxima;         // (kBlockScores,)
    std::uint16_t *const found;  // (kBlockScores,)
};

// Scratches by whoever needs one; safe between threads.
class ScratchPool {
  public:
    std::unique_ptr<Scratch> take();
    void give_back(std::unique_ptr<Scratch> scratch);

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Scratch>> free_;
};

// One scratch of a pool for the time of a call. Lost, not given back, if the call ends by an exception.
class Borrowed {
  public:
    explicit Borrowed(ScratchPool &pool) : pool_(pool), scratch_(pool.take()) {}
    void done() { pool_.give_back(std::move(scratch_)); }
    Scratch &operator*() const { return *scratch_; }
    Scratch *operator->() const { return scratch_.get(); }

  private:
    ScratchPool &pool_;
    std::unique_ptr<Scratch> scratch_;
};

}  // namespace sparrow
