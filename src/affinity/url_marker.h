// Puts one session's token on those URLs of one response that lead back to the same origin and pool.
//
// Lifetime: one exchange. Keeps copies of what it needs, except the UrlScope, which the exchange owns.
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

  /// One change to a reference: `text` replaces the `erase` characters at `at`.
  struct Edit {
    std::size_t at = 0, erase = 0;
    std::string text;
  };
  /// Nothing: the reference gets no token.
  std::optional<Edit> edit(std::string_view reference);
  /// The same for the value of a refresh (refresh_url.h); offsets are into it. A refresh without a URL
  /// reloads the document, which a client without a token had requested without one: it gets the document's
  /// URL.
  std::optional<Edit> edit_refresh(std::string_view content);
  /// Appends the reference with its token. False: appended unchanged.
  bool append(std::string_view reference, std::string& out);

  /// `<base href>`: relative references are resolved against it from now on. The first one counts (HTML
  /// 4.2.3). `certain`: false where a browser may ignore it (inside `<template>`, for example); then the next
  /// one may be the first. Returns false for a base that leads elsewhere after relative references were
  /// marked: it would apply to them as well, so it must not stay in the page.
  bool rebase(std::string_view reference, bool certain);
  /// Everything marked so far was in the response head, where no base applies.
  void begin_document() noexcept { marked_relative_ = false; }
  /// Following the reference may send what it carries to another origin.
  bool leaves(std::string_view reference) const noexcept;
  /// The document's own path and query with the token: what an empty form target means. Nothing if they
  /// cannot be written as a reference.
  std::optional<std::string> own_target();
  /// False once a `<base href>` led elsewhere.
  bool relative_is_ours() const noexcept { return relative_is_ours_; }

  config::UrlStyle style() const noexcept { return style_; }
  const std::string& name() const noexcept { return name_; }
  const std::string& token() const noexcept { return token_; }

 private:
  // A document's own path may be written once for each link to itself, and the client chooses it. Short paths
  // are written freely, long ones up to a total number of bytes.
  static constexpr std::size_t short_path = 512, max_long_paths = 256 * 1024;

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
  // The base of relative references. Computed when first needed; reset when the base changes.
  std::optional<std::string> directory_;  // directory of base_path_ as routes see it, with its last slash
  std::vector<std::size_t> ends_;         // ends of its segments, slash included; the first is the root's
  std::optional<bool> base_leads_here_, directory_leads_here_;
};

}  // namespace remora
