// How long tests wait, and the only place that gives slow builds more time.
#pragma once

#include <chrono>
#include <functional>

namespace remora::test {

using namespace std::chrono_literals;

/// True in a sanitizer build: memory figures are meaningless, and everything takes longer.
constexpr bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

/// `limit`, scaled up in a sanitizer build. Use it for every upper bound on real time. Do not scale lower
/// bounds, or timeouts of the configuration under test.
constexpr std::chrono::milliseconds within(std::chrono::milliseconds limit) {
  return sanitized() ? 4 * limit : limit;
}

constexpr std::chrono::milliseconds patience = within(10s);  // for waits that normally end much sooner

/// Polls until `is_true()`. False: not within the limit. The only way for a test to wait for a condition.
bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds limit = patience);

}  // namespace remora::test
