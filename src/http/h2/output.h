// Http2Output: serialized frames on their way to the socket.
//
// Frames and the payload of small DATA frames are copied here, so that those of many streams leave in one
// write. The payload of a large body is only referred to (lend_payload()), and leaves with the frames around
// it in one gathered write; what the socket did not take of it is copied.
//
// Threading: one thread. Lifetime: that of its session; holds no memory while it is empty.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <string_view>

#include "net/transport.h"

namespace remora {

class Http2Output {
 public:
  explicit Http2Output(BufferPool& pool) : pool_(pool) {}

  std::size_t pending() const noexcept { return end_ - begin_ + lent_bytes_; }
  /// Appends a copy. Throws std::bad_alloc.
  void append(std::string_view bytes);
  /// Appends a reference. REQUIRES: `bytes` stay as they are until the next write(), which must follow before
  /// the caller returns; can_lend().
  void lend_payload(asio::const_buffer bytes) noexcept;
  bool can_lend() const noexcept { return count_ + 3 < max_runs; }
  /// One gathered write of everything. blocked: the transport's event follows when there is room.
  Io write(Transport& transport);
  /// Drops everything.
  void clear() noexcept;
  /// Bytes that sockets have taken so far.
  std::uint64_t written() const noexcept { return written_; }

 private:
  static constexpr std::size_t max_runs = 24;
  struct Run {
    const char* lent = nullptr;  // null: copied bytes
    std::size_t offset = 0;      // of copied bytes in the buffer, which may move
    std::size_t size = 0;
  };
  /// Of the session that writes at the moment: they are used from a lend_payload() to the write() that
  /// follows, and an idle connection does without them.
  static std::array<Run, max_runs>& runs() noexcept;
  const char* at(const Run& run) const noexcept {
    return run.lent != nullptr ? run.lent : buffer_.data() + run.offset;
  }
  void close_run() noexcept;
  void reserve(std::size_t more);
  void keep_unwritten(std::size_t written);

  BufferPool& pool_;
  Buffer buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of the copied bytes
  std::size_t run_begin_ = 0;        // copied bytes from here on are in no run yet
  std::size_t count_ = 0;            // of runs(): everything before `run_begin_`, in order
  std::size_t lent_bytes_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace remora
