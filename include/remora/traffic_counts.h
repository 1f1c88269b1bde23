// Counters of requests: responses by status class, and their durations.
//
// Threading: one TrafficCounts per worker, written by that worker alone and summed when read.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <vector>

#include "remora/counter.h"

namespace remora {

struct alignas(64) TrafficCounts {
  /// Upper bounds of the duration buckets, in milliseconds. One more bucket counts everything above.
  static constexpr std::array<std::uint32_t, 10> bounds_ms{1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000};

  Counter microseconds;            // sum of all durations
  std::array<Counter, 6> answers;  // by class: 1xx to 5xx; [0]: no response, or an invalid one
  std::array<Counter, bounds_ms.size() + 1> buckets;

  void count(unsigned status, std::chrono::nanoseconds took) noexcept {
    const unsigned kind = status / 100;
    answers[kind < answers.size() ? kind : 0].add();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    std::size_t i = 0;
    while (i < bounds_ms.size() && us > std::int64_t{bounds_ms[i]} * 1000) ++i;
    buckets[i].add();
    microseconds.add(us > 0 ? static_cast<std::uint64_t>(us) : 0);
  }
};

/// The counts of all workers, added up.
struct TrafficSum {
  std::array<std::uint64_t, 6> answers{};
  std::array<std::uint64_t, TrafficCounts::bounds_ms.size() + 1> buckets{};
  std::uint64_t microseconds = 0;

  std::uint64_t total() const noexcept {
    std::uint64_t n = 0;
    for (const std::uint64_t a : answers) n += a;
    return n;
  }
  explicit TrafficSum(const std::vector<TrafficCounts>& by_worker) noexcept {
    for (const TrafficCounts& c : by_worker) {
      for (std::size_t i = 0; i < answers.size(); ++i) answers[i] += c.answers[i].value();
      for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += c.buckets[i].value();
      microseconds += c.microseconds.value();
    }
  }
};

}  // namespace remora
