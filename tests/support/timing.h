// How long tests wait, and the one place where slow builds get more time.
#pragma once

#include <chrono>
#include <functional>

namespace remora::test {

using namespace std::chrono_literals;

/// A sanitizer build: memory figures mean nothing in it, and everything takes longer.
constexpr bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

/// `limit`, or what it takes in a sanitizer build: for every upper bound on real time. Lower bounds, and the
/// timeouts of the configuration under test, are not scaled.
constexpr std::chrono::milliseconds within(std::chrono::milliseconds limit) {
  return sanitized() ? 4 * limit : limit;
}

constexpr std::chrono::milliseconds patience = within(10s);  // no test should come near it

/// Asks again until it is true, or the limit has passed. The one way for a test to wait for a condition.
bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds limit = patience);

}  // namespace remora::test
