// Http2Sender: the sending half of a session, from nghttp2's frames and an exchange's body to the socket.
//
// nghttp2 serializes frames as long as there is room (output.h). A body is on loan to nghttp2 only during
// send(), and nghttp2's callbacks take it from there. Behind all other frames come those of the graceful
// shutdown.
//
// It knows nothing of the session: where it reports that the connection is lost, the session has to act.
//
// Threading: one thread. Lifetime: that of its session.
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http/h2/graceful_shutdown.h"
#include "http/h2/output.h"
#include "http/h2/stream.h"

struct nghttp2_session;

namespace remora {

class Http2Sender {
 public:
  Http2Sender(BufferPool& pool, nghttp2_session* session) noexcept : session_(session), output_(pool) {}

  /// Sends to this transport from now on. Null: the connection is parked.
  void use(Transport* transport) noexcept { transport_ = transport; }

  // Frames -----------------------------------------------------------------------------------------
  /// Serializes and writes until nothing is left or the socket is blocked. False: the connection is lost.
  /// REQUIRES: there is a transport.
  bool send_due() noexcept;
  /// Serializes frames while there is room. False: the connection is lost.
  bool pull() noexcept;
  /// Writes what was serialized. blocked: the socket takes no more. failed: the connection is lost. REQUIRES:
  /// there is a transport.
  Io write() noexcept;
  /// Drops what was serialized.
  void clear() noexcept { output_.clear(); }
  GracefulShutdown& shutdown() noexcept { return shutdown_; }
  const GracefulShutdown& shutdown() const noexcept { return shutdown_; }

  // Bodies -----------------------------------------------------------------------------------------
  struct Sent {
    std::size_t bytes = 0;
    bool lost = false;  // the connection
  };
  /// Sends of the body what the windows and the socket take.
  Sent send(Http2Stream& stream, const Body& body, const std::vector<Field>* trailers) noexcept;

  /// A body on loan from a stream's send().
  struct Loan {
    Http2Stream* stream = nullptr;
    std::span<const asio::const_buffer> runs;
    std::size_t offset = 0;  // into the first run
    std::size_t left = 0;
    const std::vector<Field>* trailers = nullptr;
    bool last = false, direct = false;
  };
  const Loan& loan() const noexcept { return loan_; }
  /// nghttp2 has made a DATA frame of the next `bytes` on loan. Throws std::bad_alloc.
  void append_data(std::string_view frame_header, std::size_t bytes);
  /// More may be serialized before it is written.
  bool has_room() const noexcept;

  // State ------------------------------------------------------------------------------------------
  /// The socket took no more at the last write.
  bool is_blocked() const noexcept { return blocked_; }
  /// True: it was blocked, and takes more again. REQUIRES: there is a transport.
  bool unblock() noexcept;
  /// Bytes wait for the socket, which takes no more for now.
  bool waits_for_socket() const noexcept;
  bool has_pending() const noexcept { return output_.pending() > 0; }
  std::uint64_t bytes_written() const noexcept { return output_.written(); }
  /// Bytes written and to be written so far.
  std::uint64_t bytes_serialized() const noexcept { return output_.written() + output_.pending(); }

 private:
  bool send_loan() noexcept;
  void take_from_loan(std::size_t bytes);

  nghttp2_session* const session_;
  Transport* transport_ = nullptr;
  Http2Output output_;
  Loan loan_;
  GracefulShutdown shutdown_;
  bool blocked_ = false;
};

}  // namespace remora
