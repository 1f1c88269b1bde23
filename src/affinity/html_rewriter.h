// Puts tokens on the links and forms of an HTML page while it streams through, in pieces of any size.
//
// Follows the states of the HTML tokenizer that separate tags from everything else (WHATWG HTML 13.2.5):
// comments, scripts and other raw text, quotes inside tags. Only URLs change, and forms may get a hidden
// field; every other byte passes unchanged. Memory: one tag. A tag longer than `max_tag_bytes` passes unread
// (see HtmlTags::guard_unread).
#pragma once

#include <string>
#include <string_view>

#include "affinity/html_tag.h"
#include "remora/http_view.h"

namespace remora {

/// Finds the `>` that ends a tag (13.2.5.8, 13.2.5.32 to 13.2.5.40), character by character. Quotes count
/// only where a value begins.
class TagEnd {
 public:
  /// True: `c` ends the tag.
  bool take(char c) noexcept;

 private:
  enum class State { tag_name, between, name, after_name, before_value, quoted, unquoted };
  State state_ = State::tag_name;
  char quote_ = 0;
};

class HtmlRewriter final : public BodyRewriter {
 public:
  explicit HtmlRewriter(UrlMarker marker) : tags_(std::move(marker)) {}
  void feed(std::string_view in, bool last, std::string& out) override;

  static constexpr std::size_t max_tag_bytes = 64 * 1024;

 private:
  enum class Mode { text, comment, bogus_comment, raw_text, script, long_tag, plain_text };
  /// Each handles the input at `at_` in `held_` and returns false when it needs more.
  bool text(std::string& out);
  bool comment(std::string& out);
  bool until_bracket(std::string& out);
  bool raw_text(std::string& out);
  bool script(std::string& out);
  bool tag(std::string& out);
  bool long_tag(std::string& out);
  void after_tag(std::string_view tag);

  /// Passes on everything except the last `keep` bytes, which may be the beginning of something.
  void pass_but(std::size_t keep, std::string& out);
  void pass_to(std::size_t end, std::string& out);
  bool word_at(std::size_t at, std::string_view word) const noexcept;
  bool ends_name(std::size_t at) const noexcept;

  HtmlTags tags_;
  Mode mode_ = Mode::text;
  std::string held_;  // not yet passed on
  std::size_t at_ = 0;
  bool last_ = false;
  // The search for the end of the tag at at_.
  std::size_t scanned_ = 0;
  TagEnd end_;
  std::string raw_name_;  // in raw_text: the element whose end tag ends it
  enum class Escape { none, escaped, twice } escape_ = Escape::none;
  int foreign_ = 0;  // open svg and math elements
};

}  // namespace remora
