// BodyRate: whether a client sends its request body too slowly (`limits.body_rate`).
//
// `timeouts.body` bounds the pause between two bytes, so a byte per pause would hold a request, and its
// backend's place, for ever. What counts here is the mean over the time that was spent waiting for the
// client; time that the backend took is not the client's. The same idea: Apache's RequestReadTimeout
// (MinRate), Kestrel's MinRequestBodyDataRate.
//
// Pure; one per exchange.
#pragma once

#include <chrono>
#include <cstdint>

namespace remora {

class BodyRate {
 public:
  void clear() noexcept { *this = {}; }
  void received(std::uint64_t bytes) noexcept { bytes_ += bytes; }
  /// A byte has come.
  bool any() const noexcept { return bytes_ > 0; }
  /// The client was waited for.
  void waited(std::chrono::nanoseconds time) noexcept { waited_ += time; }
  /// `least`: bytes per second, 0: any rate is fine; judged only after `grace` of waiting.
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
