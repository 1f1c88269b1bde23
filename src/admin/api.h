// The admin API as a function: request in, answer out. HTTP is admin_server's, what happens is the server's.
//
//   GET   /api/v1/pools, /api/v1/pools/P, /api/v1/pools/P/backends/B
//   PATCH /api/v1/pools/P/backends/B   {"admin": "ready|drain|maint", "deadline": "30m"}
//   GET   /api/v1/sessions             counts per backend, and the last moves
//   POST  /api/v1/explain              {"method", "target", "headers", "client", "secure"}
//   GET   /api/v1/config               the file in force, secrets hidden, and its hash
//   POST  /api/v1/reload
//   GET   /api/v1/events               server-sent events
//
// Errors are {"error": "..."}, one sentence that says what to do. Threading: control thread.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/census.h"
#include "admin/events.h"
#include "proxy/snapshot.h"

namespace remora {

/// ready | drain | maint.
std::optional<config::AdminState> parse_admin_state(std::string_view) noexcept;
/// RFC 3339, UTC, to the millisecond.
std::string time_text(Clock::Wall);

/// What the API asks of the process it describes.
class AdminActions {
 public:
  virtual ~AdminActions() = default;
  virtual const Snapshot& snapshot() const = 0;
  virtual const config::Config& config() const = 0;
  virtual SessionMemory& memory() = 0;
  virtual SessionCensus& census() = 0;
  virtual EventHub& events() = 0;
  virtual Moment now() const = 0;
  virtual Clock::Steady started() const = 0;
  virtual CryptoScratch& scratch() = 0;
  /// Takes new requests: what /readyz says.
  virtual bool ready() const = 0;
  /// Until when a drain may last; nothing: for ever.
  virtual std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const = 0;
  /// What the last probe said that was not "passed".
  virtual std::string health_note(const Backend& backend) const = 0;
  /// Returns what went wrong; empty: done.
  virtual std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                                std::optional<std::chrono::milliseconds> deadline) = 0;
  /// Returns why the file was refused, a line per problem; empty: it is in force.
  virtual std::vector<std::string> reload() = 0;
};

struct ApiRequest {
  std::string method, target, content_type, body;
};
struct ApiAnswer {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;    // of a 405
  bool events = false;  // the answer is the stream of events
};

ApiAnswer answer_api(const ApiRequest& request, AdminActions& actions);

/// {"error": why}; bytes that are no UTF-8 are replaced, so that it is JSON whatever was quoted.
ApiAnswer refuse(unsigned status, std::string_view why);

/// One backend as the API shows it.
boost::json::object describe_backend(const PoolView& pool, std::size_t member, AdminActions& actions);

}  // namespace remora
