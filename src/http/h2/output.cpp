#include "http/h2/output.h"

#include <algorithm>
#include <cstring>

namespace remora {

std::array<Http2Output::Run, Http2Output::max_runs>& Http2Output::runs() noexcept {
  static thread_local constinit std::array<Run, max_runs> of_thread{};
  return of_thread;
}

void Http2Output::reserve(std::size_t more) {
  if (buffer_.size() - end_ >= more && buffer_) return;
  if (count_ == 0 && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = run_begin_ = 0;
    if (buffer_.size() - end_ >= more) return;
  }
  Buffer bigger = pool_.take(end_ + more);
  if (end_ > 0) std::memcpy(bigger.data(), buffer_.data(), end_);
  buffer_ = std::move(bigger);
}

void Http2Output::append(std::string_view bytes) {
  reserve(bytes.size());
  std::memcpy(buffer_.data() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

/// The copied bytes so far become a run of their own.
void Http2Output::close_run() noexcept {
  if (run_begin_ < end_) runs()[count_++] = {nullptr, run_begin_, end_ - run_begin_};
  run_begin_ = end_;
}

void Http2Output::lend_payload(asio::const_buffer bytes) noexcept {
  close_run();
  runs()[count_++] = {static_cast<const char*>(bytes.data()), 0, bytes.size()};
  lent_bytes_ += bytes.size();
}

Io Http2Output::write(Transport& transport) {
  if (pending() == 0) return Io::ready;
  if (transport.send_blocked()) return Io::blocked;
  close_run();
  std::array<asio::const_buffer, max_runs> views;
  for (std::size_t i = 0; i < count_; ++i) views[i] = asio::const_buffer(at(runs()[i]), runs()[i].size);
  const Transport::WriteResult sent = transport.send({views.data(), count_});
  written_ += sent.bytes;
  if (sent.io == Io::failed) {
    clear();
    return Io::failed;
  }
  if (sent.bytes == pending())
    clear();
  else
    keep_unwritten(sent.bytes);
  return sent.io;
}

/// Copies what the socket did not take of lent payload.
void Http2Output::keep_unwritten(std::size_t written) {
  if (lent_bytes_ == 0) {
    begin_ += written;
  } else {
    Buffer rest = pool_.take(pending() - written);
    std::size_t filled = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t skip = std::min(written, runs()[i].size);
      written -= skip;
      std::memcpy(rest.data() + filled, at(runs()[i]) + skip, runs()[i].size - skip);
      filled += runs()[i].size - skip;
    }
    buffer_ = std::move(rest);
    begin_ = 0;
    end_ = filled;
  }
  run_begin_ = begin_;
  count_ = lent_bytes_ = 0;
}

void Http2Output::clear() noexcept {
  buffer_.reset();
  begin_ = end_ = run_begin_ = count_ = lent_bytes_ = 0;
}

}  // namespace remora
