// Descriptor: a socket registered with the event loop, with one reusable operation per direction.
//
// Why not Asio's own socket: after a short receive, `basic_stream_socket` of 1.81 tries again as soon as the
// next receive is started, and gets EAGAIN. That is two wasted system calls per proxied request (measured:
// 4.0 receives instead of 2.0, tests/e2e/budget_test.cpp). The reactor below it does better: it does not
// retry an operation that returned "exhausted" until the kernel reports an event. So this class uses the
// reactor directly; it is the only file that uses asio::detail. The operations are members, so waiting
// allocates nothing.
//
// Threading: one thread. Lifetime: the user keeps the Events object alive while an operation is pending.
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
    enum class Drained : std::uint8_t { nothing, some, all };
    /// After start_receive: the socket may be readable. Receives with one system call. `all`: the socket is
    /// drained; `some`: there may be more. Errors and end of stream count as something.
    virtual Drained take_bytes() { return Drained::nothing; }
    /// take_bytes() returned something, or the wait was canceled (operation_aborted).
    virtual void received(const error_code&) {}
    /// After start_wait_readable: the socket is readable.
    virtual void readable(const error_code&) = 0;
    virtual void writable(const error_code&) {}

   protected:
    ~Events() = default;
  };

  /// Takes ownership of an open, non-blocking socket, unless it throws. An int and not a UniqueFd: whoever
  /// closes it must tell the reactor first.
  Descriptor(asio::io_context& ctx, int fd, Events& events);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// REQUIRES: no receive or readable wait is pending. `drained`: the kernel just returned EAGAIN.
  void start_receive(bool drained);
  /// `noticed`: anything that arrives will raise a new event, because the descriptor was just registered or
  /// a receive just returned EAGAIN. Otherwise the event is re-armed, so that the kernel reports what is
  /// there already.
  void start_wait_readable(bool noticed);
  /// REQUIRES: no writable wait is pending, and a send just returned EAGAIN or a connect is in progress.
  void start_wait_writable();
  /// Pending operations complete later, with operation_aborted.
  void cancel();
  void close();
  /// Releases ownership of the open socket. REQUIRES: no operation is pending.
  int release();
  int fd() const noexcept { return fd_; }

 private:
  using Reactor = asio::detail::reactor;
  struct ReadOp : asio::detail::reactor_op {
    explicit ReadOp(Descriptor& d);
    static status perform(reactor_op*);
    static void complete(void* owner, asio::detail::operation*, const error_code&, std::size_t);
    Descriptor& descriptor;
    bool takes = false;    // receives; otherwise only waits
    bool drained = false;  // skip the first attempt, made while the operation is started
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
