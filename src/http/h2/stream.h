// Http2Stream: what the streams of both ends have in common: received body, place in the session's lists,
// and what has become of them.
//
// Threading: one thread. Lifetime: see Http2Session. Its session sets the fields; nobody else does.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/h2/body_queue.h"
#include "http/h2/fields.h"
#include "http/message_stream.h"

namespace remora {

class Http2Session;

using Http2ListHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
struct MarkedTag;
struct StalledTag;

class Http2Stream
    : public boost::intrusive::list_base_hook<boost::intrusive::tag<MarkedTag>,
                                              boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
      public boost::intrusive::list_base_hook<boost::intrusive::tag<StalledTag>,
                                              boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  std::int32_t id() const noexcept { return id_; }

 protected:
  friend class Http2Session;
  Http2Stream(Http2Session& session, std::int32_t id) noexcept : session_(session), id_(id) {}
  ~Http2Stream() = default;
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  /// Trailers, as long as their stream.
  struct Trailers {
    HeadBlock block;
    std::vector<Field> fields;
  };

  void notify() noexcept;
  Io fill();
  Body body() noexcept;
  void consume(std::size_t n);
  WriteResult send(Body body, const std::vector<Field>* trailers);
  /// Neither end can use it any longer: reset, or the connection is lost.
  bool lost() const noexcept { return lost_ || (closed_ && !end_sent_); }

  Http2Session& session_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  const std::int32_t id_;
  BodyQueue queue_;
  std::unique_ptr<Trailers> trailers_;
  std::string announced_;  // trailers that our head announced
  StreamFailure failure_;
  std::optional<std::uint64_t> body_limit_;
  std::uint64_t received_ = 0;  // bytes of the body
  StreamPriority priority_;
  bool opened_ = false;  // its owner knows it
  bool done_ = false;    // its owner has done with it
  bool end_received_ = false, end_sent_ = false;
  bool head_sent_ = false;  // nghttp2 was given our head
  bool deferred_ = false;   // nghttp2 waits for resume_data()
  bool aborted_ = false;    // by us
  bool closed_ = false;     // nghttp2 has forgotten it
  bool lost_ = false;       // the connection was lost
};

}  // namespace remora
