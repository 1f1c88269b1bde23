#include "affinity/url_marker.h"

#include "util/text.h"

namespace remora {

using config::UrlStyle;

UrlMarker::UrlMarker(const RequestView& request, std::string_view document, UrlStyle style,
                     std::string_view name, std::string token)
    : secure_(request.secure),
      host_(request.host),
      document_(document),
      base_path_(document.substr(0, document.find('?'))),
      scope_(request.scope),
      style_(style),
      name_(name),
      token_(std::move(token)) {}

std::optional<UrlMarker::Edit> UrlMarker::edit(std::string_view reference) const {
  const UrlReference r = classify_reference(reference, base());
  if (r.kind == UrlReference::Kind::elsewhere || r.same_document) return std::nullopt;
  const bool absolute = reference.find(':') < reference.find_first_of("/?#") || istarts_with(reference, "//");
  if (!absolute && !relative_is_ours_) return std::nullopt;
  if (scope_ != nullptr && !scope_->leads_here(r.path)) return std::nullopt;
  if (const UrlParameter old = find_url_parameter(reference, style_, name_)) {
    const auto at = static_cast<std::size_t>(old.value.data() - reference.data());
    return Edit{at, old.value.size(), token_};
  }
  Edit e;
  if (style_ == UrlStyle::path && r.query_only) {
    e.text = r.path + ";" + name_ + "=" + token_;  // the document's path, since only that can carry it
    return e;
  }
  const UrlPlace place = place_for_parameter(reference, style_);
  e.at = place.at;
  if (style_ == UrlStyle::path && absolute && r.path == "/" && reference[place.at - 1] != '/') e.text = "/";
  e.text.append(place.separator).append(name_).append("=").append(token_);
  // "?a=1" from "?": what follows the parameter is separated from it where place_for_parameter put it last.
  return e;
}

bool UrlMarker::append(std::string_view reference, std::string& out) const {
  const auto e = edit(reference);
  if (!e) {
    out.append(reference);
    return false;
  }
  out.append(reference.substr(0, e->at)).append(e->text).append(reference.substr(e->at + e->erase));
  return true;
}

void UrlMarker::rebase(std::string_view reference) {
  if (rebased_) return;  // only the first counts (HTML 4.2.3)
  rebased_ = true;
  const UrlReference r = classify_reference(reference, base());
  if (r.kind == UrlReference::Kind::elsewhere)
    relative_is_ours_ = false;
  else
    base_path_ = r.path;
}

std::string UrlMarker::own_target() const {
  std::string out = document_;
  const UrlPlace place = place_for_parameter(out, style_);
  out.insert(place.at, std::string(place.separator) + name_ + "=" + token_);
  return out;
}

}  // namespace remora
