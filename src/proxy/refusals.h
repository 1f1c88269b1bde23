// What a listener turned away before or instead of serving it: counted always, and said with its reason at
// log.level debug. A refusal that nobody can see is a long search at the wrong end.
//
// Threading: any.
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
  proxy_line,    // missing, malformed or late; from a peer that is not believed
  handshake,     // of TLS
  head,          // a request head that is none, too large, late or ambiguous
  count_
};
std::string_view to_string(Refusal) noexcept;

class RefusalCounts {
 public:
  std::uint64_t of(Refusal what) const noexcept { return at(what).load(std::memory_order_relaxed); }
  /// `why`: text of ours, or of OpenSSL; never what a client sent.
  void note(Refusal what, std::string_view listener, const ClientAddress& client, std::string_view why);

 private:
  const std::atomic<std::uint64_t>& at(Refusal what) const noexcept {
    return counts_[static_cast<std::size_t>(what)];
  }
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Refusal::count_)> counts_{};
};

}  // namespace remora
