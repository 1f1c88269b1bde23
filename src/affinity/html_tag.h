// Puts tokens on one tag of a page: which elements and attributes carry URLs, and how they change.
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
  /// Appends a complete start tag with its tokens. False: nothing is appended, the tag stays as it is.
  bool rewrite(std::string_view tag, std::string& out);

  /// For a tag that is too long to be read: an attribute to insert behind its name, which makes a later
  /// attribute of that name void (the first of two counts). Empty: none is needed.
  std::string_view guard_unread(std::string_view name);

 private:
  bool rewrite_form(std::string_view tag, std::string& out);
  bool rewrite_base(std::string_view tag, std::string& out);
  bool rewrite_link(std::string_view tag, std::string_view attribute, std::string& out);
  bool rewrite_anchor(std::string_view tag, std::string& out);
  bool rewrite_meta(std::string_view tag, std::string& out);
  bool rewrite_button(std::string_view tag, std::string& out);

  UrlMarker marker_;
  bool may_hide_base_ = false;  // an element came inside which a browser may ignore `<base>`
  bool has_field_ = false;      // a form of the page has the token in a hidden field
};

}  // namespace remora
