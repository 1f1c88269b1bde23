#include "net/splice.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace remora {

bool Splice::start(PipePool& pool) noexcept {
  if (!pipe_) pipe_ = pool.take();
  return static_cast<bool>(pipe_);
}

Splice::Moved Splice::take(Transport& from, std::uint64_t most) {
  assert(held_ == 0);
  Moved moved;
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(most, pipe_.room()));
  const Transport::WriteResult taken = from.splice_to_pipe(pipe_.in(), room);
  moved.taken = held_ = taken.bytes;
  moved.from = taken.io;
  return moved;
}

Splice::Moved Splice::move(Transport& from, Transport& to, std::uint64_t most) {
  Moved moved;
  if (held_ == 0 && most > 0) moved = take(from, most);
  if (held_ > 0) {
    const Transport::WriteResult passed = to.splice_from_pipe(pipe_.out(), held_);
    held_ -= passed.bytes;
    moved.passed = passed.bytes;
    moved.to = passed.io;
  }
  return moved;
}

void Splice::end() noexcept {
  if (std::exchange(held_, 0) == 0)
    pipe_.give_back();
  else
    pipe_ = Pipe();
}

}  // namespace remora
