#include "net/transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <cstring>

#include "net/calls.h"
#include "net/tls.h"

namespace remora {

namespace {
error_code last_error() {
  return error_code(errno, boost::system::system_category());
}
/// Copies a head and a small body into one block: copying a few hundred bytes is cheaper than a gathered
/// write.
ssize_t send_once(int fd, iovec* iov, std::size_t count, std::size_t total, int flags) {
  constexpr std::size_t worth_copying = 4096;
  char together[worth_copying];
  if (count > 1 && total <= worth_copying) {
    char* at = together;
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(at, iov[i].iov_base, iov[i].iov_len);
      at += iov[i].iov_len;
    }
    iov[0] = {together, total};
    count = 1;
  }
  if (count == 1) return send_to(fd, iov[0].iov_base, iov[0].iov_len, flags);
  msghdr message{};
  message.msg_iov = iov;
  message.msg_iovlen = count;
  ssize_t n = 0;
  do n = ::sendmsg(fd, &message, flags);
  while (n < 0 && errno == EINTR);
  return n;
}

// With less room than this behind a pinned head, the head is moved aside.
constexpr std::size_t worthwhile_room = 2048;
}  // namespace

Transport::Transport(Loop& loop, int fd) : loop_(loop), descriptor_(loop.ctx, fd, *this) {}

Transport::Transport(Loop& loop, Transport::Dormant rest) : Transport(loop, rest.fd) {
  tls_ = std::move(rest.tls);
  if (tls_) tls_->continue_on(*this);
}

Transport::~Transport() = default;

void Transport::attach(EventFlags& wake, unsigned bit) noexcept {
  wake_ = &wake;
  bit_ = bit;
  watcher_ = nullptr;
  parked_ = was_short_ = false;
}

void Transport::watch(TransportWatcher& watcher) noexcept {
  watcher_ = &watcher;
  wake_ = nullptr;
  parked_ = false;
}

void Transport::detach() noexcept {
  wake_ = nullptr;
  watcher_ = nullptr;
  parked_ = false;
}

void Transport::notify() {
  if (watcher_ != nullptr)
    watcher_->stream_event(*this);
  else if (wake_ != nullptr)
    wake_->set(bit_);
}

Io Transport::fail(const error_code& ec) noexcept {
  if (!error_) error_ = ec;
  return Io::failed;
}

Io Transport::fail_send(const error_code& ec) noexcept {
  if (!send_error_) send_error_ = ec;
  return Io::failed;
}

// Receiving -----------------------------------------------------------------------------------------

Io Transport::fill() {
  if (error_) return Io::failed;
  if (ended_) return Io::ready;
  if (tls_) return tls_->read();
  const Io io = receive(in_);
  if (wire_ended_) ended_ = true;
  return io;
}

void Transport::arm() {
  if (reading_ || error_ || closed_) return;
  if (wire_ended_) return watch_for_reset();
  // Back-pressure for TLS: nothing else limits the encrypted backlog, so stop receiving until it is
  // decrypted.
  if (tls_ && wire().end - wire().begin >= BufferPool::large) return;
  unasked_ = true;
  // After a short receive in this same turn no new event can have been processed: skip the first attempt.
  start_read(was_short_ && wake_ != nullptr && wake_->turn() == short_turn_);
}

/// Returns the buffer unless it holds unread bytes. A pinned head keeps its memory.
void Transport::lay_down(Input& in) noexcept {
  if (!in.empty() || (in.floor == 0 && in.buffer.size() > BufferPool::small)) return;
  if (in.floor > 0) pinned_ = std::move(in.buffer);
  in = Input{};
}

std::size_t Transport::room_behind(const Input& in) const noexcept {
  const std::size_t room = in.buffer.size() - in.end;
  return most_ > 0 ? std::min(most_, room) : room;
}

