// One end of an HTTP/2 connection held in the hand: a session under test writes to the other. It checks what
// the session sends: whole frames, heads that HPACK can read and HTTP/2 allows, nothing behind an END_STREAM.
#pragma once

#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include "fuzz/h2_input.h"
#include "http/h2/session.h"
#include "support/manual_loop.h"

namespace remora::fuzz {

class Hand {
 public:
  /// `preface`: bytes before the session's first frame.
  Hand(Loop& loop, Http2Session& session, std::size_t preface)
      : session_(session), skip_(preface), wake_(loop.wheel) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    transport_ = TransportRef(new Transport(loop, fds[0]));
    hand_ = fds[1];
    ::nghttp2_hd_inflate_new(&inflater_);
    session.use(transport_, wake_, EventFlags::client);
  }
  /// REQUIRES: the session is gone.
  ~Hand() {
    ::nghttp2_hd_inflate_del(inflater_);
    transport_->close();
    ::close(hand_);
  }
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

  /// The session's socket takes little at a time.
  void hold_little() {
    const int bytes = 4096;
    ::setsockopt(transport_->fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  void give(std::string_view bytes) { pending_ += bytes; }
  /// False: from now on nothing is taken from the session's socket.
  void set_reads(bool reads) { reads_ = reads; }
  /// The session loses its transport and gets it again, as in a connection that was parked.
  void park() {
    if (!session_.is_idle()) return;
    TransportRef kept = session_.release();
    session_.use(std::move(kept), wake_, EventFlags::client);
  }

  /// Sends what was given, in pieces of this size, and lets the session act.
  void run(test::ManualLoop& loop, std::size_t piece) {
    for (int rounds = 0, quiet = 0; rounds < 4000 && quiet < 2; ++rounds) {
      const std::size_t n = std::min(piece, pending_.size());
      const ssize_t sent = n > 0 ? ::send(hand_, pending_.data(), n, MSG_NOSIGNAL) : 0;
      if (sent > 0) pending_.erase(0, static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN) pending_.clear();
      loop.settle();
      static_cast<void>(wake_.take());
      if (!session_.is_over()) {
        for (int i = 0; i < 100 && session_.receive() == Io::ready; ++i) {
        }
        session_.flush();
      }
      loop.settle();
      quiet = read() || sent > 0 ? 0 : quiet + 1;
    }
  }
  bool all_given() const { return pending_.empty(); }
  /// Bytes of DATA that the session has acknowledged for the connection.
  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  bool read() {
    if (!reads_) return false;
    bool any = false;
    char room[65536];
    for (ssize_t n = 0; (n = ::recv(hand_, room, sizeof room, 0)) > 0; any = true)
      received_.append(room, static_cast<std::size_t>(n));
    std::size_t at = std::min(skip_, received_.size());
    skip_ -= at;
    const auto number = [&](std::size_t from, std::size_t bytes) {
      std::uint32_t out = 0;
      for (std::size_t i = 0; i < bytes; ++i) out = out << 8 | static_cast<std::uint8_t>(received_[from + i]);
      return out;
    };
    while (skip_ == 0 && received_.size() - at >= 9) {
      const std::size_t size = number(at, 3);
      if (size > 16384) std::abort();
      if (received_.size() - at < 9 + size) break;
      take(static_cast<std::uint8_t>(received_[at + 3]), static_cast<std::uint8_t>(received_[at + 4]),
           number(at + 5, 4), std::string_view(received_).substr(at + 9, size));
      at += 9 + size;
    }
    received_.erase(0, at);
    return any;
  }
  void take(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload) {
    const bool message = type <= 1;  // DATA, HEADERS
    if (message && ended_.contains(stream)) std::abort();
    if (type == 1) {
      if (!block_.empty()) std::abort();
      block_ = payload;
    }
    if (type == 9) block_ += payload;
    if ((type == 1 || type == 9) && (flags & 4) != 0) check_head();
    if (message && (flags & 1) != 0) ended_.insert(stream);
    if (type == 8 && stream == 0)
      for (std::uint32_t i = 0, n = 0; i < 4; ++i) {
        n = n << 8 | static_cast<std::uint8_t>(payload[i]);
        if (i == 3) acknowledged_ += n & 0x7fffffffU;
      }
  }
  void check_head() {
    const auto* at = reinterpret_cast<const std::uint8_t*>(block_.data());
    std::size_t left = block_.size();
    bool fields = false;
    for (int flags = 0; (flags & NGHTTP2_HD_INFLATE_FINAL) == 0;) {
      nghttp2_nv nv{};
      const ssize_t n = ::nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, at, left, 1);
      if (n < 0) std::abort();
      at += n;
      left -= static_cast<std::size_t>(n);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0) continue;
      const std::string_view name(reinterpret_cast<char*>(nv.name), nv.namelen);
      const std::string_view value(reinterpret_cast<char*>(nv.value), nv.valuelen);
      if (name.empty() || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
        std::abort();
      if (name[0] == ':' && fields) std::abort();
      fields = fields || name[0] != ':';
      for (const char c : name)
        if ((c >= 'A' && c <= 'Z') || c == ' ' || c == '\r' || c == '\n') std::abort();
      for (const char* no : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
        if (name == no) std::abort();
    }
    ::nghttp2_hd_inflate_end_headers(inflater_);
    block_.clear();
  }

  Http2Session& session_;
  std::size_t skip_;
  TransportRef transport_;
  int hand_ = -1;
  EventFlags wake_;
  std::string pending_, received_, block_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::set<std::uint32_t> ended_;
  std::uint64_t acknowledged_ = 0;
  bool reads_ = true;
};

}  // namespace remora::fuzz
