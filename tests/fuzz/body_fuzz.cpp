// A body through BodyReader and BodyWriter: however it is framed and in whatever pieces it comes, what goes
// out holds the same bytes, and a broken one never comes out whole. First bytes: framing in, framing out,
// size of the pieces.

#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1/body.h"
#include "net/loop.h"
#include "net/transport.h"

using namespace remora;

namespace {

using Kind = Framing::Kind;

/// One end is a stream, the other is held in the hand.
struct HeldPipe {
  explicit HeldPipe(Loop& loop) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    stream = TransportRef(new Transport(loop, fds[0]));
    hand = fds[1];
  }
  ~HeldPipe() {
    stream->close();
    if (hand >= 0) ::close(hand);
  }
  TransportRef stream;
  int hand;
};

/// The plainest reader of chunks that can be.
bool unchunk(std::string_view text, std::string& out) {
  for (;;) {
    const auto end = text.find("\r\n");
    if (end == std::string_view::npos) return false;
    const std::size_t size = std::strtoull(std::string(text.substr(0, end)).c_str(), nullptr, 16);
    text.remove_prefix(end + 2);
    if (size == 0) return text.substr(text.size() - std::min<std::size_t>(2, text.size())) == "\r\n";
    if (text.size() < size + 2 || text.substr(size, 2) != "\r\n") return false;
    out.append(text.substr(0, size));
    text.remove_prefix(size + 2);
  }
}

/// What the body is, when all of it comes in one piece.
bool expected(Kind kind, std::string_view in, std::uint64_t length, std::string& out) {
  if (kind == Kind::length) {
    out = in.substr(0, length);
    return in.size() >= length;
  }
  if (kind == Kind::until_close) {
    out = in;
    return true;
  }
  ChunkDecoder decoder;
  for (std::size_t at = 0; at < in.size();) {
    const auto step = decoder.step(in.substr(at));
    at += step.skip;
    if (step.got == ChunkDecoder::Got::bad) return false;
    if (step.got == ChunkDecoder::Got::done) return true;
    if (step.got == ChunkDecoder::Got::data) out.append(in.substr(at, step.size)), at += step.size;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const Kind kinds[] = {Kind::length, Kind::chunked, Kind::until_close};
  const Kind in_kind = kinds[data[0] % 3], out_kind = data[1] % 2 == 0 ? Kind::chunked : Kind::until_close;
  const std::size_t piece = 1 + data[2] * 16U;
  const std::string_view text(reinterpret_cast<const char*>(data + 4), size - 4);
  const std::uint64_t length = data[3] * 4U;

  Loop loop;
  {
    HeldPipe in(loop), out(loop);
    BodyReader reader;
    BodyWriter writer;
    StreamFailure failure;
    reader.start({in_kind, length}, std::nullopt);
    writer.start(out_kind, out_kind == Kind::until_close);
    std::string received;
    const auto drain = [&] {
      char room[16384];
      for (ssize_t n; (n = ::recv(out.hand, room, sizeof room, 0)) > 0;)
        received.append(room, static_cast<std::size_t>(n));
    };
    bool failed = false, finished = false;
    std::size_t given = 0;
    bool closed = false;
    for (std::size_t idle = 0; !failed && !finished && idle < 100;) {
      if (given < text.size()) {
        const ssize_t n =
            ::send(in.hand, text.data() + given, std::min(piece, text.size() - given), MSG_NOSIGNAL);
        if (n > 0) given += static_cast<std::size_t>(n);
      } else if (!closed) {
        ::shutdown(in.hand, SHUT_WR);
        closed = true;
      }
      loop.ctx.restart();
      loop.ctx.poll();
      const Io io = reader.fill(*in.stream, failure);
      if (io == Io::failed) failed = true;
      Body body;
      if (io == Io::ready) body = reader.body(*in.stream);
      const WriteResult taken = writer.send(*out.stream, body, reader.trailers(), failure);
      if (taken.io == Io::failed) std::abort();  // nobody closed it
      if (io == Io::ready) reader.consume(*in.stream, taken.bytes);
      finished = taken.finished;
      idle = taken.bytes > 0 || given < text.size() ? 0 : idle + 1;
      drain();
    }
    std::string want;
    const bool whole = expected(in_kind, text, length, want);
    if (finished != whole) std::abort();
    std::string got;
    if (out_kind == Kind::chunked) {
      if (unchunk(received, got) != whole) std::abort();
    } else {
      got = received;
    }
    if (whole ? got != want : got != want.substr(0, got.size())) std::abort();
  }
  loop.wheel.stop();
  loop.ctx.restart();
  loop.ctx.poll();
  return 0;
}
