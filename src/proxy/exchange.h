// Exchange: one request and its response, phase by phase. `run` is the request path; READ IT FIRST
// (exchange.cpp).
//
// It holds the state of one request (request.h) and dies with the response. Objects that outlive a request
// are borrowed: ConnectionState, Turn, WorkingMemory. Decisions that need no I/O are made elsewhere (route,
// decide_pool, decide, failure, edits); this class has the order of the phases and the waiting.
//
// Threading: its worker's thread. Lifetime: of one request; made and destroyed by the Connection.
#pragma once

#include <cstdint>

#include "proxy/admission.h"
#include "proxy/attempts.h"
#include "proxy/body_pump.h"
#include "proxy/phase.h"
#include "proxy/placement.h"
#include "proxy/report.h"
#include "proxy/session_lookup.h"
#include "proxy/session_records.h"
#include "proxy/session_response.h"
#include "proxy/tunnel.h"
#include "remora/task.h"

namespace remora {

class Exchange final : private Phase {
 public:
  /// What happens to the client's connection afterwards.
  enum class End : std::uint8_t {
    keep,    // another request may follow
    close,   // close it
    linger,  // close it, but first let the client read what was sent (it may still be sending)
  };

  /// What an exchange borrows. All of it outlives the exchange.
  struct Surroundings {
    WorkerContext& worker;
    ConnectionState& connection;
    Turn& turn;
    WorkingMemory& memory;
    ServerStream& client;
    BackendStream& backend;
    Connector& connector;
  };

  /// REQUIRES: the request head is in `memory.request`, or refuse_head() is called instead of run().
  explicit Exchange(const Surroundings& in);

  /// Serves the request to its end: response or local reply, counters, access log.
  Task<End> run();
  /// Sends the local reply to a head that could not be read: it is invalid, or it came too late
  /// (`timeouts.header`).
  Task<End> refuse_head(bool late);

 private:
  void put_response();
  void note_kind_of_stream();
  bool deliver_at_once();
  Task<End> deliver();
  void join_open_streams();
  Task<bool> relay();
  End end_tunnel();
  void note_drained();
  bool can_end_between_events() const noexcept;
  Task<bool> end_early(const std::vector<Field>* trailers);
  /// After the response: applies a state in the trailers; aborts the client's stream if not `complete`.
  End end_response(bool complete);
  Task<End> discard_rest();
  Task<End> answer();
  asio::const_buffer put_local_reply();
  asio::const_buffer add_generated_body(OutHead& out);
  void add_reply_fields(OutHead& out);

  // gRPC (exchange_grpc.cpp).
  asio::const_buffer add_grpc_status(OutHead& out);
  bool can_end_with_status() const noexcept;
  Task<bool> end_with_status();

  bool is_last_response() const noexcept;
  bool cuts_request_short() const noexcept;
  End finish();
  /// The response is complete but the request is not, and the connection was not said to close.
  bool may_discard_rest(End end) const noexcept {
    return end == End::linger && !response().closes && !attempt().failure && client().is_open() &&
           !only_stream_ends();
  }
  /// HTTP/2: what was not read of a request concerns nobody else. Its stream is reset (RFC 9113 8.1).
  bool only_stream_ends() const noexcept { return request().head.version == Version::http2; }

  static constexpr std::uint64_t max_discarded = 256 * 1024;
  /// All permits and counts were given back.
  bool holds_nothing() const noexcept { return !attempt().permit && !attempt().retry && !session().open; }

  ExchangeParts parts_;

  // The phases.
  SessionRecords records_;
  SessionLookup lookup_;
  SessionResponse marks_;
  Admission admission_;
  Placement placement_;
  BodyPump pump_;
  Attempts attempts_;
  Tunnel tunnel_;
  Report report_;
};

}  // namespace remora
