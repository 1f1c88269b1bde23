// The ways in which servers read one path.
//
// remora chooses a route by its own reading (normalise_path) and sends the path on as it came. Behind it,
// Tomcat takes `;...` off each segment before it resolves `..`, nginx decodes `%2f` and merges `//`, Express
// and IIS ignore the letter case, IIS drops final dots, takes `\` for `/` and knows `%u002f`, ASP.NET takes
// `/(S(id))` away, old decoders take overlong UTF-8, and two servers in a row decode twice. So
// `/x/..;a/admin` is /admin to some. A guard on a path holds only if all readings choose the same route:
// whoever routes asks for each of them here.
//
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>

namespace remora {

/// Whether a path can be read in more than one way, but for its letter case.
bool has_readings(std::string_view path) noexcept;
bool has_upper_case(std::string_view path) noexcept;

struct Reading {
  std::string_view path;
  /// Dot segments were left in it as names, as servers read it that do not resolve them.
  bool with_dots = false;
};

enum class Reviewed : std::uint8_t {
  all,
  stopped,   // by what was called
  too_many,  // the path can be read in more ways than anybody has a reason for; the rest was not looked at
};

namespace detail {
Reviewed review(std::string_view path, bool (*each)(void*, const Reading&), void* context);
}

/// Calls `each(reading)` with the readings of a path as it was sent (without query), until it returns false.
/// The views are valid during the call. Work is bounded: `most_readings`, `most_read_bytes`.
template <class F>
Reviewed for_each_reading(std::string_view path, F&& each) {
  using Plain = std::remove_reference_t<F>;
  return detail::review(
      path, [](void* f, const Reading& reading) -> bool { return (*static_cast<Plain*>(f))(reading); },
      const_cast<void*>(static_cast<const void*>(std::addressof(each))));
}

constexpr std::size_t most_readings = 256, most_read_bytes = 256 * 1024;

}  // namespace remora
