// Puts one session's token on the URLs of one response, if they lead back to the same origin and pool.
//
// Lifetime: of one exchange; keeps copies of what it needs but for the UrlScope, which the exchange owns.
#pragma once

#include <optional>
#include <string>
#include <vector>

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
  std::optional<Edit> edit(std::string_view reference);
  /// The same for the content of a refresh (refresh_url.h), as offsets into it. One without a URL reloads the
  /// document, which a client that has no token yet asked for without one.
  std::optional<Edit> edit_refresh(std::string_view content);
  /// Appends the reference as it should be; false: as it was.
  bool append(std::string_view reference, std::string& out);

  /// `<base href>`: what relative references are resolved against from now on. The first one counts (HTML
  /// 4.2.3). `certain` is false where a browser may not see it as one, inside `<template>`, say: then the
  /// next one may be the first. False is returned for one that leads elsewhere after relative references have
  /// been marked: it decides on those as well, so it must not stay in the page.
  bool rebase(std::string_view reference, bool certain);
  /// What was marked so far stood in the head: no base counts for it.
  void begin_document() noexcept { marked_relative_ = false; }
  /// Followed, the reference may send what it carries to another origin.
  bool leaves(std::string_view reference) const noexcept;
  /// The document's own path and query, marked: what an empty form target means. Nothing where it cannot be
  /// written as a reference.
  std::optional<std::string> own_target();
  /// False once `<base href>` led elsewhere.
  bool relative_is_ours() const noexcept { return relative_is_ours_; }

  config::UrlStyle style() const noexcept { return style_; }
  const std::string& name() const noexcept { return name_; }
  const std::string& token() const noexcept { return token_; }

 private:
  // A document's own path may be written once for each link to itself, and is the client's choice: short ones
  // freely, of long ones so many bytes in all.
  static constexpr std::size_t short_path = 512, most_long_paths = 256 * 1024;

  bool leads_here(const UrlReference& r);
  bool relative_leads_here(std::string_view path);
  void learn_directory();
  bool may_write(std::string_view own_path) noexcept;

  const bool secure_;
  const std::string host_, document_;
  std::string base_path_;
  const UrlScope* const scope_;
  const config::UrlStyle style_;
  const std::string name_, token_;
  bool relative_is_ours_ = true, rebased_ = false, base_is_certain_ = false, marked_relative_ = false;
  std::size_t long_paths_ = 0;  // bytes of own paths written
  // What relative references are resolved against, once it is needed; forgotten when the base changes.
  std::optional<std::string> directory_;  // of base_path_ as routes see it, with its last slash
  std::vector<std::size_t> ends_;         // of its segments, slash included; the first is the root's
  std::optional<bool> base_leads_here_, directory_leads_here_;
};

}  // namespace remora
