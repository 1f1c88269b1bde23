#include "affinity/html_tag.h"

#include <algorithm>
#include <array>

#include "affinity/html_text.h"
#include "affinity/refresh_url.h"
#include "util/text.h"

namespace remora {

std::string_view html_tag_name(std::string_view tag) noexcept {
  tag.remove_prefix(tag.size() > 1 && tag[1] == '/' ? 2 : 1);
  std::size_t n = 0;
  while (n < tag.size() && !html_space(tag[n]) && tag[n] != '/' && tag[n] != '>') ++n;
  return tag.substr(0, n);
}

namespace {

struct Attribute {
  std::string_view name, value;  // value: as written, without quotes
  bool has_value = false;
};

/// Calls `f` with each attribute of a complete tag (13.2.5.32 to 13.2.5.40).
template <class F>
void for_each_attribute(std::string_view tag, F f) {
  std::size_t at =
      static_cast<std::size_t>(html_tag_name(tag).data() - tag.data()) + html_tag_name(tag).size();
  const std::size_t end = tag.size() - 1;  // '>'
  while (at < end) {
    if (html_space(tag[at]) || tag[at] == '/') {
      ++at;
      continue;
    }
    Attribute a;
    std::size_t stop = at + 1;  // a leading '=' belongs to the name
    while (stop < end && !html_space(tag[stop]) && tag[stop] != '/' && tag[stop] != '=') ++stop;
    a.name = tag.substr(at, stop - at);
    at = stop;
    while (at < end && html_space(tag[at])) ++at;
    if (at < end && tag[at] == '=') {
      ++at;
      while (at < end && html_space(tag[at])) ++at;
      a.has_value = true;
      if (at < end && (tag[at] == '"' || tag[at] == '\'')) {
        const char quote = tag[at++];
        stop = std::min(tag.find(quote, at), end);
        a.value = tag.substr(at, stop - at);
        at = std::min(stop + 1, end);
      } else {
        stop = at;
        while (stop < end && !html_space(tag[stop])) ++stop;
        a.value = tag.substr(at, stop - at);
        at = stop;
      }
    }
    f(a);
  }
}

/// One replacement inside a tag.
struct Patch {
  std::size_t at, erase;
  std::string text;
};

/// The patch in the tag for an edit of a decoded value.
Patch patch_of(std::string_view tag, std::string_view raw, const DecodedValue& decoded,
               const UrlMarker::Edit& edit) {
  const auto offset = static_cast<std::size_t>(raw.data() - tag.data());
  Patch p;
  p.at = offset + decoded.from[edit.at];
  p.erase = decoded.from[edit.at + edit.erase] - decoded.from[edit.at];
  std::string_view text = edit.text;
  if (ends_in_open_reference(raw.substr(0, decoded.from[edit.at])) && !text.empty()) {
    p.text.append("&#").append(std::to_string(static_cast<unsigned char>(text.front()))).append(";");
    text.remove_prefix(1);
  }
  append_html_escaped(text, p.text);
  return p;
}

/// The patch for the value of a URL attribute; nothing: the value stays.
std::optional<Patch> patch_value(std::string_view tag, std::string_view raw, UrlMarker& marker) {
  const std::string_view trimmed = html_trim(raw);
  const DecodedValue decoded = decode_value(trimmed);
  if (!decoded.begins_clearly()) return std::nullopt;
  const auto edit = marker.edit(decoded.text);
  if (!edit) return std::nullopt;
  return patch_of(tag, trimmed, decoded, *edit);
}

/// Empties the value of an attribute.
Patch empty_value(std::string_view tag, const Attribute& a) {
  const auto at = static_cast<std::size_t>(a.value.data() - tag.data());
  const bool quoted = tag[at - 1] == '"' || tag[at - 1] == '\'';
  return {at, a.value.size(), quoted ? "" : "\"\""};
}

void append_patched(std::string_view tag, const Patch& patch, std::string& out) {
  out.append(tag.substr(0, patch.at)).append(patch.text).append(tag.substr(patch.at + patch.erase));
}

/// A reference that is never ours; used in place of one that cannot be read.
constexpr std::string_view unreadable = "\\";

/// Inside these, a browser may ignore `<base>` or take it for another element.
constexpr std::array<std::string_view, 6> base_hiders{"svg",      "math",   "template",
                                                      "noscript", "select", "frameset"};

/// Appends the token as a hidden field behind a form's start tag: a GET form replaces the query of its
/// target.
void append_field(const UrlMarker& marker, std::string& out) {
  out.append("<input type=\"hidden\" name=\"")
      .append(marker.name())
      .append("\" value=\"")
      .append(marker.token())
      .append("\">");
}

struct Attributes {
  std::optional<Attribute> url, method;
  bool ping = false;
};
Attributes attributes_of(std::string_view tag, std::string_view url) {
  Attributes out;
  for_each_attribute(tag, [&](const Attribute& a) {
    if (!out.url && iequals(a.name, url)) out.url = a;  // the first of two counts
    if (!out.method && iequals(a.name, "method")) out.method = a;
    out.ping = out.ping || iequals(a.name, "ping");
  });
  return out;
}

}  // namespace

bool HtmlTags::rewrite(std::string_view tag, std::string& out) {
  const std::string_view name = html_tag_name(tag);
  if (iequals(name, "a") || iequals(name, "area")) return rewrite_anchor(tag, out);
  if (iequals(name, "iframe") || iequals(name, "frame")) return rewrite_link(tag, "src", out);
  if (iequals(name, "meta")) return rewrite_meta(tag, out);
  if (iequals(name, "form")) return rewrite_form(tag, out);
  if (iequals(name, "button") || iequals(name, "input")) return rewrite_button(tag, out);
  if (iequals(name, "base")) return rewrite_base(tag, out);
  for (const std::string_view element : base_hiders)
    may_hide_base_ = may_hide_base_ || iequals(name, element);
  return false;
}

std::string_view HtmlTags::guard_unread(std::string_view name) {
  if (iequals(name, "base") && !marker_.rebase(unreadable, !may_hide_base_)) return " href=\"\"";
  if (has_field_ && (iequals(name, "button") || iequals(name, "input"))) return " formaction=\"\"";
  return {};
}

/// In SVG, old pages use `xlink:href`, which counts only where there is no `href` (SVG 2 16.1.5).
bool HtmlTags::rewrite_anchor(std::string_view tag, std::string& out) {
  return rewrite_link(tag, attributes_of(tag, "href").url ? "href" : "xlink:href", out);
}

bool HtmlTags::rewrite_link(std::string_view tag, std::string_view attribute, std::string& out) {
  const Attributes a = attributes_of(tag, attribute);
  if (!a.url || !a.url->has_value || a.ping) return false;  // a `ping` reveals the link's URL
  const auto patch = patch_value(tag, a.url->value, marker_);
  if (patch) append_patched(tag, *patch, out);
  return patch.has_value();
}

/// `<meta http-equiv=refresh content="5; url=/x">`.
bool HtmlTags::rewrite_meta(std::string_view tag, std::string& out) {
  std::optional<Attribute> equiv, content;  // the first of two counts
  for_each_attribute(tag, [&](const Attribute& a) {
    if (!equiv && iequals(a.name, "http-equiv")) equiv = a;
    if (!content && iequals(a.name, "content")) content = a;
  });
  if (!equiv || !content || !iequals(decode_value(equiv->value).text, "refresh")) return false;
  const DecodedValue decoded = decode_value(content->value);
  const auto url = find_refresh_url(decoded.text);
  if (!url || decoded.unknown < url->at + 2) return false;  // the unknown part may begin the URL
  const auto edit = marker_.edit_refresh(decoded.text);
  if (edit) append_patched(tag, patch_of(tag, content->value, decoded, *edit), out);
  return edit.has_value();
}

/// `<base href>`. A base that leads elsewhere and comes after marked links (where HTML no longer allows one)
/// is emptied, because those links would take their tokens elsewhere.
bool HtmlTags::rewrite_base(std::string_view tag, std::string& out) {
  const Attributes a = attributes_of(tag, "href");
  if (!a.url || !a.url->has_value) return false;
  const DecodedValue decoded = decode_value(html_trim(a.url->value));
  if (marker_.rebase(decoded.begins_clearly() ? std::string_view(decoded.text) : unreadable, !may_hide_base_))
    return false;
  append_patched(tag, empty_value(tag, *a.url), out);
  return true;
}

/// A button sends its form's fields to its own target, so a form with the token in a field must not go
/// elsewhere.
bool HtmlTags::rewrite_button(std::string_view tag, std::string& out) {
  const Attributes a = attributes_of(tag, "formaction");
  if (!a.url || !a.url->has_value) return false;
  std::optional<Patch> patch = patch_value(tag, a.url->value, marker_);
  if (!patch && has_field_) {
    const DecodedValue decoded = decode_value(html_trim(a.url->value));
    if (!decoded.begins_clearly() || marker_.leaves(decoded.text)) patch = empty_value(tag, *a.url);
  }
  if (patch) append_patched(tag, *patch, out);
  return patch.has_value();
}

bool HtmlTags::rewrite_form(std::string_view tag, std::string& out) {
  const auto [url, method, ping] = attributes_of(tag, "action");
  if (method && iequals(method->value, "dialog")) return false;
  const bool as_field =
      !(method && iequals(method->value, "post")) && marker_.style() == config::UrlStyle::query;
  std::optional<Patch> patch;
  if (!url || html_trim(url->value).empty()) {
    if (!marker_.relative_is_ours()) return false;
    if (!as_field) {
      const auto target = marker_.own_target();
      if (!target) return false;
      std::string text = " action=\"";
      append_html_escaped(*target, text);
      const std::string_view name = html_tag_name(tag);
      const std::size_t after_name = static_cast<std::size_t>(name.data() - tag.data()) + name.size();
      patch = Patch{after_name, 0, text + "\""};  // before an empty `action`, so that this one counts
    }
  } else {
    patch = patch_value(tag, url->value, marker_);
    if (!patch) return false;
  }
  if (as_field) {
    out.append(tag);
    append_field(marker_, out);
    has_field_ = true;
  } else {
    append_patched(tag, *patch, out);
  }
  return true;
}

}  // namespace remora
