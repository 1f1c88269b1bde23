// Exchange: one request and its response, phase by phase. `run` is the request path; READ IT FIRST
// (exchange.cpp).
//
// It holds the parts of one request (request.h) and dies with the response. What outlives a request is lent
// to it: the connection's state, its turn, the memory to work in. Everything that can be decided without I/O
// is decided elsewhere (route, edits, failure, lifecycle, balance); here are the order and the waiting.
//
// Threading: its worker's thread. Lifetime: of one request; made and destroyed by the Connection.
#pragma once

#include <cstdint>

#include "proxy/admission.h"
#include "proxy/attempts.h"
#include "proxy/body_pump.h"
#include "proxy/placement.h"
#include "proxy/report.h"
#include "proxy/request.h"
#include "proxy/session_lookup.h"
#include "proxy/session_records.h"
#include "proxy/session_response.h"
#include "proxy/tunnel.h"
#include "remora/task.h"

namespace remora {

class Exchange final {
 public:
  /// What becomes of the client's connection.
  enum class End : std::uint8_t {
    keep,    // another request may come
    close,   // end it
    linger,  // end it, but let the client read what was sent (it may still be sending)
  };

  /// What an exchange borrows from its connection; all of it outlives the exchange.
  struct Surroundings {
    WorkerContext& worker;
    ConnectionState& connection;
    Turn& turn;
    WorkingMemory& memory;
    ServerStream& client;
    ClientStream& backend;
  };

  /// The request's head is in `memory.request`.
  explicit Exchange(const Surroundings& in);

  /// Serves the request.
  Task<End> run();
  /// Answers what is no request: the codec's failure, or `late`, the time for its head is over.
  Task<End> refuse_head(bool late);

 private:
  void put_response();
  bool deliver_at_once();
  Task<End> deliver();
  Task<bool> relay();
  End end_response(bool complete);
  Task<End> answer();
  asio::const_buffer put_answer();
  bool last_answer() const noexcept;
  End finish();
  /// The end of a request gives back all that it borrowed.
  bool holds_nothing() const noexcept { return !attempt_.place && !attempt_.retry && !session_.open; }

  ExchangeParts parts_;
  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  WorkingMemory& memory_;
  ServerStream& client_;
  ClientStream& backend_;
  Request& request_;
  SessionState& session_;
  AttemptState& attempt_;
  ResponseState& response_;
  LocalReply& reply_;

  // The phases, each with the parts that it needs.
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
