// Task<T>: every coroutine of remora.
//
// The executor is the concrete one of io_context, so that no type-erased executor stands on
// the request path. A coroutine with another executor cannot be awaited from a Task.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace remora {
namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T>
using Task = asio::awaitable<T, Executor>;
}  // namespace remora
