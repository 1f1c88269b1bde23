// ParkingLot: idle connections that hold nothing but a descriptor.
//
// Why: a Stream and the reactor's record of its descriptor take more than half a kilobyte, which an idle
// connection does not need. A parked descriptor is watched by a second epoll instance, which the event loop
// watches as one descriptor among others; a word of the owner's is all that is kept. Parking and waking cost
// two system calls each, once per pause of a connection.
//
// Threading: one thread. Lifetime: outlives what is parked in it.
#pragma once

#include <sys/epoll.h>

#include <memory>
#include <span>

#include "net/descriptor.h"
#include "net/loop.h"

namespace remora {

/// Something of which only a descriptor is left.
class Parked {
 public:
  /// It can be read from, has ended, or has failed. Leaves the lot, and may be destroyed.
  virtual void woken() = 0;

 protected:
  ~Parked() = default;
};

class ParkingLot final : private Descriptor::Events {
 public:
  explicit ParkingLot(Loop& loop) : loop_(loop) {}
  ~ParkingLot();
  ParkingLot(const ParkingLot&) = delete;
  ParkingLot& operator=(const ParkingLot&) = delete;

  /// Watches `fd`, which stays the caller's. False: the kernel has no memory for it.
  bool park(int fd, Parked& owner) noexcept;
  /// REQUIRES: is parked. To be called before `fd` is closed.
  void leave(int fd, const Parked& owner) noexcept;

 private:
  bool open() noexcept;
  void wait();
  void readable(const error_code&) override;

  Loop& loop_;
  std::unique_ptr<Descriptor> descriptor_;  // of the second epoll instance, from the first use on
  std::size_t parked_ = 0;
  bool waiting_ = false;
  std::span<epoll_event> woken_;  // still to be told
};

}  // namespace remora
