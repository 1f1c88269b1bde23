// IdleSockets: idle connections reduced to a descriptor.
//
// Why: a Transport and the reactor's record of its descriptor take more than half a kilobyte, which an idle
// connection does not need. A second epoll instance watches the parked descriptors, and the event loop
// watches that instance as a single descriptor; only a pointer to the owner is kept. Parking and waking cost
// two system calls each, once per idle period of a connection.
//
// Threading: one thread. Lifetime: outlives what is parked in it.
#pragma once

#include <sys/epoll.h>

#include <memory>
#include <span>

#include "net/descriptor.h"
#include "net/loop.h"

namespace remora {

/// The owner of a parked descriptor.
class IdleSocket {
 public:
  /// The descriptor is readable, closed by its peer, or broken. The owner must call leave(); it may destroy
  /// itself.
  virtual void woken() = 0;

 protected:
  ~IdleSocket() = default;
};

class IdleSockets final : private Descriptor::Events {
 public:
  explicit IdleSockets(Loop& loop) : loop_(loop) {}
  ~IdleSockets();
  IdleSockets(const IdleSockets&) = delete;
  IdleSockets& operator=(const IdleSockets&) = delete;

  /// Watches `fd`, which the caller still owns. False: the kernel is out of memory or descriptors.
  bool park(int fd, IdleSocket& owner) noexcept;
  /// REQUIRES: `fd` is parked. Call it before `fd` is closed.
  void leave(int fd, const IdleSocket& owner) noexcept;

 private:
  bool open() noexcept;
  void wait();
  void readable(const error_code&) override;

  Loop& loop_;
  std::unique_ptr<Descriptor> descriptor_;  // the second epoll instance, created on first use
  std::size_t parked_ = 0;
  bool waiting_ = false;
  std::span<epoll_event> woken_;  // events of this round not yet delivered
};

}  // namespace remora
