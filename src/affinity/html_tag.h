// Puts tokens on one tag of a page: which elements and attributes carry URLs, and what has to change in them.
#pragma once

#include <string>
#include <string_view>

#include "affinity/url_marker.h"

namespace remora {

/// "<a href" -> "a", "</a>" -> "a".
std::string_view html_tag_name(std::string_view tag) noexcept;

class HtmlTags {
 public:
  explicit HtmlTags(UrlMarker marker) : marker_(std::move(marker)) {}
  /// Appends one complete start tag as it should be; false: it stays as it is.
  bool rewrite(std::string_view tag, std::string& out);

  /// What has to stand behind the name of a tag that is too long to be read: the first of two attributes
  /// counts.
  std::string_view guard_unread(std::string_view name);

 private:
  bool rewrite_form(std::string_view tag, std::string& out);
  bool rewrite_base(std::string_view tag, std::string& out);
  bool rewrite_link(std::string_view tag, std::string_view attribute, std::string& out);
  bool rewrite_anchor(std::string_view tag, std::string& out);
  bool rewrite_meta(std::string_view tag, std::string& out);
  bool rewrite_button(std::string_view tag, std::string& out);

  UrlMarker marker_;
  bool may_hide_base_ = false;  // an element came in which `<base>` may mean nothing
  bool has_field_ = false;      // a form of the page has the token as a field
};

}  // namespace remora
