// Result<T>: a value or an error code. std::expected needs C++23.
//
// Use it for operations whose failures the caller handles at once. Failures on the request path carry more (a
// side and a phase): see `Failure` in proxy/failure.h.
#pragma once

#include <boost/system/result.hpp>

namespace remora {
template <class T>
using Result = boost::system::result<T>;
using boost::system::error_code;
}  // namespace remora
