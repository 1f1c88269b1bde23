// Counts connections and requests that a listener refused, and logs each with its reason at level debug.
// Otherwise operators would look for the fault in the wrong place.
//
// Threading: any thread. Lifetime: with the listener (ListenerShared); counts survive reloads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "remora/http_view.h"

namespace remora {

enum class Refusal : std::uint8_t {
  connections,   // per_client.connections
  requests,      // per_client.requests_per_second
  new_sessions,  // per_client.new_sessions_per_second
  proxy_line,    // missing, malformed or late, or the peer is not trusted to send it
  handshake,     // failed or late TLS handshake
  head,          // invalid, too large, late or ambiguous request head
  flood,         // HTTP/2 connections closed because of frames that cost work but carry nothing
  count_
};
/// The label in metrics and logs.
std::string_view to_string(Refusal) noexcept;

class RefusalCounts {
 public:
  /// How many refusals of this kind since the start.
  std::uint64_t of(Refusal what) const noexcept { return at(what).load(std::memory_order_relaxed); }
  /// Counts and logs a refusal. `why`: our own text or OpenSSL's, never text from a client.
  void note(Refusal what, std::string_view listener, const ClientAddress& client, std::string_view why);

 private:
  const std::atomic<std::uint64_t>& at(Refusal what) const noexcept {
    return counts_[static_cast<std::size_t>(what)];
  }
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Refusal::count_)> counts_{};
};

}  // namespace remora
