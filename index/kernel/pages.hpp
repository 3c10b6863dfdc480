// Memory that is read and written in random order.
#pragma once

#include <cstddef>

namespace sparrow {

// Aligned memory, zeroed, in huge pages where the system has them: with 4 KiB pages each access in random order would
// miss the first-level TLB.
class Pages {
  public:
    explicit Pages(std::size_t n_bytes);
    ~Pages();
    Pages(const Pages &) = delete;
    Pages &operator=(const Pages &) = delete;

    void *data() const { return data_; }

  private:
    void *data_;
};

}  // namespace sparrow
