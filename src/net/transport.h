// Transport: one end of a byte stream: TCP or unix, plain or TLS. Operations never suspend.
//
// The pattern of the request path: an operation returns `ready`, `blocked` (armed: the owner's EventFlags bit
// will be set) or `failed`. One receive is kept pending, and after a short receive the socket is not probed
// again, so a small keep-alive request costs one receive and one send on each side and nothing else. Writes
// go straight to the kernel and wait only when they would block.
//
// A waiting stream holds no buffer: the pending receive borrows one when data arrives. So there are only as
// many buffers as requests in progress, and they stay in the CPU cache however many streams there are.
//
// TLS runs over a BIO on the same pending receive and direct send (net/tls.h), so there is no second set of
// buffers. Always decrypt before waiting: decrypted bytes may be available without any event.
//
// Threading: one thread. Lifetime: reference-counted, because pending I/O refers to the stream until it has
// completed or was canceled.
#pragma once

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/descriptor.h"
#include "net/event_flags.h"
#include "net/loop.h"
#include "remora/result.h"
#include "util/ref.h"
#include "util/slab.h"

namespace remora {

enum class Io : std::uint8_t { ready, blocked, failed };

class Transport;
class TlsSession;
class ServerTls;
class ClientTls;

/// Receives the events of a stream that no coroutine waits on: an idle connection was closed, or has a new
/// request.
class TransportWatcher {
 public:
  virtual void stream_event(Transport&) = 0;
  /// park() is complete: no operation is pending. Return true after taking the descriptor with leave().
  virtual bool stream_rests(Transport&) { return false; }

 protected:
  ~TransportWatcher() = default;
};

class Transport final : public RefCounted<Transport>, private Descriptor::Events {
 public:
  /// Takes ownership of a connected, non-blocking descriptor.
  Transport(Loop& loop, int fd);
  static void* operator new(std::size_t) { return Slab<Transport>::take(); }
  static void operator delete(void* p) noexcept { Slab<Transport>::give_back(p); }
  ~Transport();

  /// Sets who receives events: a waiting coroutine (attach), or a watcher while idle (watch). Each replaces
  /// the other.
  void attach(EventFlags& wake, unsigned bit) noexcept;
  void watch(TransportWatcher& watcher) noexcept;
  void detach() noexcept;

  // Receiving ------------------------------------------------------------------------------------
  /// Received (decrypted) bytes that are not consumed yet. Valid until the next fill().
  std::string_view unread() const noexcept { return {in_.buffer.data() + in_.begin, in_.end - in_.begin}; }
  /// Makes at most one receive. ready: unread() grew, or peer_closed() became true. blocked: a receive is
  /// pending. Check unread() first: a pending receive may already have completed into it.
  Io fill();
  /// The owner cannot continue without more bytes. Makes the next fill() ask the kernel even if arm() left a
  /// receive pending without asking: an end of stream that arrived together with the last bytes raised no
  /// event of its own.
  void distrust() noexcept {
    unasked_ = unasked_ && reading_;
    insists_ = unasked_;
  }
  /// From now on fill() asks the kernel only after an event: halves the receives of a stream of short
  /// messages. The owner must call still_open() after a quiet period.
  void rely_on_events() noexcept { by_events_ = true; }
  /// Keeps a receive pending, so that the peer's end of stream is noticed; after that end, so that a reset
  /// is noticed. Reads nothing now.
  void arm();
  /// All expected bytes have just been spliced: as after a short receive, the kernel need not be asked
  /// again.
  void assume_drained() noexcept;
  /// Limits each receive to `bytes`, so that a long body behind a head can be spliced; 0: no limit. Ignored
  /// for TLS.
  void receive_at_most(std::size_t bytes) noexcept { most_ = tls_ ? 0 : bytes; }
  void consume(std::size_t n) noexcept { in_.begin += n; }
  /// Consumes the first `n` unread bytes but keeps them in place, because views point there. They stay until
  /// unpin().
  void consume_pinned(std::size_t n);
  void unpin() noexcept;
  /// The peer has ended its stream; everything before the end is in unread().
  bool peer_closed() const noexcept { return ended_; }
  /// Asks the kernel whether the peer has ended unnoticed: an end of stream that arrives together with the
  /// last bytes raises no event of its own. One system call.
  bool still_open() noexcept;
  /// Asks the kernel whether the connection was reset unnoticed (unix socket: closed by the peer); if so,
  /// the stream has failed. An end of stream alone is not a reset. One system call.
  bool was_reset() noexcept;

  // Sending --------------------------------------------------------------------------------------
  struct WriteResult {
    std::size_t bytes = 0;
    Io io = Io::ready;
  };
  /// One gathered write. blocked: not all was accepted, and the bit will be set when there is room. After
  /// `blocked` on TLS the next call must begin with the same bytes.
  /// `more_follows`: spliced bytes or the end of the stream follow at once, so the kernel holds back the
  /// last segment and sends it with them.
  WriteResult send(std::span<const asio::const_buffer> runs, bool more_follows = false);
  bool send_blocked() const noexcept { return write_waiting_; }
  /// Sets the bit when the socket becomes writable (a connect in progress is then decided).
  void wait_writable() { arm_write(); }
  /// Ends the sending direction (TLS close_notify, then FIN).
  void finish_sending() noexcept;

