#include "net/pipes.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cassert>

namespace remora {

namespace {
// Twice the default of 64 KiB halves the number of calls. The kernel allows an unprivileged user 64 MiB in
// total (pipe(7), pipe-user-pages-soft); beyond that it leaves the size unchanged.
constexpr int wanted_room = 128 * 1024;
}  // namespace

Pipe& Pipe::operator=(Pipe&& o) noexcept {
  if (this != &o) {
    close();
    pool_ = o.pool_;
    in_ = std::move(o.in_);
    out_ = std::move(o.out_);
    room_ = o.room_;
  }
  return *this;
}

Pipe::~Pipe() {
  close();
}

void Pipe::close() noexcept {
  if (!in_) return;
  in_.reset();
  out_.reset();
  --pool_->lent_;
}

#ifndef NDEBUG
namespace {
bool is_empty(int out) noexcept {
  int bytes = 0;
  return ::ioctl(out, FIONREAD, &bytes) != 0 || bytes == 0;
}
}  // namespace
#endif

void Pipe::give_back() noexcept {
  assert(!in_ || is_empty(out_.get()));  // leftover bytes would reach another client
  if (in_ && pool_->spare_.size() < PipePool::keep)
    pool_->spare_.push_back(std::move(*this));
  else
    close();
}

Pipe PipePool::take() noexcept {
  Pipe pipe;
  if (!spare_.empty()) {
    pipe = std::move(spare_.back());
    spare_.pop_back();
    return pipe;
  }
  int ends[2];
  if (lent_ >= most || ::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return pipe;
  if (spare_.capacity() == 0) spare_.reserve(keep);
  ++lent_;
  pipe.pool_ = this;
  pipe.out_ = UniqueFd(ends[0]);
  pipe.in_ = UniqueFd(ends[1]);
  const int room = ::fcntl(pipe.in(), F_SETPIPE_SZ, wanted_room);
  pipe.room_ = static_cast<std::size_t>(room > 0 ? room : ::fcntl(pipe.in(), F_GETPIPE_SZ));
  return pipe;
}

}  // namespace remora
