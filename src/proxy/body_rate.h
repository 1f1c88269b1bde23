// BodyRate: whether a client sends its request body too slowly (`limits.body_rate`).
//
// `timeouts.body` bounds the pause between two bytes, so one byte per pause would hold a request and its
// backend permit forever. This class takes the mean over the time spent waiting for the client; time spent
// waiting for the backend does not count. Compare Apache's RequestReadTimeout (MinRate) and Kestrel's
// MinRequestBodyDataRate.
//
// Pure; one per exchange.
#pragma once

#include <chrono>
#include <cstdint>

namespace remora {

class BodyRate {
 public:
  void clear() noexcept { *this = {}; }
  /// Adds bytes received from the client.
  void received(std::uint64_t bytes) noexcept { bytes_ += bytes; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// At least one byte was received.
  bool any() const noexcept { return bytes_ > 0; }
  /// Adds time spent waiting for the client.
  void waited(std::chrono::nanoseconds time) noexcept { waited_ += time; }
  /// Whether the mean is below `least` bytes per second (0: no limit). Always false until more than `grace`
  /// was spent waiting.
  bool too_slow(std::uint64_t least, std::chrono::nanoseconds grace) const noexcept {
    if (least == 0 || waited_ <= grace) return false;
    return static_cast<double>(bytes_) <
           static_cast<double>(least) * std::chrono::duration<double>(waited_).count();
  }

 private:
  std::uint64_t bytes_ = 0;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace remora
