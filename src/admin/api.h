// The admin API as a function from request to response. admin_server does HTTP; the server does the work,
// through AdminActions.
//
//   GET   /api/v1/pools, /api/v1/pools/P, /api/v1/pools/P/backends/B
//   PATCH /api/v1/pools/P/backends/B   {"admin": "ready|drain|maint", "deadline": "30m"}
//   GET   /api/v1/sessions             counts per backend, and the latest moves
//   GET   /api/v1/sessions?backend=P/B the ids of the sessions there
//   GET   /api/v1/sessions/ID          one session, by the id in Remora-Session
//   PATCH /api/v1/sessions/ID          {"to": "BACKEND"}, or {"to": null}: any other
//   DELETE /api/v1/sessions/ID         ends it
//   POST  /api/v1/explain              {"method", "target", "headers", "client", "secure"}
//   GET   /api/v1/config               the active file with secrets hidden, and its hash
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

#include "admin/events.h"
#include "admin/session_counter.h"
#include "proxy/snapshot.h"
#include "session/write_queue.h"

namespace remora {

/// Parses ready | drain | maint.
std::optional<config::AdminState> parse_admin_state(std::string_view) noexcept;
/// RFC 3339, UTC, with milliseconds.
std::string time_text(Clock::Wall);

/// The interface from the API to the process.
class AdminActions {
 public:
  virtual ~AdminActions() = default;
  virtual const Snapshot& snapshot() const = 0;
  virtual const config::Config& config() const = 0;
  virtual SessionMemory& memory() = 0;
  virtual SessionCounter& session_counter() = 0;
  virtual EventHub& events() = 0;
  virtual ClockReading now() const = 0;
  virtual Clock::Steady started() const = 0;
  virtual CryptoScratch& scratch() = 0;
  /// True if new requests are accepted; the status of /readyz.
  virtual bool ready() const = 0;
  /// When a drain ends; nothing: it has no deadline.
  virtual std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const = 0;
  /// The result of the last probe, unless it passed.
  virtual std::string health_note(const Backend& backend) const = 0;
  /// Returns the error; empty on success.
  virtual std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                                std::optional<std::chrono::milliseconds> deadline) = 0;
  /// Returns why the file was rejected, one line per problem; empty if it is now active.
  virtual std::vector<std::string> reload() = 0;
  /// Changes a record in the shared store, when it can.
  virtual void write_to_store(const StoreJob& job) = 0;
};

struct ApiRequest {
  std::string method, target, content_type, body;
};
struct ApiAnswer {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;    // Allow field of a 405
  bool events = false;  // the response is the event stream
};

ApiAnswer answer_api(const ApiRequest& request, AdminActions& actions);

/// Returns {"error": why}. Replaces bytes that are not UTF-8, so that the result is always valid JSON.
ApiAnswer refuse(unsigned status, std::string_view why);

/// One backend as JSON.
boost::json::object describe_backend(const PoolView& pool, std::size_t member, AdminActions& actions);

}  // namespace remora
