#include "step.hpp"

#include <algorithm>
#include <exception>
#include <thread>

namespace sparrow {
namespace {

struct Share {
    double loss = 0;
    std::vector<float> gradient;
    std::exception_ptr failed;
};

void work(const Problem &problem, const Loops &loops, std::size_t thread, std::size_t n_threads, Share &share) {
    try {
        Scratch scratch(problem);
        for (std::size_t first = thread * kLanes; first < problem.histories.n_users; first += n_threads * kLanes) {
            share.loss += loops.learn(problem, first, scratch);
        }
        share.gradient = std::move(scratch.gradient);
    } catch (...) {
        share.failed = std::current_exception();
    }
}

void join(std::vector<std::thread> &threads) {
    for (std::thread &each : threads) {
        each.join();
    }
}

}  // namespace

Slope step(const Problem &problem, const Loops &loops, std::size_t n_threads) {
    const std::size_t n_chunks = (problem.histories.n_users + kLanes - 1) / kLanes;
    n_threads = std::max<std::size_t>(1, std::min(n_threads, n_chunks));
    std::vector<Share> shares(n_threads);
    std::vector<std::thread> threads;
    try {
        for (std::size_t t = 1; t < n_threads; t++) {
            threads.emplace_back(work, std::cref(problem), std::cref(loops), t, n_threads, std::ref(shares[t]));
        }
    } catch (...) {
        join(threads);
        throw;
    }
    work(problem, loops, 0, n_threads, shares[0]);
    join(threads);
    Slope slope{0, std::move(shares[0].gradient)};
    for (std::size_t t = 0; t < n_threads; t++) {
        if (shares[t].failed) {
            std::rethrow_exception(shares[t].failed);
        }
        slope.loss += shares[t].loss;
        if (t > 0) {
            std::transform(slope.gradient.begin(), slope.gradient.end(), shares[t].gradient.begin(),
                           slope.gradient.begin(), std::plus<float>());
        }
    }
    slope.loss /= problem.denominator;
    return slope;
}

}  // namespace sparrow
