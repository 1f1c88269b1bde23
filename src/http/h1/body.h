// HTTP/1 body framing over a Transport: BodyReader decodes, BodyWriter encodes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "http/h1/chunked.h"
#include "http/h1/head.h"
#include "http/message_stream.h"
#include "net/transport.h"
#include "util/out_text.h"

namespace remora {

/// Decodes a body from the stream's unread bytes, in place.
class BodyReader {
 public:
  /// `from_backend`: see ChunkDecoder.
  void start(Framing framing, std::optional<std::uint64_t> limit, bool from_backend = false);
  /// ready: body() has bytes, or the end was reached.
  Io fill(Transport&, StreamFailure&);
  Body body(Transport&);
  void consume(Transport&, std::size_t n);
  /// The end was reached and every byte consumed.
  bool complete() const noexcept { return ended_ && run_count_ == 0; }
  bool holds_any() const noexcept { return run_count_ > 0; }
  /// The unconsumed bytes received so far do not complete the body. Scans all of them.
  bool lacks_bytes(const Transport&) const;
  std::uint64_t raw_left(const Transport&) const noexcept;
  std::uint64_t raw_behind(const Transport&) const noexcept;
  void skip_raw(std::uint64_t n) noexcept;
  const std::vector<Field>* trailers() const noexcept {
    return chunks_.trailers().empty() ? nullptr : &chunks_.trailers();
  }

 private:
  static constexpr std::size_t max_runs = 16;
  struct Run {
    std::size_t skip, size;  // framing bytes, then data bytes
  };
  bool decode(Transport&, StreamFailure&);
  bool decode_chunks(Transport&, StreamFailure&);
  void push(std::size_t skip, std::size_t size) noexcept;

  Framing framing_;
  std::optional<std::uint64_t> limit_;
  std::uint64_t left_ = 0, seen_ = 0;
  bool ended_ = true;
  ChunkDecoder chunks_;
  std::array<Run, max_runs> runs_{};
  std::size_t run_count_ = 0;
  std::size_t decoded_ = 0;  // unread bytes covered by the runs and the framing behind them
  std::array<asio::const_buffer, max_runs> views_{};
};

/// Encodes a body for the stream, behind a staged head.
class BodyWriter {
 public:
  /// `closes`: the stream ends with the message. `trailers`: see OutHead.
  void start(Framing::Kind kind, bool closes = false, std::string_view trailers = {});
  /// Bytes that are sent first: heads, framing.
  OutText& staged() noexcept { return staged_; }
  bool has_staged() const noexcept { return staged_at_ < staged_.size(); }
  WriteResult send(Transport&, Body, const std::vector<Field>* trailers, StreamFailure&);
  bool finished() const noexcept { return finished_; }
  bool chunks() const noexcept { return kind_ == Framing::Kind::chunked; }
  bool takes_raw() const noexcept { return kind_ != Framing::Kind::chunked && !has_staged(); }
  /// At least one byte of the current message was sent.
  bool began() const noexcept { return began_; }
  void reset() noexcept;

 private:
  OutText staged_;
  std::size_t staged_at_ = 0;
  OutText tail_;           // CRLF, last chunk, trailers
  std::string announced_;  // announced trailers, allowed in addition to those that always are
  Framing::Kind kind_ = Framing::Kind::none;
  std::uint64_t chunk_left_ = 0;
  bool closes_ = false;
  bool end_staged_ = false, finished_ = false, began_ = false;
};

}  // namespace remora
