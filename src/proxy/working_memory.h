// WorkingMemory: buffers that successive requests reuse. They keep their capacity but no content, so that a
// request allocates nothing in the steady state.
//
// Threading: its worker's thread. Lifetime: that of its Active (active.h).
#pragma once

#include <string>

#include "auth/verifier.h"
#include "http/first_event.h"
#include "http/message.h"
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
  PassedVerifiers passed;       // verifiers whose tokens passed, with their claims
  FirstEvent first_event;       // first event of an event stream, which may give the app's id
  std::string replay;           // the request body so far, for a retry
  std::string rewritten;        // rewritten response body that is not sent yet
  std::vector<Field> trailers;  // those that may pass, if others may not
  std::string announcement;     // value of Remora-Session
  std::string grpc_timeout;     // what is left of the client's deadline; empty: all of it
  std::string reply_body;

  /// Drops all content and views between two requests.
  void clear() {
    request.method_text = request.target = request.host = {};
    request.fields.clear();
    response.status = 0;
    arena.clear();
    request_edits.clear();
    response_edits.clear();
    passed.clear();
    first_event.clear();
    replay.clear();
    rewritten.clear();
    trailers.clear();
    announcement.clear();
    grpc_timeout.clear();
  }

  /// Frees buffers that one large request has grown, so that spare memory stays small.
  void trim() noexcept {
    constexpr std::size_t max_kept = 64 * 1024;
    for (std::string* text : {&rewritten, &replay, &reply_body, &announcement})
      if (text->capacity() > max_kept) *text = std::string();
    for (std::vector<Field>* fields : {&request.fields, &response.fields})
      if (fields->capacity() > max_kept / sizeof(Field)) *fields = std::vector<Field>();
  }
};

}  // namespace remora
