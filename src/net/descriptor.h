// Descriptor: a socket registered with the event loop, with one reusable operation for each direction.
//
// Why not asio's own socket: after a short receive `basic_stream_socket` of 1.81 tries again at once when the
// next receive is started, and is told EAGAIN. That is two wasted system calls per proxied request
// (measured: 4.0 receives instead of 2.0, tests/e2e/budget_test.cpp). The reactor beneath it knows better: an
// operation that says "exhausted" is not tried until the kernel reports an event. So this talks to the
// reactor itself; it is the only file that uses asio::detail. The operations live here, so that waiting
// allocates nothing.
//
// Threading: one thread. Lifetime: the Events object is kept alive by the user while an operation is pending.
#pragma once

#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>

#include "remora/result.h"
#include "remora/task.h"

namespace remora {

class Descriptor {
 public:
  class Events {
   public:
    enum class Taken : std::uint8_t { nothing, some, all };
    /// After start_receive: something may be there. Takes it with one system call: all that was there, or
    /// perhaps not all. An error and the peer's end count as something.
    virtual Taken take_bytes() { return Taken::nothing; }
    /// take_bytes() took something, or the wait was cancelled (operation_aborted).
    virtual void received(const error_code&) {}
    /// After start_wait_readable: something is there.
    virtual void readable(const error_code&) = 0;
    virtual void writable(const error_code&) {}

   protected:
    ~Events() = default;
  };

  /// Takes over an open, non-blocking socket.
  Descriptor(asio::io_context& ctx, int fd, Events& events);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// REQUIRES: no receive or wait for reading is pending. `drained`: the kernel just said EAGAIN.
  void start_receive(bool drained);
  /// `noticed`: whatever came would be reported anew: the descriptor was just registered, or a call that
  /// takes bytes was just told EAGAIN. Otherwise the kernel is asked to look again.
  void start_wait_readable(bool noticed);
  /// REQUIRES: none pending, and a send was just told EAGAIN or is in progress.
  void start_wait_writable();
  /// The pending operations end with operation_aborted, later.
  void cancel();
  void close();
  /// Gives the socket away, open. REQUIRES: nothing is pending.
  int release();
  int fd() const noexcept { return fd_; }

 private:
  using Reactor = asio::detail::reactor;
  struct ReadOp : asio::detail::reactor_op {
    explicit ReadOp(Descriptor& d);
    static status perform(reactor_op*);
    static void complete(void* owner, asio::detail::operation*, const error_code&, std::size_t);
    Descriptor& descriptor;
    bool takes = false;    // else it only waits
    bool drained = false;  // do not ask the kernel while being started
  };
  struct WriteOp : asio::detail::reactor_op {
    explicit WriteOp(Descriptor& d);
    static status perform(reactor_op*);
    static void complete(void* owner, asio::detail::operation*, const error_code&, std::size_t);
    Descriptor& descriptor;
    bool starting = false;
  };
  void start_read(bool try_now);
  void reserve_registrations();
  int deregister(bool closing);

  Reactor& reactor_;
  Events& events_;
  int fd_;
  Reactor::per_descriptor_data registration_;
  ReadOp read_;
  WriteOp write_;
};

}  // namespace remora
