// Task<T>: the type of all coroutines of remora.
//
// Its executor is that of io_context itself, so that no type-erased executor is on the request path. A
// coroutine with another executor cannot be awaited from a Task.
//
// The frames come from BlockCache. Asio's own cache keeps 16 of them for each thread, and searches them one
// by one: with hundreds of HTTP/2 streams open, each request then went to aligned_alloc() three times (4 % of
// its instructions).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <coroutine>
#include <cstddef>
#include <new>
#include <utility>

#include "util/block_cache.h"

namespace remora {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T>
using Task = asio::awaitable<T, Executor>;

/// What `co_await` of a Task waits for: the same as with Asio's promise, which it only recognizes by type.
template <class T>
class TaskAwaiter {
 public:
  explicit TaskAwaiter(Task<T> task) noexcept : task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    using Base = typename Promise::AsioPromise;
    task_.await_suspend(std::coroutine_handle<Base>::from_address(waiting.address()));
  }
  T await_resume() { return task_.await_resume(); }

 private:
  Task<T> task_;
};

/// The promise of a Task: Asio's, with the frame in BlockCache.
template <class T>
class TaskPromise : public asio::detail::awaitable_frame<T, Executor> {
 public:
  using AsioPromise = asio::detail::awaitable_frame<T, Executor>;

  static void* operator new(std::size_t bytes) {
    void* const frame = BlockCache::take(bytes);
    if (frame == nullptr) throw std::bad_alloc();
    return frame;
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    BlockCache::give_back(frame, bytes);
  }

  using AsioPromise::await_transform;
  template <class U>
  TaskAwaiter<U> await_transform(Task<U> task) const {
    return TaskAwaiter<U>(AsioPromise::await_transform(std::move(task)));
  }
};

}  // namespace remora

template <class T, class... Arguments>
struct std::coroutine_traits<boost::asio::awaitable<T, remora::Executor>, Arguments...> {
  using promise_type = remora::TaskPromise<T>;
};
