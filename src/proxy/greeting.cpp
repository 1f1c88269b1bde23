// What comes before a connection's first request: PROXY line, TLS handshake, and which version of HTTP
// follows.

#include <algorithm>

#include "net/proxy_protocol.h"
#include "net/tls.h"
#include "proxy/connection.h"

namespace remora {

/// Before the first request: PROXY line, per-client limits, TLS handshake. False: refused or closed.
Task<bool> Connection::greet() {
  const Clock::Steady deadline = worker_.clock.steady_now() + view_->config.timeouts.header;
  if (view_->config.proxy_protocol) {
    // A reload may have switched it on since the connection was accepted.
    if (!may_send_proxy_line(view_->config, peer_)) {
      refuse(Refusal::proxy_line, view_->config, "this peer may not send PROXY lines");
      co_return false;
    }
    const bool told = co_await read_proxy_line();
    if (!told || !count_client(view_->config)) co_return false;  // counted under the address in the line
  }
  bool http2 = false;
  if (view_->tls) {
    if (!co_await shake_hands(deadline)) co_return false;
    http2 = TlsSession::of(*stream_)->alpn() == "h2";
  } else if (view_->config.h2c) {
    http2 = co_await sees_preface(deadline);
  }
  if (http2) begin_http2();
  greeted_ = true;
  co_return true;
}

/// False: refused or closed.
Task<bool> Connection::shake_hands(Clock::Steady deadline) {
  stream_->start_tls(*view_->tls);
  for (;;) {
    const Io io = stream_->handshake();
    if (io == Io::ready) co_return true;
    const bool late = io != Io::failed && co_await wait(deadline);
    if (io != Io::failed && !late) continue;
    const std::string& error = stream_->tls_error();
    refuse(Refusal::handshake, view_->config,
           late            ? "it took too long (timeouts.header), or the client left"
           : error.empty() ? std::string_view("the client left")
                           : std::string_view(error));
    co_return false;
  }
}

namespace {
/// RFC 9113 3.4. No request of HTTP/1 begins so.
constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
}  // namespace

/// Where HTTP/2 is spoken by prior knowledge (`h2c`): whether the client begins with the preface. Consumes
/// nothing. On false the request loop of HTTP/1 goes on, also with a preface that is late or broken off.
Task<bool> Connection::sees_preface(Clock::Steady deadline) {
  for (;;) {
    if (!may_begin_preface()) co_return false;
    if (stream_->unread().size() >= http2_preface.size()) co_return true;
    if (stream_->peer_closed()) co_return false;
    const Io io = stream_->fill();
    if (io == Io::failed) co_return false;
    if (io == Io::blocked && co_await wait(deadline)) co_return false;
  }
}

/// What has arrived so far can be the beginning of the preface.
bool Connection::may_begin_preface() const noexcept {
  const std::string_view bytes = stream_->unread().substr(0, http2_preface.size());
  return http2_preface.starts_with(bytes);
}

void Connection::begin_http2() {
  http2_ = std::make_unique<Http2Connection>(worker_, *view_);
}

/// Proxies send the line at once. A peer that keeps us waiting counts as a client itself until its line
/// arrives; otherwise it could hold every connection of the listener. False: refused or closed.
Task<bool> Connection::read_proxy_line() {
  const Clock::Steady deadline = idle_since_ + view_->config.timeouts.header;
  bool asked = counted_;
  ProxyLine line;
  for (;;) {
    if (line.status == ProxyLine::Status::incomplete) {
      line = parse_proxy_line(stream_->unread());
      if (line.status == ProxyLine::Status::bad) {
        refuse(Refusal::proxy_line, view_->config, "the connection does not begin with a PROXY line");
        co_return false;
      }
      if (line.status == ProxyLine::Status::ok) stream_->consume(line.size);
    }
    if (line.status == ProxyLine::Status::ok) {
      const std::size_t dropped = std::min(line.rest, stream_->unread().size());
      stream_->consume(dropped);
      line.rest -= dropped;
    }
    if (line.status == ProxyLine::Status::ok && line.rest == 0) {
      if (std::exchange(counted_, false)) listener_.shared->limits.disconnected(peer_);
      if (line.client) peer_ = *line.client;
      co_return true;
    }
    if (stream_->peer_closed()) co_return false;
    const Io io = stream_->fill();
    if (io == Io::failed) co_return false;
    if (io == Io::ready) continue;
    const Clock::Steady until = asked ? deadline : std::min(deadline, idle_since_ + proxy_line_grace);
    if (!co_await wait(until)) continue;
    if (!stream_->is_open() || worker_.clock.steady_now() >= deadline) {
      refuse(Refusal::proxy_line, view_->config, "no PROXY line within timeouts.header");
      co_return false;
    }
    if (!counted_ && !count_client(view_->config)) co_return false;
    asked = true;
  }
}

}  // namespace remora
