// Stream: one end of one byte stream: TCP or unix, plain or TLS. Operations never suspend.
//
// The pattern of the request path: an operation answers `ready`, `blocked` (armed: the owner's Wake
// bit will come) or `failed`. One receive is kept pending; after a short receive Asio does not probe the
// socket again, so a small keep-alive request costs one receive and one send on each side and nothing else.
// Writes go straight to the kernel and wait only when it would block.
//
// While a stream waits it holds no buffer: the pending receive borrows one when something has come. So there
// are as many as there are requests under way, and they stay in the cache however many streams there are.
//
// TLS runs over a BIO on the same pending receive and direct send (net/tls.h), so there is no second
// set of buffers. Always decrypt first, wait afterwards: decrypted bytes may be waiting.
//
// Threading: one thread. Lifetime: counted, because pending I/O refers to it until it was cancelled.
#pragma once

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/wake.h"
#include "remora/result.h"
#include "util/ref.h"
#include "util/slab.h"

namespace remora {

enum class Io : std::uint8_t { ready, blocked, failed };

class Stream;
class TlsSession;
class ServerTls;
class ClientTls;

/// Hears of a stream that nobody waits on: an idle connection that was closed, or has a new request.
class StreamWatcher {
 public:
  virtual void stream_event(Stream&) = 0;
  /// park() is through: nothing is pending. True: the descriptor was taken by leave().
  virtual bool stream_rests(Stream&) { return false; }

 protected:
  ~StreamWatcher() = default;
};

class Stream final : public RefCounted<Stream>, private Descriptor::Events {
 public:
  /// Takes over a connected, non-blocking descriptor.
  Stream(Loop& loop, int fd);
  static void* operator new(std::size_t) { return Slab<Stream>::take(); }
  static void operator delete(void* p) noexcept { Slab<Stream>::give_back(p); }
  ~Stream();

  /// Who hears of events: a waiting coroutine, or a watcher while idle. The other is forgotten.
  void attach(Wake& wake, unsigned bit) noexcept;
  void watch(StreamWatcher& watcher) noexcept;
  void detach() noexcept;

  // Receiving ------------------------------------------------------------------------------------
  /// Received (decrypted) bytes that were not consumed. Valid until the next fill().
  std::string_view unread() const noexcept { return {in_.buffer.data() + in_.begin, in_.end - in_.begin}; }
  /// At most one receive. ready: unread() grew, or peer_closed() became true. While one is pending: blocked.
  /// Look at unread() first: a pending receive may have completed into it already.
  Io fill();
  /// The owner cannot go on without more bytes: a receive that arm() left pending on trust does not keep the
  /// next fill() from asking the kernel, because an end that came together with the last bytes raised no
  /// event of its own.
  void distrust() noexcept {
    unasked_ = unasked_ && reading_;
    insists_ = unasked_;
  }
  /// From now on fill() asks the kernel only when an event says that something is there: half the receives of
  /// a stream of short messages. Who wants this asks still_open() when it has been quiet for a moment.
  void rely_on_events() noexcept { by_events_ = true; }
  /// Sees to it that a receive is pending, so that the peer's end is noticed. Reads nothing now. After that
  /// end: that a reset is noticed.
  void arm();
  /// All that was to come has just been spliced: as after a short receive, the kernel need not be asked
  /// again.
  void assume_drained() noexcept;
  /// Receives take so much at most, so that a long body behind a head can be spliced; 0: all there is.
  void receive_at_most(std::size_t bytes) noexcept { most_ = tls_ ? 0 : bytes; }
  void consume(std::size_t n) noexcept { in_.begin += n; }
  /// Keeps the first `n` unread bytes where they are (views point there) and consumes them. They stay until
  /// unpin().
  void consume_pinned(std::size_t n);
  void unpin() noexcept;
  /// The peer sent its end; everything before it is in unread().
  bool peer_closed() const noexcept { return ended_; }
  /// Asks the kernel whether the peer has ended without our noticing: its end raises no event of its own when
  /// it comes together with the last bytes. One system call.
  bool still_open() noexcept;
  /// Asks the kernel whether the connection was reset (over a unix socket: closed by its peer) without our
  /// noticing; then it has failed. An end of what the peer sends is no reset. One system call.
  bool was_reset() noexcept;