std::size_t Transport::make_room(Input& in) {
  if (!in.buffer) {
    in.buffer = loop_.buffers.take(BufferPool::small);
    in.begin = in.end = in.floor = 0;
  }
  if (in.empty()) {
    // A receive that filled a small buffer suggests a long body: continue with a large one.
    if (in.floor == 0 && !exhausted_ && in.end == in.buffer.size() && in.buffer.size() < BufferPool::large)
      in.buffer = loop_.buffers.take(BufferPool::large);
    in.begin = in.end = in.floor;
  }
  if (in.end < in.buffer.size()) return room_behind(in);
  if (in.begin > in.floor) {
    std::memmove(in.buffer.data() + in.floor, in.buffer.data() + in.begin, in.end - in.begin);
    in.end = in.floor + (in.end - in.begin);
    in.begin = in.floor;
  } else if (in.floor == 0) {  // full of one incomplete head: the codec's limits bound this
    Buffer bigger = loop_.buffers.take(in.buffer.size() + 1);
    std::memcpy(bigger.data(), in.buffer.data(), in.end);
    in.buffer = std::move(bigger);
  }
  return in.buffer.size() - in.end;
}

Io Transport::receive(Input& in) {
  const bool insists = std::exchange(insists_, false) && !by_events_;
  if (reading_ && !insists) return Io::blocked;
  if (wire_ended_) return Io::ready;
  if (closed_) return fail(asio::error::bad_descriptor);
  if (by_events_ && exhausted_) {
    start_read(false);
    return Io::blocked;
  }
  const std::size_t room = make_room(in);
  if (room == 0) return Io::blocked;  // no room behind a pinned head: the owner must consume first
  // The caller needs bytes, so ask the kernel even after a short receive: an end of stream that arrived
  // together with the last bytes raised no event of its own.
  const ssize_t n = receive_from(fd(), in.buffer.data() + in.end, room);
  if (n > 0) {
    in.end += static_cast<std::size_t>(n);
    exhausted_ = static_cast<std::size_t>(n) < room;
    was_short_ = exhausted_ && wake_ != nullptr;
    if (was_short_) short_turn_ = wake_->turn();
    return Io::ready;
  }
  if (n == 0) {
    wire_ended_ = true;
    return Io::ready;
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) return fail(last_error());
  exhausted_ = true;
  unasked_ = false;
  if (reading_)
    lay_down(in);  // the pending receive keeps waiting
  else
    start_read(true);
  return Io::blocked;
}

void Transport::assume_drained() noexcept {
  exhausted_ = true;
  was_short_ = wake_ != nullptr;
  if (was_short_) short_turn_ = wake_->turn();
}

bool Transport::still_open() noexcept {
  if (closed_ || error_ || wire_ended_) return false;
  char peeked = 0;
  const ssize_t n = ::recv(fd(), &peeked, 1, MSG_PEEK);
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return true;
    fail(last_error());  // the kernel reports this error only once
    return false;
  }
  if (n == 0) {
    wire_ended_ = true;
    if (!tls_) ended_ = true;
  }
  return n > 0;
}

bool Transport::was_reset() noexcept {
  if (closed_ || error_) return true;
  pollfd asked{fd(), 0, 0};  // POLLERR and POLLHUP are always reported
  if (::poll(&asked, 1, 0) != 1) return false;
  fail(asio::error::connection_reset);
  return true;
}

