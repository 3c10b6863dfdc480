// What reading alone costs: no accumulation, no selection. Built by limits.py.
#include <cstddef>
#include <cstdint>

namespace {

// A posting line; the allocator of the array need not have aligned it.
typedef std::uint64_t Line __attribute__((vector_size(64), aligned(2), may_alias));

std::uint64_t folded(const Line &line) {
    std::uint64_t sum = 0;
    for (int i = 0; i < 8; i++) {
        sum ^= line[i];
    }
    return sum;
}

}  // namespace

// Read every line of the lists of the given dims, block after block, in the order of the dims; the answer is the
// exclusive or of what was read, so that nothing can be left out.
extern "C" std::uint64_t touch(const Line *lines, const std::uint32_t *list_starts, std::size_t n_blocks,
                               std::size_t n_dims, const std::int32_t *dims, std::size_t n_active) {
    Line seen{};
    for (std::size_t block = 0; block < n_blocks; block++) {
        const std::uint32_t *starts = list_starts + block * n_dims;
        for (std::size_t i = 0; i < n_active; i++) {
            const Line *stop = lines + starts[dims[i] + 1];
            for (const Line *line = lines + starts[dims[i]]; line < stop; line++) {
                seen ^= *line;
            }
        }
    }
    return folded(seen);
}

// Read memory from beginning to end.
extern "C" std::uint64_t stream(const Line *memory, std::size_t n_lines) {
    Line seen[4] = {};
    for (std::size_t i = 0; i + 4 <= n_lines; i += 4) {
        for (int j = 0; j < 4; j++) {
            seen[j] ^= memory[i + j];
        }
    }
    return folded(seen[0] ^ seen[1] ^ seen[2] ^ seen[3]);
}

// What a training step touches (training/kernel/README.md) and nothing else: for every group of users, first the query
// line of each value's dim, then that line and the gradient beside it, of which the latter is written back.
// `memory` has two lines a dim.
extern "C" std::uint64_t touch_step(Line *memory, const std::int32_t *dims, std::size_t n_values,
                                    std::size_t n_groups) {
    Line seen{};
    for (std::size_t group = 0; group < n_groups; group++) {
        for (std::size_t j = 0; j < n_values; j++) {
            seen ^= memory[2 * dims[j]];
        }
        for (std::size_t j = 0; j < n_values; j++) {
            memory[2 * dims[j] + 1] ^= memory[2 * dims[j]];
        }
    }
    return folded(seen);
}