  // Sending --------------------------------------------------------------------------------------
  struct Sent {
    std::size_t bytes = 0;
    Io io = Io::ready;
  };
  /// One gathered write. blocked: not all was taken, and the bit will come when there is room. After
  /// `blocked` on TLS the next call must begin with the same bytes.
  /// `more_follows`: spliced bytes, or the end of the stream, follow at once: the last of these travel with
  /// them instead of in a segment of their own.
  Sent send(std::span<const asio::const_buffer> runs, bool more_follows = false);
  bool send_blocked() const noexcept { return write_waiting_; }
  /// The bit comes when the socket can be written to (a connection in progress is then decided).
  void wait_writable() { arm_write(); }
  /// Tells the peer that nothing more comes (TLS close_notify, then FIN).
  void finish_sending() noexcept;

  // Splicing (net/splice.h) ------------------------------------------------------------------------
  /// Plain, open, and with nothing received that would have to go first.
  bool can_splice_from() const noexcept { return in_.empty() && can_splice_behind(); }
  /// What comes behind the bytes that were received.
  bool can_splice_behind() const noexcept { return !tls_ && !reading_ && !ended_ && !closed_ && !error_; }
  bool can_splice_to() const noexcept { return !tls_ && !closed_; }
  /// blocked: nothing was there; the bit comes when something is. ready and no bytes: peer_closed().
  Sent splice_to_pipe(int pipe, std::size_t most);
  Sent splice_from_pipe(int pipe, std::size_t bytes);

  // Whole ----------------------------------------------------------------------------------------
  void start_tls(const ServerTls&);
  /// Throws nothing; a name that cannot be set fails the handshake.
  void start_tls(const ClientTls&, const std::string& server_name);
  bool is_tls() const noexcept { return tls_ != nullptr; }
  Io handshake();
  /// Gives buffers back and waits, holding almost nothing; then tells `watcher`. REQUIRES: nothing unread.
  void park(StreamWatcher& watcher);
  /// What is left of it while only a descriptor waits (net/parking.h), and what it is made of again.
  struct Rest {
    int fd = -1;
    std::unique_ptr<TlsSession> tls;
  };
  Stream(Loop& loop, Rest rest);
  /// Of no use afterwards. REQUIRES: within stream_rests().
  Rest leave();
  void close() noexcept;
  /// close(), after telling a TLS peer that the end is meant.
  void end() noexcept;
  /// Closes with a reset, so that a cut answer cannot look complete.
  void close_hard() noexcept;
  bool is_open() const noexcept { return !closed_; }
  int fd() const noexcept { return descriptor_.fd(); }
  /// Why receiving or sending failed. Bytes received before a failed send can still be read.
  const error_code& error() const noexcept { return error_ ? error_ : send_error_; }
  /// What went wrong in TLS, in OpenSSL's words; empty otherwise.
  const std::string& tls_error() const noexcept;
  Loop& loop() const noexcept { return loop_; }

 private:
  friend class TlsSession;
  struct Input {
    Buffer buffer;
    std::size_t begin = 0, end = 0;
    std::size_t floor = 0;  // bytes below are pinned
    bool empty() const noexcept { return begin == end; }
  };

  Io receive(Input& in);
  int send_flags() const noexcept;
  std::size_t room_behind(const Input& in) const noexcept;
  std::size_t make_room(Input& in);
  void start_read(bool drained);
  void lay_down(Input& in) noexcept;
  Taken take_bytes() override;
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
  Sent send_plain(std::span<const asio::const_buffer> runs);
  Input& wire() noexcept;  // where bytes arrive: before decryption, if any

  Loop& loop_;
  Descriptor descriptor_;
  Wake* wake_ = nullptr;
  StreamWatcher* watcher_ = nullptr;
  unsigned bit_ = 0;
  bool reading_ = false, write_waiting_ = false, parked_ = false, closed_ = false;
  bool fresh_ = true;        // never waited: nothing can have come unnoticed
  bool exhausted_ = false;   // the last receive was short: the kernel has no more for now
  bool wire_ended_ = false;  // FIN from the peer
  bool ended_ = false;       // end of the (decrypted) byte stream
  bool by_events_ = false, more_follows_ = false;
  bool was_short_ = false;  // the last receive was, asked for by us, in `short_turn_` of `wake_`
  bool unasked_ =
      false;  // the pending receive was begun by arm(), and the kernel has not said "nothing" since
  bool insists_ = false;  // see distrust()
  unsigned short_turn_ = 0;
  std::size_t most_ = 0;  // of any receive; 0: no such limit
  // While an operation is pending it refers to this object, which must then not go away.
  Ref<Stream> while_reading_, while_writing_;
  error_code error_, send_error_;
  Input in_;
  Buffer pinned_;  // a head that was moved aside to make room for its body
  std::unique_ptr<TlsSession> tls_;
};

using StreamRef = Ref<Stream>;

}  // namespace remora
