// IncomingBlock: the header block that a session is receiving: its fields so far, and whose it is. Nothing
// arrives between the frames of a block (RFC 9113 4.3), so there is one at most.
//
// Threading: one thread. Lifetime: that of its session.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "http/h2/fields.h"

namespace remora {

class Http2Stream;

class IncomingBlock {
 public:
  /// The limits of HeadCollector::begin(), up to what fits here.
  IncomingBlock(std::size_t header_bytes, std::size_t headers) noexcept
      : header_bytes_(static_cast<std::uint32_t>(std::min<std::size_t>(header_bytes, UINT32_MAX))),
        headers_(static_cast<std::uint16_t>(std::min<std::size_t>(headers, UINT16_MAX))) {}

  /// Throws std::bad_alloc.
  void begin() {
    if (!collector_) collector_ = std::make_unique<HeadCollector>();
    collector_->begin(header_bytes_, headers_);
  }
  /// Null: nobody is to have the block.
  void set_stream(Http2Stream* stream) noexcept { stream_ = stream; }
  /// Adds a field. False: the block is many times too large, and the peer floods.
  bool add(std::string_view name, std::string_view value) {
    if (collector_->add(name, value)) return true;
    floods_ = true;
    return false;
  }
  bool floods() const noexcept { return floods_; }
  bool oversized() const noexcept { return collector_->oversized(); }
  /// The block is complete: whose it is. It has no stream then.
  Http2Stream* take_stream() noexcept { return std::exchange(stream_, nullptr); }
  /// Throws std::bad_alloc.
  HeadBlock finish(BufferPool& pool) { return collector_->finish(pool); }
  /// The stream is gone.
  void forget(const Http2Stream& stream) noexcept {
    if (stream_ == &stream) stream_ = nullptr;
  }
  /// Keeps no memory, until the next block.
  void release() noexcept { collector_.reset(); }

 private:
  std::unique_ptr<HeadCollector> collector_;
  Http2Stream* stream_ = nullptr;
  const std::uint32_t header_bytes_;
  const std::uint16_t headers_;
  bool floods_ = false;
};

}  // namespace remora
