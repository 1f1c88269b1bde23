// Task<T>: the type of all coroutines of remora.
//
// Its executor is that of io_context itself, so that no type-erased executor is on the request path. A
// coroutine with another executor cannot be awaited from a Task.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace remora {
namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T>
using Task = asio::awaitable<T, Executor>;
}  // namespace remora
