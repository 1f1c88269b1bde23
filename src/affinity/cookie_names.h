// Decides which of several cookies is ours. Two remoras in a row, or on two ports of one host, share a
// browser's cookies (RFC 6265 8.5: cookies ignore the port), and by default they use the same name.
//
// So a token has one of several names: NAME, NAME~2, NAME~3, NAME~4. An instance uses the first name that is
// not another instance's, and keeps it. A name is another's if a token stands there that this instance cannot
// open, or if the backend sets a cookie of that name, which means that the backend is such a proxy itself. If
// this instance can open tokens under several names, the last name is its own: with the same keys, the
// earlier names belong to proxies behind it. Cookies of other instances are neither hidden nor overwritten.
// Pure.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "affinity/seal.h"
#include "remora/http_view.h"

namespace remora {

class CookieNames {
 public:
  static constexpr std::size_t most = 4;

  CookieNames(const std::string& name, std::shared_ptr<const KeyRing> keys);
  const std::string& operator[](std::size_t place) const noexcept { return names_[place]; }
  /// The place of a cookie's name; `most`: not one of our names.
  std::size_t place_of(std::string_view name) const noexcept;
  /// The place of this client's token, or the place it would get, as far as the request shows.
  std::size_t own(const RequestView& request) const noexcept;
  /// The same once the response is known: skips the names that the backend sets.
  std::size_t for_response(const RequestView& request, const ResponseView& response) const noexcept;
  /// The backend sets a cookie under our token's name, so the client loses our token.
  bool displaced(const RequestView& request, const ResponseView& response) const noexcept;
  /// Hides our own tokens, and broken ones, from the backend.
  void conceal(const RequestView& request, RequestEdits& edits) const;

 private:
  struct Seen {
    bool ours[most] = {}, others[most] = {};
  };
  Seen look(const RequestView& request) const noexcept;
  static std::size_t choose(const Seen& seen) noexcept;
  /// A token, but sealed by keys that are not ours.
  bool is_anothers(std::string_view value) const noexcept;

  std::array<std::string, most> names_;
  std::shared_ptr<const KeyRing> keys_;
};

}  // namespace remora
