// Puts one session's token on the URLs of one response, if they lead back to the same origin and pool.
//
// Lifetime: of one exchange; keeps copies of what it needs but for the UrlScope, which the exchange owns.
#pragma once

#include <optional>
#include <string>

#include "affinity/url_token.h"
#include "remora/affinity.h"

namespace remora {

class UrlMarker {
 public:
  UrlMarker(const RequestView& request, std::string_view document, config::UrlStyle style,
            std::string_view name, std::string token);

  /// One change to a reference: at `at`, `erase` characters give way to `text`.
  struct Edit {
    std::size_t at = 0, erase = 0;
    std::string text;
  };
  /// Nothing for references that are not ours to touch.
  std::optional<Edit> edit(std::string_view reference) const;
  /// Appends the reference as it should be; false: as it was.
  bool append(std::string_view reference, std::string& out) const;

  /// `<base href>`: what relative references are resolved against from now on.
  void rebase(std::string_view reference);
  /// The document's own path and query, marked: what an empty form target means.
  std::string own_target() const;
  /// False once `<base href>` led elsewhere.
  bool relative_is_ours() const noexcept { return relative_is_ours_; }

  config::UrlStyle style() const noexcept { return style_; }
  const std::string& name() const noexcept { return name_; }
  const std::string& token() const noexcept { return token_; }

 private:
  UrlBase base() const noexcept { return {secure_, host_, base_path_}; }
  const bool secure_;
  const std::string host_, document_;
  std::string base_path_;
  const UrlScope* const scope_;
  const config::UrlStyle style_;
  const std::string name_, token_;
  bool relative_is_ours_ = true, rebased_ = false;
};

}  // namespace remora
