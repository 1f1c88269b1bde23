// Enumerates the ways in which servers may read one path.
//
// remora routes by its own reading (normalize_path) and forwards the path as it came. Behind it, Tomcat
// removes `;...` from each segment before it resolves `..`, nginx decodes `%2f` and merges `//`, Express and
// IIS ignore case, IIS drops trailing dots, reads `\` as `/` and knows `%u002f`, ASP.NET removes `/(S(id))`,
// old decoders accept overlong UTF-8, and two servers in a row decode twice. So some servers read
// `/x/..;a/admin` as /admin. A guard on a path holds only if all readings select the same route: the router
// checks each of them here.
//
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>

namespace remora {

/// Whether a path has more than one reading, apart from letter case.
bool has_readings(std::string_view path) noexcept;
bool has_upper_case(std::string_view path) noexcept;

struct Reading {
  std::string_view path;
  /// The path still contains dot segments, as read by servers that do not resolve them.
  bool with_dots = false;
};

enum class Reviewed : std::uint8_t {
  all,
  stopped,   // by the callback
  too_many,  // more readings than any legitimate path has; the rest was not checked
};

namespace detail {
Reviewed review(std::string_view path, bool (*each)(void*, const Reading&), void* context);
}

/// Calls `each(reading)` for each reading of a path as sent (without query), until it returns false. Views
/// are valid during the call. Work is bounded: `max_readings`, `max_read_bytes`.
template <class F>
Reviewed for_each_reading(std::string_view path, F&& each) {
  using Plain = std::remove_reference_t<F>;
  return detail::review(
      path, [](void* f, const Reading& reading) -> bool { return (*static_cast<Plain*>(f))(reading); },
      const_cast<void*>(static_cast<const void*>(std::addressof(each))));
}

constexpr std::size_t max_readings = 256, max_read_bytes = 256 * 1024;

}  // namespace remora
