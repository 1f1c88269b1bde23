// WorkingMemory: buffers that one request after the other works in. They keep capacity and never content, so
// that a request allocates nothing in the steady state.
//
// Threading: its worker's thread. Lifetime: of the active time of a connection; spare ones are kept by the
// worker.
#pragma once

#include <string>

#include "auth/verifier.h"
#include "http/first_event.h"
#include "http/head.h"
#include "remora/http_view.h"
#include "util/arena.h"

namespace remora {

struct WorkingMemory {
  WorkingMemory() : request_edits(arena), response_edits(arena) {}

  RequestHead request;
  ResponseHead response;
  TextArena arena;
  RequestEdits request_edits;
  ResponseEdits response_edits;
  PassedVerifiers passed;    // whose claims count
  FirstEvent first_event;    // of an event stream that may name the session
  std::string replay;        // the request body so far, to be sent again
  std::string rewritten;     // of the response body, on its way to the client
  std::string announcement;  // value of Remora-Session
  std::string reply_body;

  /// Between two requests: no view of the last one stays.
  void clear() {
    request.method_text = request.target = request.host = {};
    request.fields.clear();
    response.status = 0;
    arena.clear();
    request_edits.clear();
    response_edits.clear();
    passed.clear();
    replay.clear();
    rewritten.clear();
    announcement.clear();
  }

  /// What one request needed is not kept for all that follow, nor by memory that waits for a connection.
  void trim() noexcept {
    constexpr std::size_t max_kept = 64 * 1024;
    for (std::string* text : {&rewritten, &replay, &reply_body, &announcement})
      if (text->capacity() > max_kept) *text = std::string();
    for (std::vector<Field>* fields : {&request.fields, &response.fields})
      if (fields->capacity() > max_kept / sizeof(Field)) *fields = std::vector<Field>();
  }
};

}  // namespace remora
