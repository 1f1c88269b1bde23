// Which cookie of a name is ours? Two remoras in a row, or on two ports of one host, share a browser's jar
// (RFC 6265 8.5: cookies know no port), and by default they use the same name.
//
// So a token has several names to choose from: NAME, NAME~2, NAME~3, NAME~4. An instance uses the first that
// is not another's, and keeps it: a token that it cannot open stands there, or its backend sets a cookie of
// that name, which means that the backend is a proxy like us. Of tokens that it could open it takes those of
// the last name, since with the same keys the ones before are those of proxies behind it. What belongs to
// another is neither hidden nor overwritten. Pure.
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
  /// The place of a cookie's name; `most`: it is none of ours.
  std::size_t place_of(std::string_view name) const noexcept;
  /// The place that this client's token has, or would get as far as the request shows.
  std::size_t own(const RequestView& request) const noexcept;
  /// The same once the response is known: beyond what the backend sets.
  std::size_t for_response(const RequestView& request, const ResponseView& response) const noexcept;
  /// The backend sets a cookie where our token is: the client loses ours.
  bool displaced(const RequestView& request, const ResponseView& response) const noexcept;
  /// Takes our own tokens, and broken ones, from what the backend sees.
  void conceal(const RequestView& request, RequestEdits& edits) const;

 private:
  struct Seen {
    bool ours[most] = {}, others[most] = {};
  };
  Seen look(const RequestView& request) const noexcept;
  static std::size_t choose(const Seen& seen) noexcept;
  /// A token, but of keys that are not ours.
  bool is_anothers(std::string_view value) const noexcept;

  std::array<std::string, most> names_;
  std::shared_ptr<const KeyRing> keys_;
};

}  // namespace remora