/// The peer has ended its stream but may still be reading. If that was the first half of a close, a reset
/// follows whatever is sent to it. Until something is sent, TCP keep-alive probes detect within a minute or
/// two that the other end is gone.
void Transport::watch_for_reset() {
  if (was_reset()) {
    if (wake_ != nullptr) wake_->set(bit_);
    return;
  }
  const int on = 1, seconds = 15, probes = 4;
  // TCP only; unix sockets do not need it.
  if (::setsockopt(fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0) {
    ::setsockopt(fd(), IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    ::setsockopt(fd(), IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
    ::setsockopt(fd(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  }
  wait_readable(true);
}

void Transport::start_read(bool drained) {
  Input& in = wire();
  lay_down(in);
  if (tls_) lay_down(in_);
  if (in.buffer && make_room(in) == 0) return;  // no room behind a pinned head: the owner must consume first
  fresh_ = was_short_ = false;
  reading_ = true;
  while_reading_ = Ref<Transport>(this);
  descriptor_.start_receive(drained);
}

Transport::Drained Transport::take_bytes() {
  Input& in = wire();
  // Views of unread bytes may exist, so do not move them.
  const std::size_t room = in.buffer ? room_behind(in) : make_room(in);
  // fill() already filled the buffer: the owner must consume first. A receive of 0 bytes would look like end
  // of stream.
  if (room == 0) {
    exhausted_ = false;
    return Drained::some;
  }
  const ssize_t n = receive_from(fd(), in.buffer.data() + in.end, room);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    lay_down(in);
    unasked_ = false;
    return Drained::nothing;
  }
  if (n < 0) {
    fail(last_error());
  } else if (n == 0) {
    wire_ended_ = true;
    if (!tls_) ended_ = true;
  } else {
    in.end += static_cast<std::size_t>(n);
    exhausted_ = static_cast<std::size_t>(n) < room;
    if (!exhausted_) return Drained::some;
  }
  return Drained::all;
}

void Transport::received(const error_code& ec) {
  const Ref<Transport> self = std::move(while_reading_);
  reading_ = false;
  if (closed_) return;
  if (ec == asio::error::operation_aborted) {
    // Only park() cancels. If the stream has a new owner since, it relies on a pending receive.
    if (parked_)
      begin_park();
    else if (wake_ != nullptr || watcher_ != nullptr)
      start_read(false);
    return;
  }
  parked_ = false;
  notify();
}

void Transport::consume_pinned(std::size_t n) {
  in_.begin += n;
  if (in_.buffer.size() - in_.end < worthwhile_room && !reading_) {
    Buffer fresh = loop_.buffers.take(BufferPool::small);
    const std::size_t left = in_.end - in_.begin;
    if (left <= fresh.size() - worthwhile_room) {
      std::memcpy(fresh.data(), in_.buffer.data() + in_.begin, left);
      pinned_ = std::exchange(in_.buffer, std::move(fresh));
      in_.begin = in_.floor = 0;
      in_.end = left;
      return;
    }
  }
  in_.floor = in_.begin;
}

void Transport::unpin() noexcept {
  in_.floor = 0;
  pinned_.reset();
}

// Sending -------------------------------------------------------------------------------------------

int Transport::send_flags() const noexcept {
  return more_follows_ ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}

Transport::WriteResult Transport::send(std::span<const asio::const_buffer> runs, bool more_follows) {
  more_follows_ = more_follows;
  if (error_ || send_error_) return {0, Io::failed};
  if (closed_) return {0, fail(asio::error::bad_descriptor)};
  if (write_waiting_) return {0, Io::blocked};
  return tls_ ? tls_->write(runs) : send_plain(runs);
}

Transport::WriteResult Transport::send_plain(std::span<const asio::const_buffer> runs) {
  constexpr std::size_t most = 32;
  iovec iov[most];
  std::size_t count = 0, total = 0;
  for (const auto& run : runs) {
    if (run.size() == 0) continue;
    if (count == most) break;
    iov[count].iov_base = const_cast<void*>(run.data());
    iov[count++].iov_len = run.size();
    total += run.size();
  }
  if (count == 0) return {0, Io::ready};
  const ssize_t n = send_once(fd(), iov, count, total, send_flags());
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return {0, fail_send(last_error())};
  const std::size_t sent = n < 0 ? 0 : static_cast<std::size_t>(n);
  if (sent == total) return {sent, Io::ready};
  arm_write();
  return {sent, Io::blocked};
}

void Transport::arm_write() {
  if (write_waiting_) return;
  write_waiting_ = true;
  while_writing_ = Ref<Transport>(this);
  descriptor_.start_wait_writable();
}

void Transport::writable(const error_code& ec) {
  const Ref<Transport> self = std::move(while_writing_);
  write_waiting_ = false;
  if (!closed_ && ec != asio::error::operation_aborted) notify();
}

void Transport::finish_sending() noexcept {
  if (closed_) return;
  if (tls_ && !error_ && !send_error_) tls_->close_notify();
  ::shutdown(fd(), SHUT_WR);
}

// Splicing ------------------------------------------------------------------------------------------

namespace {
ssize_t splice_some(int from, int to, std::size_t most) {
  ssize_t n = 0;
  do n = ::splice(from, nullptr, to, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  while (n < 0 && errno == EINTR);
  return n;
}
}  // namespace

Transport::WriteResult Transport::splice_to_pipe(int pipe, std::size_t most) {
  const ssize_t n = splice_some(fd(), pipe, most);
  if (n > 0) return {static_cast<std::size_t>(n), Io::ready};
  if (n == 0) {
    wire_ended_ = ended_ = true;
    return {0, Io::ready};
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) return {0, fail(last_error())};
  wait_readable(true);
  return {0, Io::blocked};
}

Transport::WriteResult Transport::splice_from_pipe(int pipe, std::size_t bytes) {
  if (send_error_) return {0, Io::failed};
  if (write_waiting_) return {0, Io::blocked};
  const ssize_t n = splice_some(pipe, fd(), bytes);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return {0, fail_send(last_error())};
  const std::size_t sent = n < 0 ? 0 : static_cast<std::size_t>(n);
  if (sent == bytes) return {sent, Io::ready};
  arm_write();
  return {sent, Io::blocked};
}

// Whole ---------------------------------------------------------------------------------------------

Transport::Input& Transport::wire() noexcept {
  return tls_ ? tls_->raw_ : in_;
}

const std::string& Transport::tls_error() const noexcept {
  static const std::string none;
  return tls_ ? tls_->error_ : none;
}

void Transport::start_tls(const ServerTls& server) {
  tls_ = std::make_unique<TlsSession>(*this, server);
  tls_->raw_ = std::exchange(in_, Input{});  // bytes behind a PROXY header are TLS already
}

void Transport::start_tls(const ClientTls& client, const std::string& server_name, bool http1_only) {
  tls_ = std::make_unique<TlsSession>(*this, client, server_name, http1_only);
}

Io Transport::handshake() {
  if (error_) return Io::failed;
  return tls_ ? tls_->handshake() : Io::ready;
}

void Transport::park(TransportWatcher& watcher) {
  const Ref<Transport> self(this);
  watch(watcher);
  parked_ = true;
  if (reading_) {
    descriptor_.cancel();  // no system call: only removes the operation from the reactor's queue
  } else {
    begin_park();
  }
}

void Transport::begin_park() {
  in_ = Input{};
  pinned_.reset();
  if (tls_ && tls_->raw_.empty()) tls_->raw_ = Input{};
  if (write_waiting_ || !watcher_->stream_rests(*this)) wait_readable(fresh_);
}

Transport::Dormant Transport::leave() {
  closed_ = true;
  detach();
  Transport::Dormant rest;
  rest.fd = descriptor_.release();
  rest.tls = std::move(tls_);
  return rest;
}

void Transport::wait_readable(bool noticed) {
  fresh_ = unasked_ = false;
  reading_ = true;
  while_reading_ = Ref<Transport>(this);
  descriptor_.start_wait_readable(noticed);
}

void Transport::readable(const error_code& ec) {
  const Ref<Transport> self = std::move(while_reading_);
  reading_ = false;
  if (closed_ || ec == asio::error::operation_aborted) return;
  parked_ = false;
  exhausted_ = false;
  // End of stream keeps the socket readable, so any event leads here, for example room to write.
  if (wire_ended_ && !was_reset()) return wait_readable(true);
  notify();
}

void Transport::end() noexcept {
  if (tls_ && !closed_ && !error_ && !send_error_) tls_->close_notify();
  close();
}

void Transport::close() noexcept {
  if (closed_) return;
  closed_ = true;
  detach();
  descriptor_.close();
}

void Transport::close_hard() noexcept {
  if (closed_) return;
  const linger reset{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

}  // namespace remora