  // Splicing (net/splice.h) ------------------------------------------------------------------------
  /// Plain, open, and no received bytes that would have to go first.
  bool can_splice_from() const noexcept { return in_.empty() && can_splice_behind(); }
  /// The same, but for the bytes behind those already received.
  bool can_splice_behind() const noexcept { return !tls_ && !reading_ && !ended_ && !closed_ && !error_; }
  bool can_splice_to() const noexcept { return !tls_ && !closed_; }
  /// blocked: no data; the bit is set when some arrives. ready with no bytes: peer_closed().
  WriteResult splice_to_pipe(int pipe, std::size_t most);
  WriteResult splice_from_pipe(int pipe, std::size_t bytes);

  // Whole ----------------------------------------------------------------------------------------
  void start_tls(const ServerTls&);
  /// Does not throw: a name that cannot be set fails the handshake. `http1_only`: see TlsSession.
  void start_tls(const ClientTls&, const std::string& server_name, bool http1_only = false);
  bool is_tls() const noexcept { return tls_ != nullptr; }
  Io handshake();
  /// Returns all buffers and waits with minimal state; then notifies `watcher`. REQUIRES: nothing unread.
  void park(TransportWatcher& watcher);
  /// What remains of a stream while only its descriptor waits (net/idle_sockets.h), and from which it is
  /// rebuilt.
  struct Dormant {
    int fd = -1;
    std::unique_ptr<TlsSession> tls;
  };
  Transport(Loop& loop, Dormant rest);
  /// Gives up the descriptor and the TLS session; the stream is closed afterwards. REQUIRES: called within
  /// stream_rests().
  Dormant leave();
  void close() noexcept;
  /// close(), after close_notify to a TLS peer.
  void end() noexcept;
  /// Closes with a reset, so that a truncated response cannot look complete.
  void close_hard() noexcept;
  bool is_open() const noexcept { return !closed_; }
  int fd() const noexcept { return descriptor_.fd(); }
  /// Why receiving or sending failed. Bytes received before a failed send can still be read.
  const error_code& error() const noexcept { return error_ ? error_ : send_error_; }
  /// OpenSSL's message for a TLS failure; otherwise empty.
  const std::string& tls_error() const noexcept;
  Loop& loop() const noexcept { return loop_; }

 private:
  friend class TlsSession;
  struct Input {
    Buffer buffer;
    std::size_t begin = 0, end = 0;
    std::size_t floor = 0;  // bytes below this offset are pinned
    bool empty() const noexcept { return begin == end; }
  };

  Io receive(Input& in);
  int send_flags() const noexcept;
  std::size_t room_behind(const Input& in) const noexcept;
  std::size_t make_room(Input& in);
  void start_read(bool drained);
  void lay_down(Input& in) noexcept;
  Drained take_bytes() override;
  void received(const error_code& ec) override;
  void readable(const error_code& ec) override;
  void writable(const error_code& ec) override;
  void arm_write();
  void begin_park();
  void wait_readable(bool noticed);
  void watch_for_reset();
  void notify();
  Io fail(const error_code& ec) noexcept;
  Io fail_send(const error_code& ec) noexcept;
  WriteResult send_plain(std::span<const asio::const_buffer> runs);
  Input& wire() noexcept;  // where bytes arrive: the encrypted input under TLS

  Loop& loop_;
  Descriptor descriptor_;
  EventFlags* wake_ = nullptr;
  TransportWatcher* watcher_ = nullptr;
  unsigned bit_ = 0;
  bool reading_ = false, write_waiting_ = false, parked_ = false, closed_ = false;
  bool fresh_ = true;        // no wait was started yet: no event can have been missed
  bool exhausted_ = false;   // the last receive was short: the kernel has no more for now
  bool wire_ended_ = false;  // FIN from the peer
  bool ended_ = false;       // end of the (decrypted) stream
  bool by_events_ = false, more_follows_ = false;
  bool was_short_ = false;  // our last receive was short, in turn `short_turn_` of `wake_`
  // The pending receive was started by arm(), and the kernel has not returned EAGAIN since.
  bool unasked_ = false;
  bool insists_ = false;  // see distrust()
  unsigned short_turn_ = 0;
  std::size_t most_ = 0;  // limit of each receive; 0: none
  // References to this object that keep it alive while an operation is pending.
  Ref<Transport> while_reading_, while_writing_;
  error_code error_, send_error_;
  Input in_;
  Buffer pinned_;  // a pinned head that was moved aside to make room for its body
  std::unique_ptr<TlsSession> tls_;
};

using TransportRef = Ref<Transport>;

}  // namespace remora
