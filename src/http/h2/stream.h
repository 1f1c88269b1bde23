// Http2Stream: what the streams of both ends have in common: received body, sending, place in the session's
// lists, and what has become of them. A ServerStream (server.h) adds the meaning of its messages.
//
// Threading: one thread. Lifetime: its session owns it; see there.
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
enum class Http2Error : std::uint32_t;

/// A place in one of the session's lists; leaves it when destroyed.
template <class Tag>
using Http2Hook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
struct AnyTag;      // all streams
struct MarkedTag;   // something has happened that its owner is to be told
struct StalledTag;  // waits until it can send

class Http2Stream : public Http2Hook<AnyTag>, public Http2Hook<MarkedTag>, public Http2Hook<StalledTag> {
 public:
  std::int32_t id() const noexcept { return id_; }

 protected:
  template <class Tag>
  using List = boost::intrusive::list<Http2Stream, boost::intrusive::base_hook<Http2Hook<Tag>>,
                                      boost::intrusive::constant_time_size<false>>;
  /// Trailers, as long as their stream.
  struct Trailers {
    HeadBlock block;
    std::vector<Field> fields;
  };

  Http2Stream(Http2Session& session, std::int32_t id) noexcept : session_(session), id_(id) {}
  virtual ~Http2Stream() = default;
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  /// How much there is of a message.
  enum class Progress : std::uint8_t { nothing, head, all };
  /// What a stream's owner knows of it.
  enum class OwnerState : std::uint8_t { unaware, told, done };

  /// Something has happened.
  void notify() noexcept {
    if (wake_ != nullptr) wake_->set(bit_);
  }

  // The parts of MessageStream that both ends share.
  void attach_to(EventFlags& wake, unsigned bit) noexcept {
    wake_ = &wake;
    bit_ = bit;
  }
  Io fill_body();
  Body received_body() noexcept;
  void consume_body(std::size_t n);
  const std::vector<Field>* received_trailers() const noexcept {
    return trailers_ ? &trailers_->fields : nullptr;
  }
  WriteResult send_body(const Body& body, const std::vector<Field>* trailers);
  /// Its owner has done with it: forgets what it holds, and consumes its unread bytes.
  void release_memory() noexcept;
  void reset() noexcept;
  void reset(Http2Error code) noexcept;
  bool is_stalled() const noexcept { return Http2Hook<StalledTag>::is_linked(); }
  /// The connection is lost, or the stream was reset before our message was sent.
  bool is_lost() const noexcept { return lost_ || (closed_ && !all_sent()); }
  bool head_received() const noexcept { return received_ != Progress::nothing; }
  bool all_received() const noexcept { return received_ == Progress::all; }
  bool head_sent() const noexcept { return sent_ != Progress::nothing; }
  bool all_sent() const noexcept { return sent_ == Progress::all; }
  bool is_done() const noexcept { return owner_state_ == OwnerState::done; }

  Http2Session& session_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  std::int32_t id_;  // 0: none yet, because our request was not put
  BodyQueue queue_;
  std::unique_ptr<Trailers> trailers_;
  std::string announced_;  // trailers that our head announced
  StreamFailure failure_;
  std::optional<std::uint64_t> body_limit_;
  std::uint64_t received_bytes_ = 0;  // of the body
  std::uint32_t close_code_ = 0;      // of RST_STREAM, or of what GOAWAY means for it
  StreamPriority priority_ = unstated_priority;
  Progress received_ = Progress::nothing;
  Progress sent_ = Progress::nothing;  // nghttp2 has serialized it, or owns a copy
  OwnerState owner_state_ = OwnerState::unaware;
  bool grpc_trailers_ = false;  // see OutHead
  bool reset_due_ = false;      // behind the frame that ends our message
  bool deferred_ = false;       // nghttp2 waits for nghttp2_session_resume_data()
  // How it ended. A stream that we have aborted may be closed or lost later, and a closed one lost.
  bool aborted_ = false;     // by us
  bool closed_ = false;      // nghttp2 has forgotten it
  bool peer_reset_ = false;  // by the peer
  bool lost_ = false;        // with the connection

 private:
  friend class Http2Session;
  friend class Http2Sender;
  friend class Http2Streams;
  friend struct Http2Callbacks;
};

}  // namespace remora
