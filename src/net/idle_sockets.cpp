#include "net/idle_sockets.h"

#include <array>
#include <boost/asio/error.hpp>

#include "util/unique_fd.h"

namespace remora {

IdleSockets::~IdleSockets() = default;

bool IdleSockets::open() noexcept {
  if (descriptor_) return true;
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return false;
  descriptor_.reset(new Descriptor(loop_.ctx, epoll.get(), *this));
  static_cast<void>(epoll.release());
  return true;
}

bool IdleSockets::park(int fd, IdleSocket& owner) noexcept {
  if (!open()) return false;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.ptr = &owner;
  if (::epoll_ctl(descriptor_->fd(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  ++parked_;
  if (!waiting_) wait();
  return true;
}

void IdleSockets::leave(int fd, const IdleSocket& owner) noexcept {
  epoll_event ignored{};
  ::epoll_ctl(descriptor_->fd(), EPOLL_CTL_DEL, fd, &ignored);
  for (epoll_event& event : woken_)
    if (event.data.ptr == &owner) event.data.ptr = nullptr;
  // A pending wait would keep the event loop from ending.
  if (--parked_ == 0 && waiting_) descriptor_->cancel();
}

void IdleSockets::wait() {
  waiting_ = true;
  // Re-arm, so that the kernel reports events that came in the meantime.
  descriptor_->start_wait_readable(false);
}

void IdleSockets::readable(const error_code&) {
  waiting_ = false;
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(descriptor_->fd(), events.data(), static_cast<int>(events.size()), 0);
  woken_ = {events.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  while (!woken_.empty()) {
    auto* const owner = static_cast<IdleSocket*>(woken_.front().data.ptr);
    woken_ = woken_.subspan(1);
    if (owner != nullptr) owner->woken();
  }
  if (parked_ > 0 && !waiting_) wait();
}

}  // namespace remora
